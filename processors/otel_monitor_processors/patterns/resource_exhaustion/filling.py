"""Filling: one level's history, and the climb that it is in, for as long as that lasts."""

from __future__ import annotations

from typing import Any, NamedTuple

from otel_monitor_processors.patterns.resource_exhaustion.climb import Busier, Climb, find_climb
from otel_monitor_processors.patterns.resource_exhaustion.level_history import LevelHistory
from otel_monitor_processors.patterns.resource_exhaustion.load_history import BusierBy, LoadHistory
from otel_monitor_processors.patterns.resource_exhaustion.precedent import Precedent
from otel_monitor_processors.patterns.resource_exhaustion.spurt import LEAVES, Spurt

HORIZON_S = 700.0
"""How far ahead a forecast counts."""
HOLD_AT = 0.19
"""Score from which a climb is held on to: what comes later is measured from where it began."""
HOLD_CACHE_AT = 0.5
"""Likewise where caches and collectors are at work."""
HOLD_POOL_AT = 0.3
HOLD_SPURT_AT = 0.45

_LEAST_RISE = 0.05
_MIN_CELLS = 12
_MIN_READINGS_S = 6.0
_MIN_READINGS = 6.0
_KEPT = 0.5
_FULL = 0.95
_NEW_HIGH = 0.1
_PATIENCE_S = 300.0
_PATIENCE = 4.0
_LONGEST_S = 3_600.0
_CELLS_AFTER = 4
_HELD = 0.8
"""What a climb that goes on is worth, seen from where it began and without regard to its shape."""
_EVERY_HELD_S = 60.0
_KNOWN = 0.5
_LEAST_WAIT_S = 170.0
_UNSURE = 0.15
_NEAR = 0.15


class Manner(NamedTuple):
    """How what fills up is to be read: the score from which a climb is held on to, and what moments say."""

    hold_at: float = HOLD_AT
    hurries: bool = True


STORE = Manner()
CACHE = Manner(hold_at=HOLD_CACHE_AT)
"""Where caches and collectors are at work."""
POOL = Manner(hold_at=HOLD_POOL_AT, hurries=False)
"""Whatever makes operations slow fills it within moments: each holds a part of it while it waits."""
MANNERS = (STORE, CACHE, POOL)


class _Held:
    """A climb beyond doubt: since when, its highest low, and when that was reached.

    `amid` a cell: the low of this one is of before.
    """

    __slots__ = ("amid", "at", "high", "high_at", "next_at")

    def __init__(self, at: float, high: float, *, amid: bool = False) -> None:
        self.at = self.high_at = self.next_at = at
        self.high = high
        self.amid = amid


