"""A process that records: providers in memory, a driver that keeps what it is told, and a clock by hand."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import DEFAULT_ON, Sampler
from opentelemetry.trace import SpanKind

from otel_monitor.instrumentation import recorder
from otel_monitor.instrumentation.operation import Extractor, Operation, Role, Side
from otel_monitor.instrumentation.roles import kind_of
from otel_monitor.settings import Settings
from otel_monitor.telemetry import Telemetry
from otel_monitor_processors.observation import Observation

SOURCE = "host-1"
SERVICE = "fleet"
RESOURCE = Resource({"service.name": SERVICE, "service.instance.id": SOURCE})

Seen = TypeVar("Seen", bound=Observation)


class Clock:
    """Time that passes when it is told to."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class KeptObservations:
    """Stands where the driver stands, and keeps what it is told, in order."""

    def __init__(self, clock: Clock, slow_s: float = math.inf) -> None:
        self.detection_s: deque[float] = deque()
        self.queue_size = 0
        self.slow_s = slow_s
        self.offered: list[Observation] = []
        self.observed: list[Observation] = []
        self.all: list[Observation] = []
        self.periodic: list[tuple[float, Callable[[], None]]] = []
        self.on_observe: Callable[[Observation], None] = lambda observation: None
        self._clock = clock

    def now(self) -> float:
        return self._clock.now

    def offer(self, observation: Observation) -> None:
        self.offered.append(observation)
        self.all.append(observation)

    def observe(self, observation: Observation) -> None:
        self.observed.append(observation)
        self.all.append(observation)
        self.on_observe(observation)

    def every(self, interval_s: float, function: Callable[[], None]) -> None:
        self.periodic.append((interval_s, function))

    def tick(self) -> None:
        """A second has passed in the driver's thread."""
        for interval_s, function in self.periodic:
            if interval_s <= 1.0:
                function()

    def of(self, kind: type[Seen]) -> list[Seen]:
        return [observation for observation in self.all if isinstance(observation, kind)]


@dataclass
class Process:
    clock: Clock
    driver: KeptObservations
    telemetry: Telemetry
    exporter: InMemorySpanExporter
    reader: InMemoryMetricReader
    tracer_provider: TracerProvider
    events: InMemoryLogRecordExporter

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        return self.exporter.get_finished_spans()

    @property
    def span(self) -> ReadableSpan:
        (span,) = self.spans
        return span

    def points(self) -> dict[str, dict[tuple[tuple[str, Any], ...], Any]]:
        """Of every metric, by its sorted attributes: the data points."""
        data = self.reader.get_metrics_data()
        return {
            metric.name: {tuple(sorted((point.attributes or {}).items())): point for point in metric.data.data_points}
            for resource in (data.resource_metrics if data is not None else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def values(self, name: str) -> dict[tuple[tuple[str, Any], ...], Any]:
        """Values of a metric, of a histogram the counts."""
        return {
            attributes: point.count if hasattr(point, "bucket_counts") else point.value
            for attributes, point in self.points().get(name, {}).items()
        }

    def call(
        self,
        operation: Operation,
        *args: Any,
        body: Callable[[], object] = lambda: None,
        error: BaseException | None = None,
        **kwargs: Any,
    ) -> None:
        """Call a function that is wrapped as `operation`; it runs `body`, and then raises `error`, if any."""
        call = recorder.begin(operation, args, kwargs)
        assert call is not None
        body()
        recorder.end(call, error)


def start_process(sampler: Sampler = DEFAULT_ON, settings: Settings | None = None, slow_s: float = math.inf) -> Process:
    clock = Clock()
    driver = KeptObservations(clock, slow_s)
    exporter = InMemorySpanExporter()
    tracer_provider = TracerProvider(sampler=sampler, resource=RESOURCE, shutdown_on_exit=False)
    tracer_provider.add_span_processor(SimpleSpanProcessor(exporter))
    reader = InMemoryMetricReader()
    meter_provider = MeterProvider([reader], RESOURCE, shutdown_on_exit=False)
    events = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]  # the SDK's own
    logger_provider = LoggerProvider(RESOURCE, shutdown_on_exit=False)
    logger_provider.add_log_record_processor(SimpleLogRecordProcessor(events))
    telemetry = Telemetry(
        tracer_provider, meter_provider, driver, settings or Settings(), SOURCE, SERVICE, logger_provider
    )
    recorder.install(telemetry)
    return Process(clock, driver, telemetry, exporter, reader, tracer_provider, events)


def argument(name: str) -> Extractor:
    def extract(args: tuple[Any, ...], kwargs: Mapping[str, Any], /) -> Any:
        return kwargs.get(name)

    return extract


def operation(role: Role, side: Side = Side.ORCHESTRATOR, task: str | None = None, **more: Any) -> Operation:
    """The operation of a function that takes keyword arguments of the usual names."""
    fields: dict[str, Any] = {
        "worker": argument("worker_id"),
        "task_id": argument("stream_id"),
        "reason": argument("reason"),
        "attempt": argument("attempt"),
        "carrier": argument("headers"),
        "id_is_stream": True,
    }
    return Operation(role, side, str(role), f"{role} {task or 'worker'}", kind_of(role, side), task, **(fields | more))


REGISTER = operation(Role.REGISTER)
DEREGISTER = operation(Role.DEREGISTER)
HEARTBEAT = operation(Role.HEARTBEAT)
ASSIGN = operation(Role.ASSIGN, task="stream")
REBALANCE = operation(Role.REBALANCE)
HANDLE_FAILURE = operation(Role.HANDLE_FAILURE)
PROCESS = operation(Role.PROCESS, Side.WORKER, task="stream", worker=None)
SEND_HEARTBEAT = operation(Role.HEARTBEAT, Side.WORKER, worker=None)
SEND_REGISTER = operation(Role.REGISTER, Side.WORKER, worker=None)
REFRESH = Operation(Role.OPERATION, Side.ORCHESTRATOR, "Fleet.refresh", "Fleet.refresh", SpanKind.INTERNAL)
