"""Signs of life of one source, second by second."""

from __future__ import annotations

from typing import Any

_KEPT_S = 64


class Activity:
    """In which of the last 64 seconds a source has ended an operation well, as bits of one number."""

    __slots__ = ("_bits", "_second")

    def __init__(self) -> None:
        self._second = 0
        self._bits = 0

    def alive(self, at: float) -> None:
        second = int(at)
        shift = second - self._second
        if shift > 0:
            self._bits = (self._bits << shift | 1) & (1 << _KEPT_S) - 1 if shift < _KEPT_S else 1
            self._second = second
        elif shift > -_KEPT_S:
            self._bits |= 1 << -shift

    def seconds_alive(self, start: float, end: float) -> int:
        """In how many of the seconds from `start` on, before `end`, there was a sign of life."""
        return sum(1 for second in range(int(start) + 1, int(end) + 1) if self._has(second))

    def _has(self, second: int) -> bool:
        age = self._second - second
        return 0 <= age < _KEPT_S and bool(self._bits >> age & 1)

    def dump(self) -> list[int]:
        return [self._second, self._bits]

    @classmethod
    def load(cls, state: list[Any]) -> Activity:
        activity = cls()
        activity._second, activity._bits = state
        return activity
