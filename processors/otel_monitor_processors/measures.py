"""The values that rules are held against: built-in metrics, and the points of any other metric."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator
from functools import partial
from typing import Any, TypeVar

from otel_monitor_processors.alerts.lifecycle import Detail, Sample
from otel_monitor_processors.alerts.rule import Comparison, Labels, NoData, Rule
from otel_monitor_processors.column import Column
from otel_monitor_processors.observation import (
    Change,
    Heartbeat,
    Level,
    Membership,
    MetricPoint,
    Operation,
)
from otel_monitor_processors.operation_values import operation_detail, operation_value, quantile_of
from otel_monitor_processors.operation_windows import Key, OperationWindows, Summary
from otel_monitor_processors.point_series import PointKey, PointSeries
from otel_monitor_processors.series_labels import described, operation_labels, series_labels, source_labels

__all__ = ["BUILT_IN", "Measures", "series_labels"]

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

_RESOURCES = {
    "cpu_usage": "cpu",
    "memory_usage": "memory",
    "disk_usage": "disk",
    "file_descriptor_usage": "file_descriptors",
}
_OPERATION_METRICS = ("response_time", "error_rate", "throughput")
_MAX_SERIES = 2_000
_MAX_WORKERS = 10_000
_KEPT_WINDOWS = 2.0
"""A series is forgotten when it has been silent for so many of the longest windows."""
_QUANTILE_SLACK = 0.01
"""A quantile of few values lies between two of them."""


S = TypeVar("S")


class Measures:
    """Keeps what the given rules need, and no more; every table is bounded and counts what it drops.

    What is worked out for one rule serves all rules of the same metric, until time passes or something is observed.
    """

    def __init__(self, rules: Iterable[Rule]) -> None:
        rules = [rule for rule in rules if rule.metric_name is not None]
        windows = [rule.window_s for rule in rules if rule.metric_name in _OPERATION_METRICS] or [60.0]
        self.operations = OperationWindows(min(windows), max(windows), _MAX_SERIES)
        self._levels: OrderedDict[tuple[str, str, str], Level] = OrderedDict()
        self._heartbeats: OrderedDict[str, float] = OrderedDict()
        self._wanted = {rule.metric_name for rule in rules} - set(BUILT_IN)
        self._points: OrderedDict[PointKey, PointSeries] = OrderedDict()
        self._points_of: dict[str, dict[PointKey, PointSeries]] = {}
        self._kept_s = _KEPT_WINDOWS * max([max(rule.window_s, rule.staleness_s) for rule in rules], default=300.0)
        self._columns: dict[Hashable, Any] = {}
        self._columns_of: tuple[float, int] = (math.nan, 0)
        self._changes = 0
        self._dropped = 0
        self.late = 0
        """How many points were no newer than the last of their series: they are not used."""

    @property
    def dropped(self) -> int:
        """How many series left for want of room."""
        return self._dropped + self.operations.dropped

    def interests(self) -> dict[type[Any], Callable[[Any], None]]:
        """The method that takes in each kind of observation that counts here."""
        return {
            Operation: self.operations.add,
            Level: self._level,
            Heartbeat: self._heartbeat,
            Membership: self._membership,
            MetricPoint: self._point,
        }

    def _level(self, level: Level) -> None:
        key = (level.service, level.source, level.resource)
        before = self._levels.get(key)
        if before is None:
            self._bounded(self._levels, key, _MAX_SERIES)
        elif level.at < before.at:
            self.late += 1
            return
        self._changes += 1
        self._levels[key] = level
        self._levels.move_to_end(key)

    def _heartbeat(self, heartbeat: Heartbeat) -> None:
        if heartbeat.source == heartbeat.observer or not heartbeat.ok:
            return  # a worker's own account of its sending; its age is for the receiver to judge
        self._seen(heartbeat.source, heartbeat.at)

    def _membership(self, membership: Membership) -> None:
        if membership.source == membership.observer:
            return
        if membership.change is Change.JOINED:
            self._seen(membership.source, membership.at)
        else:
            self._heartbeats.pop(membership.source, None)  # no member any more: its silence is expected

    def _seen(self, worker: str, at: float) -> None:
        heartbeats = self._heartbeats
        before = heartbeats.get(worker)
        if before is None:
            self._bounded(heartbeats, worker, _MAX_WORKERS)
        elif before > at:
            return
        heartbeats[worker] = at
        heartbeats.move_to_end(worker)

    def _point(self, point: MetricPoint) -> None:
        if point.name not in self._wanted:
            return
        key = (point.name, point.service, point.source, point.attributes)
        series = self._points.get(key)
        if series is None:
            series = self._new_series(key)
        elif point.at <= series.points[-1][0]:
            self.late += 1
            return
        self._changes += 1
        series.points.append((point.at, point.value))
        self._points.move_to_end(key)

    def _new_series(self, key: PointKey) -> PointSeries:
        if len(self._points) >= _MAX_SERIES:
            self._drop_series(next(iter(self._points)))
            self._dropped += 1
        name, service, source, attributes = key
        series = PointSeries(key, tuple(sorted([*series_labels(service, source), *attributes])))
        self._points[key] = series
        self._points_of.setdefault(name, {})[key] = series
        return series

    def _drop_series(self, key: PointKey) -> None:
        del self._points[key]
        del self._points_of[key[0]][key]

    def _bounded(self, table: OrderedDict[Any, Any], key: Any, limit: int) -> None:
        if key not in table and len(table) >= limit:
            table.popitem(last=False)
            self._dropped += 1

    # -- values ---------------------------------------------------------------------------------------------

    def samples(self, rule: Rule, now: float, active: Collection[Labels] = ()) -> Iterator[Sample]:
        """The value of the series of `rule` at `now`: of those in `active`, and of those that may raise an alert."""
        metric = rule.metric_name
        if metric in _OPERATION_METRICS:
            yield from self._operation_samples(rule, now, active)
        elif metric in _RESOURCES:
            work_out = partial(self._level_column, _RESOURCES[metric], rule.staleness_s, now)
            levels = self._column((metric, rule.staleness_s), now, work_out)
            yield from _found(rule, levels, active, _level_labels, partial(_level_sample, rule))
        elif metric == "heartbeat_age":
            yield from self._age_samples(rule, now, active)
        elif metric is not None:
            aggregation = rule.aggregation or "last"
            reach_s = rule.staleness_s if aggregation == "last" else rule.window_s
            key = (metric, aggregation, reach_s)
            points = self._column(key, now, partial(self._point_column, metric, aggregation, reach_s, now))
            yield from _found(rule, points, active, _point_labels, partial(_point_sample, rule, now))

    def _column(self, key: Hashable, now: float, build: Callable[[], S]) -> S:
        """What was worked out at `now` already, or what `build` gives."""
        state = (now, self._changes + self.operations.changes)
        if state != self._columns_of:
            self._columns.clear()
            self._columns_of = state
        found: S | None = self._columns.get(key)
        if found is None:
            found = self._columns[key] = build()
        return found

    def _operation_samples(self, rule: Rule, now: float, active: Collection[Labels]) -> Iterator[Sample]:
        """Durations are put together only of series whose longest one violates the rule."""
        bounded = rule.metric_name == "response_time" and rule.comparison in (Comparison.ABOVE, Comparison.AT_LEAST)
        key = (rule.metric_name, rule.aggregation, rule.window_s, bounded)
        column = self._column(key, now, partial(self._operation_column, rule, now, bounded=bounded))

        def make(series: Key, value: float | None) -> Sample | None:
            candidate = bounded and value is not None and operation_labels(series) not in active
            if candidate and not self._may_last(rule, series, now):
                return None
            return self.operation_sample(rule, series, now)

        yield from _found(rule, column, active, operation_labels, make)

    def _operation_column(self, rule: Rule, now: float, *, bounded: bool) -> Column[Key]:
        pairs: list[tuple[Key, float | None]] = []
        for key in self.operations.series():
            summary = self._summary(key, now, rule.window_s)
            if summary is None:
                pairs.append((key, None))
            else:
                pairs.append((key, summary.longest_s * 1e3 if bounded else operation_value(rule, summary)))
        return Column(pairs, operation_labels)

    def _summary(self, key: Key, now: float, window_s: float) -> Summary | None:
        return self._column((key, window_s), now, lambda: (self.operations.summary(key, now, window_s),))[0]

    def _may_last(self, rule: Rule, key: Key, now: float) -> bool:
        share = 1.0 - quantile_of(rule.aggregation or "p95") - _QUANTILE_SLACK
        return self.operations.may_last(key, rule.threshold / 1e3, share, now, rule.window_s)

    def operation_sample(self, rule: Rule, key: Key, now: float) -> Sample | None:
        """The value of one series of an operation metric."""
        labels = operation_labels(key)
        if not _selected(rule, labels):
            return None
        summary = self._summary(key, now, rule.window_s)
        if summary is None:
            return Sample(labels, None)
        value = operation_value(rule, summary)
        return Sample(labels, value, summary.count, detail=partial(operation_detail, rule, key, summary, value))

    def _level_column(self, resource: str, staleness_s: float, now: float) -> Column[Level]:
        pairs: list[tuple[Level, float | None]] = []
        for (_, _, name), level in self._levels.items():
            if name == resource:
                fresh = now - level.at <= staleness_s and level.limit > 0
                pairs.append((level, 100.0 * level.value / level.limit if fresh else None))
        return Column(pairs, _level_labels)

    def _age_samples(self, rule: Rule, now: float, active: Collection[Labels]) -> Iterator[Sample]:
        above = rule.comparison in (Comparison.ABOVE, Comparison.AT_LEAST)
        due, watched = set(), [dict(labels).get("worker", "") for labels in active]
        for worker, at in self._heartbeats.items():
            if above and now - at < rule.threshold:
                break  # the table is in the order of the last heartbeats: all that follow are younger
            due.add(worker)
            yield _age_sample(rule, worker, now - at)
        for worker in watched:
            if worker not in due and worker in self._heartbeats:
                yield _age_sample(rule, worker, now - self._heartbeats[worker])

    def _point_column(self, metric: str, aggregation: str, reach_s: float, now: float) -> Column[PointSeries]:
        series = self._points_of.get(metric, {}).values()
        if aggregation == "last":
            return Column(((each, each.last(reach_s, now)) for each in series), _point_labels)
        return Column(((each, each.aggregated(aggregation, reach_s, now)) for each in series), _point_labels)

    def forget_idle(self, now: float) -> None:
        """Let go of what no window can see any more."""
        self.operations.forget_idle(now)
        oldest = now - self._kept_s
        while self._points and (first := next(iter(self._points.values()))).points[-1][0] < oldest:
            self._drop_series(first.key)
        while self._levels and next(iter(self._levels.values())).at < oldest:
            self._levels.popitem(last=False)

    @property
    def live(self) -> bool:
        """Whether the passing of time alone can still change a value."""
        return bool(len(self.operations) or self._levels or self._heartbeats or self._points)

    def dump(self) -> dict[str, Any]:
        return {
            "operations": self.operations.dump(),
            "levels": [list(level) for level in self._levels.values()],
            "heartbeats": list(self._heartbeats.items()),
            "points": [
                [list(key[:3]), [list(pair) for pair in key[3]], [list(p) for p in series.points]]
                for key, series in self._points.items()
            ],
        }

    def load(self, state: dict[str, Any]) -> None:
        self.operations.load(state["operations"])
        for item in state["levels"]:
            self._level(Level(*item))
        self._heartbeats = OrderedDict((worker, at) for worker, at in state["heartbeats"])
        for (name, service, source), attributes, points in state["points"]:
            key = (name, service, source, tuple((k, v) for k, v in attributes))
            self._new_series(key).points.extend((at, value) for at, value in points)


def _found(
    rule: Rule,
    column: Column[S],
    active: Collection[Labels],
    labels_of: Callable[[S], Labels],
    make: Callable[[S, float | None], Sample | None],
) -> Iterator[Sample]:
    """The samples of a column's series that violate a rule or are active, and with `fire` of those without data."""
    wanted: list[tuple[S, float | None]] = list(column.violating(rule.comparison, rule.threshold))
    if rule.on_no_data is NoData.FIRE:
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


