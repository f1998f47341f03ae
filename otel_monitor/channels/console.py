"""Alerts on the console: one line an alert, coloured on a terminal."""

from __future__ import annotations

import os
import select
import sys
import time
from typing import TextIO

from otel_monitor.channels.channel import Delivered, Receipt, Retry
from otel_monitor.channels.text import MAX_SHOWN, more, short
from otel_monitor_processors.alerts.alert import Alert, State
from otel_monitor_processors.alerts.notification import Notification
from otel_monitor_processors.alerts.rule import Severity
from otel_monitor_processors.guard import guard

_COLOURS = {
    Severity.INFO: "36",
    Severity.WARNING: "33",
    Severity.CRITICAL: "1;31",
    Severity.EMERGENCY: "1;37;41",
}
_RESOLVED = "32"
_PIPE_BUFFER = 4096
"""What a pipe that has room takes as a whole, without blocking."""


class ConsoleChannel:
    """Writes to stderr, as it is at the time of writing. `color` is `auto`, `always` or `never`.

    With `auto` it is coloured on a terminal, unless the variable `NO_COLOR` is set or `TERM` is `dumb`. A
    console that takes nothing, such as a pipe that nobody reads, is waited for at most `timeout` seconds.
    """

    def __init__(self, name: str, *, color: str = "auto", timeout: float = 2.0, stream: TextIO | None = None) -> None:
        self.name = name
        self._color = color
        self._timeout_s = timeout
        self._stream = stream

    @guard("channels.console", default=Retry("an internal error"))
    def send(self, notification: Notification) -> Receipt:
        stream = self._stream if self._stream is not None else sys.stderr
        if stream is None or stream.closed:  # a program without a console, such as pythonw
            return Delivered("there is no console")
        coloured = self._is_coloured(stream)
        lines = [_line(alert, notification.at, coloured) for alert in notification.alerts[:MAX_SHOWN]]
        if more(notification):
            lines.append(f"otel-monitor: {more(notification)}\n")
        try:
            _write(stream, lines, time.monotonic() + self._timeout_s)
        except (OSError, ValueError) as error:  # ValueError: closed meanwhile
            return Retry(f"the console takes nothing: {error}")
        return Delivered()

    def close(self) -> None:
        """The stream is the program's: it stays open."""

    def _is_coloured(self, stream: TextIO) -> bool:
        if self._color != "auto":
            return self._color == "always"
        return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

    def __repr__(self) -> str:
        return f"ConsoleChannel({self.name!r})"


def _line(alert: Alert, at: float, coloured: bool) -> str:
    text = short(alert, at)
    if coloured:
        color = _RESOLVED if alert.state is State.RESOLVED else _COLOURS[alert.severity]
        what = f"ALERT {alert.state} [{alert.severity}]"
        text = text.replace(what, f"\x1b[{color}m{what}\x1b[0m", 1)
    return text + "\n"


def _write(stream: TextIO, lines: list[str], deadline: float) -> None:
    """Write each line as a whole, so that lines of several threads and processes stay apart."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError, AttributeError):  # not a file: it is as fast as memory
        descriptor = None
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
