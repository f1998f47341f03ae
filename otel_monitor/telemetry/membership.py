"""Workers that join the fleet, leave it, or are given up."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from otel_monitor.instrumentation.operation import Side
from otel_monitor.telemetry.activity import FAILURE_REASON, Activity
from otel_monitor.telemetry.calls import Call
from otel_monitor_processors.observation import ORCHESTRATOR_PEER, Change, Membership, Outcome


class FailureReason(StrEnum):
    """Why a worker was given up."""

    HEARTBEAT_TIMEOUT = "heartbeat_timeout"
    EXIT = "exit"
    OOM = "oom"
    DEREGISTERED = "deregistered"
    ERROR = "error"


_REASONS = frozenset(FailureReason)


class _MembershipActivity(Activity):
    """A change of the fleet that takes effect when the call has succeeded."""

    change: Change
    reason = ""

    def end(self, call: Call) -> None:
        source = self.telemetry.source
        if call.operation.side is Side.WORKER:
            self.report_link(call, ORCHESTRATOR_PEER)
        if call.outcome is not Outcome.OK:
            return
        if call.operation.side is Side.WORKER:
            self.report(call, source)
            return
        self.changed(call)
        if call.worker is not None:
            self.report(call, call.worker)

    def changed(self, call: Call) -> None:
        """Note the change in the orchestrator's own fleet."""
        raise NotImplementedError

    def report(self, call: Call, worker: str) -> None:
        self.driver.observe(
            Membership(call.ended_at, worker, self.telemetry.source, self.change, self.reason, call.trace)
        )


class RegisterActivity(_MembershipActivity):
    """A worker joins."""

    change = Change.JOINED

    def changed(self, call: Call) -> None:
        self.metrics.registrations.add(1, (), call.trace_context)
        if call.worker is not None:
            self.telemetry.fleet.joined(call.worker, call.ended_at)


class DeregisterActivity(_MembershipActivity):
    """A worker leaves in good order."""

    change = Change.LEFT
    reason = FailureReason.DEREGISTERED.value

    def changed(self, call: Call) -> None:
        if call.worker is not None:
            self.telemetry.fleet.left(call.worker)


class HandleFailureActivity(Activity):
    """A worker is given up: before the handler's body, which gives its tasks to others."""

    def begin(self, call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        super().begin(call, args, kwargs)
        reason = call.operation.reason
        call.reason = self._reason(call, reason(args, kwargs) if reason is not None else None)

    def attributes(self, call: Call) -> dict[str, str | int]:
        attributes = super().attributes(call)
        attributes[FAILURE_REASON] = str(call.reason)
        return attributes

    def started(self, call: Call) -> None:
        worker, reason = call.worker, call.reason
        if worker is not None and not self.telemetry.fleet.lost(worker):
            return  # several handlers of one failure are one failure
        self.metrics.failures.add(1, (reason,), call.trace_context)
        if worker is not None:
            self.driver.observe(
                Membership(call.began_at, worker, self.telemetry.source, Change.LOST, reason or "", call.trace)
            )

    def _reason(self, call: Call, given: str | None) -> str:
        if given in _REASONS:
            return str(given)
        late = call.worker is not None and self.telemetry.fleet.is_late(call.worker, call.began_at)
        return FailureReason.HEARTBEAT_TIMEOUT.value if late else FailureReason.ERROR.value
