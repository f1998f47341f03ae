"""Tasks that two workers are at work on at once: each ends a piece of it, now the one, now the other."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

_MAX_TASKS = 10_000
_TURN_S = 30.0
"""Two pieces that are further apart have nothing to do with each other."""


class Duplicates:
    """Remembers who worked on which task last; at most 10,000 tasks, the longest idle one leaves first.

    A task that was moved changes hands once. One that changes back has two owners.
    """

    def __init__(self) -> None:
        self.dropped = 0
        self._last: OrderedDict[str, tuple[str, str, float]] = OrderedDict()
        self._twice: OrderedDict[str, float] = OrderedDict()

    def done(self, task: str, worker: str, at: float) -> None:
        """`worker` has ended a piece of `task`."""
        last = self._last.get(task)
        if last is None:
            if len(self._last) >= _MAX_TASKS:
                _, (_, _, changed_at) = self._last.popitem(last=False)
                self.dropped += at - changed_at <= _TURN_S  # of the others nothing was to be expected any more
            self._last[task] = (worker, "", at)
            return
        owner, before, changed_at = last
        if worker == owner:
            return
        if worker == before and at - changed_at <= _TURN_S:
            self._twice[task] = at
            self._twice.move_to_end(task)
        self._last[task] = (worker, owner, at)
        self._last.move_to_end(task)

    def since(self, at: float) -> int:
        """How many tasks have had two owners since."""
        while self._twice and next(iter(self._twice.values())) < at - _TURN_S:
            self._twice.popitem(last=False)
        return sum(seen_at >= at for seen_at in self._twice.values())

    def reset(self) -> None:
        self._last.clear()
        self._twice.clear()
        self.dropped = 0

    def dump(self) -> list[Any]:
        return [self.dropped, [[task, *last] for task, last in self._last.items()], list(self._twice.items())]

    def load(self, state: list[Any]) -> None:
        self.dropped = state[0]
        self._last = OrderedDict((task, (worker, before, at)) for task, worker, before, at in state[1])
        self._twice = OrderedDict((task, at) for task, at in state[2])
