"""Observations: what the detectors and rules see of the world, whatever signal it came from.

They are named tuples: immutable, without a `__dict__`, and three times cheaper to build than frozen
dataclasses, which counts where a wrapped call builds one. Times are event times in unix seconds.
Durations are seconds, run on a monotonic clock. A `source` is the instance that the fact is about:
`service.instance.id`, else `host.name` or `k8s.pod.name`, else `service.name`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from otel_monitor_processors.classification import Category
from otel_monitor_processors.distribution import Distribution

ORCHESTRATOR_PEER = "orchestrator"
"""Whom a worker reports to, where nothing names it: the peer of such a `Link`."""


class Outcome(StrEnum):
    """How an operation ended. A cancelled one says nothing about health."""

    OK = "ok"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Change(StrEnum):
    """What happened to a worker's membership of the fleet."""

    JOINED = "joined"
    LEFT = "left"
    LOST = "lost"


class TraceRef(NamedTuple):
    """The span an observation came from, as the integers of its context."""

    trace_id: int
    span_id: int

    def hex_trace_id(self) -> str:
        return f"{self.trace_id:032x}"

    def hex_span_id(self) -> str:
        return f"{self.span_id:016x}"


class Operation(NamedTuple):
    """A piece of work that a source has ended.

    `rated` is False where only the failed and the slow ones of its kind may have been recorded: shares and
    quantiles of them mean nothing.
    """

    at: float
    source: str
    name: str
    outcome: Outcome
    duration_s: float
    category: Category | None = None
    trace: TraceRef | None = None
    service: str = ""
    task_id: str | None = None
    rated: bool = True


class Link(NamedTuple):
    """A source reached for a peer. Only `network`, `timeout` and `worker_lost` failures mean it was not reached."""

    at: float
    source: str
    peer: str
    ok: bool
    duration_s: float
    category: Category | None = None
    trace: TraceRef | None = None
    service: str = ""


class DatabaseOperation(NamedTuple):
    """A source used a database."""

    at: float
    source: str
    system: str
    outcome: Outcome
    duration_s: float
    category: Category | None = None
    lock_wait_s: float | None = None
    trace: TraceRef | None = None
    service: str = ""


class OperationCount(NamedTuple):
    """How many operations of one name and outcome a metric has counted since its last export.

    `busy_s` is how long they took together, `category` None for those that ended well. They are the same
    operations as a source's spans, if it has any: complete where spans are sampled, and later by the interval
    of the export.
    """

    at: float
    source: str
    name: str
    calls: int
    busy_s: float
    category: Category | None = None
    database: bool = False
    service: str = ""


class Heartbeat(NamedTuple):
    """A heartbeat of `source`, as `observer` received it (or as the source itself sent it: then they are the same)."""

    at: float
    source: str
    observer: str
    ok: bool = True
    duration_s: float = 0.0
    trace: TraceRef | None = None


class Membership(NamedTuple):
    """`source` joined the fleet, left it in good order, or was given up as lost by `observer`."""

    at: float
    source: str
    observer: str
    change: Change
    reason: str = ""
    trace: TraceRef | None = None


class Assignment(NamedTuple):
    """`observer` gave a task to the worker `source`."""

    at: float
    source: str
    observer: str
    task: str
    task_id: str | None = None
    reason: str = "new"
    trace: TraceRef | None = None


class Level(NamedTuple):
    """How much of a limited resource a source uses: `value` of `limit`, in the same unit."""

    at: float
    source: str
    resource: str
    value: float
    limit: float
    service: str = ""


class MetricPoint(NamedTuple):
    """One point of any other metric, as rules may name it. A cumulative sum is already turned into its increase.

    Of a histogram `value` is the mean of the `events` that were added, spread as `distribution` says; 0 events: it is
    no histogram.
    """

    at: float
    source: str
    name: str
    attributes: tuple[tuple[str, str], ...]
    value: float
    unit: str = ""
    service: str = ""
    events: int = 0
    distribution: Distribution | None = None


class RulePoint(MetricPoint):
    """A point that rules alone look at: what it tells, detectors know from where it was measured."""

    __slots__ = ()


class ErrorLog(NamedTuple):
    """A log record of severity ERROR or above, or one that tells of an exception.

    `severity` is OpenTelemetry's number: 17 and above are ERROR, 21 and above FATAL, 0 was not told. An exception
    that the program has dealt with is logged lower.
    """

    at: float
    source: str
    error_type: str
    category: Category | None = None
    trace: TraceRef | None = None
    service: str = ""
    severity: int = 17


Observation = (
    Operation
    | Link
    | DatabaseOperation
    | OperationCount
    | Heartbeat
    | Membership
    | Assignment
    | Level
    | MetricPoint
    | RulePoint
    | ErrorLog
)
