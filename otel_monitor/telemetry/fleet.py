"""The fleet as an orchestrator knows it: each worker's last heartbeat, rhythm, tasks and state."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator
from enum import StrEnum
from itertools import islice
from threading import RLock

from otel_monitor.telemetry.instruments import Key
from otel_monitor_processors import drops

MAX_WORKERS = 10_000
MAX_LABELLED = 200
"""Workers whose id may stand on metrics."""

LATE_INTERVALS = 2.0
"""A worker is late after this many of its own intervals, by the receiver's clock."""

_OFFLINE_INTERVALS = 5.0
_MIN_INTERVALS = 3
_MIN_RHYTHM_S = 0.1  # heartbeats that came in a bunch are no promise of more such bunches
_LEARNING_RATE = 0.2
_MAX_STRETCH = 3.0


class WorkerState(StrEnum):
    """What a worker is to its orchestrator."""

    AVAILABLE = "available"
    BUSY = "busy"
    OFFLINE = "offline"


class Worker:
    """What is known of one worker."""

    __slots__ = ("assigned", "generation", "intervals", "key", "last", "lost", "missed", "rhythm_s")

    def __init__(self, generation: int, key: Key) -> None:
        self.key = key
        """Its id where it may stand on a metric."""
        self.assigned = 0
        self.generation = generation
        """Another one after a loss: what the worker was given before is no longer its own."""
        self.intervals = 0
        self.last: float | None = None
        self.lost = False
        self.missed = 0
        """Heartbeats missed in the present silence and counted already."""
        self.rhythm_s = 0.0

    def beat(self, at: float) -> float | None:
        """A heartbeat has arrived: the time since the one before, unless it is the first."""
        last, self.last, self.missed = self.last, at, 0
        if last is None or self.lost:
            self.lost = False
            return None
        gap_s = at - last if at > last else 0.0
        rhythm_s = self.rhythm_s
        if self.intervals == 0:
            self.rhythm_s = gap_s
        elif gap_s > _MAX_STRETCH * rhythm_s:
            self.rhythm_s = rhythm_s * (1.0 + _LEARNING_RATE * (_MAX_STRETCH - 1.0))
        else:
            self.rhythm_s = rhythm_s + _LEARNING_RATE * (gap_s - rhythm_s)
        self.intervals += 1
        return gap_s

    def silent_intervals(self, now: float) -> float:
        """How many of its own intervals it has been silent; 0 while its rhythm is not known."""
        if self.last is None or self.intervals < _MIN_INTERVALS:
            return 0.0
        return (now - self.last) / max(self.rhythm_s, _MIN_RHYTHM_S)

    def state(self, now: float) -> WorkerState:
        if self.lost or self.silent_intervals(now) > _OFFLINE_INTERVALS:
            return WorkerState.OFFLINE
        return WorkerState.BUSY if self.assigned > 0 else WorkerState.AVAILABLE


