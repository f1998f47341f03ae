"""Whatever the Collector does: the program ends soon, and the user is told once."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import grpc
import pytest

from tests.processes import Processes
from tests.startup import receiver as receivers
from tests.startup.conftest import NOBODY, Launcher
from tests.startup.receiver import Behaviour, black_hole, receiving, receiving_grpc

SPANS = """
    import sys, time
    from opentelemetry import trace
    tracer = trace.get_tracer("test")
    for number in range(int(sys.argv[1])):
        tracer.start_span(f"span {number}").end()
    print(time.monotonic())
"""

FLUSHES = """
    import sys
    from opentelemetry import trace
    tracer = trace.get_tracer("test")
    for number in range(int(sys.argv[1])):
        tracer.start_span(f"span {number}").end()
        trace.get_tracer_provider().force_flush()
"""


@contextmanager
def _http(behaviour: Behaviour, scheme: str = "http") -> Iterator[str]:
    with receiving(behaviour) as running:
        yield running.endpoint.replace("http", scheme)


@contextmanager
def _grpc(code: grpc.StatusCode | None = None) -> Iterator[str]:
    with receiving_grpc(code) as (endpoint, _):
        yield endpoint


@contextmanager
def _nobody() -> Iterator[str]:
    yield NOBODY


@contextmanager
def _unknown_host() -> Iterator[str]:
    yield "http://nowhere.invalid:4318"


Place = Callable[[], AbstractContextManager[str]]

TROUBLE: dict[str, tuple[str, Place, str, str]] = {
    # what: protocol, where, the cause that is told, what to do
    "refused": ("http/protobuf", _nobody, "connection refused", "start a Collector"),
    "black hole": ("http/protobuf", black_hole, "no answer before the process ended", "OTEL_MONITOR_SHUTDOWN_TIMEOUT"),
    "slow": ("http/protobuf", lambda: _http(receivers.Slow()), "no answer before the process ended", "overloaded"),
    "unknown host": ("http/protobuf", _unknown_host, "unknown host", "OTEL_EXPORTER_OTLP_ENDPOINT"),
    "HTTP 500": ("http/protobuf", lambda: _http(receivers.Status(500)), "HTTP 500", "log of the Collector"),
    "HTTP 503": ("http/protobuf", lambda: _http(receivers.Status(503)), "HTTP 503", "log of the Collector"),
    "HTTP 400": ("http/protobuf", lambda: _http(receivers.Status(400)), "HTTP 400", "OTEL_EXPORTER_OTLP_PROTOCOL"),
    "HTTP 401": ("http/protobuf", lambda: _http(receivers.Status(401)), "HTTP 401", "OTEL_EXPORTER_OTLP_HEADERS"),
    "HTTP 404": ("http/protobuf", lambda: _http(receivers.Status(404)), "HTTP 404", "OTEL_EXPORTER_OTLP_ENDPOINT"),
    "web page": (
        "http/protobuf",
        lambda: _http(receivers.WebPage()),
        "a web page answered",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
    ),
    "redirection": ("http/protobuf", lambda: _http(receivers.Redirect()), "HTTP 302", "OTEL_EXPORTER_OTLP_ENDPOINT"),
    "half an answer": ("http/protobuf", lambda: _http(receivers.HalfClose()), "in the middle of an answer", "log of"),
    "garbage": ("http/protobuf", lambda: _http(receivers.Garbage()), "not HTTP", "OTEL_EXPORTER_OTLP_PROTOCOL"),
    "no TLS there": ("http/protobuf", lambda: _http(Behaviour(), "https"), "no TLS connection", "http:// or https://"),
    "gRPC there": ("http/protobuf", _grpc, "not HTTP", "OTEL_EXPORTER_OTLP_PROTOCOL"),
    "gRPC, refused": ("grpc", _nobody, "connection refused", "start a Collector"),
    "gRPC, black hole": ("grpc", black_hole, "no answer before the process ended", "OTEL_MONITOR_SHUTDOWN_TIMEOUT"),
    "gRPC, unknown host": ("grpc", _unknown_host, "unknown host", "OTEL_EXPORTER_OTLP_ENDPOINT"),
    "gRPC, unavailable": (
        "grpc",
        lambda: _grpc(grpc.StatusCode.UNAVAILABLE),
        "gRPC UNAVAILABLE",
        "log of the Collector",
    ),
    "gRPC, internal": (
        "grpc",
        lambda: _grpc(grpc.StatusCode.INTERNAL),
        "gRPC INTERNAL: not today",
        "log of the Collector",
    ),
    "gRPC, no access": ("grpc", lambda: _grpc(grpc.StatusCode.UNAUTHENTICATED), "UNAUTHENTICATED", "OTLP_HEADERS"),
    "gRPC, no TLS there": ("grpc", lambda: _http(Behaviour(), "https"), "no TLS connection", "http:// or https://"),
    "HTTP there": ("grpc", lambda: _http(Behaviour()), "not gRPC", "OTEL_EXPORTER_OTLP_PROTOCOL"),
}


@pytest.mark.parametrize("what", TROUBLE)
def test_a_program_ends_within_five_seconds_and_one_line_says_what_is_wrong_with_the_collector(
    launch: Launcher, what: str
) -> None:
    protocol, place, cause, remedy = TROUBLE[what]
    with place() as endpoint:
        run = launch(
            SPANS, "700", env={"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}
        )
    assert run.code == 0
    assert run.exit_s < 5
    assert len(run.lines) == 1, run.stderr
    (line,) = run.lines
    assert line.startswith("otel-monitor: export of ")
    assert endpoint.rpartition("/")[2] in line
    assert cause in line
    assert remedy in line
    assert "your code keeps running" in line
    assert re.search(r"[\d,]+ spans?", line)


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
@pytest.mark.parametrize("place", [_nobody, black_hole], ids=["dead", "black hole"])
def test_a_program_that_does_nothing_ends_within_five_seconds(launch: Launcher, protocol: str, place: Place) -> None:
    source = "import time; print(time.monotonic())"
    with place() as endpoint:
        run = launch(source, env={"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol})
    assert run.code == 0
    assert run.exit_s < (5 if place is black_hole else 2)
    assert len(run.lines) <= 1


def test_python_c_pass_ends_within_five_seconds_without_a_collector(processes: Processes) -> None:
    began = time.monotonic()
    program = processes.run("opentelemetry-instrument", sys.executable, "-c", "pass")
    assert program.returncode == 0
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_healthy_run_loses_nothing_and_says_nothing(launch: Launcher, protocol: str) -> None:
    with receiving() as over_http, receiving_grpc() as (grpc_endpoint, over_grpc):
        endpoint, received = (
            (grpc_endpoint, over_grpc) if protocol == "grpc" else (over_http.endpoint, over_http.received)
        )
        run = launch(
            SPANS, "2000", env={"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}
        )
        names = received.span_names()
    assert run.lines == []
    assert len(names) == len(set(names)) == 2000


def test_when_the_collector_fails_and_recovers_each_is_said_once(launch: Launcher) -> None:
    with receiving(receivers.FailsFirst(5)) as receiver:
        run = launch(
            FLUSHES, "8", env={"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint, "OTEL_METRICS_EXPORTER": "none"}
        )
        assert receiver.received.span_names() == ["span 5", "span 6", "span 7"]
    assert len(run.lines) == 2, run.stderr
    assert "HTTP 400" in run.lines[0]
    assert re.fullmatch(r"otel-monitor: export works again after \d+ s; 5 spans lost meanwhile\.", run.lines[1])


def test_losses_are_exported_as_a_metric_once_the_collector_is_back(launch: Launcher) -> None:
    with receiving(receivers.FailsFirst(5)) as receiver:
        launch(FLUSHES, "8", env={"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint})
        assert 5 in receiver.received.sums("otel_monitor.self.dropped").values()


def test_a_full_queue_is_said_once_and_counted(launch: Launcher) -> None:
    source = """
        import sys
        from opentelemetry import trace
        from otel_monitor_processors import drops
        tracer = trace.get_tracer("test")
        for number in range(40):
            tracer.start_span("span").end()
        print(drops.snapshot().get(("export.traces", "queue_full"), 0))
    """
    with black_hole() as endpoint:
        env = {
            "OTEL_BSP_MAX_QUEUE_SIZE": "10",
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "10",
            "OTEL_MONITOR_SHUTDOWN_TIMEOUT": "0.3",
        }
        run = launch(source, env={"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, **env})
    assert 20 <= int(run.stdout) <= 30
    assert len(run.lines) == 1, run.stderr
    assert "OTEL_BSP_MAX_QUEUE_SIZE" in run.lines[0]


def test_warnings_of_the_sdk_about_other_things_are_heard(launch: Launcher) -> None:
    run = launch("from opentelemetry import metrics\nmetrics.get_meter_provider().get_meter('')")
    assert "Meter name cannot be None or empty." in run.lines
