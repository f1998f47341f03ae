"""Every metric that otel-monitor records: one row is its name, kind, unit, meaning and attributes.

Values are recorded under a *key*: the values of the row's attributes, in the row's order, None for an
absent one. A key is a tuple of strings, so that the hot path builds no dictionary.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from opentelemetry.trace import SpanContext

SCOPE = "otel_monitor.instrumentation"
"""Name of the instrumentation scope of all our spans, metrics and log events."""

DURATION_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
MAX_SERIES = 2_000
"""Attribute sets of one instrument between two collections; further ones are one, `otel.metric.overflow`."""

Key = tuple[str | None, ...]


class Kind(StrEnum):
    """How an instrument is recorded. The observable ones are read when a reader collects."""

    HISTOGRAM = "Histogram"
    COUNTER = "Counter"
    OBSERVABLE_COUNTER = "ObservableCounter"
    OBSERVABLE_UP_DOWN_COUNTER = "ObservableUpDownCounter"
    OBSERVABLE_GAUGE = "ObservableGauge"


@dataclass(frozen=True, slots=True)
class Instrument:
    """One metric as it is exported."""

    name: str
    kind: Kind
    unit: str
    meaning: str
    attributes: tuple[str, ...] = ()

    def attributes_of(self, key: Key) -> dict[str, str]:
        """The attributes that `key` stands for."""
        return {name: value for name, value in zip(self.attributes, key, strict=False) if value is not None}


class Histogram(Protocol):
    """Takes durations."""

    def record(self, value: float, key: Key = (), span: SpanContext | None = None) -> None:
        """Count `value`; a sampled `span` becomes the exemplar of its bucket."""


class Counter(Protocol):
    """Takes increments."""

    def add(self, amount: float, key: Key = (), span: SpanContext | None = None) -> None:
        """Count `amount`; a sampled `span` becomes the exemplar."""


@dataclass(frozen=True, slots=True)
class Part:
    """What a histogram records under keys that begin with `first` is another metric as well, without attributes."""

    instrument: Instrument
    first: str


class Instruments(Protocol):
    """Makes the synchronous instruments: by our own aggregation, or of the stock SDK's."""

    def histogram(self, instrument: Instrument, part: Part | None = None) -> Histogram:
        """The histogram of this row, and with it that of its part."""

    def counter(self, instrument: Instrument) -> Counter:
        """The counter of this row."""


_HISTOGRAM = Kind.HISTOGRAM
_COUNTER = Kind.COUNTER
_GAUGE = Kind.OBSERVABLE_GAUGE
_UP_DOWN = Kind.OBSERVABLE_UP_DOWN_COUNTER
_TOTAL = Kind.OBSERVABLE_COUNTER

_OPERATION = "orchestrator.operation.name"
_TASK = "orchestrator.task.name"
_WORKER = "orchestrator.worker.id"
_ERROR = "error.type"
_REASON = "orchestrator.assignment.reason"

OPERATION_DURATION = Instrument(
    "orchestrator.operation.duration",
    _HISTOGRAM,
    "s",
    "Duration of calls of orchestrators and workers.",
    (_OPERATION, _ERROR),
)
WORKER_COUNT = Instrument(
    "orchestrator.worker.count",
    _UP_DOWN,
    "{worker}",
    "Workers that the orchestrator knows.",
    ("orchestrator.worker.state",),
)
WORKER_REGISTRATIONS = Instrument(
    "orchestrator.worker.registrations", _COUNTER, "{registration}", "Workers that have registered."
)
WORKER_FAILURES = Instrument(
    "orchestrator.worker.failures", _COUNTER, "{failure}", "Workers given up as lost.", ("orchestrator.failure.reason",)
)
HEARTBEAT_INTERVAL = Instrument(
    "orchestrator.heartbeat.interval",
    _HISTOGRAM,
    "s",
    "Time between heartbeats of a worker, by its receiver's clock.",
    (_WORKER,),
)
HEARTBEAT_AGE = Instrument(
    "orchestrator.heartbeat.age",
    _GAUGE,
    "s",
    "Time since a worker's last heartbeat; without an id, the longest of the others.",
    (_WORKER,),
)
HEARTBEAT_DURATION = Instrument(
    "orchestrator.heartbeat.duration", _HISTOGRAM, "s", "Duration of sending or handling a heartbeat."
)
HEARTBEAT_MISSED = Instrument(
    "orchestrator.heartbeat.missed",
    _COUNTER,
    "{heartbeat}",
    "Heartbeats that a worker's own rhythm promised and that did not come.",
)
TASK_COUNT = Instrument(
    "orchestrator.task.count", _UP_DOWN, "{task}", "Tasks by state: pending, assigned, running.", ("state",)
)
TASK_QUEUE_DURATION = Instrument(
    "orchestrator.task.queue.duration",
    _HISTOGRAM,
    "s",
    "Time from the assignment of a task to the start of its processing.",
    (_TASK, _ERROR),
)
TASK_PROCESS_DURATION = Instrument(
    "orchestrator.task.process.duration", _HISTOGRAM, "s", "Duration of processing a task.", (_TASK, _ERROR)
)
TASK_ASSIGNMENTS = Instrument(
    "orchestrator.task.assignments", _COUNTER, "{assignment}", "Tasks given to workers.", (_REASON,)
)
TASK_RETRIES = Instrument(
    "orchestrator.task.retries", _COUNTER, "{retry}", "Tasks given again to the worker that had them.", (_REASON,)
)
TASK_DUPLICATES = Instrument(
    "orchestrator.task.duplicates",
    _COUNTER,
    "{task}",
    "Tasks given to, or run by, a second worker while a living one has them.",
    (_REASON,),
)
WORKER_ASSIGNED = Instrument(
    "orchestrator.worker.assigned",
    _GAUGE,
    "{task}",
    "Tasks that a worker has; without an id, the most of the others.",
    (_WORKER,),
)
LOAD_IMBALANCE = Instrument(
    "orchestrator.load.imbalance", _GAUGE, "1", "Coefficient of variation of the tasks per worker."
)
REBALANCE_DURATION = Instrument("orchestrator.rebalance.duration", _HISTOGRAM, "s", "Duration of rebalancing.")
REBALANCE_MOVED = Instrument("orchestrator.rebalance.moved", _COUNTER, "{task}", "Tasks that rebalancing moved.")
EVENT_LOOP_DELAY = Instrument(
    "orchestrator.event_loop.delay", _HISTOGRAM, "s", "How late an asyncio event loop runs what is due."
)
ERRORS = Instrument(
    "orchestrator.errors",
    _COUNTER,
    "{error}",
    "Failed calls by what their error means.",
    ("otel_monitor.error.category",),
)

