"""The points of series of metrics, and what a series comes to at a moment."""

from __future__ import annotations

import math
from array import array
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import pairwise, repeat
from typing import Any, NamedTuple

from otel_monitor_processors.alerts.rule import STALENESS_S, Labels
from otel_monitor_processors.distribution import Distribution, greatest, quantile
from otel_monitor_processors.series_labels import series_labels

_MAX_POINTS = 1_000
_MAX_SERIES = 2_000
_STALE_INTERVALS = 3.0
_INTERVALS = 4
"""So many of the newest intervals say in which interval a series is exported."""
PointKey = tuple[str, str, str, Labels]
"""Metric, service, source, attributes."""
Counted = tuple[int, Distribution | None]
"""How many values a point of a histogram stands for, and how they are spread."""


class Point(NamedTuple):
    """One point. Of a histogram: the mean of `events` values, spread as `distribution` says."""

    at: float
    value: float
    events: int = 0
    distribution: Distribution | None = None


class PointSeries:
    """The last points of one series of a metric, the oldest first: those of `reach_s` seconds, at most 1,000."""

    __slots__ = ("_at", "_histogram", "_labels", "_reach_s", "_stale_s", "_values", "key")

    def __init__(self, key: PointKey, reach_s: float) -> None:
        self.key = key
        self._reach_s = reach_s
        self._at = array("d")
        self._values = array("d")
        self._histogram: list[Counted] | None = None
        """Of a histogram, what else is known of each point."""
        self._labels: Labels | None = None
        self._stale_s: float | None = None

    @property
    def labels(self) -> Labels:
        if self._labels is None:
            _, service, source, attributes = self.key
            self._labels = tuple(sorted([*series_labels(service, source), *attributes]))
        return self._labels

    @property
    def last_at(self) -> float:
        """When the newest point was taken."""
        return self._at[-1]

    def add(self, point: Point) -> bool:
        """Take in a newer point; whether an older one left that a window may still see."""
        times = self._at
        while len(times) > _INTERVALS and times[0] <= point.at - self._reach_s:
            self._leave(0)
        full = len(times) == _MAX_POINTS
        if full:
            self._leave(0)
        times.append(point.at)
        self._values.append(point.value)
        if self._histogram is not None or point.events:
            self._count(point)
        self._stale_s = None
        return full

    def _count(self, point: Point) -> None:
        if self._histogram is None:
            self._histogram = [(0, None)] * (len(self._at) - 1)
        self._histogram.append((point.events, point.distribution))

    def _leave(self, index: int) -> None:
        del self._at[index], self._values[index]
        if self._histogram is not None:
            del self._histogram[index]

    def pop(self) -> None:
        """Take the newest point back."""
        self._leave(-1)

    def points(self) -> Iterator[Point]:
        """Every point, the oldest first."""
        histogram = self._histogram or repeat((0, None))
        for at, value, (events, distribution) in zip(self._at, self._values, histogram, strict=False):
            yield Point(at, value, events, distribution)

    def newest_at(self, now: float) -> float | None:
        """When the newest point up to `now` was taken."""
        newest = self._newest(now)
        return self._at[newest] if newest >= 0 else None

    def _newest(self, now: float) -> int:
        """Where the newest point up to `now` is; -1 if there is none."""
        times = self._at
        index = len(times) - 1
        while index >= 0 and times[index] > now:
            index -= 1
        return index

    def last(self, staleness_s: float | None, now: float) -> float | None:
        """The last value, if it is not stale; NaN where that is what was exported.

        None: it is stale after three of the intervals in which the series is exported.
        """
        newest = self._newest(now) if self._at[-1] > now else len(self._at) - 1
        reach_s = self._stale_s if staleness_s is None else staleness_s
        if reach_s is None:
            reach_s = self.staleness_s()
        return self._values[newest] if newest >= 0 and self._at[newest] > now - reach_s else None

    def staleness_s(self) -> float:
        """Three times the middle one of the last intervals between points: an outage among them counts for little."""
        if self._stale_s is None:
            intervals = sorted(later - earlier for earlier, later in pairwise(self._at[-_INTERVALS - 1 :]))
            middle = intervals[(len(intervals) - 1) // 2] if intervals else None
            self._stale_s = STALENESS_S if middle is None else _STALE_INTERVALS * middle
        return self._stale_s

    def aggregated(self, aggregation: str, window_s: float, now: float) -> float | None:
        """The points of a window as one value; None when it is empty. NaN is no value."""
        if self._histogram is None:
            values = self._known(window_s, now)
            return _of_values(aggregation, values, window_s) if values else None
        recent = self._recent(window_s, now)
        return _aggregate(aggregation, recent, window_s) if recent else None

    def count(self, window_s: float, now: float) -> int:
        """How many values a window holds: those that a histogram has counted, else its points."""
        if self._histogram is None:
            return len(self._known(window_s, now))
        return sum(point.events or 1 for point in self._recent(window_s, now))

    def _known(self, window_s: float, now: float) -> list[float]:
        pairs = zip(self._at, self._values, strict=True)
        return [value for at, value in pairs if now - window_s < at <= now and not math.isnan(value)]

    def _recent(self, window_s: float, now: float) -> list[Point]:
        return [point for point in self.points() if now - window_s < point.at <= now and not math.isnan(point.value)]


def _aggregate(aggregation: str, points: list[Point], window_s: float) -> float:
    of_histogram = points[-1].events > 0
    if aggregation == "rate":
        return sum(point.events if of_histogram else point.value for point in points) / window_s
    if aggregation == "mean":
        return sum(point.value * (point.events or 1) for point in points) / sum(point.events or 1 for point in points)
    if of_histogram and aggregation != "last":
        spread = [point.distribution or _at_its_mean(point) for point in points]
        found = greatest(spread) if aggregation == "max" else quantile(spread, int(aggregation[1:]) / 100.0)
        return found if found is not None else points[-1].value
    return _of_values(aggregation, [point.value for point in points], window_s)


def _at_its_mean(point: Point) -> Distribution:
    """Of a histogram without buckets no more is known than this."""
    return Distribution((point.value,), (point.events, 0), point.value, point.value)


def _of_values(aggregation: str, values: list[float], window_s: float) -> float:
    if aggregation == "rate":
        return sum(values) / window_s
    if aggregation == "mean":
        return sum(values) / len(values)
    if aggregation == "last":
        return values[-1]
    if aggregation == "max":
        return max(values)
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(int(aggregation[1:]) / 100.0 * len(ordered)))]


