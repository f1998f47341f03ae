"""Tails: durations that leap far beyond a source's slow end, while others stay as quick as ever."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from otel_monitor_processors.statistics import LogSketch

_QUANTILE = 0.95
_LEAP = 8.0
"""So many times the p95 is no matter of a slow disk: these multiply durations by less, and all of them."""
_QUICK = 2.0
_SHORTEST_S = 0.25
"""A shorter wait hurts nobody."""
_MIN_PAST = 20
_MAX_PAST = 4_000
_REFRESH = 200
_ENOUGH = 1_000
_SAMPLED = 8
"""Of a past that is well known one duration in so many is enough to keep it up to date."""


class Split(NamedTuple):
    """Durations by their length: `leapt` beyond all that was usual, `slower` than usual, `quick` as ever."""

    leapt: int
    slower: int
    quick: int


class Tail:
    """Splits durations by the slow end, the p95, of their past."""

    __slots__ = ("_past", "_quick_s", "_since", "leap_s")

    def __init__(self) -> None:
        self._past = LogSketch()
        self._since = 0
        self._quick_s = float("inf")
        self.leap_s = float("inf")

    def split(self, durations: Sequence[float], *, learn: bool) -> Split:
        """How many are of which length; with `learn` they become part of the past."""
        leap_s, quick_s = self.leap_s, self._quick_s
        leapt, quick = 0, len(durations)
        if quick and max(durations) > quick_s:
            quick = sum([duration_s <= quick_s for duration_s in durations])
            leapt = sum([duration_s > leap_s for duration_s in durations])
        if learn:
            self._learn(durations if self._past.count < _ENOUGH else durations[::_SAMPLED])
        return Split(leapt, len(durations) - leapt - quick, quick)

    def _learn(self, durations: Sequence[float]) -> None:
        past = self._past
        for duration_s in durations:
            past.append(duration_s)
        self._since += len(durations)
        if self._since >= _REFRESH or (self.leap_s == float("inf") and past.count >= _MIN_PAST):
            self._since = 0
            slow_s = past.quantile(_QUANTILE)
            self._quick_s = _QUICK * slow_s
            self.leap_s = max(_SHORTEST_S, _LEAP * slow_s)
            if past.count > _MAX_PAST:
                past.halve()

    def dump(self) -> list[Any]:
        known = self.leap_s != float("inf")
        return [
            self._past.dump(),
            self._quick_s if known else None,
            self.leap_s if known else None,
            self._since,
        ]

    @classmethod
    def load(cls, state: list[Any]) -> Tail:
        past, quick_s, leap_s, since = state
        tail = cls()
        tail._past = LogSketch.load(past)
        if leap_s is not None:
            tail._quick_s, tail.leap_s = quick_s, leap_s
        tail._since = since
        return tail
