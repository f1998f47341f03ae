"""The points of one series of a metric, and their value at a moment."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

from otel_monitor_processors.alerts.rule import Labels

_MAX_POINTS = 240
PointKey = tuple[str, str, str, Labels]
"""Metric, service, source, attributes."""


@dataclass(slots=True)
class PointSeries:
    """The last points of one series of a metric: time and value, the oldest first."""

    key: PointKey
    labels: Labels
    points: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=_MAX_POINTS))

    def newest_at(self, now: float) -> float | None:
        """When the newest point up to `now` was taken."""
        return next((at for at, _ in reversed(self.points) if at <= now), None)

    def last(self, staleness_s: float, now: float) -> float | None:
        """The last value, if it is not stale; NaN where that is what was exported."""
        for at, value in reversed(self.points):
            if at <= now:
                return value if at > now - staleness_s else None
        return None

    def aggregated(self, aggregation: str, window_s: float, now: float) -> float | None:
        """The values of a window as one; None when it is empty. NaN is no value."""
        recent = [value for at, value in self.points if now - window_s < at <= now and not math.isnan(value)]
        return _aggregate(aggregation, recent, window_s) if recent else None

    def count(self, window_s: float, now: float) -> int:
        return sum(now - window_s < at <= now for at, _ in self.points)


def _aggregate(aggregation: str, values: list[float], window_s: float) -> float:
    if aggregation == "last":
        return values[-1]
    if aggregation == "mean":
        return sum(values) / len(values)
    if aggregation == "max":
        return max(values)
    if aggregation == "rate":
        return sum(values) / window_s
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(int(aggregation[1:]) / 100.0 * len(ordered)))]
