"""A small OTLP receiver: HTTP with protobuf bodies, plain or packed, of bounded size."""

from __future__ import annotations

import sys
import threading
import zlib
from collections.abc import Callable
from enum import StrEnum
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

MAX_BODY_BYTES = 16 * 1024 * 1024
"""Larger requests are refused, packed or unpacked."""

_WINDOW_BITS = {"gzip": 31, "deflate": 15}
"""What zlib calls each Content-Encoding."""


class Signal(StrEnum):
    """What a request carries; the value is the end of its path, `/v1/traces`."""

    TRACES = "traces"
    METRICS = "metrics"
    LOGS = "logs"


_MESSAGES: dict[Signal, tuple[type[Message], type[Message]]] = {
    Signal.TRACES: (ExportTraceServiceRequest, ExportTraceServiceResponse),
    Signal.METRICS: (ExportMetricsServiceRequest, ExportMetricsServiceResponse),
    Signal.LOGS: (ExportLogsServiceRequest, ExportLogsServiceResponse),
}

Sink = Callable[[Signal, Message, bytes], None]
"""Takes a decoded request, and its body as protobuf, from any thread."""


class _Refused(Exception):  # noqa: N818 - an answer, not a fault of ours
    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status


class Receiver:
    """Listens on a free port of the loopback interface and hands every request to a sink."""

    def __init__(self, sink: Sink) -> None:
        class Handler(_Handler):
            pass

        Handler.sink = staticmethod(sink)
        self._server = _Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="otlp-receiver", daemon=True
        )

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A program that dies while it sends, as the demo's do, is no error of this one: no traceback for it."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60
    sink: Sink

    def do_POST(self) -> None:
        try:
            signal = self._signal()
            body = self._body()
            request, response = _MESSAGES[signal]
            message = request()
            try:
                message.ParseFromString(body)
            except DecodeError:
                raise _Refused(HTTPStatus.BAD_REQUEST, "the body is not such a protobuf message") from None
            self.sink(signal, message, body)
            self._answer(HTTPStatus.OK, response().SerializeToString(), "application/x-protobuf")
        except _Refused as refused:
            self.close_connection = True
            self._answer(refused.status, str(refused).encode(), "text/plain")

    def _signal(self) -> Signal:
        version, _, name = self.path.lstrip("/").partition("/")
        if version != "v1" or name not in list(Signal):
            raise _Refused(HTTPStatus.NOT_FOUND, "expected /v1/traces, /v1/metrics or /v1/logs")
        return Signal(name)

    def _body(self) -> bytes:
        if self.headers.get("Content-Type", "").partition(";")[0] != "application/x-protobuf":
            raise _Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "expected application/x-protobuf")
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            raise _Refused(HTTPStatus.LENGTH_REQUIRED, "expected a Content-Length")
        if int(length) > MAX_BODY_BYTES:
            raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {MAX_BODY_BYTES} bytes")
        body = self.rfile.read(int(length))
        encoding = self.headers.get("Content-Encoding", "identity")
        if encoding in _WINDOW_BITS:
            return _unpack(body, _WINDOW_BITS[encoding])
        if encoding != "identity":
            raise _Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"unknown Content-Encoding {encoding}")
        return body

    def _answer(self, status: HTTPStatus, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Stay silent: the demo's output is its own."""


def _unpack(body: bytes, window_bits: int) -> bytes:
    unpacker = zlib.decompressobj(window_bits)
    try:
        unpacked = unpacker.decompress(body, MAX_BODY_BYTES)
    except zlib.error as error:
        raise _Refused(HTTPStatus.BAD_REQUEST, f"the body is not as its Content-Encoding says: {error}") from None
    if unpacker.unconsumed_tail or not unpacker.eof:
        raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {MAX_BODY_BYTES} bytes, or cut short")
    return unpacked
