"""What is recorded of a process's calls: spans, metrics, and the observations that detection lives on."""

from otel_monitor.telemetry.telemetry import Telemetry

__all__ = ["Telemetry"]
