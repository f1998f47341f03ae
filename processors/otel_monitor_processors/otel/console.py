"""Alerts on the console: one harmless line an alert, coloured on a terminal, and never waited for long."""

from __future__ import annotations

import io
import os
import re
import select
import sys
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TextIO

from otel_monitor_processors import drops
from otel_monitor_processors.alerts.alert import Alert, AlertTransition, State
from otel_monitor_processors.alerts.rule import Severity
from otel_monitor_processors.engine import Transition
from otel_monitor_processors.guard import guard

_COLOURS = {
    Severity.INFO: "36",
    Severity.WARNING: "33",
    Severity.CRITICAL: "1;31",
    Severity.EMERGENCY: "1;37;41",
}
_RESOLVED = "32"
_PATIENCE_S = 1.0
_LONGEST = 2_000
_PIPE_BUFFER = 4096
"""What a pipe that has room takes as a whole, without blocking."""

# What moves a terminal's cursor, ends a line or a C string, turns the direction of text, or cannot be encoded.
_CONTROL = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)


class ConsoleNotifier:
    """Writes a line to stderr when an alert fires, changes while firing, or resolves."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream

    @guard("emitter.console")
    def __call__(self, transition: Transition) -> None:
        if not isinstance(transition, AlertTransition) or not transition.is_news:
            return
        if transition.alert.state not in (State.FIRING, State.RESOLVED):
            return
        stream = self._stream if self._stream is not None else sys.stderr
        if stream is None or stream.closed:  # a program without a console, such as pythonw
            return
        text = console_line(transition)
        if is_terminal(stream):
            text = coloured(text, transition.alert)
        try:
            write_lines(stream, [text + "\n"], time.monotonic() + _PATIENCE_S)
        except (OSError, ValueError):  # ValueError: closed meanwhile
            drops.count("console", "not_written")


def console_line(transition: AlertTransition) -> str:
    """`otel-monitor: ALERT firing [critical] worker_lost …: what happened (trace …)`, always one line."""
    alert = transition.alert
    at = datetime.fromtimestamp(transition.at, UTC).strftime("%H:%M:%S")
    labels = "".join(f" {name}={value}" for name, value in alert.labels)
    text = alert.summary if alert.state is State.FIRING else transition.reason
    traces = f" (trace {alert.traces[0].hex_trace_id()})" if alert.traces and alert.state is State.FIRING else ""
    line = one_line(f"otel-monitor: {at} {_what(alert)} {alert.rule}{labels}: {text}{traces}")
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def one_line(text: str) -> str:
    """`text` as one line, without what would do something to whoever shows it."""
    return _CONTROL.sub("\ufffd", " ".join(text.split()))


def coloured(line: str, alert: Alert) -> str:
    """The line of an alert in the colour of its severity, or of its end."""
    color = _RESOLVED if alert.state is State.RESOLVED else _COLOURS[alert.severity]
    return line.replace(_what(alert), f"\x1b[{color}m{_what(alert)}\x1b[0m", 1)


def _what(alert: Alert) -> str:
    return f"ALERT {alert.state} [{alert.severity}]"


def is_terminal(stream: TextIO) -> bool:
    """Whether colours are seen there, and wanted: the variables `NO_COLOR` and `TERM=dumb` say otherwise."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def write_lines(stream: TextIO, lines: Iterable[str], deadline: float) -> None:
    """Write each line as a whole, so that lines of several threads and processes stay apart.

    Raises:
        OSError: it takes nothing; TimeoutError where that is so until `deadline`, by the monotonic clock.
        ValueError: it has been closed.
    """
    descriptor = _descriptor(stream)
    encoding = getattr(stream, "encoding", None) or "utf-8"
    for text in lines:
        content = text.encode(encoding, "backslashreplace")
        if descriptor is None:
            stream.write(content.decode(encoding))
            continue
        for start in range(0, len(content), _PIPE_BUFFER):
            _write_when_ready(descriptor, content[start : start + _PIPE_BUFFER], deadline)
    if descriptor is None:
        stream.flush()


def _descriptor(stream: TextIO) -> int | None:
    """That of an ordinary file; None for what a program, a notebook or a test has put in its place."""
    if not isinstance(stream, io.TextIOWrapper):
        return None
    try:
        return stream.fileno()
    except OSError:
        return None


def _write_when_ready(descriptor: int, content: bytes, deadline: float) -> None:
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    while content:
        left = deadline - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            raise TimeoutError("it is full, and nobody reads it")
        try:
            content = content[os.write(descriptor, content) :]
        except BlockingIOError:  # another writer was faster
            continue
