"""Alerts to functions of the user's, sync or async: a slow or raising one holds up nobody else."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from otel_monitor.channels.channel import Delivered, Receipt, Retry
from otel_monitor.channels.progress import Progress
from otel_monitor.channels.text import counted, line
from otel_monitor.channels.worker import BusyError, Worker
from otel_monitor_processors.alerts.alert import Alert
from otel_monitor_processors.alerts.notification import Notification
from otel_monitor_processors.guard import guard

Handler = Callable[[Alert], object]
"""Takes an alert that fires or has been resolved, see its `state`. What it returns is awaited, where it can be."""

_MAX_REASON = 300


class CallableChannel:
    """Calls `handler` with each alert of a notification, in a thread of its own.

    A coroutine runs in an event loop of its own, or in `loop` where the handler needs its program's. One that
    takes longer than `timeout` seconds is cancelled; a function cannot be: it runs on, and until it is back the
    channel has the next notification wait. An alert that a handler has returned from is not handed to it again,
    one that it has raised at is.
    """

    def __init__(
        self, name: str, handler: Handler, *, timeout: float = 10.0, loop: asyncio.AbstractEventLoop | None = None
    ) -> None:
        self.name = name
        self._handler = handler
        self._timeout_s = timeout
        self._loop = loop
        self._worker = Worker(f"otel-monitor-handler-{name}")
        self._progress = Progress()

    @guard("channels.callable", default=Retry("an internal error"))
    def send(self, notification: Notification) -> Receipt:
        done = self._progress.of(notification.id)
        given_up = threading.Event()
        try:
            self._worker.run(lambda: self._handle(notification, done, given_up), self._timeout_s)
        except BusyError:
            return Retry(f"{self._title} has not come back from an earlier alert yet")
        except TimeoutError:
            given_up.set()
            return Retry(f"{self._title} took longer than {self._timeout_s:g} s")
        except BaseException as error:  # noqa: BLE001 - the user's function: in a thread of its own even an exit is its error
            return Retry(line(f"{self._title} raised {type(error).__qualname__}: {error}", _MAX_REASON))
        self._progress.finish(notification.id)
        return Delivered(f"{counted(len(notification.alerts), 'alert')} handled")

    def close(self) -> None:
        """A call that has not come back is left alone: its thread ends with the process."""

    @property
    def _title(self) -> str:
        return getattr(self._handler, "__qualname__", None) or type(self._handler).__qualname__

    def _handle(self, notification: Notification, done: set[str], given_up: threading.Event) -> None:
        for alert in notification.alerts:
            if given_up.is_set():
                return
            part = f"{alert.id} {alert.state}"
            if part not in done:
                result = self._handler(alert)
                if inspect.isawaitable(result):
                    self._await(result)
                done.add(part)

    def _await(self, awaitable: Awaitable[Any]) -> None:
        async def bounded() -> None:
            await asyncio.wait_for(awaitable, self._timeout_s)

        if self._loop is None:
            asyncio.run(bounded())
            return
        future = asyncio.run_coroutine_threadsafe(bounded(), self._loop)
        try:
            future.result(self._timeout_s)
        except TimeoutError:  # the program's loop may stand still: then nobody else cancels
            future.cancel()
            raise

    def __repr__(self) -> str:
        return f"CallableChannel({self.name!r}, {self._title})"
