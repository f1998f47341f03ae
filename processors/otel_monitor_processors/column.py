"""Columns: the values of all series of a metric at one moment, in order, so that many rules find what violates them."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

from otel_monitor_processors.alerts.rule import Comparison, Labels

S = TypeVar("S")


class Column(Generic[S]):
    """Series with their values, those without data apart; the lowest violating one first.

    A value may also be a bound that the true one does not pass: then what it finds are candidates.
    """

    __slots__ = ("_by_labels", "_is_sorted", "_labels_of", "_series", "_values", "empty")

    def __init__(self, pairs: Iterable[tuple[S, float | None]], labels_of: Callable[[S], Labels]) -> None:
        self._series: list[S] = []
        self._values: list[float] = []
        self.empty: list[S] = []
        for series, value in pairs:
            if value is None or math.isnan(value):
                self.empty.append(series)
            else:
                self._series.append(series)
                self._values.append(value)
        self._is_sorted = False
        self._labels_of = labels_of
        self._by_labels: dict[Labels, tuple[S, float | None]] | None = None

    def violating(self, comparison: Comparison, threshold: float) -> Iterator[tuple[S, float]]:
        """The series whose value is to `threshold` as `comparison` says."""
        farthest = _FARTHEST.get(comparison)
        if not self._values or (farthest is not None and not comparison.holds(farthest(self._values), threshold)):
            return
        if not self._is_sorted:
            self._sort()
        first, last = bisect_left(self._values, threshold), bisect_right(self._values, threshold)
        low, high = _RANGES[comparison](first, last, len(self._values))
        yield from zip(self._series[low:high], self._values[low:high], strict=True)
        if comparison is Comparison.UNEQUAL:
            yield from zip(self._series[last:], self._values[last:], strict=True)

    def _sort(self) -> None:
        order = sorted(range(len(self._values)), key=self._values.__getitem__)
        self._series = [self._series[index] for index in order]
        self._values = [self._values[index] for index in order]
        self._is_sorted = True

    def of(self, labels: Labels) -> tuple[S, float | None] | None:
        """The series of these labels with its value; None when there is no such series."""
        if self._by_labels is None:
            valued = zip(self._series, self._values, strict=True)
            self._by_labels = {self._labels_of(series): (series, value) for series, value in valued}
            self._by_labels |= {self._labels_of(series): (series, None) for series in self.empty}
        return self._by_labels.get(labels)


_FARTHEST: dict[Comparison, Callable[[list[float]], float]] = {
    Comparison.ABOVE: max,
    Comparison.AT_LEAST: max,
    Comparison.BELOW: min,
    Comparison.AT_MOST: min,
}
"""The value that violates if any does: mostly none does, and then nothing is put in order."""
_RANGES: dict[Comparison, Callable[[int, int, int], tuple[int, int]]] = {
    Comparison.ABOVE: lambda _first, last, length: (last, length),
    Comparison.AT_LEAST: lambda first, _last, length: (first, length),
    Comparison.BELOW: lambda first, _last, _length: (0, first),
    Comparison.AT_MOST: lambda _first, last, _length: (0, last),
    Comparison.EQUAL: lambda first, last, _length: (first, last),
    Comparison.UNEQUAL: lambda first, _last, _length: (0, first),
}
"""Where the values lie that violate: `first` and `last` enclose those equal to the threshold."""
