"""Metrics as observations: one mapping for live points and decoded OTLP.

They are read by their kind, temporality, monotonicity and unit, not by their names alone.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from otel_monitor_processors.observation import Heartbeat, MetricPoint, Observation, OperationCount
from otel_monitor_processors.otel import attributes as names
from otel_monitor_processors.otel.duration_metrics import operation_count
from otel_monitor_processors.otel.heartbeat_records import HeartbeatRecords
from otel_monitor_processors.otel.increases import Increase, Increases, Total
from otel_monitor_processors.otel.levels import Labels, Levels, Reading

HEARTBEAT_AGE = "orchestrator.heartbeat.age"
HEARTBEAT_INTERVAL = "orchestrator.heartbeat.interval"
_COUNT = ".count"
_MAX_TYPES = 50_000


class MetricKind(StrEnum):
    """What a metric's points are. Explicit and exponential histograms and summaries count alike."""

    GAUGE = "gauge"
    SUM = "sum"
    HISTOGRAM = "histogram"


class DataPoint(NamedTuple):
    """One point: `value` of a gauge or sum, of a histogram its sum, beside how many `events` it counts.

    A start of 0 means that it is not known, a histogram's value of NaN likewise.
    """

    attributes: Labels
    at_s: float
    start_s: float
    value: float
    events: int = 0


class Metric(NamedTuple):
    """One metric of one export."""

    name: str
    unit: str
    kind: MetricKind
    monotonic: bool
    cumulative: bool
    points: Sequence[DataPoint]

    @property
    def is_current(self) -> bool:
        """Whether its values stand for themselves: those of a gauge, or of a sum that can fall."""
        return self.kind is MetricKind.GAUGE or (self.kind is MetricKind.SUM and not self.monotonic)


class MetricMapping:
    """Turns exports into observations; what it remembers of series and sources is bounded, and counted in `dropped`.

    - every metric is a `MetricPoint`: a gauge and a sum that can fall as they are, a sum that only grows as its
      increase, a histogram as the mean of what was added, and `<name>.count` as how much that was;
    - shares, and usages beside their limits, are a `Level` too (`levels`);
    - histograms of the durations of operations are an `OperationCount` too (`duration_metrics`);
    - heartbeat metrics are a `Heartbeat` where heartbeats are not recorded one by one (`heartbeat_records`).

    Args:
        refused: told of every metric that has changed its type; its points of that export are not used.
    """

    def __init__(self, refused: Callable[[Metric], None]) -> None:
        self.heartbeats = HeartbeatRecords()
        self._refused = refused
        self._increases = Increases()
        self._levels = Levels()
        self._types: OrderedDict[tuple[str, str, str], tuple[MetricKind, bool, bool]] = OrderedDict()

    @property
    def dropped(self) -> int:
        """How many series, limits and workers were let go for want of room."""
        return self._increases.dropped + self._levels.dropped + self.heartbeats.dropped

    def observations(self, source: str, service: str, metrics: Iterable[Metric], at_s: float) -> Iterator[Observation]:
        """What one export of one resource says, all of it at `at_s`."""
        readings: dict[str, list[Reading]] = {}
        beats = _Beats()
        for metric in metrics:
            if not self._same_type(source, service, metric):
                self._refused(metric)
                continue
            if metric.is_current:
                good = [point for point in metric.points if math.isfinite(point.value)]
                for point in good:
                    yield _point(source, service, metric, point, at_s, point.value)
                readings.setdefault(metric.name, []).extend(
                    Reading(point.attributes, point.value, metric.unit) for point in good
                )
                if metric.name == HEARTBEAT_AGE:
                    beats.ages |= {_worker(point): point.value for point in good}
            else:
                yield from self._increased(source, service, metric, at_s, beats)
        yield from self._levels.read(source, service, {name: found for name, found in readings.items() if found}, at_s)
        yield from self._heartbeats(source, at_s, beats)

    def _same_type(self, source: str, service: str, metric: Metric) -> bool:
        key = (source, service, metric.name)
        now = (metric.kind, metric.monotonic, metric.cumulative)
        before = self._types.get(key)
        if before == now:
            return True
        if before is None and len(self._types) >= _MAX_TYPES:
            self._types.popitem(last=False)
        self._types[key] = now
        return before is None

    def _increased(
        self, source: str, service: str, metric: Metric, at_s: float, beats: _Beats
    ) -> Iterator[MetricPoint | OperationCount]:
        for point in metric.points:
            increase = self._increase(source, service, metric, point)
            if increase is None:
                continue
            if metric.kind is MetricKind.SUM:
                yield _point(source, service, metric, point, at_s, increase.value)
                continue
            yield _point(source, service, metric, point, at_s, float(increase.events), _COUNT)
            if increase.events and math.isfinite(increase.value):
                yield _point(source, service, metric, point, at_s, increase.value / increase.events)
                counted = operation_count(source, service, metric.name, metric.unit, point.attributes, increase, at_s)
                if counted is not None:
                    yield counted
            if metric.name == HEARTBEAT_INTERVAL:
                beats.counts[_worker(point)] = increase.events

    def _increase(self, source: str, service: str, metric: Metric, point: DataPoint) -> Increase | None:
        if not metric.cumulative:
            return Increase(point.value, point.events)
        series = (source, service, metric.name, metric.kind, point.attributes)
        return self._increases.take(series, Total(point.start_s, point.at_s, point.value, point.events))

    def _heartbeats(self, observer: str, at_s: float, beats: _Beats) -> Iterator[Heartbeat]:
        for worker in beats.ages | beats.counts:
            if worker:
                beat = self.heartbeats.exported(
                    worker, observer, at_s, beats.ages.get(worker), beats.counts.get(worker)
                )
                if beat is not None:
                    yield beat


@dataclass(slots=True)
class _Beats:
    """What one export tells of heartbeats, by worker: the age of the last one, how many there were."""

    ages: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)


def _worker(point: DataPoint) -> str:
    return dict(point.attributes).get(names.WORKER_ID, "")


def _point(
    source: str, service: str, metric: Metric, point: DataPoint, at_s: float, value: float, suffix: str = ""
) -> MetricPoint:
    unit = "" if suffix else metric.unit
    return MetricPoint(at_s, source, metric.name + suffix, point.attributes, value, unit, service)
