"""Lost workers and the tasks they held: who was lost after whom, with the same task in hand."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from otel_monitor_processors.observation import Assignment

_MAX_TASKS = 20_000
_MAX_LOSSES = 256
_WITHIN_S = 120.0
_MIN_CHAIN = 2
_TOGETHER_S = 0.5


@dataclass(frozen=True, slots=True)
class Chain:
    """Workers lost one after the other, each after it was given `task`."""

    task: str
    workers: tuple[str, ...]


class Losses:
    """For each task its owners in order, and when each of them was lost."""

    def __init__(self) -> None:
        self.dropped = 0
        self._owner: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._lost: OrderedDict[str, float] = OrderedDict()
        self._chains: OrderedDict[str, list[tuple[str, float]]] = OrderedDict()

    def assigned(self, assignment: Assignment) -> None:
        """A task has a new owner. If the one before was lost, the task may be to blame."""
        task = assignment.task_id
        if task is None:
            return
        before = self._owner.get(task)
        if before is not None and before[0] != assignment.source and before[0] in self._lost:
            self._blame(task, before[0], self._lost[before[0]])
        if before is None and len(self._owner) >= _MAX_TASKS:
            self._owner.popitem(last=False)
            self.dropped += 1
        self._owner[task] = (assignment.source, assignment.at)

    def _blame(self, task: str, worker: str, at: float) -> None:
        chain = self._chains.setdefault(task, [])
        if not chain or chain[-1][0] != worker or chain[-1][1] != at:
            chain.append((worker, at))
        self._chains.move_to_end(task)
        if len(self._chains) > _MAX_TASKS:
            self._chains.popitem(last=False)
            self.dropped += 1

    def lost(self, worker: str, at: float) -> None:
        self._lost[worker] = at
        self._lost.move_to_end(worker)
        if len(self._lost) > _MAX_LOSSES:
            self._lost.popitem(last=False)
            self.dropped += 1

    def back(self, worker: str) -> None:
        """A worker that is there again was lost all the same: its chains stay."""
        if self._lost:
            self._lost.pop(worker, None)

    def longest(self, now: float) -> Chain | None:
        """The longest chain of losses that is still fresh."""
        best: Chain | None = None
        for task, chain in list(self._chains.items()):
            if now - chain[-1][1] > _WITHIN_S:
                del self._chains[task]
                continue
            losses = [*chain, *self._current(task, chain)]
            workers = _in_succession(losses)
            if len(workers) >= _MIN_CHAIN and (best is None or len(workers) > len(best.workers)):
                best = Chain(task, workers)
        return best

    def _current(self, task: str, chain: list[tuple[str, float]]) -> list[tuple[str, float]]:
        owner = self._owner.get(task)
        if owner is None or owner[0] not in self._lost or owner[0] == chain[-1][0]:
            return []
        at = self._lost[owner[0]]
        return [(owner[0], at)] if at > owner[1] else []

    def reset(self) -> None:
        self._owner.clear()
        self._lost.clear()
        self._chains.clear()
        self.dropped = 0

    def dump(self) -> dict[str, Any]:
        return {
            "dropped": self.dropped,
            "owner": [[task, *owner] for task, owner in self._owner.items()],
            "lost": list(self._lost.items()),
            "chains": [[task, chain] for task, chain in self._chains.items()],
        }

    def load(self, state: dict[str, Any]) -> None:
        self.dropped = state["dropped"]
        self._owner = OrderedDict((task, (worker, at)) for task, worker, at in state["owner"])
        self._lost = OrderedDict((worker, at) for worker, at in state["lost"])
        self._chains = OrderedDict((task, [(w, at) for w, at in chain]) for task, chain in state["chains"])


def _in_succession(losses: list[tuple[str, float]]) -> tuple[str, ...]:
    """The workers of losses that are apart from each other: those at the same moment have another cause."""
    workers: list[str] = []
    last = float("-inf")
    for worker, at in losses:
        if (at - last > _TOGETHER_S and at - last <= _WITHIN_S) or last == float("-inf"):
            workers.append(worker)
        last = at
    return tuple(workers)