class Filling:
    """A level that fills up, or does not.

    A climb from which this level has come back before counts half. Once it is beyond doubt it is held: until the
    level has given back half of it, stands still, or has been there for an hour and is the normal state.
    """

    __slots__ = ("_climb", "_held", "_manner", "_precedent", "_score", "_spurt", "history")

    def __init__(self, manner: Manner = STORE) -> None:
        self._manner = manner
        self.history = LevelHistory()
        self._climb: Climb | None = None
        self._score = 0.0
        self._held: _Held | None = None
        self._precedent: Precedent | None = None
        self._spurt: Spurt | None = None

    @property
    def climb(self) -> Climb | None:
        """The likelier of the slow climb and the fast one."""
        spurt = self._spurt
        return (
            spurt.climb if spurt is not None and spurt.climb is not None and spurt.score > self._score else self._climb
        )

    @property
    def score(self) -> float:
        """The share of the room that the climb has used up, less what makes it doubtful."""
        slow = self._score if self._climb is not None else 0.0
        return max(slow, self._spurt.score) if self._spurt is not None else slow

    def add(self, at: float, level: float, load: LoadHistory | None) -> None:
        """Take in a reading; what it says at once, and once a cell what the history says."""
        history = self.history
        before_at, highest = history.last_at, history.highest
        if at <= before_at:
            return
        closed = history.add(at, level)
        if self._spurt is not None or (self._manner.hurries and level > highest + LEAVES):
            self._hurry(at, level, before_at, highest, load)
        if closed:
            self._look(at, load)

    def _hurry(self, at: float, level: float, before_at: float, highest: float, load: LoadHistory | None) -> None:
        history = self.history
        if self._spurt is None:
            known_s = before_at - history.first
            if known_s < _MIN_READINGS_S or known_s < _MIN_READINGS * history.interval_s:
                return
            self._spurt = Spurt(before_at, highest, history.lowest, (highest - history.lowest) / known_s)
        spurt = self._spurt
        if not spurt.add(at, level, history.interval_s, _busier(load)):
            self._spurt = None
        elif spurt.climb is not None and spurt.score >= HOLD_SPURT_AT and self._held is None:
            self._climb, self._score = spurt.climb, spurt.score
            self._held = _Held(at, level, amid=True)

    def _look(self, at: float, load: LoadHistory | None) -> None:
        history = self.history
        if self._precedent is not None:
            self._precedent.add(history.low)
        elif not history.is_flat:
            self._precedent = Precedent(history.low)
        held = self._held
        if held is None:
            if len(history) < _MIN_CELLS:
                return
            fresh = self._find(load)
            self._climb, self._score = fresh, self._worth(fresh) if fresh is not None else 0.0
            if self._score >= self._manner.hold_at:
                self._held = _Held(at, history.low)
            return
        if held.amid:
            held.amid = False
            return
        fresh = None
        if at >= held.next_at and len(history) >= _MIN_CELLS:
            held.next_at = at + _EVERY_HELD_S
            fresh = self._find(load)
        self._hold(held, at, fresh)

    def _find(self, load: LoadHistory | None) -> Climb | None:
        history = self.history
        if history.is_flat or history.low - min(history.lows) < _LEAST_RISE:
            return None
        return find_climb(history.times, history.lows, _busier(load, history.first), HORIZON_S)

    def _worth(self, climb: Climb) -> float:
        score = climb.score(HORIZON_S)
        if not self._manner.hurries and self._rises_s(climb) < _LEAST_WAIT_S:
            score = min(score, _UNSURE)
        known = self._precedent is not None and self._precedent.knows(climb.level)
        return _KNOWN * score if known else score

    def _rises_s(self, climb: Climb) -> float:
        """How long ago the level was near where the climb began, at last."""
        times, lows = self.history.times, self.history.lows
        near = climb.base + _NEAR * (climb.level - climb.base)
        return times[-1] - max((at for at, low in zip(times, lows, strict=True) if low <= near), default=times[0])

    def _hold(self, held: _Held, at: float, fresh: Climb | None) -> None:
        climb, low = self._climb, self.history.low
        if climb is None:
            return
        rise = climb.share * (1.0 - climb.base)
        if low >= held.high + _NEW_HIGH * rise:
            held.high, held.high_at = low, at
        patience_s = max(_PATIENCE_S, _PATIENCE * _NEW_HIGH * rise / max(climb.slope, 1e-9))
        gone = low < climb.lowest + _KEPT * rise
        stands = low < _FULL and at - held.high_at > min(patience_s, 3.0 * _PATIENCE_S)
        if gone or stands or at - held.at > _LONGEST_S:
            self._climb = self._held = self._spurt = None
            self._score = 0.0
            self.history.forget(_CELLS_AFTER)
            return
        share = max(climb.share, min(1.0, (low - climb.base) / max(0.05, 1.0 - climb.base)))
        if fresh is not None and self._worth(fresh) > self._score:
            self._score = self._worth(fresh)
        self._score = max(self._score, share if low >= _FULL else _HELD * share)
        self._climb = climb._replace(level=low, share=share)

    def dump(self) -> list[Any]:
        held = self._held
        return [
            MANNERS.index(self._manner),
            self.history.dump(),
            list(self._climb) if self._climb is not None else None,
            self._score,
            [held.at, held.high, held.high_at, held.next_at, held.amid] if held is not None else None,
            self._precedent.dump() if self._precedent is not None else None,
            self._spurt.dump() if self._spurt is not None else None,
        ]

    @classmethod
    def load(cls, state: list[Any]) -> Filling:
        manner, history, climb, score, held, precedent, spurt = state
        it = cls(MANNERS[manner])
        it._score = score
        it.history = LevelHistory.load(history)
        it._climb = Climb(*climb) if climb is not None else None
        if held is not None:
            it._held = _Held(0.0, 0.0)
            it._held.at, it._held.high, it._held.high_at, it._held.next_at, it._held.amid = held
        it._precedent = Precedent.load(precedent) if precedent is not None else None
        it._spurt = Spurt.load(spurt) if spurt is not None else None
        return it


_NOT_BUSIER = Busier()


def _busier(load: LoadHistory | None, offset_s: float = 0.0) -> Busier:
    return BusierBy(load, offset_s) if load is not None else _NOT_BUSIER
