"""Why an export failed, in a few words, and what to do about it."""

from __future__ import annotations

import logging
import re
import socket
import ssl
from collections.abc import Iterator
from typing import NamedTuple

_LONGEST = 160
_DEEPEST = 12

_UNWANTED = (
    "check OTEL_EXPORTER_OTLP_ENDPOINT, or switch off what the receiver does not take (such as OTEL_LOGS_EXPORTER=none)"
)
_START = "start a Collector there, or set OTEL_EXPORTER_OTLP_ENDPOINT to where one listens"
_ENDPOINT = "check OTEL_EXPORTER_OTLP_ENDPOINT"
_PROTOCOL = "check OTEL_EXPORTER_OTLP_PROTOCOL: a Collector speaks http/protobuf on port 4318 and grpc on port 4317"
_TLS = "check http:// or https:// in OTEL_EXPORTER_OTLP_ENDPOINT, and OTEL_EXPORTER_OTLP_CERTIFICATE"
_CREDENTIALS = "check OTEL_EXPORTER_OTLP_HEADERS"
_THEIR_LOG = "look into the log of the Collector"
_SLOW = "look whether the Collector is overloaded, or raise OTEL_EXPORTER_OTLP_TIMEOUT"


class Cause(NamedTuple):
    """What went wrong, and what to do."""

    text: str
    remedy: str


class ForeignAnswerError(Exception):
    """Something answered the export that is no OTLP receiver."""


UNKNOWN = Cause("no reason given", _THEIR_LOG)

TOO_LATE = Cause(
    "no answer before the process ended",
    "look whether the Collector is overloaded, or raise OTEL_MONITOR_SHUTDOWN_TIMEOUT",
)

_WORDS: tuple[tuple[str, Cause], ...] = (
    ("connection refused", Cause("connection refused", _START)),
    ("failed parsing http/2", Cause("the answer is not gRPC", _PROTOCOL)),
    ("http1.x server", Cause("the answer is not gRPC", _PROTOCOL)),
    ("name or service not known", Cause("unknown host", _ENDPOINT)),
    ("name resolution", Cause("unknown host", _ENDPOINT)),
    ("failed to resolve", Cause("unknown host", _ENDPOINT)),
    ("errors resolving", Cause("unknown host", _ENDPOINT)),
    ("dns resolution failed", Cause("unknown host", _ENDPOINT)),
    ("ssl", Cause("no TLS connection", _TLS)),
    ("tls", Cause("no TLS connection", _TLS)),
    ("badstatusline", Cause("the answer is not HTTP", _PROTOCOL)),
    ("channel closed", TOO_LATE),
    ("timed out", Cause("no answer in time", _SLOW)),
    ("deadline exceeded", Cause("no answer in time", _SLOW)),
    ("without response", Cause("connection closed without an answer", _THEIR_LOG)),
    ("reset by peer", Cause("connection closed without an answer", _THEIR_LOG)),
    ("socket closed", Cause("connection closed without an answer", _THEIR_LOG)),
    ("broken pipe", Cause("connection closed without an answer", _THEIR_LOG)),
    ("incompleteread", Cause("connection closed in the middle of an answer", _THEIR_LOG)),
    ("connection aborted", Cause("connection closed without an answer", _THEIR_LOG)),
    ("unreachable", Cause("host unreachable", _ENDPOINT)),
)


def of_error(error: BaseException) -> Cause:
    """The cause that an exception tells, itself or further down its chain."""
    for link in _chain(error):
        if isinstance(link, ForeignAnswerError):
            return Cause(_short(str(link)), _ENDPOINT)
        if isinstance(link, ConnectionRefusedError):
            return _of_words("connection refused") or UNKNOWN
        if isinstance(link, socket.gaierror):
            return Cause("unknown host", _ENDPOINT)
        if isinstance(link, ssl.SSLError):
            return Cause(_short(f"no TLS connection: {link.reason or link}"), _TLS)
        if isinstance(link, TimeoutError):
            return Cause("no answer in time", _SLOW)
    return _of_words(f"{type(error).__name__}: {error}") or Cause(
        _short(f"{type(error).__name__}: {error}"), _THEIR_LOG
    )


def of_status(status: int, reason: str) -> Cause:
    """The cause that an HTTP answer tells."""
    text = _short(f"HTTP {status} {reason}")
    if status in (401, 403, 407):
        return Cause(text, _CREDENTIALS)
    if status == 404:
        return Cause(text, _UNWANTED)
    if status in (400, 405, 415):
        return Cause(text, _PROTOCOL)
    return Cause(text, _THEIR_LOG)


def of_record(record: logging.LogRecord) -> Cause | None:
    """The cause that a log line of an exporter tells, None when it tells none."""
    arguments = record.args if isinstance(record.args, tuple) else ()
    for argument in arguments:
        if isinstance(argument, BaseException):
            return of_error(argument)
    code = next((str(getattr(argument, "name", "")) for argument in arguments if _is_grpc_code(argument)), "")
    if code:
        return _of_grpc(code, str(arguments[-1]))
    return _of_words(record.getMessage())


def means_unreachable(record: logging.LogRecord) -> bool:
    """Whether an exporter's line about a first failure says that nobody answered, so that trying again soon is vain."""
    arguments = record.args if isinstance(record.args, tuple) else ()
    return any(
        isinstance(argument, Exception) or getattr(argument, "name", "") == "UNAVAILABLE" for argument in arguments
    )


def _is_grpc_code(argument: object) -> bool:
    return type(argument).__name__ == "StatusCode"  # gRPC itself is only imported where it is used


def _of_grpc(code: str, details: str) -> Cause:
    if code == "UNIMPLEMENTED":
        return Cause("gRPC UNIMPLEMENTED", _UNWANTED)
    if code in ("UNAUTHENTICATED", "PERMISSION_DENIED"):
        return Cause(f"gRPC {code}", _CREDENTIALS)
    told = _of_words(details) or _of_words(code.replace("_", " "))
    if told is not None:
        return told
    return Cause(_short(f"gRPC {code}: {details}"), _THEIR_LOG)


def _of_words(text: str) -> Cause | None:
    lower = text.lower()
    return next((cause for word, cause in _WORDS if re.search(rf"\b{re.escape(word)}", lower)), None)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception and what lies behind it, wherever the HTTP libraries keep it."""
    pending: list[BaseException] = [error]
    for _ in range(_DEEPEST):
        if not pending:
            return
        link = pending.pop(0)
        yield link
        behind = (link.__cause__, link.__context__, getattr(link, "reason", None), *link.args)
        pending += [item for item in behind if isinstance(item, BaseException)]


def _short(text: str) -> str:
    """One line, cut where it is long."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
