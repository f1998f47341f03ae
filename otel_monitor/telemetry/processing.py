"""Tasks that a worker runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otel_monitor.instrumentation import propagation
from otel_monitor.telemetry.activity import TASK_ATTEMPT, Activity
from otel_monitor.telemetry.calls import Call


class ProcessActivity(Activity):
    """A worker runs a task, in the trace that the task has brought."""

    def begin(self, call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        operation = call.operation
        super().begin(call, args, kwargs)
        attempt = operation.attempt(args, kwargs) if operation.attempt is not None else None
        call.attempt = None if attempt is None else max(1, attempt)
        carrier = operation.carrier(args, kwargs) if operation.carrier is not None else None
        call.waited_s = None
        if isinstance(carrier, dict):
            call.waited_s = propagation.waited_s(carrier)
            if propagation.TRACEPARENT in carrier:
                call.context = propagation.parent_of(carrier, call.context)

    def attributes(self, call: Call) -> dict[str, str | int]:
        attributes = super().attributes(call)
        if call.attempt is not None:
            attributes[TASK_ATTEMPT] = call.attempt
        return attributes

    def started(self, call: Call) -> None:
        since_assigned_s, running = self.telemetry.tasks.started(call.task_id, call.began_at)
        waited_s = call.waited_s if call.waited_s is not None else since_assigned_s
        if waited_s is not None:
            self.metrics.queue_duration.record(waited_s, (call.task_name, None), call.trace_context)
        if running:
            self.metrics.duplicates.add(1, (None,), call.trace_context)

    def end(self, call: Call) -> None:
        self.telemetry.tasks.ended(call.task_id)
        self.metrics.process_duration.record(call.duration_s, (call.task_name, call.error_type), call.trace_context)
