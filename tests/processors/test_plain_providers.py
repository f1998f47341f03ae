"""The processors work on any plain provider of the SDK, without our distro, in three lines."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry._logs import SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, Status, StatusCode

from otel_monitor_processors import (
    AlertTransition,
    Driver,
    Engine,
    FlaggingSpanProcessor,
    MonitorLogRecordProcessor,
    MonitorMetricReader,
    MonitorSpanProcessor,
    Rule,
    Severity,
    State,
    guard,
)
from otel_monitor_processors.engine import Transition
from otel_monitor_processors.observation import (
    Change,
    DatabaseOperation,
    ErrorLog,
    Heartbeat,
    Level,
    Link,
    Membership,
    Observation,
    Operation,
    Outcome,
)
from otel_monitor_processors.otel.console import ConsoleNotifier
from otel_monitor_processors.otel.driver import driver_of
from otel_monitor_processors.otel.notify import notify

RESOURCE = Resource({"service.name": "shop", "service.instance.id": "w1"})
SLOW = Rule(name="slow", metric_name="response_time", threshold=50.0, severity=Severity.CRITICAL)


class RecordingEngine(Engine):
    """An engine that remembers what it was given."""

    def __init__(self, rules: Sequence[Rule] = ()) -> None:
        super().__init__(rules, [])
        self.seen: list[Observation] = []

    def observe(self, observations: Any) -> list[Transition]:
        batch = list(observations)
        self.seen += batch
        return super().observe(batch)


@dataclass
class Pipeline:
    """Plain providers with our processors before in-memory exporters."""

    engine: RecordingEngine
    spans: InMemorySpanExporter = field(default_factory=InMemorySpanExporter)
    logs: InMemoryLogRecordExporter = field(default_factory=InMemoryLogRecordExporter)
    metrics: InMemoryMetricReader = field(default_factory=InMemoryMetricReader)

    def __post_init__(self) -> None:
        self.driver = driver_of(self.engine)
        self.meter_provider = MeterProvider([self.metrics], RESOURCE, shutdown_on_exit=False)
        self.logger_provider = LoggerProvider(RESOURCE, shutdown_on_exit=False)
        self.tracer_provider = TracerProvider(resource=RESOURCE, shutdown_on_exit=False)
        notify(
            self.driver,
            console=False,
            logger_provider=self.logger_provider,
            meter_provider=self.meter_provider,
        )
        self.tracer_provider.add_span_processor(MonitorSpanProcessor(self.engine, console=False))
        self.tracer_provider.add_span_processor(FlaggingSpanProcessor(SimpleSpanProcessor(self.spans), self.engine))
        self.logger_provider.add_log_record_processor(MonitorLogRecordProcessor(self.engine, console=False))
        self.logger_provider.add_log_record_processor(SimpleLogRecordProcessor(self.logs))
        self.tracer = self.tracer_provider.get_tracer("app")

    def span(
        self,
        name: str,
        seconds: float = 0.01,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        error: str = "",
        **attributes: Any,
    ) -> ReadableSpan:
        span = self.tracer.start_span(
            name, kind=kind, start_time=1, attributes={k.replace("__", "."): v for k, v in attributes.items()}
        )
        if error:
            span.set_status(Status(StatusCode.ERROR, error))
            span.set_attribute("error.type", error)
        span.end(end_time=1 + int(seconds * 1e9))
        assert isinstance(span, ReadableSpan)
        return span

    def settle(self) -> None:
        self.driver.stop()

    def observed(self) -> list[Observation]:
        self.settle()
        return self.engine.seen


@pytest.fixture
def pipeline() -> Iterator[Callable[..., Pipeline]]:
    made: list[Pipeline] = []

    def make(*rules: Rule) -> Pipeline:
        made.append(Pipeline(RecordingEngine(rules)))
        return made[-1]

    yield make
    for item in made:
        item.tracer_provider.shutdown()
        item.logger_provider.shutdown()
        item.meter_provider.shutdown()


def test_three_lines_are_enough() -> None:
    engine = Engine([SLOW])
    tracer_provider, logger_provider = TracerProvider(shutdown_on_exit=False), LoggerProvider(shutdown_on_exit=False)

    tracer_provider.add_span_processor(MonitorSpanProcessor(engine))
    logger_provider.add_log_record_processor(MonitorLogRecordProcessor(engine))
    meter_provider = MeterProvider([MonitorMetricReader(engine)], shutdown_on_exit=False)

    tracer_provider.get_tracer("app").start_span("work", start_time=1).end(end_time=2_000_000_000)
    driver_of(engine).stop()
    assert [alert.rule for alert in engine.alerts()] == ["slow"]
    for provider in (tracer_provider, logger_provider, meter_provider):
        provider.shutdown()


def test_an_alert_is_a_log_event_in_the_offending_trace(pipeline: Callable[..., Pipeline]) -> None:
    shop = pipeline(SLOW)
    span = shop.span("work", 0.2)
    shop.settle()
    (record,) = [item.log_record for item in shop.logs.get_finished_logs()]
    assert record.event_name == "otel_monitor.alert.state_change"
    assert record.severity_number is SeverityNumber.ERROR
    assert span.context is not None
    assert (record.trace_id, record.span_id) == (span.context.trace_id, span.context.span_id)
    attributes = dict(record.attributes or {})
    assert attributes["otel_monitor.alert.rule"] == "slow"
    assert attributes["otel_monitor.alert.state"] == "firing"
    assert attributes["otel_monitor.alert.labels.instance"] == "w1"
    assert attributes["otel_monitor.alert.trace_ids"] == (f"{span.context.trace_id:032x}",)


def test_the_offending_span_is_exported_marked_and_only_that_one(pipeline: Callable[..., Pipeline]) -> None:
    shop = pipeline(SLOW)
    quick, slow = shop.span("quick"), shop.span("work", 0.2)
    exported = {span.name: span for span in shop.spans.get_finished_spans()}
    assert exported["quick"].context == quick.context
    assert not any(key.startswith("otel_monitor.") for key in exported["quick"].attributes or {})
    marked = exported["work"]
    assert marked is not slow
    assert marked.context == slow.context
    assert (marked.attributes or {})["otel_monitor.alert.rule"] == "slow"
    assert (marked.start_time, marked.end_time, marked.status) == (slow.start_time, slow.end_time, slow.status)


def test_alerts_are_counted_while_they_are_active(pipeline: Callable[..., Pipeline]) -> None:
    shop = pipeline(SLOW)
    shop.span("work", 0.2)
    shop.settle()
    data = shop.metrics.get_metrics_data()
    assert data is not None
    points = {
        metric.name: [(dict(point.attributes or {}), point.value) for point in metric.data.data_points]  # type: ignore[union-attr]  # sums only
        for scope in data.resource_metrics[0].scope_metrics
        for metric in scope.metrics
        if metric.name.startswith("otel_monitor.alerts")
    }
    assert points["otel_monitor.alerts.active"] == [({"rule": "slow", "severity": "critical", "state": "firing"}, 1)]
    assert points["otel_monitor.alerts.transitions"] == [({"rule": "slow", "to": "firing"}, 1)]


def test_a_failed_consumer_span_is_a_failed_operation_with_a_category(pipeline: Callable[..., Pipeline]) -> None:
    shop = pipeline()
    shop.span("process order", kind=SpanKind.CONSUMER, error="builtins.ConnectionRefusedError")
    (operation,) = shop.observed()
    assert isinstance(operation, Operation)
    assert (operation.source, operation.service, operation.name) == ("w1", "shop", "process order")
    assert operation.outcome is Outcome.FAILED
    assert operation.category == "network"


def test_a_cancelled_span_is_no_failure(pipeline: Callable[..., Pipeline]) -> None:
    shop = pipeline()
    shop.span("work", kind=SpanKind.SERVER, error="asyncio.exceptions.CancelledError")
    (operation,) = shop.observed()
    assert isinstance(operation, Operation)
    assert operation.outcome is Outcome.CANCELLED


def test_only_the_root_of_internal_spans_is_an_operation(pipeline: Callable[..., Pipeline]) -> None:
    shop = pipeline()
    with shop.tracer.start_as_current_span("root"), shop.tracer.start_as_current_span("inner"):
        pass
    assert [observation.name for observation in shop.observed() if isinstance(observation, Operation)] == ["root"]


@pytest.mark.parametrize(
    ("error", "reached"), [("builtins.ConnectionResetError", False), ("builtins.ValueError", True)]
)
def test_a_client_span_is_a_link_that_fails_only_when_the_peer_was_not_reached(
    pipeline: Callable[..., Pipeline], error: str, reached: bool
) -> None:
    shop = pipeline()
    shop.span("call", kind=SpanKind.CLIENT, error=error, server__address="db-1")
    (link,) = shop.observed()
    assert isinstance(link, Link)
    assert (link.peer, link.ok) == ("db-1", reached)


@pytest.mark.parametrize("key", ["db__system__name", "db__system"])
def test_a_database_span_of_any_age_is_a_database_operation(pipeline: Callable[..., Pipeline], key: str) -> None:
    shop = pipeline()
    attributes: dict[str, Any] = {key: "postgresql", "db__response__status_code": "40P01"}
    shop.span("UPDATE", kind=SpanKind.CLIENT, error="40P01", **attributes)
    (operation,) = shop.observed()
    assert isinstance(operation, DatabaseOperation)
    assert (operation.system, operation.category) == ("postgresql", "contention")


def test_role_spans_of_another_process_are_heartbeats_and_membership(pipeline: Callable[..., Pipeline]) -> None:
    shop = pipeline()
    for role in ("register", "heartbeat", "handle_failure"):
        shop.span(role, kind=SpanKind.SERVER, orchestrator__operation__name=role, orchestrator__worker__id="w7")
    kinds = [(type(o), o.source) for o in shop.observed() if not isinstance(o, Operation)]
    assert kinds == [(Membership, "w7"), (Heartbeat, "w7"), (Membership, "w7")]
    assert [o.change for o in shop.engine.seen if isinstance(o, Membership)] == [Change.JOINED, Change.LOST]


def test_spans_of_our_own_instrumentation_are_not_observed_twice(pipeline: Callable[..., Pipeline]) -> None:
    shop = pipeline()
    shop.tracer_provider.get_tracer("otel_monitor.instrumentation").start_span("x", kind=SpanKind.SERVER).end()
    assert shop.observed() == []


def test_error_logs_and_heartbeat_events_are_observed_and_our_own_events_are_not(
    pipeline: Callable[..., Pipeline],
) -> None:
    shop = pipeline()
    logger = shop.logger_provider.get_logger("app")
    logger.emit(severity_number=SeverityNumber.INFO, body="fine")
    logger.emit(severity_number=SeverityNumber.ERROR, body="bad", attributes={"exception.type": "MemoryError"})
    logger.emit(event_name="orchestrator.worker.heartbeat", attributes={"orchestrator.worker.id": "w3"})
    logger.emit(event_name="otel_monitor.alert.state_change", severity_number=SeverityNumber.FATAL)
    error, beat = shop.observed()
    assert isinstance(error, ErrorLog)
    assert (error.error_type, error.category) == ("MemoryError", "resource")
    assert isinstance(beat, Heartbeat)
    assert (beat.source, beat.observer) == ("w3", "w1")


def test_the_metric_reader_sees_foreign_metrics_as_points_and_levels() -> None:
    deep = Rule(name="deep", metric_name="queue.depth", threshold=10.0)
    full = Rule(name="full", metric_name="jobs.done", threshold=3.0, aggregation="rate", window_s=60.0)
    engine = RecordingEngine([deep, full])
    reader = MonitorMetricReader(engine, interval_s=3600.0, console=False)
    provider = MeterProvider([reader], RESOURCE, shutdown_on_exit=False)
    meter = provider.get_meter("app")
    meter.create_gauge("queue.depth").set(42)
    meter.create_gauge("pool.utilization").set(0.5)
    meter.create_up_down_counter("db.client.connection.count").add(9)
    meter.create_up_down_counter("db.client.connection.max").add(10)
    reader.collect()
    driver_of(engine).stop()
    levels = {(level.resource, level.value, level.limit) for level in engine.seen if isinstance(level, Level)}
    assert ("pool", 0.5, 1.0) in levels
    assert ("db.client.connection", 9.0, 10.0) in levels
    assert [alert.rule for alert in engine.alerts()] == ["deep"]
    provider.shutdown()


def test_the_console_shows_one_line_for_each_alert(pipeline: Callable[..., Pipeline]) -> None:
    shop = pipeline(Rule(name="slow", metric_name="response_time", threshold=50.0, description="line\nbreak"))
    stream = io.StringIO()
    shop.driver.subscribe(ConsoleNotifier(stream))
    span = shop.span("work", 0.2)
    shop.settle()
    assert span.context is not None
    (line,) = stream.getvalue().splitlines()
    assert "ALERT firing [warning] slow instance=w1 operation=work service=shop: line break:" in line
    assert line.endswith(f"(trace {span.context.trace_id:032x})")


def test_a_handler_that_raises_disturbs_no_other(pipeline: Callable[..., Pipeline]) -> None:
    guard.reraise_errors(enabled=False)
    shop = pipeline(SLOW)
    seen: list[Transition] = []

    def broken(_transition: Transition) -> None:
        raise RuntimeError("handler")

    shop.driver.subscribe(broken)
    shop.driver.subscribe(seen.append)
    shop.span("work", 0.2)
    shop.settle()
    assert [t.alert.state for t in seen if isinstance(t, AlertTransition)] == [State.FIRING]


def test_many_threads_lose_no_observation(pipeline: Callable[..., Pipeline]) -> None:
    shop = pipeline()
    threads = [
        threading.Thread(target=lambda: [shop.span("work", kind=SpanKind.SERVER) for _ in range(500)]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(shop.observed()) == 4000


def test_the_queue_is_bounded_and_counts_what_it_drops(pipeline: Callable[..., Pipeline]) -> None:
    driver = Driver(Engine([], []))
    with driver._working:  # somebody else is at the engine, for as long as this takes
        for _ in range(70_000):
            driver.offer(Heartbeat(1.0, "w", "o"))
        assert driver.queue_size == 65_536
    driver.stop()
    assert driver.queue_size == 0


def test_a_span_is_not_marked_without_an_alert(pipeline: Callable[..., Pipeline]) -> None:
    shop = pipeline(SLOW)
    span = shop.span("work")
    (exported,) = shop.spans.get_finished_spans()
    assert exported.context == span.context
    assert trace.get_current_span() is trace.INVALID_SPAN
