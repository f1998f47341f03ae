"""Metrics of OTLP's JSON as the mapping reads them."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from otel_monitor.replay.ledger import Origin
from otel_monitor.replay.values import SHAPE, Malformed, Object, labels_of, number, seconds, whole
from otel_monitor_processors.distribution import Distribution, explicit, exponential
from otel_monitor_processors.otel.metric_mapping import DataPoint, Metric, MetricKind

FIELDS = frozenset(
    (
        *("name", "description", "unit", "metadata"),
        *("gauge", "sum", "histogram", "exponentialHistogram", "summary"),
    )
)

_CUMULATIVE = (2, "AGGREGATION_TEMPORALITY_CUMULATIVE")
_DELTA = (1, "AGGREGATION_TEMPORALITY_DELTA")
_NO_RECORDED_VALUE = 1
_TOGETHER_S = 1.0
_TIMES = ("s", "ms", "us", "ns", "min", "h")


class Export(NamedTuple):
    """The metrics of one resource at one time."""

    at_s: float
    source: str
    service: str
    metrics: tuple[Metric, ...]
    origin: Origin


class Refusal(NamedTuple):
    """A point, or a whole metric, that cannot be used, and why."""

    why: str


def metric_of(metric: Object) -> Iterator[Metric | Refusal]:
    """One metric, what of it cannot be used, and a summary's quantiles as a gauge of their own.

    Raises:
        values.SHAPE: it is no metric.
    """
    name, unit = str(metric["name"]), str(metric.get("unit", ""))
    kind = next((kind for kind in _KINDS if kind in metric), None)
    if kind is None:
        return  # of a kind that is not known yet, or without points
    data = metric[kind] or {}
    temporality = data.get("aggregationTemporality", 0)
    monotonic = data.get("isMonotonic", False) is True
    if monotonic and temporality not in (*_CUMULATIVE, *_DELTA):
        yield Refusal("sum without a temporality")
        return
    never_negative = monotonic or (unit in _TIMES and _KINDS[kind] is MetricKind.HISTOGRAM)
    points: list[DataPoint] = []
    quantiles: list[DataPoint] = []
    for raw in data.get("dataPoints") or ():
        try:
            points += _points(kind, raw, never_negative=never_negative)
            if kind == "summary":
                quantiles += _quantiles(raw)
        except Malformed as error:
            yield Refusal(str(error))
        except SHAPE:
            yield Refusal("metric point of another shape than OTLP's")
    cumulative = temporality in _CUMULATIVE or kind == "summary"
    yield Metric(name, unit, _KINDS[kind], monotonic, cumulative, points)
    if quantiles:
        yield Metric(f"{name}.quantile", unit, MetricKind.GAUGE, False, False, quantiles)


def _points(kind: str, raw: Object, *, never_negative: bool) -> Iterator[DataPoint]:
    if raw.get("flags", 0) & _NO_RECORDED_VALUE:
        return
    point = _READERS[kind](raw)
    if never_negative and point.value < 0:
        raise Malformed("negative duration, or sum that only grows and is negative")
    yield point


def exports_of(metrics: list[Metric], source: str, service: str, origin: Origin) -> Iterator[Export]:
    """The metrics of a resource by their time: points of the same second or so belong together."""
    times = sorted({point.at_s for metric in metrics for point in metric.points})
    if times and times[-1] - times[0] < _TOGETHER_S:
        yield Export(times[-1], source, service, tuple(metrics), origin)
        return
    while times:
        last = bisect_left(times, times[0] + _TOGETHER_S) - 1
        low_s, high_s = times[0], times[last]
        del times[: last + 1]
        parts = [
            metric._replace(points=[point for point in metric.points if low_s <= point.at_s <= high_s])
            for metric in metrics
        ]
        yield Export(high_s, source, service, tuple(part for part in parts if part.points), origin)


def _at(point: Object) -> float:
    at_s = seconds(point.get("timeUnixNano", 0))
    if not at_s:
        raise Malformed("metric point without a time")
    return at_s


def _number_point(point: Object) -> DataPoint:
    raw = point.get("asDouble")
    if raw is None:
        raw = whole(point["asInt"])
    value = number(raw)
    start_s = seconds(point.get("startTimeUnixNano", 0))
    return DataPoint(labels_of(point.get("attributes")), _at(point), start_s, value)


def _histogram_point(point: Object) -> DataPoint:
    events = whole(point.get("count", 0))
    if events < 0:
        raise Malformed("histogram that counts less than nothing")
    start_s = seconds(point.get("startTimeUnixNano", 0))
    raw = point.get("sum")
    value = number(raw) if raw is not None else math.nan  # it may be left out
    return DataPoint(labels_of(point.get("attributes")), _at(point), start_s, value, events, _spread(point))


def _spread(point: Object) -> Distribution | None:
    """How the values are spread; None where that cannot be read: the rest of the point counts."""
    try:
        return _distribution(point)
    except (Malformed, *SHAPE):
        return None


def _distribution(point: Object) -> Distribution | None:
    low, high = (number(point[name]) if name in point else math.nan for name in ("min", "max"))
    if "bucketCounts" in point:
        bounds = [number(bound) for bound in point.get("explicitBounds") or ()]
        return explicit(bounds, [whole(count) for count in point["bucketCounts"] or ()], low, high)
    if "scale" not in point:
        return None  # a summary, or a histogram that tells its sum alone
    positive, negative = point.get("positive") or {}, point.get("negative") or {}
    around_zero = whole(point.get("zeroCount", 0)) + sum(map(whole, negative.get("bucketCounts") or ()))
    counts = [whole(count) for count in positive.get("bucketCounts") or ()]
    return exponential(whole(point["scale"]), around_zero, whole(positive.get("offset", 0)), counts, low, high)


def _quantiles(point: Object) -> Iterator[DataPoint]:
    labels, at_s = labels_of(point.get("attributes")), _at(point)
    for item in point.get("quantileValues") or ():
        label = ("quantile", str(number(item.get("quantile", 0.0))))
        yield DataPoint(tuple(sorted((*labels, label))), at_s, 0.0, number(item.get("value", 0.0)))


_KINDS = {
    "gauge": MetricKind.GAUGE,
    "sum": MetricKind.SUM,
    "histogram": MetricKind.HISTOGRAM,
    "exponentialHistogram": MetricKind.HISTOGRAM,
    "summary": MetricKind.HISTOGRAM,
}
_READERS: dict[str, Callable[[Any], DataPoint]] = {
    "gauge": _number_point,
    "sum": _number_point,
    "histogram": _histogram_point,
    "exponentialHistogram": _histogram_point,
    "summary": _histogram_point,
}
