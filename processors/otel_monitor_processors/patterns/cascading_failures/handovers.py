"""Handovers: who was given which task, and which tasks were taken from workers that had died with them."""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from typing import Any, NamedTuple

from otel_monitor_processors.observation import Assignment
from otel_monitor_processors.patterns.cascading_failures.owners import Owners

_MAX_TASKS = 20_000
_MAX_OWNERS = 256
_MAX_RECENT = 2_048
_RECENT_S = 10.0
"""A death may become known so much later than its tasks are passed on."""
_SLACK_S = 1.0


class _Taken(NamedTuple):
    """A task that was taken from a worker, not known to be dead, which had had it `since`."""

    at: float
    task: str
    worker: str
    since: float


class Handovers:
    """Keeps the owner of each task, and from whom among the dead it has been taken."""

    def __init__(self) -> None:
        self._forgotten = 0
        self._owners = Owners()
        self._recent: deque[_Taken] = deque(maxlen=_MAX_RECENT)
        self._suspects: OrderedDict[str, list[tuple[str, float]]] = OrderedDict()
        """Tasks that were taken from the dead: from whom, and when these died."""

    @property
    def dropped(self) -> int:
        return self._forgotten + self._owners.dropped

    def assigned(self, assignment: Assignment, died_at: dict[str, float]) -> None:
        """A task has a new owner. If the one before has died, the task may be to blame."""
        task = assignment.task_id
        if task is None:
            return
        at = assignment.at
        before = self._owners.give(task, assignment.source, at)
        if before is None:
            return
        worker, since = before
        dead_since = died_at.get(worker, 0.0)
        if dead_since > since - _SLACK_S:
            self.blame(task, worker, dead_since)
        elif worker != assignment.source:
            self._recent.append(_Taken(at, task, worker, since))

    def died(self, worker: str, at: float, known_at: float) -> None:
        """A worker is known to be dead: what was taken from it a moment ago was taken for that."""
        recent = self._recent
        while recent and recent[0].at < known_at - _RECENT_S:
            recent.popleft()
        for taken in recent:
            if taken.worker == worker and taken.since - _SLACK_S < at <= taken.at + _SLACK_S:
                self.blame(taken.task, worker, at)

    def owner(self, task: str | None) -> tuple[str, float]:
        """Who has a task, and since when."""
        return self._owners.get(task or "") or ("", 0.0)

    def deaths(self, task: str | None, worker: str) -> list[float]:
        """When a worker has died with a task in its hands."""
        return [at for name, at in self._suspects.get(task or "", ()) if name == worker]

    def blame(self, task: str, worker: str, died_at: float) -> None:
        """A worker has died with a task in its hands."""
        owners = self._suspects.setdefault(task, [])
        if (worker, died_at) in owners:
            return
        owners.append((worker, died_at))
        del owners[:-_MAX_OWNERS]
        self._suspects.move_to_end(task)
        if len(self._suspects) > _MAX_TASKS:
            self._suspects.popitem(last=False)
            self._forgotten += 1

    def culprit(self, workers: tuple[str, ...], died_at: dict[str, float]) -> tuple[str | None, int]:
        """The task that most of these had in their hands when they died, and how many deaths that explains."""
        best: tuple[str | None, int] = (None, 0)
        for task, owners in self._suspects.items():
            count = sum(name in workers for name, _ in owners)
            worker, since = self.owner(task)
            dead_since = died_at.get(worker, 0.0)
            count += worker in workers and dead_since > since - _SLACK_S and (worker, dead_since) not in owners
            if count > best[1] and count >= 2:
                best = (task, count)
        return best

    def taken_by_chance(self, workers: int) -> float:
        """-log10 p that one of as many workers gets any of the tasks that a dead one had."""
        dead = {owner for owners in self._suspects.values() for owner in owners}
        tasks = sum(map(len, self._suspects.values())) / max(1, len(dead))
        p = 1.0 - (1.0 - 1.0 / max(2, workers)) ** max(1.0, tasks)
        return -math.log10(max(p, 1e-9))

    def acquit(self, until: float) -> None:
        """Tasks with which nobody has died since are to blame for nothing."""
        suspects = self._suspects
        while suspects and next(iter(suspects.values()))[-1][1] < until:
            suspects.popitem(last=False)

    def reset(self) -> None:
        self._owners.clear()
        self._recent.clear()
        self._suspects.clear()
        self._forgotten = 0

    def dump(self) -> dict[str, Any]:
        return {
            "dropped": self.dropped,
            "owners": [list(owned) for owned in self._owners],
            "recent": [list(taken) for taken in self._recent],
            "suspects": [[task, [list(owner) for owner in owners]] for task, owners in self._suspects.items()],
        }

    def load(self, state: dict[str, Any]) -> None:
        self.reset()
        self._forgotten = state["dropped"]
        for task, worker, at in state["owners"]:
            self._owners.give(task, worker, at)
        self._recent.extend(_Taken(*taken) for taken in state["recent"])
        self._suspects.update((task, [(name, at) for name, at in owners]) for task, owners in state["suspects"])