Table = OrderedDict[PointKey, PointSeries]


class PointTable:
    """The series of the metrics in `reach_s`, each with the seconds that its rules look back.

    At most 2,000 series, the longest silent one leaves first.
    """

    def __init__(self, reach_s: Mapping[str, float]) -> None:
        self._reach_s = dict(reach_s)
        self._tables: dict[str, Table] = {metric: OrderedDict() for metric in reach_s}
        self.wanted = self._tables.keys()
        self._count = 0
        self.changes = 0
        """How many points were taken in: what was worked out before one more is out of date."""
        self.dropped = 0
        """How many series, and points that a window may still have seen, left for want of room."""
        self.late = 0
        """How many points were no newer than the last of their series: they are not used."""

    def take(self, key: PointKey, point: Point, *, replaces: bool = False) -> None:
        """Take in a point, if its metric is wanted; one of the time of the last one may replace that."""
        table = self._tables.get(key[0])
        if table is None:
            return
        series = table.get(key)
        if series is None:
            series = self._new(key, table)
        elif point.at <= series.last_at:
            if not (replaces and point.at == series.last_at):
                self.late += 1
                return
            series.pop()
        self.changes += 1
        self.dropped += series.add(point)
        table.move_to_end(key)

    def _new(self, key: PointKey, table: Table) -> PointSeries:
        if self._count >= _MAX_SERIES:
            silent = min(filter(None, self._tables.values()), key=_silent_since)
            silent.popitem(last=False)
            self._count -= 1
            self.dropped += 1
        series = table[key] = PointSeries(key, self._reach_s[key[0]])
        self._count += 1
        return series

    def of(self, metric: str) -> Collection[PointSeries]:
        """Every series of a metric."""
        return self._tables.get(metric, {}).values()

    def forget(self, before: float) -> None:
        """Let go of the series that have been silent since then."""
        for table in self._tables.values():
            while table and _silent_since(table) < before:
                table.popitem(last=False)
                self._count -= 1

    def __len__(self) -> int:
        return self._count

    def dump(self) -> list[Any]:
        return [
            [list(key[:3]), [list(pair) for pair in key[3]], [list(point) for point in series.points()]]
            for table in self._tables.values()
            for key, series in table.items()
        ]

    def load(self, state: Iterable[Any]) -> None:
        for (name, service, source), attributes, points in state:
            table = self._tables.get(name)
            if table is None:
                continue
            series = self._new((name, service, source, tuple((label, value) for label, value in attributes)), table)
            for at, value, events, raw in points:
                series.add(Point(at, value, events, _distribution(raw)))


def _silent_since(table: Table) -> float:
    """When the longest silent series of a table was heard of last."""
    return next(iter(table.values())).last_at


def _distribution(raw: Any) -> Distribution | None:
    return None if raw is None else Distribution(tuple(raw[0]), tuple(raw[1]), *raw[2:])