class Fleet:
    """All workers of an orchestrator; beyond the limit the one that was silent longest leaves."""

    def __init__(self, limit: int = MAX_WORKERS) -> None:
        self._limit = limit
        self._lock = RLock()  # guards everything below
        self._workers: OrderedDict[str, Worker] = OrderedDict()
        self._labelled: set[str] = set()
        self._generation = 0

    def heartbeat(self, worker_id: str, at: float) -> tuple[float | None, Key]:
        """A heartbeat has arrived: the time since the worker's last one, if it had one, and its key on metrics."""
        with self._lock:
            worker = self._workers.get(worker_id)
            if worker is None:
                worker = self._add(worker_id)
            else:
                self._workers.move_to_end(worker_id)
            return worker.beat(at), worker.key

    def joined(self, worker_id: str, at: float) -> None:
        """The worker has registered; a silence before does not count."""
        with self._lock:
            worker = self._workers.get(worker_id) or self._add(worker_id)
            self._workers.move_to_end(worker_id)
            worker.lost = False
            worker.missed = 0
            if worker.last is not None:
                worker.last = at

    def left(self, worker_id: str) -> None:
        """The worker has deregistered."""
        with self._lock:
            self._workers.pop(worker_id, None)

    def lost(self, worker_id: str) -> bool:
        """The worker is given up; False when that was known."""
        with self._lock:
            worker = self._workers.get(worker_id) or self._add(worker_id)
            if worker.lost:
                return False
            worker.lost = True
            worker.assigned = 0
            worker.generation = self._next_generation()
            return True

    def is_late(self, worker_id: str, now: float) -> bool:
        """Whether the worker has been silent for longer than its own rhythm lets expect."""
        with self._lock:
            worker = self._workers.get(worker_id)
            return worker is not None and worker.silent_intervals(now) > LATE_INTERVALS

    def generation(self, worker_id: str) -> int | None:
        """Tells a worker from what it was before it was lost; None when it is not there."""
        with self._lock:
            worker = self._workers.get(worker_id)
            return None if worker is None or worker.lost else worker.generation

    def add_assigned(self, worker_id: str, change: int) -> int:
        """The worker has got, or no longer has, tasks; answers its generation."""
        with self._lock:
            worker = self._workers.get(worker_id) or self._add(worker_id)
            worker.assigned = max(0, worker.assigned + change)
            return worker.generation

    def take_missed(self, now: float) -> int:
        """Heartbeats that have not come since the last time this was asked."""
        missed = 0
        with self._lock:
            for worker in self._workers.values():
                silent = worker.silent_intervals(now)
                if silent > LATE_INTERVALS and not worker.lost:
                    due = int(silent) - 1
                    missed += max(0, due - worker.missed)
                    worker.missed = max(worker.missed, due)
        return missed

    def counts(self, now: float) -> dict[str, int]:
        """Workers by state; empty when there are none."""
        with self._lock:
            if not self._workers:
                return {}
            counts = dict.fromkeys(WorkerState, 0)
            for worker in self._workers.values():
                counts[worker.state(now)] += 1
        return {str(state): count for state, count in counts.items()}

    def ages(self, now: float) -> Iterator[tuple[str | None, float]]:
        """Time since each worker's last heartbeat; beyond the limit the longest, without an id."""
        with self._lock:
            ages = [(name, now - worker.last) for name, worker in self._present() if worker.last is not None]
        return _limited(ages)

    def assigned(self) -> Iterator[tuple[str | None, float]]:
        """Tasks of each worker; beyond the limit the most, without an id."""
        with self._lock:
            assigned = [(name, float(worker.assigned)) for name, worker in self._present()]
        return _limited(assigned)

    def imbalance(self) -> float | None:
        """Coefficient of variation of the tasks per worker; None where there is nothing to share out."""
        with self._lock:
            tasks = [worker.assigned for _, worker in self._present()]
        total = sum(tasks)
        if len(tasks) <= 1 or total == 0:
            return None
        mean = total / len(tasks)
        return math.sqrt(sum((count - mean) ** 2 for count in tasks) / len(tasks)) / mean

    def reset_after_fork(self) -> None:
        """In a child: the fleet is the parent's."""
        self._lock = RLock()
        self._workers = OrderedDict()
        self._labelled = set()

    def _present(self) -> Iterator[tuple[str, Worker]]:
        return ((name, worker) for name, worker in self._workers.items() if not worker.lost)

    def _add(self, worker_id: str) -> Worker:
        if len(self._workers) >= self._limit:
            self._workers.popitem(last=False)
            drops.count("fleet", "worker_limit")
        worker = self._workers[worker_id] = Worker(self._next_generation(), self._key(worker_id))
        return worker

    def _key(self, worker_id: str) -> Key:
        """Only the first workers stand on metrics by their id, for as long as the process lives: series stay few."""
        if worker_id not in self._labelled:
            if len(self._labelled) >= MAX_LABELLED:
                return (None,)
            self._labelled.add(worker_id)
        return (worker_id,)

    def _next_generation(self) -> int:
        self._generation += 1
        return self._generation


def _limited(values: list[tuple[str, float]]) -> Iterator[tuple[str | None, float]]:
    yield from islice(values, MAX_LABELLED)
    rest = [value for _, value in values[MAX_LABELLED:]]
    if rest:
        yield None, max(rest)
