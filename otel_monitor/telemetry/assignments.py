"""Tasks that an orchestrator gives to workers, one by one or while it rebalances."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry.context import get_value, set_value

from otel_monitor.instrumentation import propagation
from otel_monitor.telemetry.activity import ASSIGNMENT_REASON, TASK_ATTEMPT, Activity
from otel_monitor.telemetry.calls import Call
from otel_monitor.telemetry.tasks import Reason
from otel_monitor_processors.observation import Assignment, Outcome

_REBALANCE = "otel-monitor-rebalance"


class Rebalance:
    """What a rebalance under way has moved; it travels in the context, into the assignments it makes."""

    __slots__ = ("moved",)

    def __init__(self) -> None:
        self.moved = 0


class RebalanceActivity(Activity):
    """The orchestrator shares its tasks out anew."""

    def begin(self, call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        super().begin(call, args, kwargs)
        call.rebalance = Rebalance()
        call.context = set_value(_REBALANCE, call.rebalance, call.context)

    def end(self, call: Call) -> None:
        self.metrics.rebalance_duration.record(call.duration_s, (), call.trace_context)
        if call.rebalance is not None and call.rebalance.moved:
            self.metrics.rebalance_moved.add(call.rebalance.moved, (), call.trace_context)


class AssignActivity(Activity):
    """The orchestrator gives a task to a worker."""

    def begin(self, call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        operation = call.operation
        super().begin(call, args, kwargs)
        given = operation.reason(args, kwargs) if operation.reason is not None else None
        rebalance = get_value(_REBALANCE, call.context)
        call.rebalance = rebalance if isinstance(rebalance, Rebalance) else None
        plan = self.telemetry.tasks.plan(call.task_id, call.worker, given, in_rebalance=call.rebalance is not None)
        attempt = operation.attempt(args, kwargs) if operation.attempt is not None else None
        call.plan = plan if attempt is None else plan._replace(attempt=max(1, attempt))
        carrier = operation.carrier(args, kwargs) if operation.carrier is not None else None
        call.carrier = carrier if type(carrier) is dict else None

    def attributes(self, call: Call) -> dict[str, str | int]:
        plan = call.plan
        attributes = super().attributes(call)
        attributes[ASSIGNMENT_REASON] = plan.reason.value
        if plan.attempt is not None:
            attributes[TASK_ATTEMPT] = plan.attempt
        return attributes

    def started(self, call: Call) -> None:
        if call.carrier is not None and self.telemetry.inject_carriers and call.attached is not None:
            propagation.inject(call.carrier, call.attached)

    def end(self, call: Call) -> None:
        if call.worker is not None:
            self.report_link(call, call.worker)
        if call.outcome is Outcome.OK:
            self._succeeded(call)

    def _succeeded(self, call: Call) -> None:
        plan, worker = call.plan, call.worker
        reason = plan.reason
        key = (reason.value,)
        metrics, span = self.metrics, call.trace_context
        metrics.assignments.add(1, key, span)
        if reason is Reason.RETRY:
            metrics.retries.add(1, key, span)
        if plan.duplicate:
            metrics.duplicates.add(1, key, span)
        if call.rebalance is not None and plan.moved:
            call.rebalance.moved += 1
        if worker is None:
            return
        telemetry = self.telemetry
        if call.task_id is not None:
            telemetry.tasks.assigned(call.task_id, worker, plan, call.began_at)
        self.driver.offer(
            Assignment(
                call.ended_at, worker, telemetry.source, call.task_name or "", call.task_id, reason.value, call.trace
            )
        )
