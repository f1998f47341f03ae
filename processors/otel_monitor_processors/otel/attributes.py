"""Names of the attributes and events that this package reads and writes."""

from __future__ import annotations

INSTRUMENTATION_SCOPE = "otel_monitor.instrumentation"
"""Scope of our wrapped calls' spans and metrics: observed at their source, so that processors pass them over."""

SCOPE = "otel_monitor"
"""Scope of alerts and verdicts."""

OPERATION_NAME = "orchestrator.operation.name"
WORKER_ID = "orchestrator.worker.id"
TASK_ID = "orchestrator.task.id"
STREAM_ID = "orchestrator.stream.id"
TASK_NAME = "orchestrator.task.name"

ALERT_EVENT = "otel_monitor.alert.state_change"
VERDICT_EVENT = "otel_monitor.pattern.verdict"
HEARTBEAT_EVENT = "orchestrator.worker.heartbeat"

ALERT = "otel_monitor.alert."
"""Prefix of an alert's attributes on log events and on marked spans."""
