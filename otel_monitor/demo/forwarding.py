"""Passes on what the demo receives to the user's own OTLP endpoint, without ever holding up the receiver."""

from __future__ import annotations

import queue
import threading
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from http.client import HTTPException

from otel_monitor.demo.receiver import Signal

_QUEUE_LENGTH = 256
_TIMEOUT_S = 5.0
_GRPC_METHODS = {
    Signal.TRACES: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    Signal.METRICS: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    Signal.LOGS: "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}

Send = Callable[[Signal, bytes], None]


class Forwarder:
    """A bounded queue and one thread that sends; what does not fit or does not arrive is counted."""

    def __init__(self, endpoint: str, send: Send) -> None:
        self.endpoint = endpoint
        self.sent = 0
        self.failed = 0
        self.dropped = 0
        self.last_error = ""
        self._send = send
        self._queue: queue.Queue[tuple[Signal, bytes] | None] = queue.Queue(_QUEUE_LENGTH)
        self._thread = threading.Thread(target=self._run, name="otlp-forwarder", daemon=True)

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Forwarder | None:
        """A forwarder to `OTEL_EXPORTER_OTLP_ENDPOINT`; None when that is not set."""
        endpoint = environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").strip()
        if not endpoint:
            return None
        headers = dict(_headers(environ.get("OTEL_EXPORTER_OTLP_HEADERS", "")))
        if environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "").strip() == "grpc":
            insecure = environ.get("OTEL_EXPORTER_OTLP_INSECURE", "").strip().lower() == "true"
            return cls(endpoint, grpc_sender(endpoint, headers, insecure=insecure))
        return cls(endpoint, http_sender(endpoint, headers))

    def start(self) -> None:
        self._thread.start()

    def offer(self, signal: Signal, body: bytes) -> None:
        """Queue a request's body for sending."""
        try:
            self._queue.put_nowait((signal, body))
        except queue.Full:
            self.dropped += 1

    def stop(self, timeout_s: float = _TIMEOUT_S) -> None:
        """Send what is queued, for at most `timeout_s`."""
        try:
            self._queue.put(None, timeout=timeout_s)
        except queue.Full:
            return
        self._thread.join(timeout_s)

    def summary(self) -> str:
        """One line on what became of the requests."""
        text = f"{self.sent} requests passed on to {self.endpoint}"
        if self.failed or self.dropped:
            text += f", {self.failed} failed ({self.last_error}), {self.dropped} dropped"
        return text

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            try:
                self._send(*item)
                self.sent += 1
            except (OSError, ValueError, HTTPException) as error:
                self.failed += 1
                self.last_error = str(error)


def http_sender(endpoint: str, headers: Mapping[str, str]) -> Send:
    """Send as OTLP/HTTP with protobuf bodies."""

    def send(signal: Signal, body: bytes) -> None:
        request = urllib.request.Request(  # noqa: S310 - the user's own endpoint
            f"{endpoint.rstrip('/')}/v1/{signal}",
            data=body,
            headers={"Content-Type": "application/x-protobuf", **headers},
        )
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - likewise
            answer.read()

    return send


def grpc_sender(endpoint: str, headers: Mapping[str, str], *, insecure: bool) -> Send:
    """Send as OTLP/gRPC: the bodies are the messages, so they pass through as bytes."""
    import grpc

    parts = urllib.parse.urlsplit(endpoint if "://" in endpoint else f"//{endpoint}")
    if parts.scheme == "http" or (not parts.scheme and insecure):
        channel = grpc.insecure_channel(parts.netloc)
    else:
        channel = grpc.secure_channel(parts.netloc, grpc.ssl_channel_credentials())
    calls: dict[Signal, Callable[..., bytes]] = {
        signal: channel.unary_unary(method) for signal, method in _GRPC_METHODS.items()
    }
    metadata = tuple((name.lower(), value) for name, value in headers.items())

    def send(signal: Signal, body: bytes) -> None:
        try:
            calls[signal](body, timeout=_TIMEOUT_S, metadata=metadata)
        except grpc.RpcError as error:
            raise ConnectionError(f"{error.code().name}: {error.details()}") from error

    return send


def _headers(text: str) -> list[tuple[str, str]]:
    pairs = (pair.partition("=") for pair in text.split(",") if "=" in pair)
    return [(name.strip(), urllib.parse.unquote(value.strip())) for name, _, value in pairs]
