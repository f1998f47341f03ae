"""Precedents: how high a level has been already, and come down from."""

from __future__ import annotations

from typing import Any

_DROP = 0.3
_LEAST_DROP = 0.02
_FADE = 0.999


class Precedent:
    """The highest level that it has come down from, forgotten slowly; a saw-tooth's top, most often."""

    __slots__ = ("_bottom", "_peak", "_top")

    def __init__(self, low: float) -> None:
        self._top = 0.0
        self._peak = self._bottom = low

    def add(self, low: float) -> None:
        """Take in the low of a further cell."""
        self._top *= _FADE
        self._peak = max(self._peak, low)
        self._bottom = min(self._bottom, low)
        if self._peak - low > max(_LEAST_DROP, _DROP * (self._peak - self._bottom)):
            self._top = max(self._top, self._peak)
            self._peak = self._bottom = low

    def knows(self, level: float) -> bool:
        """Whether it has been there before."""
        return level <= self._top + _LEAST_DROP

    def dump(self) -> list[Any]:
        return [self._top, self._peak, self._bottom]

    @classmethod
    def load(cls, state: list[Any]) -> Precedent:
        it = cls(0.0)
        it._top, it._peak, it._bottom = state
        return it
