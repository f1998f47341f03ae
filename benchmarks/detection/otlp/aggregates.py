"""Metrics of one process: what it counts, and how that is exported."""

from __future__ import annotations

from bisect import bisect_left

from benchmarks.detection.otlp.text import nanoseconds

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_BOUNDS_TEXT = ",".join(repr(bound) for bound in BOUNDS)
MAX_SERIES = 300


class Histogram:
    """Durations of one attribute set."""

    __slots__ = ("buckets", "count", "high", "low", "total")

    def __init__(self) -> None:
        self.count = 0
        self.total = 0.0
        self.low = float("inf")
        self.high = 0.0
        self.buckets = [0] * (len(BOUNDS) + 1)

    def record(self, value: float) -> None:
        self.count += 1
        self.total += value
        self.buckets[bisect_left(BOUNDS, value)] += 1
        if value < self.low:
            self.low = value
        if value > self.high:
            self.high = value


class Aggregates:
    """All sums and histograms of one process, by metric and attribute set."""

    def __init__(self, began: float, *, cumulative: bool) -> None:
        self._began = began
        self._cumulative = cumulative
        self._histograms: dict[tuple[str, str], dict[str, Histogram]] = {}
        self._sums: dict[tuple[str, str], dict[str, float]] = {}

    def record(self, name: str, value: float, fragment: str = "", unit: str = "s") -> None:
        series = self._histograms.setdefault((name, unit), {})
        histogram = series.get(fragment)
        if histogram is None:
            if len(series) >= MAX_SERIES:
                return
            histogram = series[fragment] = Histogram()
        histogram.record(value)

    def add(self, name: str, amount: float, fragment: str = "", unit: str = "1") -> None:
        series = self._sums.setdefault((name, unit), {})
        series[fragment] = series.get(fragment, 0.0) + amount

    def export(self, now: float) -> list[str]:
        """Everything as OTLP; with delta temporality it is forgotten afterwards."""
        stamps = f'"startTimeUnixNano":{nanoseconds(self._began)},"timeUnixNano":{nanoseconds(now)}'
        temporality = 2 if self._cumulative else 1
        metrics = [
            _histogram(name, unit, series, stamps, temporality) for (name, unit), series in self._histograms.items()
        ]
        metrics += [_sum(name, unit, series, stamps, temporality) for (name, unit), series in self._sums.items()]
        if not self._cumulative:
            self._histograms.clear()
            self._sums.clear()
            self._began = now
        return metrics


def _histogram(name: str, unit: str, series: dict[str, Histogram], stamps: str, temporality: int) -> str:
    points = []
    for fragment, histogram in series.items():
        counts = ",".join(f'"{count}"' for count in histogram.buckets)
        points.append(
            f'{{"attributes":[{fragment}],{stamps},"count":"{histogram.count}","sum":{histogram.total!r},'
            f'"bucketCounts":[{counts}],"explicitBounds":[{_BOUNDS_TEXT}],'
            f'"min":{histogram.low!r},"max":{histogram.high!r}}}'
        )
    return (
        f'{{"name":"{name}","unit":"{unit}","histogram":{{"dataPoints":[{",".join(points)}],'
        f'"aggregationTemporality":{temporality}}}}}'
    )


def _sum(name: str, unit: str, series: dict[str, float], stamps: str, temporality: int) -> str:
    points = ",".join(f'{{"attributes":[{fragment}],{stamps},{_number(value)}}}' for fragment, value in series.items())
    return (
        f'{{"name":"{name}","unit":"{unit}","sum":{{"dataPoints":[{points}],'
        f'"aggregationTemporality":{temporality},"isMonotonic":true}}}}'
    )


def _number(value: float) -> str:
    return f'"asInt":"{int(value)}"' if value == int(value) else f'"asDouble":{value!r}'


class Gauges:
    """Readings of the moment."""

    def __init__(self, now: float) -> None:
        self._stamp = f'"timeUnixNano":{nanoseconds(now)}'
        self._series: dict[tuple[str, str, bool], list[str]] = {}

    def read(self, name: str, unit: str, value: float, fragment: str = "", *, up_down: bool = False) -> None:
        """A gauge, or a sum that goes up and down."""
        point = f'{{"attributes":[{fragment}],{self._stamp},{_number(value)}}}'
        self._series.setdefault((name, unit, up_down), []).append(point)

    def export(self) -> list[str]:
        metrics = []
        for (name, unit, up_down), points in self._series.items():
            body = f'"dataPoints":[{",".join(points)}]'
            data = f'"sum":{{{body},"aggregationTemporality":2}}' if up_down else f'"gauge":{{{body}}}'
            metrics.append(f'{{"name":"{name}","unit":"{unit}",{data}}}')
        return metrics
