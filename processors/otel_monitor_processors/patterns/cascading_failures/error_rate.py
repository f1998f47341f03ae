"""Error rates: how many errors a source has logged lately, against its own past."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from typing import Any

from otel_monitor_processors.statistics import log10_poisson_tail

_BUCKETS = 12
_MEMORY_S = 1800.0
_PRIOR_ERRORS = 0.5
_PRIOR_S = 300.0


class ErrorRate:
    """Errors over a sliding window, and the rate of those before it.

    Logs tell of what fails and not of what goes well, so that time stands in for the number of tries. The past
    fades with a time constant of half an hour; while `frozen` nothing enters it.
    """

    __slots__ = ("_buckets", "_past_s", "_past_until", "_width_s", "frozen", "hits", "past_hits")

    def __init__(self, window_s: float, since: float) -> None:
        self._width_s = window_s / _BUCKETS
        self._buckets: deque[list[float]] = deque()
        """Number of the bucket, errors in it, time of the first and of the last."""
        self._past_until = since
        self._past_s = 0.0
        self.past_hits = 0.0
        self.hits = 0
        self.frozen = False

    def add(self, at: float, errors: int) -> None:
        index = int(at // self._width_s)
        buckets = self._buckets
        if not buckets or index > buckets[-1][0]:
            buckets.append([index, 0, at, at])
            self.roll(at)
        bucket = buckets[-1]
        bucket[1] += errors
        bucket[3] = max(bucket[3], at)
        self.hits += errors

    def roll(self, now: float) -> None:
        """Let go of what is older than the window."""
        oldest = int(now // self._width_s) - _BUCKETS
        left = 0.0
        buckets = self._buckets
        while buckets and buckets[0][0] <= oldest:
            left += buckets.popleft()[1]
        self.hits -= int(left)
        until = (oldest + 1) * self._width_s
        if until > self._past_until:
            if not self.frozen:
                fade = math.exp(-(until - self._past_until) / _MEMORY_S)
                self.past_hits = self.past_hits * fade + left
                self._past_s = self._past_s * fade + (until - self._past_until)
            self._past_until = until

    @property
    def log10_p(self) -> float:
        """log10 of the probability of so many errors by chance."""
        expected = (self.past_hits + _PRIOR_ERRORS) / (self._past_s + _PRIOR_S) * self._width_s * _BUCKETS
        return log10_poisson_tail(self.hits, expected)

    def hits_by_bucket(self) -> Iterator[tuple[float, float, int]]:
        """When errors came first and last, and how many, bucket by bucket."""
        for _, hits, first, last in self._buckets:
            yield first, last, int(hits)

    def dump(self) -> list[Any]:
        return [
            list(map(list, self._buckets)),
            self._width_s,
            self._past_until,
            self._past_s,
            self.past_hits,
            self.frozen,
        ]

    @classmethod
    def load(cls, state: list[Any]) -> ErrorRate:
        buckets, width_s, past_until, past_s, past_hits, frozen = state
        rate = cls(width_s * _BUCKETS, past_until)
        rate._width_s = width_s
        rate._buckets = deque(list(bucket) for bucket in buckets)
        rate.hits = int(sum(bucket[1] for bucket in buckets))
        rate._past_s, rate.past_hits, rate.frozen = past_s, past_hits, frozen
        return rate
