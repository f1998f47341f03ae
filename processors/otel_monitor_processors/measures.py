"""The values that rules are held against: built-in metrics, and the points of any other metric."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator
from functools import partial
from typing import Any, TypeVar

from otel_monitor_processors.alerts.lifecycle import Detail, Sample
from otel_monitor_processors.alerts.rule import STALENESS_S, Comparison, Labels, NoData, Rule
from otel_monitor_processors.column import Column
from otel_monitor_processors.heartbeat_ages import HeartbeatAges
from otel_monitor_processors.observation import Heartbeat, Level, Membership, MetricPoint, Operation, RulePoint
from otel_monitor_processors.operation_values import operation_detail, operation_value, quantile_of
from otel_monitor_processors.operation_windows import Key, OperationWindows, Summary
from otel_monitor_processors.point_series import Point, PointSeries, PointTable
from otel_monitor_processors.series_labels import described, operation_labels

BUILT_IN: dict[str, str] = {
    "response_time": "duration of operations in ms (p95, or what `aggregation` says), by instance and operation",
    "error_rate": "share of failed operations, 0 to 1, by instance and operation",
    "throughput": "operations per second, by instance and operation",
    "cpu_usage": "use of the CPU in percent of what the instance may use",
    "memory_usage": "use of memory in percent of its limit",
    "disk_usage": "use of the file system in percent",
    "file_descriptor_usage": "open file descriptors in percent of their limit",
    "heartbeat_age": "seconds since a worker's last heartbeat, by its receiver's clock",
}
"""Metric names that rules may use without a metric of that name being exported, and what they mean."""

MEASURED_FOR_RULES = frozenset(
    {"orchestrator.event_loop.delay", "orchestrator.load.imbalance", "orchestrator.worker.assigned"}
)
"""Metrics of our own whose points rules are given once a second, where they are measured."""
_OPERATION_METRICS = ("response_time", "error_rate", "throughput")
_RESOURCE_METRICS = {
    "cpu": "cpu_usage",
    "memory": "memory_usage",
    "disk": "disk_usage",
    "file_descriptors": "file_descriptor_usage",
}
_LEVELS = frozenset(_RESOURCE_METRICS.values())
_MAX_SERIES = 2_000
_KEPT_WINDOWS = 2.0
"""A series is forgotten when it has been silent for so many of the longest windows."""
_UPWARD = frozenset((Comparison.ABOVE, Comparison.AT_LEAST))
_QUANTILE_SLACK = 0.01
"""A quantile of few values lies between two of them."""

S = TypeVar("S")


class Measures:
    """Keeps what the given rules need, and no more; every table is bounded and counts what it drops.

    What is worked out for one rule serves all rules of the same metric, until time passes or something is observed.
    """

    def __init__(self, rules: Iterable[Rule]) -> None:
        rules = [rule for rule in rules if rule.metric_name is not None]
        windows = [rule.window_s for rule in rules if rule.metric_name in _OPERATION_METRICS]
        self._wants_operations = bool(windows)
        self.operations = OperationWindows(min(windows, default=60.0), max(windows, default=60.0), _MAX_SERIES)
        self._ages = HeartbeatAges()
        self._points = PointTable(_reaches(rules))
        longest_s = [max(rule.window_s, rule.staleness_s or STALENESS_S) for rule in rules]
        self._kept_s = _KEPT_WINDOWS * max(longest_s, default=STALENESS_S)
        self._columns: dict[Hashable, Any] = {}
        self._columns_of: tuple[float, int] = (math.nan, 0)

    @property
    def dropped(self) -> int:
        """How many series, and points of them, left for want of room."""
        return self._points.dropped + self._ages.dropped + self.operations.dropped

    @property
    def late(self) -> int:
        """How many points were no newer than the last of their series: they are not used."""
        return self._points.late

    def interests(self) -> dict[type[Any], Callable[[Any], None]]:
        """The method that takes in each kind of observation that counts here."""
        of_operations = {Operation: self.operations.add} if self._wants_operations else {}
        return {
            **of_operations,
            Level: self._level,
            Heartbeat: self._ages.heartbeat,
            Membership: self._ages.membership,
            MetricPoint: self._point,
            RulePoint: self._point,
        }

    def _level(self, level: Level) -> None:
        metric = _RESOURCE_METRICS.get(level.resource)
        if metric is not None:
            percent = 100.0 * level.value / level.limit if level.limit > 0 else math.nan
            self._points.take((metric, level.service, level.source, ()), Point(level.at, percent), replaces=True)

    def _point(self, point: MetricPoint) -> None:
        if point.name in self._points.wanted and point.name not in BUILT_IN:
            key = (point.name, point.service, point.source, point.attributes)
            self._points.take(key, Point(point.at, point.value, point.events, point.distribution))

    # -- values ---------------------------------------------------------------------------------------------

    def samples(self, rule: Rule, now: float, active: Collection[Labels] = ()) -> Iterator[Sample]:
        """The value of the series of `rule` at `now`: of those in `active`, and of those that may raise an alert."""
        metric = rule.metric_name
        if metric in _OPERATION_METRICS:
            yield from self._operation_samples(rule, now, active)
        elif metric == "heartbeat_age":
            yield from self._age_samples(rule, now, active)
        elif metric is not None:
            key = (metric, rule.aggregation, rule.window_s if _is_aggregated(rule) else rule.staleness_s)
            points = self._column(key, now, partial(self._point_column, rule, now))
            yield from _found(rule, points, active, _point_labels, partial(_point_sample, rule, now))

    def _column(self, key: Hashable, now: float, build: Callable[[], S]) -> S:
        """What was worked out at `now` already, or what `build` gives."""
        state = (now, self._points.changes + self.operations.changes)
        if state != self._columns_of:
            self._columns.clear()
            self._columns_of = state
        found: S | None = self._columns.get(key)
        if found is None:
            found = self._columns[key] = build()
        return found

    def _operation_samples(self, rule: Rule, now: float, active: Collection[Labels]) -> Iterator[Sample]:
        """Durations are put together only of series whose longest one violates the rule."""
        bounded = _is_bounded(rule)
        key = (rule.metric_name, rule.aggregation, rule.window_s, bounded)
        column = self._column(key, now, partial(self._operation_column, rule, now, bounded=bounded))

        def make(series: Key, _: float | None) -> Sample | None:
            return self.operation_sample(rule, series, now, active)

        yield from _found(rule, column, active, operation_labels, make)

    def _operation_column(self, rule: Rule, now: float, *, bounded: bool) -> Column[Key]:
        pairs: list[tuple[Key, float | None]] = []
        for key, summary in self.operations.summaries(now, rule.window_s):
            if summary is None:
                pairs.append((key, None))
            else:
                pairs.append((key, summary.longest_s * 1e3 if bounded else operation_value(rule, summary)))
        return Column(pairs, operation_labels)

    def _summary(self, key: Key, now: float, window_s: float) -> Summary | None:
        return self._column((key, window_s), now, lambda: (self.operations.summary(key, now, window_s),))[0]

    def operation_sample(self, rule: Rule, key: Key, now: float, active: Collection[Labels]) -> Sample | None:
        """The value of one series of an operation metric, if that is in `active` or may raise an alert."""
        labels = operation_labels(key)
        if not _selected(rule, labels):
            return None
        summary = self._summary(key, now, rule.window_s)
        if summary is None:
            return Sample(labels, None)
        if _is_bounded(rule) and labels not in active and not _may_violate(rule, summary):
            return None
        value = operation_value(rule, summary)
        return Sample(labels, value, summary.count, detail=partial(operation_detail, rule, key, summary, value))

    def _age_samples(self, rule: Rule, now: float, active: Collection[Labels]) -> Iterator[Sample]:
        above = rule.comparison in _UPWARD
        due = set()
        for worker, age in self._ages.oldest_first(now):
            if above and age < rule.threshold:
                break  # all that follow are younger
            due.add(worker)
            yield _age_sample(rule, worker, age)
        for worker in [dict(labels).get("worker", "") for labels in active]:
            watched = self._ages.of(worker, now)
            if worker not in due and watched is not None:
                yield _age_sample(rule, worker, watched)

    def _point_column(self, rule: Rule, now: float) -> Column[PointSeries]:
        every = self._points.of(rule.metric_name or "")
        if not _is_aggregated(rule):
            return Column([(series, series.last(rule.staleness_s, now)) for series in every], _point_labels)
        aggregation, window_s = rule.aggregation or "", rule.window_s
        return Column([(series, series.aggregated(aggregation, window_s, now)) for series in every], _point_labels)

    def forget_idle(self, now: float) -> None:
        """Let go of what no window can see any more, and of what was worked out."""
        self._columns.clear()
        self.operations.forget_idle(now)
        self._points.forget(now - self._kept_s)

    @property
    def live(self) -> bool:
        """Whether the passing of time alone can still change a value."""
        return bool(len(self.operations) or len(self._ages) or len(self._points))

    def dump(self) -> dict[str, Any]:
        return {"operations": self.operations.dump(), "heartbeats": self._ages.dump(), "points": self._points.dump()}

    def load(self, state: dict[str, Any]) -> None:
        self.operations.load(state["operations"])
        self._ages.load(state["heartbeats"])
        self._points.load(state["points"])


def _reaches(rules: Iterable[Rule]) -> dict[str, float]:
    """For each metric whose points are kept, how many seconds its rules look back at most; 0: for the last one."""
    reaches: dict[str, float] = {}
    for rule in rules:
        metric = rule.metric_name
        if metric is not None and (metric not in BUILT_IN or metric in _LEVELS):
            looks_back = _is_aggregated(rule) or rule.min_samples > 1
            reaches[metric] = max(rule.window_s if looks_back else 0.0, reaches.get(metric, 0.0))
    return reaches


def _found(
    rule: Rule,
    column: Column[S],
    active: Collection[Labels],
    labels_of: Callable[[S], Labels],
    make: Callable[[S, float | None], Sample | None],
) -> Iterator[Sample]:
    """The samples of a column's series that violate a rule or are active, and with `fire` of those without data."""
    wanted: list[tuple[S, float | None]] = list(column.violating(rule.comparison, rule.threshold))
    if rule.no_data is NoData.FIRE:
        wanted += [(series, None) for series in column.empty]
    left = set(active)
    for series, value in wanted:
        labels = labels_of(series)
        if rule.attributes and not _selected(rule, labels):
            continue
        left.discard(labels)
        sample = make(series, value)
        if sample is not None:
            yield sample
    for labels in sorted(left):
        known = column.of(labels)
        sample = make(*known) if known is not None else None
        if sample is not None:
            yield sample


