"""Calls of what cannot be interrupted (name resolution, users' handlers), waited for only so long."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

R = TypeVar("R")


class BusyError(Exception):
    """The last call has not come back yet."""


class _Call(Generic[R]):
    """One call: its thread, and what has come of it."""

    def __init__(self, name: str, function: Callable[[], R]) -> None:
        self._function = function
        self._result: list[R] = []
        self._error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)

    def _run(self) -> None:
        try:
            self._result.append(self._function())
        except BaseException as error:  # noqa: BLE001 - whatever it is, even SystemExit: the caller gets it
            self._error = error

    def outcome(self) -> R:
        if self._error is not None:
            raise self._error
        return self._result[0]


class Worker:
    """Runs one call at a time, each in a daemon thread of its own.

    A call that does not come back keeps its thread until it does: there is never more than one.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._running: threading.Thread | None = None

    @property
    def busy(self) -> bool:
        """Whether the last call still runs. After a fork it does not: its thread has stayed in the parent."""
        return self._running is not None and self._running.is_alive()

    def run(self, function: Callable[[], R], timeout_s: float) -> R:
        """The result of `function`, or what it raises.

        Raises:
            BusyError: the last call has not come back yet.
            TimeoutError: this one has not within `timeout_s`. It goes on, unwatched.
        """
        if self.busy:
            raise BusyError(self._name)
        call = _Call(self._name, function)
        self._running = call.thread
        call.thread.start()
        call.thread.join(timeout_s)
        if call.thread.is_alive():
            raise TimeoutError(f"no end within {timeout_s:g} s")
        self._running = None
        return call.outcome()
