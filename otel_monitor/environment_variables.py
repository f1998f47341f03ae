"""The variables that `opentelemetry-instrument` offers as options of its own.

It imports this module before it looks for a distro, and takes the first one it finds. That is why importing
this module chooses ours, unless the user has chosen: it is the only place for that.
"""

from __future__ import annotations

import os

from otel_monitor import activation

OTEL_MONITOR_ENABLED = "OTEL_MONITOR_ENABLED"
OTEL_MONITOR_CONFIG = "OTEL_MONITOR_CONFIG"
OTEL_MONITOR_ORCHESTRATORS = "OTEL_MONITOR_ORCHESTRATORS"
OTEL_MONITOR_WORKERS = "OTEL_MONITOR_WORKERS"
OTEL_MONITOR_OPERATIONS = "OTEL_MONITOR_OPERATIONS"

if activation.wanted(os.environ):
    activation.choose_ours(os.environ)
