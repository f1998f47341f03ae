"""The one kind of background loop."""

from __future__ import annotations

import math
import os
import threading
import weakref
from collections.abc import Callable

from otel_monitor_processors.guard import guard

_tickers: weakref.WeakSet[Ticker] = weakref.WeakSet()


class Ticker:
    """Calls a function every `interval_s` seconds, or sooner when woken, in a daemon thread of its own.

    In a forked child no thread runs until `start` is called again; `running` tells.
    """

    def __init__(self, name: str, interval_s: float, function: Callable[[], None]) -> None:
        self._name = name
        self._interval_s = interval_s
        self._function = function
        self._awake = threading.Event()
        self._soon_s = math.inf
        self._stopping = False
        self._thread: threading.Thread | None = None
        self.running = False
        _tickers.add(self)

    def start(self) -> None:
        """Start the thread, unless it runs."""
        if self.running:
            return
        self.running = True
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Call the function as soon as may be."""
        self._awake.set()

    def due_in(self, seconds: float) -> None:
        """Within the function: call it again in `seconds` at the latest."""
        self._soon_s = min(self._soon_s, max(0.0, seconds))

    def stop(self, timeout_s: float) -> bool:
        """End the thread; waits for it at most `timeout_s` seconds. False: it still runs."""
        self._stopping = True
        self._awake.set()
        thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout_s)
        self.running = False
        return thread is None or not thread.is_alive()

    def _run(self) -> None:
        while not self._stopping:
            self._awake.wait(min(self._interval_s, self._soon_s))
            self._awake.clear()
            self._soon_s = math.inf
            if not self._stopping:
                self._tick()

    @guard("ticker.tick")
    def _tick(self) -> None:
        self._function()

    def _forked(self) -> None:
        self._awake = threading.Event()
        self._thread = None
        self.running = False


def _reset_in_child() -> None:
    for ticker in list(_tickers):
        ticker._forked()  # noqa: SLF001 - the module's own class


os.register_at_fork(after_in_child=_reset_in_child)
