"""Spurts: a level that leaves the range it was known in, and is on its way to its limit within moments."""

from __future__ import annotations

from array import array
from typing import Any

from otel_monitor_processors.patterns.resource_exhaustion.climb import Busier, Climb, shape_of

LEAVES = 0.02
"""A spurt begins where a level is so far, as a share of its limit, above everything before."""

_MOST = 24
_LEAST_READINGS = 5
_LEAST_SHARE = 0.15
_AHEAD = 2.0
"""A forecast reaches as far ahead as this times what has been seen of the spurt."""
_HORIZON_S = 700.0
_KEPT = 0.6
_NEW_HIGH = 0.02
_PATIENCE_READINGS = 4.0
_PATIENCE = 0.5


class Spurt:
    """The readings since a level has left its known range: 24 at most, every second one of them where there are more.

    So it resolves whatever it is shown: a cache that fills within ten seconds, or a disk within an hour.

    Args:
        at: the last reading within the range.
        base: the highest level of that range.
        pace: how fast that range itself has widened, a second.
    """

    __slots__ = (
        "_every",
        "_levels",
        "_lowest",
        "_pace",
        "_peak",
        "_peak_at",
        "_seen",
        "_times",
        "at",
        "climb",
        "score",
    )

    def __init__(self, at: float, base: float, lowest: float, pace: float) -> None:
        self.at = at
        self.climb: Climb | None = None
        self.score = 0.0
        self._lowest = lowest
        self._pace = pace
        self._times = array("f", (0.0,))
        self._levels = array("d", (base,))
        self._every = 1
        self._seen = 0
        self._peak = base
        self._peak_at = at

    def add(self, at: float, level: float, interval_s: float, busier: Busier) -> bool:
        """Take in a reading; whether the spurt still lasts."""
        base = self._levels[0]
        if level > self._peak + _NEW_HIGH * (self._peak - base):
            self._peak, self._peak_at = level, at
        patience_s = max(_PATIENCE_READINGS * interval_s, _PATIENCE * (self._peak_at - self.at))
        if level < base + _KEPT * (self._peak - base) or (level < 1.0 and at - self._peak_at > patience_s):
            return False
        self._seen += 1
        if self._seen % self._every:
            return True
        if len(self._levels) >= _MOST:
            del self._times[1::2], self._levels[1::2]
            self._every *= 2
        self._times.append(at - self.at)
        self._levels.append(level)
        self._judge(level, busier)
        return True

    def _judge(self, level: float, busier: Busier) -> None:
        times, levels = self._times, self._levels
        base = levels[0]
        self.climb, self.score = None, 0.0
        if len(levels) <= _LEAST_READINGS or level - base < _LEAST_SHARE * (1.0 - base):
            return
        span_s = times[-1]
        above = (level - base - self._pace * span_s) / busier.since(self.at - 2.0 * span_s, self.at)
        if above > 0.0:
            self.climb = shape_of(times, levels, base, self._lowest, above, self._pace)
        if self.climb is not None:
            self.score = self.climb.score(min(_HORIZON_S, _AHEAD * span_s))

    def dump(self) -> list[Any]:
        return [
            *(self.at, self.score, self._lowest, self._pace, self._every, self._seen, self._peak, self._peak_at),
            list(self._times),
            list(self._levels),
            list(self.climb) if self.climb is not None else None,
        ]

    @classmethod
    def load(cls, state: list[Any]) -> Spurt:
        it = cls(state[0], 0.0, 0.0, 0.0)
        _, it.score, it._lowest, it._pace, it._every, it._seen, it._peak, it._peak_at, times, levels, climb = state
        it._times, it._levels = array("f", times), array("d", levels)
        it.climb = Climb(*climb) if climb is not None else None
        return it