def _is_bounded(rule: Rule) -> bool:
    """Whether the longest duration tells that a series does not violate a rule, before any quantile is reckoned."""
    return rule.metric_name == "response_time" and rule.comparison in _UPWARD


def _may_violate(rule: Rule, summary: Summary) -> bool:
    share = 1.0 - quantile_of(rule.aggregation or "p95") - _QUANTILE_SLACK
    return summary.may_last(rule.threshold / 1e3, share)


def _age_sample(rule: Rule, worker: str, age: float) -> Sample:
    detail = partial(_detail, rule, f"no heartbeat of worker {worker} for", age, ".1f", " s")
    return Sample((("worker", worker),), age, detail=detail)


def _is_aggregated(rule: Rule) -> bool:
    return rule.aggregation not in (None, "last")


def _point_sample(rule: Rule, now: float, series: PointSeries, value: float | None) -> Sample:
    aggregated = _is_aggregated(rule)
    count = series.count(rule.window_s, now) if rule.min_samples > 1 else 1
    which = f"{rule.aggregation} over {rule.window_s:g} s of " if aggregated else ""
    what = f"{which}{series.key[0]} of {series.key[2] or 'unknown source'} is"
    at = None if aggregated else series.newest_at(now)
    form = (".1f", " %") if rule.metric_name in _LEVELS else ("g", "")
    return Sample(series.labels, value, count, at=at, detail=partial(_detail, rule, what, value, *form))


def _point_labels(series: PointSeries) -> Labels:
    return series.labels


def _detail(rule: Rule, what: str, value: float | None, form: str, unit: str) -> Detail:
    told = "unknown" if value is None else f"{value:{form}}{unit}"
    return described(rule, f"{what} {told} ({rule.comparison} {rule.threshold:g}{unit})"), ()


def _selected(rule: Rule, labels: Labels) -> bool:
    return all(pair in labels for pair in rule.attributes)
