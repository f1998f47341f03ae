"""The points of series of metrics, and what a series comes to at a moment."""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Collection, Iterable, Mapping
from itertools import islice, pairwise
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


class Point(NamedTuple):
    """One point. Of a histogram: the mean of `events` values, spread as `distribution` says."""

    at: float
    value: float
    events: int = 0
    distribution: Distribution | None = None


class PointSeries:
    """The last points of one series of a metric, the oldest first: those of `reach_s` seconds, at most 1,000."""

    __slots__ = ("_reach_s", "key", "labels", "points")

    def __init__(self, key: PointKey, reach_s: float) -> None:
        _, service, source, attributes = key
        self.key = key
        self.labels: Labels = tuple(sorted([*series_labels(service, source), *attributes]))
        self.points: deque[Point] = deque(maxlen=_MAX_POINTS)
        self._reach_s = reach_s

    def add(self, point: Point) -> bool:
        """Take in a newer point; whether an older one left that a window may still see."""
        points = self.points
        while len(points) > _INTERVALS and points[0].at <= point.at - self._reach_s:
            points.popleft()
        full = len(points) == _MAX_POINTS
        points.append(point)
        return full

    def newest_at(self, now: float) -> float | None:
        """When the newest point up to `now` was taken."""
        return next((point.at for point in reversed(self.points) if point.at <= now), None)

    def last(self, staleness_s: float | None, now: float) -> float | None:
        """The last value, if it is not stale; NaN where that is what was exported.

        None: it is stale after three of the intervals in which the series is exported.
        """
        for point in reversed(self.points):
            if point.at <= now:
                reach_s = self.staleness_s() if staleness_s is None else staleness_s
                return point.value if point.at > now - reach_s else None
        return None

    def staleness_s(self) -> float:
        """Three times the middle one of the last intervals between points: an outage among them counts for little."""
        newest = [point.at for point in islice(reversed(self.points), _INTERVALS + 1)]
        intervals = sorted(later - earlier for later, earlier in pairwise(newest))
        return _STALE_INTERVALS * intervals[(len(intervals) - 1) // 2] if intervals else STALENESS_S

    def aggregated(self, aggregation: str, window_s: float, now: float) -> float | None:
        """The points of a window as one value; None when it is empty. NaN is no value."""
        recent = self._recent(window_s, now)
        return _aggregate(aggregation, recent, window_s) if recent else None

    def count(self, window_s: float, now: float) -> int:
        """How many values a window holds: those that a histogram has counted, else its points."""
        return sum(point.events or 1 for point in self._recent(window_s, now))

    def _recent(self, window_s: float, now: float) -> list[Point]:
        return [point for point in self.points if now - window_s < point.at <= now and not math.isnan(point.value)]


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
    return _of_values(aggregation, [point.value for point in points])


def _at_its_mean(point: Point) -> Distribution:
    """Of a histogram without buckets no more is known than this."""
    return Distribution((point.value,), (point.events, 0), point.value, point.value)


def _of_values(aggregation: str, values: list[float]) -> float:
    if aggregation == "last":
        return values[-1]
    if aggregation == "max":
        return max(values)
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(int(aggregation[1:]) / 100.0 * len(ordered)))]


class PointTable:
    """The series of the metrics in `reach_s`, each with the seconds that its rules look back.

    At most 2,000 series, the longest silent one leaves first.
    """

    def __init__(self, reach_s: Mapping[str, float]) -> None:
        self._reach_s = dict(reach_s)
        self._series: OrderedDict[PointKey, PointSeries] = OrderedDict()
        self._of: dict[str, dict[PointKey, PointSeries]] = {}
        self.changes = 0
        """How many points were taken in: what was worked out before one more is out of date."""
        self.dropped = 0
        """How many series, and points that a window may still have seen, left for want of room."""
        self.late = 0
        """How many points were no newer than the last of their series: they are not used."""

    def take(self, key: PointKey, point: Point, *, replaces: bool = False) -> None:
        """Take in a point, if its metric is wanted; one of the time of the last one may replace that."""
        if key[0] not in self._reach_s:
            return
        series = self._series.get(key)
        if series is None:
            series = self._new(key)
        elif point.at <= series.points[-1].at:
            if not (replaces and point.at == series.points[-1].at):
                self.late += 1
                return
            series.points.pop()
        self.changes += 1
        self.dropped += series.add(point)
        self._series.move_to_end(key)

    def _new(self, key: PointKey) -> PointSeries:
        if len(self._series) >= _MAX_SERIES:
            self._drop(next(iter(self._series)))
            self.dropped += 1
        series = PointSeries(key, self._reach_s[key[0]])
        self._series[key] = series
        self._of.setdefault(key[0], {})[key] = series
        return series

    def _drop(self, key: PointKey) -> None:
        del self._series[key]
        del self._of[key[0]][key]

    def of(self, metric: str) -> Collection[PointSeries]:
        """Every series of a metric."""
        return self._of.get(metric, {}).values()

    def forget(self, before: float) -> None:
        """Let go of the series that have been silent since then."""
        while self._series and (first := next(iter(self._series.values()))).points[-1].at < before:
            self._drop(first.key)

    def __len__(self) -> int:
        return len(self._series)

    def dump(self) -> list[Any]:
        return [
            [list(key[:3]), [list(pair) for pair in key[3]], [list(point) for point in series.points]]
            for key, series in self._series.items()
        ]

    def load(self, state: Iterable[Any]) -> None:
        for (name, service, source), attributes, points in state:
            if name not in self._reach_s:
                continue
            series = self._new((name, service, source, tuple((label, value) for label, value in attributes)))
            series.points.extend(Point(at, value, events, _distribution(raw)) for at, value, events, raw in points)


def _distribution(raw: Any) -> Distribution | None:
    return None if raw is None else Distribution(tuple(raw[0]), tuple(raw[1]), *raw[2:])
