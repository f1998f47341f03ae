"""Silences: how long the heartbeats of a fleet stay away when nothing is wrong."""

from __future__ import annotations

import math
from typing import Any

_BASE_LN = math.log(2.0) / 4.0
_LONG = 1.5
"""Gaps up to so many usual ones are only counted."""
_MEMORY = 50_000
_FEW = 3
_MORE = 12
_THINNED = 0.3
_STEEPEST = 0.35
"""Mean excess, in usual gaps, below which no tail is believed to be."""
_PRIOR_GAPS = 8
_PRIOR_EXCESS = 0.4
"""What a tail is taken to be before it was seen: where records get lost, they mostly do so one by one."""
_MOST_LONG = 0.4
_DECADES_PER_GAP = 3.5
"""Without a past, each heartbeat that is missing makes a silence 3,000 times less probable."""
_PAUSE_S = 2.6
"""A pause that any process makes now and then."""
_LN10 = math.log(10.0)


class Silences:
    """The tail of all workers' gaps, each in units of what is usual for its worker.

    Telemetry that gets lost or comes too late, sampled heartbeats, collections of garbage: whatever makes gaps long
    in this fleet is in that tail. Beyond what was seen it is continued as an exponential one.
    """

    __slots__ = ("_buckets", "count")

    def __init__(self) -> None:
        self.count = 0
        self._buckets: dict[int, int] = {}

    def add(self, gap_s: float, usual_s: float) -> None:
        """A gap has ended of a worker that usually takes `usual_s`; 0 where that is not known yet."""
        if usual_s <= 0.0:
            return
        self.count += 1
        if gap_s > _LONG * usual_s:
            index = int(math.log(gap_s / usual_s) / _BASE_LN)
            self._buckets[index] = self._buckets.get(index, 0) + 1
        if self.count > _MEMORY:
            self.count //= 2
            self._buckets = {index: count // 2 for index, count in self._buckets.items() if count > 1}

    def log10_p(self, silence_s: float, usual_s: float, missing: float) -> float:
        """log10 of the probability that a gap is at least as long as this silence.

        `missing` is the share of heartbeats that lately were not seen in the whole fleet.
        """
        if usual_s <= 0.0:
            return 0.0
        ratio = silence_s / usual_s
        without_past = -_DECADES_PER_GAP * max(0.0, (silence_s - _PAUSE_S) / usual_s - 1.0)
        thinned = (ratio - 1.0) * math.log10(missing) if missing > _THINNED else -math.inf
        return min(0.0, max(without_past, thinned, self._seen(ratio)))

    def _seen(self, ratio: float) -> float:
        """The tail as it was seen, beyond the third longest gap as a dozen of the longest let expect it to go on.

        Their excesses over the shortest of them are taken to be exponential. As only so few are known, what to expect
        of another one is a Pareto distribution: the posterior predictive of an exponential one under a gamma prior.
        """
        if ratio <= _LONG:
            return 0.0
        if not self._buckets:
            return -math.inf
        few, few_at, _ = self._longest(_FEW)
        if few >= _FEW and ratio <= few_at:
            exceeding = sum(count for index, count in self._buckets.items() if math.exp((index + 1) * _BASE_LN) > ratio)
            return math.log10((exceeding + 0.5) / (self.count + 1.0))
        longest, since, excess = self._longest(_MORE)
        weight = longest + _PRIOR_GAPS
        scale = max(excess + _PRIOR_GAPS * self._prior_excess(), weight * _STEEPEST)
        share = math.log10((longest + 0.5) / (self.count + 1.0))
        return share - weight * math.log10(1.0 + (ratio - since) / scale)

    def _prior_excess(self) -> float:
        """By how many usual gaps a long gap should exceed the shortest of them, on average.

        The share of long gaps tells how regular heartbeats are at all: of those that come at random, as where one in
        a hundred is sampled, a third is long, and these are an exponential distribution's with half of all gaps
        shorter than the usual one.
        """
        share = min(_MOST_LONG, (sum(self._buckets.values()) + 0.5) / (self.count + 1.0))
        return max(_PRIOR_EXCESS, (_LONG - 1.0) / math.log(0.5 / share))

    def _longest(self, wanted: int) -> tuple[int, float, float]:
        """About so many of the longest gaps: their number, the shortest of them, by how much all exceed it in sum."""
        longest, since, excess = 0, _LONG, 0.0
        for index in sorted(self._buckets, reverse=True):
            lower, upper = max(_LONG, math.exp(index * _BASE_LN)), math.exp((index + 1) * _BASE_LN)
            count = self._buckets[index]
            excess += longest * (since - lower) + count * (upper - lower)
            longest, since = longest + count, lower
            if longest >= wanted:
                break
        return longest, since, excess

    def dump(self) -> list[Any]:
        return [self.count, sorted(self._buckets.items())]

    @classmethod
    def load(cls, state: list[Any]) -> Silences:
        silences = cls()
        silences.count = state[0]
        silences._buckets = dict(state[1])
        return silences
