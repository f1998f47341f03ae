"""Operations: what is known about a wrapped function before it is called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from opentelemetry.trace import SpanKind


class Side(StrEnum):
    """Which half of the system a class belongs to."""

    ORCHESTRATOR = "orchestrator"
    WORKER = "worker"


class Role(StrEnum):
    """What a function does in the system."""

    REGISTER = "register"
    DEREGISTER = "deregister"
    HEARTBEAT = "heartbeat"
    ASSIGN = "assign"
    REBALANCE = "rebalance"
    HANDLE_FAILURE = "handle_failure"
    PROCESS = "process"
    OPERATION = "operation"
    IGNORE = "ignore"


class Extractor(Protocol):
    """Finds one value in the arguments of a call, or None. Picklable, and never raises."""

    def __call__(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], /) -> Any: ...


@dataclass(frozen=True, slots=True)
class Operation:
    """A wrapped function as its spans, metrics and observations name it. Picklable, as its wrapper must be."""

    role: Role
    side: Side
    name: str
    """The role, or `{Class}.{method}` where it has none of its own: `orchestrator.operation.name`."""
    span_name: str
    kind: SpanKind
    task_name: str | None = None
    """The low-cardinality name of the work: `stream` for `process_stream`."""
    worker: Extractor | None = None
    own_worker: Extractor | None = None
    """On a worker: the id that the receiver of the call gives itself."""
    task_id: Extractor | None = None
    task: Extractor | None = None
    """Where the configuration names one: the argument that has the task's name, which beats `task_name`."""
    reason: Extractor | None = None
    attempt: Extractor | None = None
    carrier: Extractor | None = None
    """The dict argument in which W3C trace headers travel."""
    id_is_stream: bool = False
    """The task's id is a stream's: `orchestrator.stream.id` in place of `orchestrator.task.id`."""
