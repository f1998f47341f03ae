"""Filling: one level's history, and the climb that it is in, for as long as that lasts."""

from __future__ import annotations

from typing import Any

from otel_monitor_processors.patterns.climb import Busier, Climb, find_climb
from otel_monitor_processors.patterns.level_history import LevelHistory

HORIZON_S = 700.0
"""How far ahead a forecast counts."""
HOLD_AT = 0.25
"""Score from which a climb is held on to: what comes later is measured from where it began."""

_LEAST_RISE = 0.05
_MIN_CELLS = 12
_KEPT = 0.5
_FULL = 0.95
_NEW_HIGH = 0.1
_PATIENCE_S = 300.0
_PATIENCE = 4.0
_LONGEST_S = 3_600.0
_CELLS_AFTER = 4
_HELD = 0.8
"""What a climb that goes on is worth, seen from where it began and without regard to its shape."""
_EVERY_S = 15.0
_EVERY_HELD_S = 60.0
_DROP = 0.3
_LEAST_DROP = 0.02
_PRECEDENT_FADE = 0.999
_KNOWN = 0.5


class Filling:
    """A level that fills up, or does not.

    A climb from which this level has come back before counts half. Once it is beyond doubt it is held: until the
    level has given back half of it, stands still, or has been there for an hour and is the normal state.
    """

    __slots__ = ("_bottom", "_held_at", "_high", "_high_at", "_next_at", "_peak", "_score", "_top", "climb", "history")

    def __init__(self) -> None:
        self.history = LevelHistory()
        self.climb: Climb | None = None
        self._score = 0.0
        self._held_at: float | None = None
        self._high = 0.0
        self._high_at = 0.0
        self._next_at = 0.0
        self._top = 0.0
        self._peak = 0.0
        self._bottom = 2.0

    @property
    def score(self) -> float:
        """The share of the room that the climb has used up, less what makes it doubtful."""
        return self._score if self.climb is not None else 0.0

    def add(self, at: float, level: float, busier: Busier) -> None:
        """Take in a reading; once a cell, what the history says now."""
        history = self.history
        if not history.add(at, level):
            return
        low = history.lows[-1]
        self._precedent(low)
        due = at >= self._next_at and len(history) >= _MIN_CELLS
        if due:
            self._next_at = at + (_EVERY_S if self._held_at is None else _EVERY_HELD_S)
        fresh = self._find(busier) if due else None
        if self._held_at is not None:
            self._hold(at, low, fresh)
        elif not due:
            return
        elif fresh is not None:
            self.climb, self._score = fresh, self._worth(fresh)
            if self._score >= HOLD_AT:
                self._held_at = self._high_at = at
                self._high = low
        else:
            self.climb = None

    def _find(self, busier: Busier) -> Climb | None:
        history = self.history
        low = history.lows[-1]
        if low - min(history.lows) < _LEAST_RISE:
            return None
        return find_climb(history.times, history.lows, busier, HORIZON_S)

    def _worth(self, climb: Climb) -> float:
        score = climb.score(HORIZON_S)
        return score if climb.level > self._top + _LEAST_DROP else _KNOWN * score

    def _precedent(self, low: float) -> None:
        """The highest level that it has come down from; a saw-tooth's top, most often."""
        self._top *= _PRECEDENT_FADE
        self._peak = max(self._peak, low)
        self._bottom = min(self._bottom, low)
        if self._peak - low > max(_LEAST_DROP, _DROP * (self._peak - self._bottom)):
            self._top = max(self._top, self._peak)
            self._peak = self._bottom = low

    def _hold(self, at: float, low: float, fresh: Climb | None) -> None:
        climb, held_at = self.climb, self._held_at
        if climb is None or held_at is None:
            return
        rise = climb.share * (1.0 - climb.base)
        if low >= self._high + _NEW_HIGH * rise:
            self._high, self._high_at = low, at
        patience_s = max(_PATIENCE_S, _PATIENCE * _NEW_HIGH * rise / max(climb.slope, 1e-9))
        gone = low < climb.lowest + _KEPT * rise
        stands = low < _FULL and at - self._high_at > min(patience_s, 3.0 * _PATIENCE_S)
        if gone or stands or at - held_at > _LONGEST_S:
            self.climb, self._held_at = None, None
            self.history.forget(_CELLS_AFTER)
            return
        share = max(climb.share, min(1.0, (low - climb.base) / max(0.05, 1.0 - climb.base)))
        if fresh is not None and self._worth(fresh) > self._score:
            self._score = self._worth(fresh)
        self._score = max(self._score, share if low >= _FULL else _HELD * share)
        self.climb = climb._replace(level=low, share=share)

    def dump(self) -> list[Any]:
        return [
            self.history.dump(),
            list(self.climb) if self.climb is not None else None,
            *(
                self._score,
                self._held_at,
                self._high,
                self._high_at,
                self._next_at,
                self._top,
                self._peak,
                self._bottom,
            ),
        ]

    @classmethod
    def load(cls, state: list[Any]) -> Filling:
        it = cls()
        history, climb, *rest = state
        it.history = LevelHistory.load(history)
        it.climb = Climb(*climb) if climb is not None else None
        it._score, it._held_at, it._high, it._high_at, it._next_at, it._top, it._peak, it._bottom = rest
        return it
