"""Alerts on the console: one line an alert, coloured on a terminal."""

from __future__ import annotations

import sys
import time
from typing import TextIO

from otel_monitor.channels.channel import Delivered, Receipt, Retry
from otel_monitor.channels.text import MAX_SHOWN, more, short
from otel_monitor_processors.alerts.alert import Alert
from otel_monitor_processors.alerts.notification import Notification
from otel_monitor_processors.guard import guard
from otel_monitor_processors.otel.console import coloured, is_terminal, write_lines


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
        in_colour = is_terminal(stream) if self._color == "auto" else self._color == "always"
        lines = [_line(alert, notification.at, in_colour=in_colour) for alert in notification.alerts[:MAX_SHOWN]]
        if more(notification):
            lines.append(f"otel-monitor: {more(notification)}\n")
        try:
            write_lines(stream, lines, time.monotonic() + self._timeout_s)
        except (OSError, ValueError) as error:  # ValueError: closed meanwhile
            return Retry(f"the console takes nothing: {error}")
        return Delivered()

    def close(self) -> None:
        """The stream is the program's: it stays open."""

    def __repr__(self) -> str:
        return f"ConsoleChannel({self.name!r})"


def _line(alert: Alert, at: float, *, in_colour: bool) -> str:
    text = short(alert, at)
    return (coloured(text, alert) if in_colour else text) + "\n"
