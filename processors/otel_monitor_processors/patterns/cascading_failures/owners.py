"""Owners: who was given each task last. There are many tasks, so that little is kept of each."""

from __future__ import annotations

from array import array
from collections.abc import Iterator

_MAX_TASKS = 20_000
_IN_HAND_S = 120.0
"""Who was given a task longer ago has mostly done with it."""


class Owners:
    """At most 20,000 tasks, the one that was given out first leaves first; `dropped` are those likely in hand then."""

    def __init__(self) -> None:
        self.dropped = 0
        self._places: dict[str, int] = {}
        self._tasks: list[str] = []
        self._workers: list[str] = []
        self._since = array("d")
        self._first = 0

    def get(self, task: str) -> tuple[str, float] | None:
        """Who has a task, and since when."""
        place = self._places.get(task)
        return None if place is None else (self._workers[place], self._since[place])

    def give(self, task: str, worker: str, at: float) -> tuple[str, float] | None:
        """A task has a new owner: who had it before, and since when."""
        place = self._places.get(task)
        if place is not None:
            before = self._workers[place], self._since[place]
            self._workers[place], self._since[place] = worker, at
            return before
        if len(self._tasks) < _MAX_TASKS:
            self._places[task] = len(self._tasks)
            self._tasks.append(task)
            self._workers.append(worker)
            self._since.append(at)
        else:
            self._instead(task, worker, at)
        return None

    def _instead(self, task: str, worker: str, at: float) -> None:
        """Let go of the task that was given out first, for another."""
        place = self._first
        self._first = (place + 1) % _MAX_TASKS
        self.dropped += at - self._since[place] <= _IN_HAND_S
        del self._places[self._tasks[place]]
        self._places[task] = place
        self._tasks[place], self._workers[place], self._since[place] = task, worker, at

    def __iter__(self) -> Iterator[tuple[str, str, float]]:
        """Every task with its owner and since when, the one that was given out first at first."""
        for number in range(len(self._tasks)):
            place = (self._first + number) % len(self._tasks)
            yield self._tasks[place], self._workers[place], self._since[place]

    def clear(self) -> None:
        self._places.clear()
        self._tasks.clear()
        self._workers.clear()
        del self._since[:]
        self._first = self.dropped = 0
