"""How the values of a histogram are spread: counts between boundaries, and what they say of quantiles.

Quantiles are Prometheus' (`histogram_quantile`): linear within the bucket that holds them; of one that is open to
infinity only where it begins is known. A histogram's least and greatest value, where it tells them, bound its buckets.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from operator import sub
from typing import NamedTuple


class Distribution(NamedTuple):
    """`counts[i]` values lie above `bounds[i - 1]` and up to `bounds[i]`; all of them from `low` to `high`.

    There is one count more than there are bounds: the last is of what lies above all of them.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    low: float = -math.inf
    high: float = math.inf

    def buckets(self) -> Iterator[tuple[float, float, int]]:
        """What is not empty: above which value, up to which, how many."""
        edges = (self.low, *(min(max(bound, self.low), self.high) for bound in self.bounds), self.high)
        for index, count in enumerate(self.counts):
            if count:
                yield edges[index], edges[index + 1], count

    def less(self, earlier: Distribution | None) -> Distribution | None:
        """What a total has grown by since an earlier one; None where they do not fit together."""
        if earlier is None:
            return None
        if self.bounds == earlier.bounds:
            counts = tuple(map(sub, self.counts, earlier.counts))
            return Distribution(self.bounds, counts) if min(counts) >= 0 else None
        before = dict(_by_edges(earlier))
        now = dict(_by_edges(self))
        if any(count > now.get(edges, 0) for edges, count in before.items()):
            return None
        grown = sorted((edges, count - before.get(edges, 0)) for edges, count in now.items())
        return _joined((low, high, count) for (low, high), count in grown if count)


def explicit(bounds: Sequence[float], counts: Sequence[int], low: float, high: float) -> Distribution | None:
    """The distribution of a histogram with explicit boundaries; None where it tells none."""
    if len(counts) != len(bounds) + 1:
        return None
    return Distribution(tuple(bounds), tuple(counts), *_range(low, high))


def exponential(
    scale: int, zero_count: int, offset: int, counts: Sequence[int], low: float, high: float
) -> Distribution | None:
    """That of an exponential histogram's values from 0 on; those around 0 count as below its first bucket."""
    try:
        bounds = tuple(2.0 ** ((offset + index) * 2.0**-scale) for index in range(len(counts) + 1))
    except OverflowError:
        return None
    return Distribution(bounds, (zero_count, *counts, 0), *_range(low, high))


def quantile(distributions: Iterable[Distribution], share: float) -> float | None:
    """The value below which `share` of all values lie; None where there are none."""
    buckets = sorted(bucket for distribution in distributions for bucket in distribution.buckets())
    rank = share * sum(count for _, _, count in buckets)
    passed = 0
    for low, high, count in buckets:
        passed += count
        if passed >= rank:
            return _within(low, high, 1.0 - (passed - rank) / count)
    return None


def greatest(distributions: Iterable[Distribution]) -> float | None:
    """The greatest value, as far as it is known: the end of the last bucket, or where an open one begins."""
    return max((_within(*bucket[:2], 1.0) for one in distributions for bucket in one.buckets()), default=None)


def _within(low: float, high: float, share: float) -> float:
    if math.isinf(high):
        return low if math.isfinite(low) else 0.0
    low = min(0.0, high) if math.isinf(low) else low
    return low + (high - low) * share


def _range(low: float, high: float) -> tuple[float, float]:
    known = math.isfinite(low) and math.isfinite(high) and low <= high
    return (low, high) if known else (-math.inf, math.inf)


def _by_edges(distribution: Distribution) -> Iterator[tuple[tuple[float, float], int]]:
    edges = (-math.inf, *distribution.bounds, math.inf)
    for index, count in enumerate(distribution.counts):
        if count:
            yield (edges[index], edges[index + 1]), count


def _joined(buckets: Iterable[tuple[float, float, int]]) -> Distribution:
    """Buckets in the order of their values, put together again, with empty ones between them."""
    bounds: list[float] = []
    counts: list[int] = []
    for low, high, count in buckets:
        if not bounds or bounds[-1] < low:
            bounds.append(low)
            counts.append(0)
        bounds.append(high)
        counts.append(count)
    return Distribution(tuple(bounds), (*counts, 0))