PROCESS_CPU = Instrument(
    "process.cpu.utilization", _GAUGE, "1", "CPU time of the process as a share of the CPUs that it may use."
)
PROCESS_MEMORY = Instrument("process.memory.usage", _UP_DOWN, "By", "Physical memory of the process.")
PROCESS_MEMORY_SHARE = Instrument(
    "process.memory.utilization",
    _GAUGE,
    "1",
    "Share of the tightest limit of memory in use: the process's own, the container's or the host's.",
)
PROCESS_THREADS = Instrument("process.thread.count", _UP_DOWN, "{thread}", "Threads of the process.")
PROCESS_FILES = Instrument(
    "process.unix.file_descriptor.count", _UP_DOWN, "{file_descriptor}", "Open file descriptors of the process."
)
PROCESS_FILES_SHARE = Instrument(
    "process.unix.file_descriptor.utilization", _GAUGE, "1", "Share of the file descriptors that the process may open."
)
SYSTEM_CPU = Instrument("system.cpu.utilization", _GAUGE, "1", "Share of the host's, or the container's, CPUs in use.")
SYSTEM_MEMORY = Instrument(
    "system.memory.utilization",
    _GAUGE,
    "1",
    "Share of the host's, or the container's, memory in use.",
    ("system.memory.state",),
)
SYSTEM_FILESYSTEM = Instrument(
    "system.filesystem.utilization",
    _GAUGE,
    "1",
    "Share of the working directory's filesystem in use.",
    ("system.filesystem.state", "system.filesystem.mountpoint"),
)

NOTIFICATIONS = Instrument(
    "otel_monitor.notifications",
    _TOTAL,
    "{notification}",
    "Attempts to send a notification of alerts: `delivered`, `retry` (it is tried again), `dead` (given up).",
    ("channel", "outcome"),
)
OUTBOX_DEPTH = Instrument(
    "otel_monitor.outbox.depth", _GAUGE, "{notification}", "Notifications that wait to be delivered.", ("channel",)
)

SELF_DROPPED = Instrument(
    "otel_monitor.self.dropped", _TOTAL, "{item}", "What otel-monitor let go for want of room.", ("component", "reason")
)
SELF_ERRORS = Instrument(
    "otel_monitor.self.errors",
    _TOTAL,
    "{error}",
    "Errors inside otel-monitor that it kept from the application.",
    ("component", "reason"),
)
SELF_QUEUE = Instrument(
    "otel_monitor.self.queue.size", _GAUGE, "{item}", "Observations waiting to be evaluated.", ("component",)
)
SELF_DETECTION = Instrument(
    "otel_monitor.self.detection.duration", _HISTOGRAM, "s", "Duration of evaluating observations.", ("component",)
)
SELF_OVERHEAD = Instrument(
    "otel_monitor.self.overhead.duration",
    _COUNTER,
    "s",
    "Time that otel-monitor spent inside the application's calls.",
    ("component",),
)

INSTRUMENTS: tuple[Instrument, ...] = tuple(value for value in globals().values() if isinstance(value, Instrument))
"""Every row, in the order of the reference."""
