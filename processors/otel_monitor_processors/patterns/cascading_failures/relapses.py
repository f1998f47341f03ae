"""Relapses: a worker that comes back without having said goodbye, and is given the same task again."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from otel_monitor_processors.observation import Assignment
from otel_monitor_processors.patterns.cascading_failures.handovers import Handovers

_MAX = 1_000
_FAILOVER = "failover"
_SOON_S = 10.0
"""What it had in hand is given to it again so soon after it has come back."""


class Relapses:
    """Keeps who has come back of late. Coming back once proves nothing, for connections are made anew as well."""

    def __init__(self) -> None:
        self.workers: OrderedDict[str, float] = OrderedDict()
        """Who has come back, and when."""

    def returned(self, worker: str, at: float) -> None:
        """A worker has registered that had neither been given up nor said goodbye."""
        self.workers[worker] = at
        self.workers.move_to_end(worker)
        if len(self.workers) > _MAX:
            self.workers.popitem(last=False)

    def again(self, assignment: Assignment, handovers: Handovers) -> list[float]:
        """A task is given to a worker that has come back: when it has died with it, if that was more than once."""
        worker, task = assignment.source, assignment.task_id
        returned_at = self.workers[worker]
        if assignment.at - returned_at > _SOON_S:
            del self.workers[worker]
            return []
        owner, since = handovers.owner(task)
        is_same = owner == worker and since < returned_at
        if task is None or not (is_same or (not owner and assignment.reason == _FAILOVER)):
            return []
        before = handovers.deaths(task, worker)
        if returned_at in before:
            return []
        handovers.blame(task, worker, returned_at)
        return [*before, returned_at] if len(before) == 1 else [returned_at] if before else []

    def reset(self) -> None:
        self.workers.clear()

    def dump(self) -> list[Any]:
        return [list(item) for item in self.workers.items()]

    def load(self, state: list[Any]) -> None:
        self.reset()
        self.workers.update((worker, at) for worker, at in state)
