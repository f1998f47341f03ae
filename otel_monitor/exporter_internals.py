"""What we touch inside the SDK's OTLP exporters, each thing only where it is there.

There is no public way to end an exporter's retries, to shorten its time, or to give it a connection of its own
in a forked child. An exporter that has none of these attributes stays as it is.
"""

# ruff: noqa: SLF001 - reaching into the SDK is what this module is for
from __future__ import annotations

import copy
import dataclasses
import importlib
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from otel_monitor import export_cause
from otel_monitor.export_cause import Cause, ForeignAnswerError
from otel_monitor_processors.guard import guard

_LATE_IMPORTS = ("netrc", "encodings.ascii", "encodings.idna")  # of requests, socket and gRPC
_SIGNAL_PATHS = ("/v1/traces", "/v1/metrics", "/v1/logs")


def endpoint_of(exporter: object) -> str:
    """Where an exporter sends to, without credentials; for other exporters than OTLP's their class."""
    endpoint = getattr(exporter, "_endpoint", None)
    if not isinstance(endpoint, str) or not endpoint:
        return type(exporter).__name__
    parts = urlsplit(endpoint)
    if not parts.netloc:
        return endpoint.rpartition("@")[2]  # gRPC keeps host and port alone
    host = parts.netloc.rpartition("@")[2]
    path = parts.path
    for end in _SIGNAL_PATHS:
        path = path.removesuffix(end)
    return f"{parts.scheme}://{host}{path.rstrip('/')}"


@guard("exporter.end_retries")
def end_retries(exporter: object) -> None:
    """From now on one try per batch. Ends a pause between two tries at once."""
    for holder, attribute in ((_http_client(exporter), "_shutdown_event"), (exporter, "_shutdown_in_progress")):
        event = getattr(holder, attribute, None)
        if isinstance(event, threading.Event):
            event.set()


@guard("exporter.limit_time")
def limit_time(exporter: object, seconds: float) -> None:
    """Let the exports that begin from now on take `seconds` at most."""
    for holder in (_http_client(exporter), exporter):
        timeout = getattr(holder, "_timeout", None)
        if isinstance(timeout, (int, float)):
            holder._timeout = min(timeout, seconds)  # type: ignore[union-attr]


@guard("exporter.renew")
def renew(exporter: object) -> None:
    """In a forked child: connections of its own. The parent's are shared sockets, and gRPC's threads are gone."""
    client = _http_client(exporter)
    if client is not None:
        if hasattr(client, "_shutdown_event"):
            client._shutdown_event = threading.Event()
        transport = getattr(client._transport, "inner", client._transport)
        if hasattr(transport, "_session"):
            transport._session = copy.deepcopy(transport._session)
    elif hasattr(exporter, "_initialize_channel_and_stub"):
        if hasattr(exporter, "_shutdown_in_progress"):
            exporter._shutdown_in_progress = threading.Event()
        exporter._initialize_channel_and_stub()


@guard("exporter.import_early")
def import_early() -> None:
    """Import now what the first export would: a child forked in the middle of an import never gets its lock."""
    for name in _LATE_IMPORTS:
        importlib.import_module(name)


@guard("exporter.watch_answers")
def watch_answers(exporter: object, failed: Callable[[Cause], None]) -> None:
    """Call `failed` with the cause of each failed request.

    A web page that answers an export with 200 is a failure too: the exporters look at the status alone.
    """
    client = _http_client(exporter)
    if client is not None and hasattr(client._transport, "request"):
        client._transport = _WatchedTransport(client._transport, failed)


class _WatchedTransport:
    """An HTTP transport that tells why a request failed, and fails where the answer is none of an OTLP receiver."""

    def __init__(self, inner: Any, failed: Callable[[Cause], None]) -> None:
        self.inner = inner
        self._failed = failed

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def request(self, *args: Any, **kwargs: Any) -> Any:
        result = self.inner.request(*args, **kwargs)
        return self._judged(result) or result

    @guard("exporter.judge_answer")
    def _judged(self, result: Any) -> Any:
        if result.error is not None:
            self._failed(export_cause.of_error(result.error))
        elif result.status_code >= 400:
            self._failed(export_cause.of_status(result.status_code, result.reason or ""))
        else:
            told = _foreign(result)
            if told:
                error = ForeignAnswerError(told)
                self._failed(export_cause.of_error(error))
                return dataclasses.replace(result, status_code=None, reason=None, error=error)
        return None


def _foreign(result: Any) -> str:
    if result.status_code >= 300:
        return f"HTTP {result.status_code}, a redirection to {result.headers().get('location', 'nowhere')}"
    if result.headers().get("content-type", "").lower().startswith("text/html"):
        return "a web page answered, not a Collector"
    return ""


def _http_client(exporter: object) -> Any:
    client = getattr(exporter, "_client", None)
    return client if hasattr(client, "_transport") else None
