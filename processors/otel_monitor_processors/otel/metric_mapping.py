"""Metrics as observations: one mapping for live points and decoded OTLP.

They are read by their kind, temporality, monotonicity and unit, not by their names alone.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from otel_monitor_processors.distribution import Distribution
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
_TOGETHER_S = 1.0
"""One collection may come in several parts, of about the same time."""


class MetricKind(StrEnum):
    """What a metric's points are. Explicit and exponential histograms and summaries count alike."""

    GAUGE = "gauge"
    SUM = "sum"
    HISTOGRAM = "histogram"


class DataPoint(NamedTuple):
    """One point: `value` of a gauge or sum, of a histogram its sum, beside how many `events` it has, and their spread.

    A start of 0 means that it is not known, a histogram's value of NaN likewise; all other values are finite.
    """

    attributes: Labels
    at_s: float
    start_s: float
    value: float
    events: int = 0
    distribution: Distribution | None = None


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


@dataclass(slots=True)
class _Known:
    """What a metric of one sender is, and whether any series of it was exported twice."""

    type: tuple[MetricKind, bool, bool]
    repeated: bool = False


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
        self._types: OrderedDict[tuple[str, str, str], _Known] = OrderedDict()

    @property
    def dropped(self) -> int:
        """How many series, limits and workers were let go for want of room."""
        return self._increases.dropped + self._levels.dropped + self.heartbeats.dropped

    def observations(self, source: str, service: str, metrics: Iterable[Metric], at_s: float) -> Iterator[Observation]:
        """What one export of one resource says, all of it at `at_s`."""
        readings: dict[str, list[Reading]] = {}
        beats = _Beats()
        self._increases.look_from(at_s)
        for metric in metrics:
            known = self._known(source, service, metric)
            if known is None:
                self._refused(metric)
                continue
            if metric.is_current:
                for point in metric.points:
                    yield _point(source, service, metric, point, at_s, point.value)
                readings.setdefault(metric.name, []).extend(
                    Reading(point.attributes, point.value, metric.unit) for point in metric.points
                )
                if metric.name == HEARTBEAT_AGE:
                    beats.ages |= {_worker(point): point.value for point in metric.points}
            else:
                yield from self._increased(source, service, metric, known, at_s, beats)
        yield from self._levels.read(source, service, {name: found for name, found in readings.items() if found}, at_s)
        yield from self._heartbeats(source, at_s, beats)

    def _known(self, source: str, service: str, metric: Metric) -> _Known | None:
        """What is known of the metric; None where it has another type than before."""
        key = (source, service, metric.name)
        before = self._types.get(key)
        type_ = (metric.kind, metric.monotonic, metric.cumulative)
        if before is not None and before.type == type_:
            return before
        if before is None and len(self._types) >= _MAX_TYPES:
            self._types.popitem(last=False)
        now = self._types[key] = _Known(type_)
        return now if before is None else None

    def _increased(
        self, source: str, service: str, metric: Metric, known: _Known, at_s: float, beats: _Beats
    ) -> Iterator[MetricPoint | OperationCount]:
        series = [(source, service, metric.name, metric.kind, point.attributes) for point in metric.points]
        if metric.cumulative and not known.repeated:
            last_s = self._increases.last_s
            known.repeated = any(last_s(one) < at_s - _TOGETHER_S for one in series)
        for one, point in zip(series, metric.points, strict=True):
            increase = self._increase(one, metric, known, point)
            if increase is None:
                continue
            if metric.kind is MetricKind.SUM:
                yield _point(source, service, metric, point, at_s, increase.value)
                continue
            yield _point(source, service, metric, point, at_s, float(increase.events), _COUNT)
            if increase.events and math.isfinite(increase.value):
                mean = _point(source, service, metric, point, at_s, increase.value / increase.events)
                yield mean._replace(events=increase.events, distribution=increase.distribution)
                counted = operation_count(source, service, metric.name, metric.unit, point.attributes, increase, at_s)
                if counted is not None:
                    yield counted
            if metric.name == HEARTBEAT_INTERVAL:
                beats.counts[_worker(point)] = increase.events

    def _increase(self, series: Hashable, metric: Metric, known: _Known, point: DataPoint) -> Increase | None:
        if not metric.cumulative:
            return Increase(point.value, point.events, point.distribution)
        total = Total(point.start_s, point.at_s, point.value, point.events, point.distribution)
        return self._increases.take(series, total, exported_without=known.repeated)

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
