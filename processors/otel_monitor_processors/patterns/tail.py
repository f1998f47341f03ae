"""Tails: the share of durations beyond what used to be a source's slow end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from otel_monitor_processors.patterns.share import Share
from otel_monitor_processors.statistics import LogSketch, log10_binomial_tail

_QUANTILE = 0.95
_FACTOR = 2.0
_EXPECTED = 0.02
_MIN_PAST = 50
_MAX_PAST = 20_000
_REFRESH = 200


class Tail:
    """Counts durations above twice the p95 of the past, of which 2 % at most are expected."""

    __slots__ = ("_limit_s", "_past", "_since", "_slow")

    def __init__(self, window_s: float) -> None:
        self._slow = Share(window_s)
        self._past = LogSketch()
        self._limit_s = float("inf")
        self._since = 0

    @property
    def frozen(self) -> bool:
        """Whether the past is kept as it is, because what happens now is no normal state."""
        return self._slow.frozen

    @frozen.setter
    def frozen(self, value: bool) -> None:
        self._slow.frozen = value

    def add(self, at: float, durations: Sequence[float]) -> None:
        limit_s = self._limit_s
        self._slow.add(at, len(durations), sum([duration_s > limit_s for duration_s in durations]))
        if self._slow.frozen:
            return
        past = self._past
        for duration_s in durations:
            past.add(duration_s)
        self._since += len(durations)
        if self._since >= _REFRESH or (limit_s == float("inf") and past.count >= _MIN_PAST):
            self._refresh()

    def _refresh(self) -> None:
        self._since = 0
        self._limit_s = _FACTOR * self._past.quantile(_QUANTILE)
        if self._past.count > _MAX_PAST:
            self._past.halve()

    def roll(self, now: float) -> None:
        self._slow.roll(now)

    def log10_p(self) -> float:
        """log10 of the probability of so many slow ones by chance."""
        return log10_binomial_tail(self._slow.hits, self._slow.total, _EXPECTED)

    def dump(self) -> list[Any]:
        limit = self._limit_s if self._limit_s != float("inf") else None
        return [self._slow.dump(), sorted(self._past.buckets.items()), limit, self._since]

    @classmethod
    def load(cls, state: list[Any]) -> Tail:
        slow, past, limit, since = state
        tail = cls(60.0)
        tail._slow = Share.load(slow)
        tail._past.buckets = {int(index): int(count) for index, count in past}
        tail._past.count = sum(tail._past.buckets.values())
        tail._limit_s = float("inf") if limit is None else limit
        tail._since = since
        return tail
