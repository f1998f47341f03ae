"""The toll: what counters alone tell of workers that have been given up, without their names."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from statistics import median

from otel_monitor_processors.patterns.cascading_failures.deaths import Chain, rarity
from otel_monitor_processors.patterns.cascading_failures.lives import Life

_MAX = 256
_LONGEST_GAP_S = 150.0
_FRESH_S = 90.0
_LEAST = 3
_BURST = 4
"""So many in one export, and most of all: they were given up at one moment."""
_EXPORTED_LATE_S = 75.0
_SLOWEST_S = 20.0


class Toll:
    """Counts workers that have been given up, export by export."""

    def __init__(self) -> None:
        self._failures: deque[float] = deque(maxlen=_MAX)
        """When counters told that a worker had been given up, once for each."""

    def add(self, at: float, failures: int) -> None:
        self._failures.extend([at] * min(failures, _MAX))

    def since(self, at: float) -> int:
        return sum(told_at >= at for told_at in self._failures)

    def chain(self, now: float, lives: Mapping[str, Life]) -> Chain | None:
        """Workers given up in one export after the other, and who has fallen silent meanwhile."""
        if not self._failures or now - self._failures[-1] > _FRESH_S:
            return None
        fresh = [at for at in self._failures if now - at <= _LONGEST_GAP_S]
        if len(fresh) < _LEAST:
            return None
        exports = _apart(sorted(set(fresh)), _usual_interval_s(lives))
        if len(exports) < 2:
            return None
        if max(map(fresh.count, exports)) >= max(_BURST, 0.5 * len(fresh)):
            return None
        steps = min(len(fresh), len(exports) + 1)
        since = exports[0] - _EXPORTED_LATE_S
        quiet = sorted(
            (from_at, worker)
            for worker, life in lives.items()
            if life.works and life.pace_s <= _SLOWEST_S and (from_at := life.quiet_since(now)) >= since
        )
        workers = tuple(worker for _, worker in quiet[-len(fresh) :])
        score = rarity(steps, exports[-1] - exports[0])
        return Chain(score, workers, steps, True, None, exports[0], exports[-1], counted=len(workers) < 2)

    def reset(self) -> None:
        self._failures.clear()

    def dump(self) -> list[float]:
        return list(self._failures)

    def load(self, state: list[float]) -> None:
        self.reset()
        self._failures.extend(state)


def _usual_interval_s(lives: Mapping[str, Life]) -> float:
    """How long it is between two heartbeats of most workers, 0 where that is not known."""
    known = [life.interval_s for life in lives.values() if life.interval_s]
    return median(known) if known else 0.0


def _apart(exports: list[float], interval_s: float) -> list[float]:
    """The first export of each moment: who dies together is missed within one interval."""
    moments = exports[:1]
    for at in exports[1:]:
        if at - moments[-1] > interval_s:
            moments.append(at)
    return moments
