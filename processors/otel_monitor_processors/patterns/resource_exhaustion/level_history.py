"""The history of one level: its lows over the last twenty minutes or so, a cell at a time."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from typing import Any

CELL_S = 20.0
"""A cell is at least so long; with rarer readings, each is a cell of its own."""
MAX_CELLS = 64
_SLACK = 0.9
_WEIGHT = 0.2
_FLAT = 0.02
_FADE = 0.01


class LevelHistory:
    """The lowest level of each cell, and when it began; of a level that stays where it is only that.

    Lows, since a saw-tooth of a garbage collector that is faster than a cell leaves its floor, and what fills
    up for good lifts that floor. Times are kept as seconds after the first reading. Most levels never move:
    as long as all readings lie within two percent of the limit, their cells are counted and not kept.
    """

    __slots__ = (
        *("_began", "_count", "_lows", "_mean", "_open", "_steady", "_times"),
        *("first", "highest", "interval_s", "last_at", "lowest"),
    )

    def __init__(self) -> None:
        self._times: array[float] | None = None
        self._lows: array[float] | None = None
        self._steady = 0
        self._mean = 0.0
        self.first = 0.0
        self.last_at = -math.inf
        self.interval_s = 0.0
        self.lowest = 0.0
        self.highest = 0.0
        self._began = -math.inf
        self._open = 0.0
        self._count = 0

    def __len__(self) -> int:
        return self._steady if self._lows is None else len(self._lows)

    @property
    def is_flat(self) -> bool:
        """Whether nothing has moved in it."""
        return self._lows is None

    @property
    def low(self) -> float:
        """That of the last cell."""
        return self._lows[-1] if self._lows else self._mean

    @property
    def lows(self) -> Sequence[float]:
        return (self._mean,) * self._steady if self._lows is None else self._lows

    @property
    def times(self) -> Sequence[float]:
        if self._times is not None:
            return self._times
        step_s = (self._began - self.first) / max(1, self._steady)
        return [number * step_s for number in range(self._steady)]

    def add(self, at: float, level: float) -> bool:
        """Take in a reading, later than all before; whether it has closed a cell."""
        if not self._count:
            self.first = self._began = self.last_at = at
            self.lowest = self.highest = self._open = level
            self._count = 1
            return False
        gap_s = at - self.last_at
        self.interval_s += (_WEIGHT if self.interval_s else 1.0) * (self._gap(gap_s) - self.interval_s)
        closed = at - self._began >= _SLACK * CELL_S
        if closed:
            self._close()
            self._began = at
            self._open = level
            self._count = 1
        else:
            self._count += 1
            self._open = min(self._open, level)
        self.last_at = at
        self.lowest = min(self.lowest, level)
        self.highest = max(self.highest, level)
        return closed

    def _gap(self, gap_s: float) -> float:
        return min(gap_s, 4.0 * self.interval_s) if self.interval_s else gap_s

    def _close(self) -> None:
        low = self._open
        if self._lows is None or self._times is None:
            if self.highest - self.lowest <= _FLAT:
                self._steady += 1
                self._mean += (low - self._mean) * max(0.1, 1.0 / self._steady)
                return
            self._unfold()
        else:
            self.lowest += _FADE * (low - self.lowest)
            self.highest += _FADE * (low - self.highest)
        times, lows = self._times, self._lows
        if times is None or lows is None:
            return
        if len(lows) >= MAX_CELLS:
            del times[0], lows[0]
        times.append(self._began - self.first)
        lows.append(low)
        if len(lows) == MAX_CELLS and self.highest - self.lowest <= _FLAT:
            self._fold(lows)

    def _unfold(self) -> None:
        """It has begun to move: from now on its cells are kept, after those that were all alike."""
        skipped = max(0, self._steady - MAX_CELLS + 1)
        self._times = array("f", self.times[skipped:])
        self._lows = array("f", self.lows[skipped:])
        self._steady = 0

    def _fold(self, lows: array[float]) -> None:
        self.lowest, self.highest = min(lows), max(lows)
        self._mean = sum(lows) / len(lows)
        if self._times is not None:
            self.first += self._times[0]
        self._steady, self._times, self._lows = len(lows), None, None

    def forget(self, keep: int) -> None:
        """Let go of all but the last `keep` cells."""
        if self._lows is not None and self._times is not None:
            del self._times[: max(0, len(self) - keep)], self._lows[: max(0, len(self) - keep)]
            self.lowest, self.highest = min(self._lows, default=self.low), max(self._lows, default=self.low)

    def is_stale(self, now: float, intervals: float, at_least_s: float) -> bool:
        """Whether nothing has been read for so many of its usual intervals."""
        return now - self.last_at > max(at_least_s, intervals * self.interval_s)

    def dump(self) -> list[Any]:
        return [
            list(self._times) if self._times is not None else None,
            list(self._lows) if self._lows is not None else None,
            self._steady,
            self._mean,
            self.first,
            self.last_at if self._count else None,
            self.interval_s,
            self.lowest,
            self.highest,
            self._began if self._count else None,
            self._open,
            self._count,
        ]

    @classmethod
    def load(cls, state: list[Any]) -> LevelHistory:
        it = cls()
        times, lows, it._steady, it._mean, it.first, last_at, it.interval_s, *rest = state
        it.lowest, it.highest, began, it._open, it._count = rest
        it._times = array("f", times) if times is not None else None
        it._lows = array("f", lows) if lows is not None else None
        it.last_at = -math.inf if last_at is None else last_at
        it._began = -math.inf if began is None else began
        return it
