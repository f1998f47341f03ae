"""Who does how much of one kind of work: counts and busy time by worker over a sliding window."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Any, NamedTuple

_BUCKETS = 12
_MAX_WORKERS = 2_048
_MEMORY_S = 1800.0
_PRIOR = 200.0


class Workload(NamedTuple):
    """One worker's part within the window, and the weight of its usual one."""

    worker: str
    calls: int
    busy_s: float
    usual: float


class _Worker:
    __slots__ = ("buckets", "first", "last", "past")

    def __init__(self, at: float) -> None:
        self.buckets: list[list[float]] = []
        self.first = at
        self.last = at
        self.past = 0.0


class Work:
    """The workers of one group. What leaves the window becomes their usual share, unless it is frozen."""

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._width_s = window_s / _BUCKETS
        self._workers: OrderedDict[str, _Worker] = OrderedDict()
        self.frozen = False

    def add(self, worker: str, at: float, calls: int, busy_s: float) -> None:
        known = self._workers.get(worker)
        if known is None:
            if len(self._workers) >= _MAX_WORKERS:
                self._workers.popitem(last=False)
            known = self._workers[worker] = _Worker(at)
        index = int(at // self._width_s)
        if not known.buckets or index > known.buckets[-1][0]:
            known.buckets.append([index, 0, 0.0])
        known.buckets[-1][1] += calls
        known.buckets[-1][2] += busy_s
        known.last = max(known.last, at)

    def loads(self, now: float, absent_s: float) -> list[Workload]:
        """The load of every worker that is there. One that came later than the window counts for its part."""
        oldest = int(now // self._width_s) - _BUCKETS
        fade = math.exp(-self._width_s / _MEMORY_S)
        loads = []
        for name, worker in list(self._workers.items()):
            while worker.buckets and worker.buckets[0][0] <= oldest:
                _, count, _busy = worker.buckets.pop(0)
                if not self.frozen:
                    worker.past = worker.past * fade + count
            if now - worker.last > self._window_s + _MEMORY_S:
                del self._workers[name]
            elif now - worker.last <= max(absent_s, self._window_s / 2):
                loads.append((name, worker))
        total = sum(worker.past for _, worker in loads) or 1.0
        return [self._load(name, worker, now, worker.past / total, len(loads)) for name, worker in loads]

    def _load(self, name: str, worker: _Worker, now: float, past_share: float, workers: int) -> Workload:
        presence = min(1.0, max(0.05, (now - worker.first) / self._window_s))
        known = worker.past / (worker.past + _PRIOR)
        usual = (known * past_share + (1.0 - known) / workers) * presence
        count = int(sum(bucket[1] for bucket in worker.buckets))
        return Workload(name, count, sum(bucket[2] for bucket in worker.buckets), usual)

    def dump(self) -> list[Any]:
        workers = [[name, w.buckets, w.first, w.last, w.past] for name, w in self._workers.items()]
        return [self._window_s, self.frozen, workers]

    @classmethod
    def load(cls, state: list[Any]) -> Work:
        window_s, frozen, workers = state
        work = cls(window_s)
        work.frozen = frozen
        for name, buckets, first, last, past in workers:
            worker = work._workers[name] = _Worker(first)
            worker.buckets = [list(bucket) for bucket in buckets]
            worker.last, worker.past = last, past
        return work
