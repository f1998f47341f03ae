"""Shares: how many of a source's events were hits lately, against that source's own past."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from typing import Any

from otel_monitor_processors.statistics import log10_binomial_tail

_BUCKETS = 12
MEMORY_S = 1800.0
_PRIOR_EVENTS = 60.0
_FLOOR = 0.005


class Share:
    """Hits among events over a sliding window, and a baseline of what has left the window.

    The baseline fades with a time constant of half an hour. While `frozen` nothing enters it, so that a running
    fault does not become the normal state.
    """

    __slots__ = ("_buckets", "_width_s", "frozen", "hits", "past_events", "past_hits", "total")

    def __init__(self, window_s: float) -> None:
        self._width_s = window_s / _BUCKETS
        self._buckets: deque[list[int]] = deque()
        self.total = 0
        self.hits = 0
        self.past_events = 0.0
        self.past_hits = 0.0
        self.frozen = False

    @property
    def window_s(self) -> float:
        return self._width_s * _BUCKETS

    def add(self, at: float, events: int, hits: int) -> None:
        """Count `events`, of which `hits` were such."""
        index = int(at // self._width_s)
        buckets = self._buckets
        if not buckets or index > buckets[-1][0]:
            buckets.append([index, 0, 0])
            self.roll(at)
        bucket = buckets[-1]
        bucket[1] += events
        bucket[2] += hits
        self.total += events
        self.hits += hits

    def roll(self, now: float) -> None:
        """Let go of what is older than the window."""
        oldest = int(now // self._width_s) - _BUCKETS
        buckets = self._buckets
        while buckets and buckets[0][0] <= oldest:
            _, events, hits = buckets.popleft()
            self.total -= events
            self.hits -= hits
            if not self.frozen:
                fade = math.exp(-self._width_s / MEMORY_S)
                self.past_events = self.past_events * fade + events
                self.past_hits = self.past_hits * fade + hits

    def expected(self, fleet: float) -> float:
        """The share that is normal for this source: its own past, drawn towards the fleet's where that is short."""
        return max(_FLOOR, (self.past_hits + _PRIOR_EVENTS * fleet) / (self.past_events + _PRIOR_EVENTS))

    def log10_p(self, fleet: float) -> float:
        """log10 of the probability of so many hits by chance, 0 where they are no more than expected."""
        return log10_binomial_tail(self.hits, self.total, self.expected(fleet))

    def hits_by_bucket(self) -> Iterator[tuple[float, float, int]]:
        """The hits of each bucket that has any, at its middle (given twice: as their first and last time)."""
        for index, _, hits in self._buckets:
            if hits:
                at = (index + 0.5) * self._width_s
                yield at, at, hits

    def since(self, at: float) -> tuple[int, int]:
        """Events and hits of the buckets that have begun at or after a time in the window."""
        first = math.ceil(at / self._width_s)
        recent = [bucket for bucket in self._buckets if bucket[0] >= first]
        return sum(bucket[1] for bucket in recent), sum(bucket[2] for bucket in recent)

    @property
    def share(self) -> float:
        return self.hits / self.total if self.total else 0.0

    def dump(self) -> list[Any]:
        return [list(map(list, self._buckets)), self._width_s, self.past_events, self.past_hits, self.frozen]

    @classmethod
    def load(cls, state: list[Any]) -> Share:
        buckets, width_s, past_events, past_hits, frozen = state
        share = cls(width_s * _BUCKETS)
        share._width_s = width_s
        share._buckets = deque(list(bucket) for bucket in buckets)
        share.total = sum(bucket[1] for bucket in buckets)
        share.hits = sum(bucket[2] for bucket in buckets)
        share.past_events, share.past_hits, share.frozen = past_events, past_hits, frozen
        return share
