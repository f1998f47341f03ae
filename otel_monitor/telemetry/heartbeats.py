"""Heartbeats: metrics always, a span only for one that failed or was slow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry._logs import Logger, SeverityNumber

from otel_monitor.instrumentation.operation import Side
from otel_monitor.telemetry.activity import WORKER_ID, Activity
from otel_monitor.telemetry.calls import Call
from otel_monitor_processors.observation import ORCHESTRATOR_PEER, Heartbeat

HEARTBEAT_EVENT = "orchestrator.worker.heartbeat"
"""A log record for each heartbeat, for backends that want every one: only with the setting `record_heartbeats`."""


class HeartbeatActivity(Activity):
    """The receiver measures the rhythm, by its own clock; the sender whether it got through.

    A heartbeat has been received when its handler is called, whatever becomes of the handler then: a
    database that locks the handler out does not make the worker silent.
    """

    traced = False

    def begin(self, call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        operation = call.operation
        if operation.side is not Side.ORCHESTRATOR or operation.worker is None:
            return
        worker = operation.worker(args, kwargs)
        if worker is None:
            return
        call.worker = worker
        telemetry = self.telemetry
        gap_s, key = telemetry.fleet.heartbeat(worker, call.began_at)
        if gap_s is not None:
            self.metrics.heartbeat_interval.record(gap_s, key)
        self.driver.offer(Heartbeat(call.began_at, worker, telemetry.source))
        if telemetry.heartbeat_events is not None:
            _emit(telemetry.heartbeat_events, worker, call.began_at)

    def attributes(self, call: Call) -> dict[str, str | int]:
        if call.worker is None and call.operation.side is Side.WORKER:
            call.worker = self.telemetry.source
        return super().attributes(call)

    def end(self, call: Call) -> None:
        if call.operation.side is Side.WORKER:
            source = self.telemetry.source
            reached = call.category is None
            self.driver.offer(Heartbeat(call.began_at, source, source, reached, call.duration_s, call.trace))
            self.report_link(call, ORCHESTRATOR_PEER)
            if self.telemetry.heartbeat_events is not None and reached:
                _emit(self.telemetry.heartbeat_events, source, call.began_at)


def _emit(events: Logger, worker: str, at: float) -> None:
    events.emit(
        timestamp=int(at * 1e9),
        severity_number=SeverityNumber.INFO,
        event_name=HEARTBEAT_EVENT,
        attributes={WORKER_ID: worker},
    )
