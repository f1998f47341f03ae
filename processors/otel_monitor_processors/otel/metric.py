"""A metric reader that observes any instrument's points.

OpenTelemetry has no metric processors; a second reader sees every instrument without disturbing the
exporting one. Each reader makes every measurement dearer (about 4 µs), so that it is only added for rules
over metrics that are not our own.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from opentelemetry.sdk.metrics import Counter, Histogram, ObservableCounter
from opentelemetry.sdk.metrics import export as sdk

from otel_monitor_processors import drops
from otel_monitor_processors.distribution import Distribution, explicit, exponential
from otel_monitor_processors.engine import Engine
from otel_monitor_processors.guard import guard
from otel_monitor_processors.measures import MEASURED_FOR_RULES
from otel_monitor_processors.observation import MetricPoint, RulePoint
from otel_monitor_processors.otel import attributes as names
from otel_monitor_processors.otel.driver import Driver, driver_of
from otel_monitor_processors.otel.mapping import source_of
from otel_monitor_processors.otel.metric_mapping import DataPoint, Metric, MetricKind, MetricMapping
from otel_monitor_processors.otel.notify import notify

_DELTA: dict[type, sdk.AggregationTemporality] = dict.fromkeys(
    (Counter, Histogram, ObservableCounter), sdk.AggregationTemporality.DELTA
)

_OWN_SCOPES = (names.INSTRUMENTATION_SCOPE, names.SCOPE)


class MonitorMetricReader(sdk.MetricReader):
    """Feeds the points of instruments to an engine, every `interval_s` seconds.

    What they become is said at `MetricMapping`. What our own instruments measure is observed at its source: their
    points are for the rules that name them, and for nothing else.

    Args:
        owner: the engine, or its driver; None for the process's own.
        interval_s: seconds between two readings.
        console: whether the engine's alerts are also written to stderr.
    """

    def __init__(self, owner: Driver | Engine | None = None, *, interval_s: float = 10.0, console: bool = True) -> None:
        super().__init__(preferred_temporality=dict(_DELTA))
        self._driver = driver_of(owner)
        self._closed = False
        self._mapping = MetricMapping(lambda metric: drops.count("metric", "changed_type", len(metric.points)))
        self._own_mapping = MetricMapping(lambda _metric: None)
        notify(self._driver, console=console)
        self._driver.every(interval_s, self._read)
        self._driver.start()

    def _read(self) -> None:
        if not self._closed:
            self.collect()

    @guard("metric.receive")
    def _receive_metrics(self, metrics_data: sdk.MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> None:
        at_s = self._driver.now()
        wanted = {rule.metric_name for rule in self._driver.engine.rules} - MEASURED_FOR_RULES
        for resource_metrics in metrics_data.resource_metrics:
            source, service = source_of(resource_metrics.resource.attributes)
            metrics = metrics_of(resource_metrics, at_s)
            for observation in self._mapping.observations(source, service, metrics, at_s):
                self._driver.offer(observation)
            own = own_metrics_of(resource_metrics, at_s, wanted)
            for observation in self._own_mapping.observations(source, service, own, at_s):
                if type(observation) is MetricPoint:
                    self._driver.offer(RulePoint(*observation))

    @guard("metric.shutdown")
    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        self._closed = True
        self._driver.stop()


def metrics_of(resource_metrics: sdk.ResourceMetrics, at_s: float) -> Iterator[Metric]:
    """The metrics of one resource as the mapping reads them, but for our own, which are observed at their source."""
    for scope_metrics in resource_metrics.scope_metrics:
        if scope_metrics.scope.name not in _OWN_SCOPES:
            for metric in scope_metrics.metrics:
                yield _metric(metric, at_s)


def own_metrics_of(
    resource_metrics: sdk.ResourceMetrics, at_s: float, wanted: Collection[str | None]
) -> Iterator[Metric]:
    """Those of our own metrics that are `wanted` by name; of `<name>.count` the histogram."""
    for scope_metrics in resource_metrics.scope_metrics:
        if scope_metrics.scope.name in _OWN_SCOPES:
            for metric in scope_metrics.metrics:
                if metric.name in wanted or f"{metric.name}.count" in wanted:
                    yield _metric(metric, at_s)


def _metric(metric: sdk.Metric, at_s: float) -> Metric:
    data = metric.data
    temporality = getattr(data, "aggregation_temporality", None)
    kind = (
        MetricKind.GAUGE
        if isinstance(data, sdk.Gauge)
        else MetricKind.SUM
        if isinstance(data, sdk.Sum)
        else MetricKind.HISTOGRAM
    )
    return Metric(
        name=metric.name,
        unit=metric.unit or "",
        kind=kind,
        monotonic=isinstance(data, sdk.Sum) and data.is_monotonic,
        cumulative=temporality is sdk.AggregationTemporality.CUMULATIVE,
        points=list(_data_points(data.data_points, at_s)),
    )


def _data_points(points: Iterable[sdk.DataPointT], at_s: float) -> Iterator[DataPoint]:
    for point in points:
        made = _data_point(point, at_s)
        if math.isfinite(made.value) or made.events:
            yield made
        else:
            drops.count("metric", "malformed")


def _data_point(point: sdk.DataPointT, at_s: float) -> DataPoint:
    attributes = tuple(sorted((str(name), str(value)) for name, value in (point.attributes or {}).items()))
    start_s = (point.start_time_unix_nano or 0) / 1e9
    if isinstance(point, sdk.NumberDataPoint):
        return DataPoint(attributes, at_s, start_s, float(point.value))
    return DataPoint(attributes, at_s, start_s, float(point.sum), point.count, _distribution(point))


def _distribution(point: sdk.HistogramDataPoint | sdk.ExponentialHistogramDataPoint) -> Distribution | None:
    if isinstance(point, sdk.HistogramDataPoint):
        return explicit(point.explicit_bounds, point.bucket_counts, point.min, point.max)
    around_zero = point.zero_count + sum(point.negative.bucket_counts)
    positive = point.positive
    return exponential(point.scale, around_zero, positive.offset, positive.bucket_counts, point.min, point.max)
