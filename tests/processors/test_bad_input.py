"""What an application may get wrong in its own telemetry: counted, never raised, never a verdict or an alert."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from opentelemetry._logs import Logger, SeverityNumber
from opentelemetry.metrics import CallbackOptions, Meter, Observation
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind, Tracer

from otel_monitor.detection import build_engine
from otel_monitor.settings import Settings
from otel_monitor_processors import (
    Engine,
    MonitorLogRecordProcessor,
    MonitorMetricReader,
    MonitorSpanProcessor,
    Rule,
    drops,
)
from otel_monitor_processors.otel.driver import driver_of

RESOURCE = Resource({"service.name": "shop", "service.instance.id": "w1"})
YEAR_NS = 365 * 86_400 * 10**9
TYPICAL = {"rpc.system": "grpc", "db.system": "postgresql", "peer.service": "bank", "orchestrator.worker.id": "w3"}
ROLES = ("assign", "register", "deregister", "handle_failure", "heartbeat", "process", "rebalance")


@dataclass
class Application:
    """A program with all our processors, all rules and all detectors, and its own metric read by a rule."""

    engine: Engine
    tracer: Tracer
    logger: Logger
    meter: Meter
    other_meter: Meter
    reader: MonitorMetricReader

    def settle(self) -> None:
        self.reader.collect()
        driver_of(self.engine).stop()

    def quiet(self) -> bool:
        return not self.engine.alerts() and not self.engine.open_verdicts()


@pytest.fixture
def application() -> Iterator[Application]:
    rule = Rule(name="deep", metric_name="queue.depth", threshold=10.0, window_s=5.0)
    engine = build_engine(Settings())
    engine = Engine((*engine.rules, rule), engine.detectors)
    spans = TracerProvider(resource=RESOURCE, shutdown_on_exit=False)
    spans.add_span_processor(MonitorSpanProcessor(engine, console=False))
    logs = LoggerProvider(RESOURCE, shutdown_on_exit=False)
    logs.add_log_record_processor(MonitorLogRecordProcessor(engine, console=False))
    reader = MonitorMetricReader(engine, interval_s=3_600.0, console=False)
    meters = MeterProvider([reader], RESOURCE, shutdown_on_exit=False)
    tracer, logger, (meter, other) = spans.get_tracer("app"), logs.get_logger("app"), map(meters.get_meter, "ab")
    yield Application(engine, tracer, logger, meter, other, reader)
    for provider in (spans, logs, meters):
        provider.shutdown()


def dropped(component: str, reason: str) -> int:
    return drops.snapshot().get((component, reason), 0)


@pytest.mark.parametrize("kind", SpanKind)
@pytest.mark.parametrize(
    ("start_ns", "end_ns"),
    [
        (2 * YEAR_NS, 2 * YEAR_NS - 10**9),
        (0, time.time_ns()),
        (time.time_ns() + YEAR_NS, time.time_ns()),
        (time.time_ns(), time.time_ns() + YEAR_NS),
        (-(10**18), time.time_ns()),
    ],
    ids=["ends before it starts", "began in 1970", "begins next year", "ends next year", "began before 1970"],
)
def test_a_span_whose_times_cannot_be_is_counted_and_not_used(
    start_ns: int, end_ns: int, kind: SpanKind, application: Application
) -> None:
    before = dropped("span", "malformed")
    for role in ROLES:
        span = application.tracer.start_span(role, kind=kind, start_time=start_ns, attributes=TYPICAL)
        span.set_attribute("orchestrator.operation.name", role)
        span.end(end_time=end_ns)
    application.settle()
    assert dropped("span", "malformed") == before + len(ROLES)
    assert application.quiet()
    assert application.engine.malformed == 0


@pytest.mark.parametrize("shift_ns", [-56 * YEAR_NS, YEAR_NS])
def test_a_span_of_1970_or_of_next_year_that_took_no_time_counts_as_one_of_now(
    shift_ns: int, application: Application
) -> None:
    for _ in range(50):
        start_ns = time.time_ns() + shift_ns
        application.tracer.start_span("work", kind=SpanKind.SERVER, start_time=start_ns).end(end_time=start_ns + 10**6)
    application.settle()
    assert application.quiet()
    assert application.engine.late == 0


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_measurement_that_is_no_number_is_not_used(value: float, application: Application) -> None:
    meter = application.meter

    def callback(_options: CallbackOptions) -> Iterator[Observation]:
        yield Observation(value)

    meter.create_gauge("queue.depth").set(value)
    meter.create_gauge("system.memory.utilization").set(value)
    meter.create_counter("jobs.done").add(value)
    meter.create_histogram("orchestrator.operation.duration", unit="s").record(value)
    meter.create_observable_gauge("process.cpu.utilization", [callback])
    application.settle()
    assert application.quiet()


def test_a_total_that_has_grown_beyond_all_numbers_is_counted_and_not_used(application: Application) -> None:
    before = dropped("metric", "malformed")
    depth, done = application.meter.create_up_down_counter("queue.depth"), application.meter.create_counter("done")
    for _ in range(20):
        depth.add(1e308)
        done.add(1e308)
    application.settle()
    assert dropped("metric", "malformed") == before + 2
    assert application.quiet()


@pytest.mark.filterwarnings("ignore")
def test_a_negative_duration_or_count_is_no_increase(application: Application) -> None:
    application.meter.create_histogram("orchestrator.operation.duration", unit="s").record(-5.0)
    application.meter.create_counter("orchestrator.worker.failures").add(-7)
    application.settle()
    assert application.quiet()


def test_a_metric_that_changes_its_type_is_counted(application: Application) -> None:
    before = dropped("metric", "changed_type")
    application.meter.create_gauge("queue.depth").set(1.0)
    application.reader.collect()
    application.other_meter.create_counter("queue.depth").add(500)
    application.settle()
    assert dropped("metric", "changed_type") >= before + 1
    assert application.quiet()


Sender = Callable[[Application, str], None]


def log_heartbeat(application: Application, name: str) -> None:
    application.logger.emit(event_name="orchestrator.worker.heartbeat", attributes={"orchestrator.worker.id": name})


def assign_to(application: Application, name: str) -> None:
    attributes = {"orchestrator.operation.name": "assign", "orchestrator.worker.id": name, "orchestrator.task.id": name}
    application.tracer.start_span("assign task", kind=SpanKind.PRODUCER, attributes=attributes).end()


def call_something(application: Application, name: str) -> None:
    application.tracer.start_span(name, kind=SpanKind.SERVER).end()
    application.tracer.start_span(name, kind=SpanKind.CLIENT, attributes={"server.address": name}).end()


def log_error(application: Application, name: str) -> None:
    application.logger.emit(severity_number=SeverityNumber.INFO, attributes={"exception.type": name}, body=name)


@pytest.mark.parametrize("send", [log_heartbeat, assign_to, call_something, log_error])
def test_names_without_end_take_bounded_memory(send: Sender, application: Application) -> None:
    """Twice as many names: the engine's state hardly grows any more."""
    driver = driver_of(application.engine)
    states = []
    for first in (0, 15_000):
        for number in range(first, first + 15_000):
            send(application, f"name-{number}")
        driver._tick()
        with driver._working:
            application.engine.advance(driver.now() + 3.0)  # what waits for its second to end has no bearing
            states.append(len(application.engine.dump()))
    assert states[1] < 1.25 * states[0] + 10_000  # later names are longer
    application.settle()
    assert not application.engine.open_verdicts()


ODD: dict[str, Any] = {
    "a list": ["a", "b"],
    "numbers": [1, 2],
    "a number": 7,
    "not a number": math.nan,
    "a truth value": True,
    "empty": "",
    "long": "x" * 100_000,
    "surrogates": "\udcff",
}


@pytest.mark.parametrize("value", ODD.values(), ids=ODD.keys())
def test_attributes_of_odd_types_are_taken_as_they_come(value: Any, application: Application) -> None:
    names = (
        *("error.type", "exception.type", "exception.message", "db.system", "db.response.status_code", "peer.service"),
        *("orchestrator.operation.name", "orchestrator.worker.id", "orchestrator.task.id", "server.address"),
        *("rpc.grpc.status_code", "http.response.status_code", "event.name"),
    )
    for name in names:
        for kind in SpanKind:
            application.tracer.start_span("x", kind=kind, attributes={**TYPICAL, name: value}).end()
        application.logger.emit(severity_number=SeverityNumber.ERROR, attributes={name: value}, body=value)
    application.settle()
    assert not application.engine.open_verdicts()
