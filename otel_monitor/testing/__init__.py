"""For users' own tests: rules on virtual time. `pytest_plugins = ["otel_monitor.testing.fixtures"]` gives fixtures."""

from __future__ import annotations

from otel_monitor.testing.bench import RuleBench
from otel_monitor.testing.clock import VirtualClock

__all__ = ["RuleBench", "VirtualClock"]
