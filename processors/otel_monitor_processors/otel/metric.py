"""A metric reader that observes any instrument's points.

OpenTelemetry has no metric processors; a second reader sees every instrument without disturbing the
exporting one. Each reader makes every measurement dearer (about 4 µs), so that it is only added for rules
over metrics that are not our own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from opentelemetry.sdk.metrics import Counter, Histogram, ObservableCounter
from opentelemetry.sdk.metrics import export as sdk

from otel_monitor_processors.engine import Engine
from otel_monitor_processors.guard import guard
from otel_monitor_processors.observation import Level, MetricPoint, Observation
from otel_monitor_processors.otel import attributes as names
from otel_monitor_processors.otel.driver import Driver, driver_of
from otel_monitor_processors.otel.mapping import source_of
from otel_monitor_processors.otel.notify import notify

_USED = (".usage", ".count", ".size")
_LIMITS = (".limit", ".max", ".capacity")
_DELTA: dict[type, sdk.AggregationTemporality] = dict.fromkeys(
    (Counter, Histogram, ObservableCounter), sdk.AggregationTemporality.DELTA
)


class MonitorMetricReader(sdk.MetricReader):
    """Feeds the points of all instruments but our own to an engine, every `interval_s` seconds.

    Sums and histograms are read as increases. A `….utilization`, or a `….usage`, `….count` or `….size`
    beside its `….limit`, `….max` or `….capacity`, is also the level of a resource.

    Args:
        owner: the engine, or its driver; None for the process's own.
        interval_s: seconds between two readings.
        console: whether the engine's alerts are also written to stderr.
    """

    def __init__(self, owner: Driver | Engine | None = None, *, interval_s: float = 10.0, console: bool = True) -> None:
        super().__init__(preferred_temporality=dict(_DELTA))
        self._driver = driver_of(owner)
        self._closed = False
        notify(self._driver, console=console)
        self._driver.every(interval_s, self._read)
        self._driver.start()

    def _read(self) -> None:
        if not self._closed:
            self.collect()

    @guard("metric.receive")
    def _receive_metrics(self, metrics_data: sdk.MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> None:
        for observation in metric_observations(metrics_data, self._driver.now()):
            self._driver.offer(observation)

    @guard("metric.shutdown")
    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        self._closed = True
        self._driver.stop()


def metric_observations(data: sdk.MetricsData, at: float) -> Iterator[Observation]:
    """What one collection says. Histograms count with the mean of each point."""
    for resource_metrics in data.resource_metrics:
        source, service = source_of(resource_metrics.resource.attributes)
        points: dict[tuple[str, tuple[tuple[str, str], ...]], tuple[float, str]] = {}
        for scope_metrics in resource_metrics.scope_metrics:
            if scope_metrics.scope.name in (names.INSTRUMENTATION_SCOPE, names.SCOPE):
                continue
            for metric in scope_metrics.metrics:
                points |= {(metric.name, key): (value, metric.unit or "") for key, value in _points(metric)}
        for (name, key), (value, unit) in points.items():
            yield MetricPoint(at, source, name, key, value, unit, service)
        yield from _levels(points, at, source, service)


def _points(metric: sdk.Metric) -> Iterator[tuple[tuple[tuple[str, str], ...], float]]:
    for point in metric.data.data_points:
        key = tuple(sorted((str(name), str(value)) for name, value in (point.attributes or {}).items()))
        if isinstance(point, sdk.NumberDataPoint):
            yield key, float(point.value)
        elif point.count:
            yield key, float(point.sum) / point.count


def _levels(
    points: dict[tuple[str, tuple[tuple[str, str], ...]], tuple[float, str]], at: float, source: str, service: str
) -> Iterator[Level]:
    for (name, key), (value, _unit) in points.items():
        if name.endswith(".utilization"):
            yield Level(at, source, _resource(name.removesuffix(".utilization"), key), value, 1.0, service)
        for used in _USED:
            if not name.endswith(used):
                continue
            stem = name.removesuffix(used)
            limits = [points[stem + end, key][0] for end in _LIMITS if (stem + end, key) in points]
            if limits and limits[0] > 0:
                yield Level(at, source, _resource(stem, key), value, limits[0], service)


def _resource(stem: str, key: tuple[tuple[str, str], ...]) -> str:
    return stem + "".join(f",{name}={value}" for name, value in key)
