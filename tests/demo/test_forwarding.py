"""What the demo receives goes on to the user's own endpoint, byte for byte, and never holds the demo up."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent import futures

import grpc
import pytest
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2_grpc
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_monitor.demo.forwarding import Forwarder
from otel_monitor.demo.receiver import Receiver, Signal
from tests.polling import eventually

TRACES = ExportTraceServiceRequest()
TRACES.resource_spans.add().scope_spans.add().spans.add(name="process stream")
BODY = TRACES.SerializeToString()


@pytest.fixture
def started() -> Iterator[Callable[[Forwarder | None], Forwarder]]:
    forwarders = []

    def start(forwarder: Forwarder | None) -> Forwarder:
        assert forwarder is not None
        forwarder.start()
        forwarders.append(forwarder)
        return forwarder

    yield start
    for forwarder in forwarders:
        forwarder.stop()


def test_without_an_endpoint_nothing_is_forwarded() -> None:
    assert Forwarder.from_env({}) is None
    assert Forwarder.from_env({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}) is None


def test_bodies_go_on_over_http(started: Callable[[Forwarder | None], Forwarder]) -> None:
    got: list[tuple[Signal, bytes]] = []
    receiver = Receiver(lambda signal, _message, body: got.append((signal, body)))
    receiver.start()
    try:
        forwarder = started(Forwarder.from_env({"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint + "/"}))
        forwarder.offer(Signal.TRACES, BODY)
        eventually(lambda: forwarder.sent, what="the request")
    finally:
        receiver.stop()
    assert got == [(Signal.TRACES, BODY)]


def test_bodies_go_on_over_grpc_with_the_users_headers(started: Callable[[Forwarder | None], Forwarder]) -> None:
    got: list[tuple[ExportLogsServiceRequest, str]] = []

    class Logs(logs_service_pb2_grpc.LogsServiceServicer):
        def Export(self, request: ExportLogsServiceRequest, context: grpc.ServicerContext) -> ExportLogsServiceResponse:
            got.append((request, str(dict(context.invocation_metadata())["x-tenant"])))
            return ExportLogsServiceResponse()

    server = grpc.server(futures.ThreadPoolExecutor(1))
    logs_service_pb2_grpc.add_LogsServiceServicer_to_server(Logs(), server)  # type: ignore[no-untyped-call]  # generated
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    logs = ExportLogsServiceRequest()
    logs.resource_logs.add().scope_logs.add().log_records.add(event_name="something")
    try:
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
            "OTEL_EXPORTER_OTLP_HEADERS": "X-Tenant=my%20shop",
        }
        forwarder = started(Forwarder.from_env(environment))
        forwarder.offer(Signal.LOGS, logs.SerializeToString())
        eventually(lambda: forwarder.sent + forwarder.failed, what="the request")
    finally:
        server.stop(None)
    assert got == [(logs, "my shop")], forwarder.summary()


def test_a_dead_endpoint_is_counted_and_named(
    started: Callable[[Forwarder | None], Forwarder], free_port: Callable[[], int]
) -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    forwarder = started(Forwarder.from_env({"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}))
    forwarder.offer(Signal.TRACES, BODY)
    eventually(lambda: forwarder.failed, what="the failure")
    assert endpoint in forwarder.summary()
    assert "1 failed" in forwarder.summary()
    assert "refused" in forwarder.summary()


def test_a_stuck_endpoint_never_holds_the_demo_up() -> None:
    release = threading.Event()

    def stuck(_signal: Signal, _body: bytes) -> None:
        release.wait(10)

    forwarder = Forwarder("http://stuck", stuck)
    forwarder.start()
    for _ in range(400):
        forwarder.offer(Signal.TRACES, BODY)
    assert forwarder.dropped > 100
    forwarder.stop(0.1)
    release.set()


def test_an_endpoint_that_never_answers_is_given_up(started: Callable[[Forwarder | None], Forwarder]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        forwarder = started(Forwarder.from_env({"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}))
        forwarder.offer(Signal.TRACES, BODY)
        assert eventually(lambda: forwarder.failed, what="the timeout") == 1
