"""What a role adds to a call: which arguments it reads, what it counts, what it reports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from otel_monitor.instrumentation.operation import Side
from otel_monitor.telemetry.calls import Call
from otel_monitor_processors.classification import Category
from otel_monitor_processors.observation import Link

if TYPE_CHECKING:
    from otel_monitor.telemetry.telemetry import Telemetry

OPERATION_NAME = "orchestrator.operation.name"
WORKER_ID = "orchestrator.worker.id"
TASK_NAME = "orchestrator.task.name"
TASK_ID = "orchestrator.task.id"
STREAM_ID = "orchestrator.stream.id"
TASK_ATTEMPT = "orchestrator.task.attempt"
ASSIGNMENT_REASON = "orchestrator.assignment.reason"
FAILURE_REASON = "orchestrator.failure.reason"

_UNREACHED = frozenset({Category.NETWORK, Category.TIMEOUT, Category.WORKER_LOST})


class Activity:
    """A role without anything of its own, and what the others build on."""

    traced = True
    """Whether each call has a span from its begin, not only when it failed or was slow."""

    def __init__(self, telemetry: Telemetry) -> None:
        self.telemetry = telemetry
        self.metrics = telemetry.metrics
        self.driver = telemetry.driver

    def begin(self, call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Read the arguments, while they are what they are. There is no span yet."""
        read_subject(call, args, kwargs)

    def attributes(self, call: Call) -> dict[str, str | int]:
        """The attributes of the span at its start."""
        operation = call.operation
        attributes: dict[str, str | int] = {OPERATION_NAME: operation.name}
        if call.worker is not None:
            attributes[WORKER_ID] = call.worker
        if call.task_name is not None:
            attributes[TASK_NAME] = call.task_name
        if call.task_id is not None:
            attributes[STREAM_ID if operation.id_is_stream else TASK_ID] = call.task_id
        return attributes

    def started(self, call: Call) -> None:
        """The span is there, the function has not been called yet."""

    def end(self, call: Call) -> None:
        """The function has ended; the span has not."""

    def report_link(self, call: Call, peer: str) -> None:
        """Whether `peer` was reached."""
        self.driver.offer(
            Link(
                call.ended_at,
                self.telemetry.source,
                peer,
                call.category not in _UNREACHED,
                call.duration_s,
                call.category,
                call.trace,
                self.telemetry.service,
            )
        )


def read_subject(call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Whom and what a call is about: the worker, the task and its name."""
    operation = call.operation
    worker = operation.worker(args, kwargs) if operation.worker is not None else None
    if worker is None and operation.side is Side.WORKER:
        own = operation.own_worker(args, kwargs) if operation.own_worker is not None else None
        worker = own if own is not None else call.telemetry.source
    call.worker = worker
    call.task_id = operation.task_id(args, kwargs) if operation.task_id is not None else None
    named = operation.task(args, kwargs) if operation.task is not None else None
    call.task_name = named if named is not None else operation.task_name
