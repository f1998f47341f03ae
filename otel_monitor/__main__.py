"""`python -m otel_monitor` is `otel-monitor`."""

from __future__ import annotations

import sys

from otel_monitor.cli import main

if __name__ == "__main__":
    sys.exit(main())