def _level_sample(rule: Rule, level: Level, percent: float | None) -> Sample:
    detail = partial(_detail, rule, f"{rule.metric_name} of {level.source} is", percent, ".1f", " %")
    return Sample(_level_labels(level), percent, at=level.at, detail=detail)


def _age_sample(rule: Rule, worker: str, age: float) -> Sample:
    detail = partial(_detail, rule, f"no heartbeat of worker {worker} for", age, ".1f", " s")
    return Sample((("worker", worker),), age, detail=detail)


def _point_sample(rule: Rule, now: float, series: PointSeries, value: float | None) -> Sample:
    aggregated = rule.aggregation not in (None, "last")
    counted = aggregated and rule.min_samples > 1
    count = series.count(rule.window_s, now) if counted else 1
    what = f"{series.key[0]} of {series.key[2] or 'unknown source'} is"
    at = None if aggregated else series.newest_at(now)
    return Sample(series.labels, value, count, at=at, detail=partial(_detail, rule, what, value, "g", ""))


def _point_labels(series: PointSeries) -> Labels:
    return series.labels


def _level_labels(level: Level) -> Labels:
    return source_labels(level.service, level.source)


def _detail(rule: Rule, what: str, value: float | None, form: str, unit: str) -> Detail:
    told = "unknown" if value is None else f"{value:{form}}{unit}"
    return described(rule, f"{what} {told} ({rule.comparison} {rule.threshold:g}{unit})"), ()


def _selected(rule: Rule, labels: Labels) -> bool:
    return all(pair in labels for pair in rule.attributes)
