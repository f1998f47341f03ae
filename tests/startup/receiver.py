"""OTLP receivers, good and bad ones: what a process may find at the other end of its exports."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

_REQUESTS: dict[str, Callable[[], Message]] = {
    "/v1/traces": trace_service_pb2.ExportTraceServiceRequest,
    "/v1/metrics": metrics_service_pb2.ExportMetricsServiceRequest,
    "/v1/logs": logs_service_pb2.ExportLogsServiceRequest,
}


def attributes(holder: Any) -> dict[str, Any]:
    """The attributes of a resource, span, record or point."""
    return {
        pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "string_value") for pair in holder.attributes
    }


@dataclass
class Received:
    """What a receiver has taken in."""

    requests: list[Any] = field(default_factory=list)

    def spans(self) -> list[Any]:
        return [
            span
            for request in list(self.requests)
            for batch in getattr(request, "resource_spans", ())
            for scope in batch.scope_spans
            for span in scope.spans
        ]

    def span_names(self) -> list[str]:
        return sorted(span.name for span in self.spans())

    def logs(self) -> list[Any]:
        return [
            record
            for request in list(self.requests)
            for batch in getattr(request, "resource_logs", ())
            for scope in batch.scope_logs
            for record in scope.log_records
        ]

    def sums(self, name: str) -> dict[str, float]:
        """The last value of a counter by instance."""
        values: dict[str, float] = {}
        for request in list(self.requests):
            for batch in getattr(request, "resource_metrics", ()):
                instance = str(attributes(batch.resource).get("service.instance.id"))
                for scope in batch.scope_metrics:
                    for metric in scope.metrics:
                        if metric.name == name:
                            values[instance] = sum(point.as_int or point.as_double for point in metric.sum.data_points)
        return values

    def metric_names(self) -> set[str]:
        return {
            metric.name
            for request in list(self.requests)
            for batch in getattr(request, "resource_metrics", ())
            for scope in batch.scope_metrics
            for metric in scope.metrics
        }


class Behaviour:
    """How an HTTP receiver answers; the base class is a good one. May be exchanged while it runs."""

    status = 200
    content_type = "application/x-protobuf"
    body = b""

    def takes_in(self) -> bool:
        """Whether it has taken in the request that it has answered last."""
        return type(self) in (Behaviour, Slow)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(self.status)
        handler.send_header("Content-Type", self.content_type)
        handler.send_header("Content-Length", str(len(self.body)))
        handler.end_headers()
        handler.wfile.write(self.body)


class Status(Behaviour):
    """Refuses with an HTTP status."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.content_type = "text/plain"
        self.body = b"no"


class FailsFirst(Behaviour):
    """Refuses some requests before it becomes a good receiver."""

    def __init__(self, failures: int) -> None:
        self._left = failures

    def takes_in(self) -> bool:
        return self._left < 0

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        self._left -= 1
        (Status(400) if self._left >= 0 else Behaviour()).answer(handler)


class WebPage(Behaviour):
    """Is some web server, which is content with everything."""

    content_type = "text/html; charset=utf-8"
    body = b"<!doctype html><title>hello</title>"


class Redirect(Behaviour):
    """Sends everybody to a log-in page."""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", "/login")
        handler.send_header("Content-Length", "0")
        handler.end_headers()


class HalfClose(Behaviour):
    """Closes the connection in the middle of an answer."""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")
        handler.wfile.flush()
        handler.connection.shutdown(socket.SHUT_RDWR)
        handler.close_connection = True


class Garbage(Behaviour):
    """Answers something that is not HTTP."""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"\x00\x01\x02 what? \r\n\r\n" * 20)
        handler.close_connection = True


class Slow(Behaviour):
    """Answers well, but only once it is let go."""

    def __init__(self) -> None:
        self.released = threading.Event()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.released.wait(60)
        super().answer(handler)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away in the middle is what some tests are about."""


class Receiver:
    """An OTLP receiver over HTTP."""

    def __init__(self, behaviour: Behaviour | None = None, port: int = 0) -> None:
        self.received = Received()
        self.behaviour = behaviour or Behaviour()
        self.connections = 0
        self._server = _Server(("127.0.0.1", port), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        if isinstance(self.behaviour, Slow):
            self.behaviour.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                receiver.connections += 1
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                behaviour = receiver.behaviour
                try:
                    behaviour.answer(self)
                except OSError:
                    return  # the client did not wait
                if behaviour.takes_in() and self.path in _REQUESTS:
                    request = _REQUESTS[self.path]()
                    request.ParseFromString(body)
                    receiver.received.requests.append(request)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler


@contextmanager
def receiving(behaviour: Behaviour | None = None, port: int = 0) -> Iterator[Receiver]:
    receiver = Receiver(behaviour, port)
    try:
        yield receiver
    finally:
        receiver.close()


@contextmanager
def black_hole() -> Iterator[str]:
    """Takes connections and never answers; gives its address."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(64)
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


class _Service:
    """All three OTLP services; `code` is what it fails with."""

    def __init__(self, received: Received, code: grpc.StatusCode | None) -> None:
        self._received = received
        self._code = code

    def Export(self, request: Any, context: Any) -> Any:
        if self._code is not None:
            context.abort(self._code, "not today")
        self._received.requests.append(request)
        if isinstance(request, trace_service_pb2.ExportTraceServiceRequest):
            return trace_service_pb2.ExportTraceServiceResponse()
        if isinstance(request, logs_service_pb2.ExportLogsServiceRequest):
            return logs_service_pb2.ExportLogsServiceResponse()
        return metrics_service_pb2.ExportMetricsServiceResponse()


@contextmanager
def receiving_grpc(code: grpc.StatusCode | None = None) -> Iterator[tuple[str, Received]]:
    """An OTLP receiver over gRPC: its address, and what it has received."""
    received = Received()
    server = grpc.server(ThreadPoolExecutor(4))
    service = _Service(received, code)
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(service, server)  # type: ignore[no-untyped-call]  # generated
    logs_service_pb2_grpc.add_LogsServiceServicer_to_server(service, server)  # type: ignore[no-untyped-call]  # generated
    metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(service, server)  # type: ignore[no-untyped-call]  # generated
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"http://127.0.0.1:{port}", received
    finally:
        server.stop(None).wait()
