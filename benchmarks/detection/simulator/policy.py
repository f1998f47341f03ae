"""How an orchestrator chooses the worker for a task."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Protocol

from benchmarks.detection.simulator.task import Task
from benchmarks.detection.simulator.worker import Worker


@dataclass(slots=True, eq=False)
class Record:
    """What an orchestrator knows of a worker."""

    worker: Worker
    last_seen: float
    tasks: dict[str, Task] = field(default_factory=dict)
    streams: dict[str, None] = field(default_factory=dict)
    weight: float = 1.0
    unused: bool = False
    """Not given anything any more, for no good reason."""
    believed_idle: bool = False
    """What the orchestrator believes of its load is stuck at less than nothing."""

    @property
    def load(self) -> float:
        return -1.0 if self.believed_idle else len(self.tasks) / self.weight


class Policy(Protocol):
    """Chooses workers."""

    def choose(self, task: Task, records: list[Record]) -> Record | None:
        """Who gets the task; None: nobody can take it now."""


class LeastLoaded:
    """The worker with the fewest tasks for its size; among equals one at random."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def choose(self, task: Task, records: list[Record]) -> Record | None:
        best: list[Record] = []
        least = float("inf")
        for record in records:
            load = record.load
            if load < least:
                best, least = [record], load
            elif load == least:
                best.append(record)
        return self._rng.choice(best) if best else None


class RoundRobin:
    """One after the other."""

    def __init__(self) -> None:
        self._turn = 0

    def choose(self, task: Task, records: list[Record]) -> Record | None:
        if not records:
            return None
        self._turn += 1
        return records[self._turn % len(records)]


class Pull:
    """Workers ask for work when they have room: whoever asks first is a matter of chance."""

    def __init__(self, rng: random.Random, prefetch: int) -> None:
        self._rng = rng
        self.prefetch = prefetch
        self.greed: dict[str, int] = {}
        """Workers that fetch more ahead than the others."""

    def choose(self, task: Task, records: list[Record]) -> Record | None:
        hoarders = [record for record in records if record.worker.name in self.greed]
        for record in hoarders:
            if len(record.tasks) < self.greed[record.worker.name]:
                return record
        ready = [record for record in records if len(record.tasks) < record.worker.size + self.prefetch]
        return self._rng.choice(ready) if ready else None


class Sticky:
    """A share of the tasks goes to a few workers whatever their load; the rest as another policy says."""

    def __init__(self, rng: random.Random, inner: Policy, names: tuple[str, ...], share: float) -> None:
        self._rng = rng
        self._inner = inner
        self._names = names
        self._share = share

    def choose(self, task: Task, records: list[Record]) -> Record | None:
        if self._rng.random() < self._share:
            chosen = [record for record in records if record.worker.name in self._names]
            if chosen:
                return self._rng.choice(chosen)
        return self._inner.choose(task, records)


class Owners:
    """Each stream belongs to a worker, which gets all of its tasks."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.owner: dict[str, str] = {}
        self.forced: str | None = None
        """Who is given every stream that needs a new owner."""

    def choose(self, task: Task, records: list[Record]) -> Record | None:
        stream = task.stream or ""
        name = self.owner.get(stream)
        for record in records:
            if record.worker.name == name:
                return record
        return self.new_owner(records)

    def new_owner(self, records: list[Record]) -> Record | None:
        if not records:
            return None
        if self.forced is not None:
            for record in records:
                if record.worker.name == self.forced:
                    return record
        least = min(len(record.streams) / record.weight for record in records)
        return self._rng.choice([record for record in records if len(record.streams) / record.weight == least])

    def give(self, stream: str, record: Record) -> None:
        self.owner[stream] = record.worker.name
        record.streams[stream] = None
