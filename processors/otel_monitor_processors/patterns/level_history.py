"""The history of one level: its lows over the last twenty minutes or so, a cell at a time."""

from __future__ import annotations

from array import array
from typing import Any

CELL_S = 20.0
"""A cell is at least so long; with rarer readings, each is a cell of its own."""
MAX_CELLS = 64
_SLACK = 0.9
_WEIGHT = 0.2


class LevelHistory:
    """The lowest level of each cell, or the mean (of a rate), and when the cell began.

    Lows, since a saw-tooth of a garbage collector that is faster than a cell leaves its floor, and what fills
    up for good lifts that floor. Times are kept as seconds after the first reading.
    """

    __slots__ = ("_began", "_count", "_mean", "_open", "first", "interval_s", "last", "last_at", "lows", "times")

    def __init__(self, *, mean: bool = False) -> None:
        self.times = array("f")
        self.lows = array("f")
        self.first = 0.0
        self.last_at = float("-inf")
        self.last = 0.0
        self.interval_s = 0.0
        self._mean = mean
        self._began = float("-inf")
        self._open = 0.0
        self._count = 0

    def __len__(self) -> int:
        return len(self.lows)

    def add(self, at: float, level: float) -> bool:
        """Take in a reading; whether it has closed a cell. One no later than the last is passed over."""
        gap_s = at - self.last_at
        if gap_s <= 0.0:
            return False
        if not self._count:
            self.first = self._began = at
        elif not self.interval_s:
            self.interval_s = gap_s
        else:
            self.interval_s += _WEIGHT * (min(gap_s, 4.0 * self.interval_s) - self.interval_s)
        closed = self._count > 0 and at - self._began >= _SLACK * CELL_S
        if closed:
            self._close()
            self._began = at
        if not self._count:
            self._open = level
        elif self._mean:
            self._open += level
        elif level < self._open:
            self._open = level
        self._count += 1
        self.last_at, self.last = at, level
        return closed

    def _close(self) -> None:
        if len(self.lows) >= MAX_CELLS:
            del self.times[0], self.lows[0]
        self.times.append(self._began - self.first)
        self.lows.append(self._open / self._count if self._mean else self._open)
        self._count = 0

    def mean_between(self, since_s: float, until_s: float) -> float | None:
        """The mean of the cells that began between two times, as seconds of its own; None without any."""
        found = [low for at, low in zip(self.times, self.lows, strict=True) if since_s <= at < until_s]
        return sum(found) / len(found) if found else None

    def forget(self, keep: int) -> None:
        """Let go of all but the last `keep` cells."""
        del self.times[: max(0, len(self.times) - keep)], self.lows[: max(0, len(self.lows) - keep)]

    def is_stale(self, now: float, intervals: float, at_least_s: float) -> bool:
        """Whether nothing has been read for so many of its usual intervals."""
        return now - self.last_at > max(at_least_s, intervals * self.interval_s)

    def dump(self) -> list[Any]:
        return [
            self._mean,
            list(self.times),
            list(self.lows),
            self.first,
            self.last_at if self._count else None,
            self.last,
            self.interval_s,
            self._began if self._count else None,
            self._open,
            self._count,
        ]

    @classmethod
    def load(cls, state: list[Any]) -> LevelHistory:
        mean, times, lows, first, last_at, last, interval_s, began, value, count = state
        history = cls(mean=mean)
        history.times, history.lows = array("f", times), array("f", lows)
        history.first, history.last, history.interval_s = first, last, interval_s
        history.last_at = float("-inf") if last_at is None else last_at
        history._began = float("-inf") if began is None else began
        history._open, history._count = value, count
        return history
