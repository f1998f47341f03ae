"""The values that rules are held against: built-in metrics, and the points of any other metric."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from otel_monitor_processors.alerts.lifecycle import Sample
from otel_monitor_processors.alerts.rule import Comparison, Labels, NoData, Rule
from otel_monitor_processors.observation import (
    Change,
    Heartbeat,
    Level,
    Membership,
    MetricPoint,
    Operation,
    TraceRef,
)
from otel_monitor_processors.operation_windows import Key, OperationWindows, Summary

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
_MAX_POINTS = 240


class Measures:
    """Keeps what the given rules need, and no more; every table is bounded and counts what it drops."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        rules = [rule for rule in rules if rule.metric_name is not None]
        windows = [rule.window_s for rule in rules if rule.metric_name in _OPERATION_METRICS] or [60.0]
        self.operations = OperationWindows(min(windows), max(windows), _MAX_SERIES)
        self._levels: OrderedDict[tuple[str, str, str], Level] = OrderedDict()
        self._heartbeats: OrderedDict[str, float] = OrderedDict()
        self._wanted = {rule.metric_name for rule in rules} - set(BUILT_IN)
        self._points: OrderedDict[tuple[str, str, str, Labels], deque[tuple[float, float]]] = OrderedDict()
        self._dropped = 0

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
        self._bounded(self._levels, (level.service, level.source, level.resource), _MAX_SERIES)
        self._levels[level.service, level.source, level.resource] = level

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
        self._bounded(self._points, key, _MAX_SERIES)
        self._points.setdefault(key, deque(maxlen=_MAX_POINTS)).append((point.at, point.value))

    def _bounded(self, table: OrderedDict[Any, Any], key: Any, limit: int) -> None:
        if key not in table and len(table) >= limit:
            table.popitem(last=False)
            self._dropped += 1

    def samples(self, rule: Rule, now: float, *, quiet: bool = False) -> Iterator[Sample]:
        """The value of every series of `rule` at `now`; with `quiet` (none is active) of those that may raise one."""
        metric = rule.metric_name
        upwards = rule.comparison in (Comparison.ABOVE, Comparison.AT_LEAST)
        quiet = quiet and upwards and rule.on_no_data is not NoData.FIRE
        if metric in _OPERATION_METRICS:
            for key in self.operations.series():
                if quiet and not self.operations.may_reach(metric, rule.threshold, key):
                    continue
                sample = self.operation_sample(rule, key, now)
                if sample is not None:
                    yield sample
        elif metric in _RESOURCES:
            yield from self._level_samples(rule, _RESOURCES[metric], now, quiet=quiet)
        elif metric == "heartbeat_age":
            yield from self._age_samples(rule, now)
        elif metric is not None:
            yield from self._point_samples(rule, metric, now)

    def operation_sample(self, rule: Rule, key: Key, now: float) -> Sample | None:
        """The value of one series of an operation metric."""
        service, source, operation = key
        labels = series_labels(service, source, operation=operation)
        if not _selected(rule, labels):
            return None
        summary = self.operations.summary(key, now, rule.window_s)
        if summary is None:
            return Sample(labels, None)
        value, text, traces = _reduce(rule, summary)
        limit = f"{rule.comparison} {rule.threshold:g}"
        what = f"{operation} on {source}: {text} over {rule.window_s:g} s ({summary.count} calls, {limit})"
        return Sample(labels, value, summary.count, _described(rule, what), traces)

    def _level_samples(self, rule: Rule, resource: str, now: float, *, quiet: bool) -> Iterator[Sample]:
        for (service, source, name), level in self._levels.items():
            if name != resource or (quiet and 100.0 * level.value < rule.threshold * level.limit):
                continue
            labels = series_labels(service, source)
            if now - level.at > rule.staleness_s or level.limit <= 0:
                yield Sample(labels, None)
                continue
            percent = 100.0 * level.value / level.limit
            what = f"{rule.metric_name} of {source} is {percent:.1f} % ({rule.comparison} {rule.threshold:g} %)"
            yield Sample(labels, percent, summary=_described(rule, what))

    def _age_samples(self, rule: Rule, now: float) -> Iterator[Sample]:
        above = rule.comparison in (Comparison.ABOVE, Comparison.AT_LEAST)
        for worker, at in self._heartbeats.items():
            age = now - at
            if above and age < rule.threshold:
                return  # the table is in the order of the last heartbeats: all that follow are younger
            what = f"no heartbeat of worker {worker} for {age:.1f} s ({rule.comparison} {rule.threshold:g} s)"
            yield Sample((("worker", worker),), age, summary=_described(rule, what))

    def _point_samples(self, rule: Rule, metric: str, now: float) -> Iterator[Sample]:
        for (name, service, source, attributes), points in self._points.items():
            if name != metric:
                continue
            labels = tuple(sorted([*series_labels(service, source), *attributes]))
            if not _selected(rule, labels):
                continue
            recent = [value for at, value in points if now - rule.window_s < at <= now]
            if rule.aggregation in (None, "last"):
                recent = [value for at, value in points if now - rule.staleness_s < at <= now][-1:]
            if not recent:
                yield Sample(labels, None)
                continue
            value = _aggregate(rule.aggregation or "last", recent, rule.window_s)
            what = f"{metric} of {source} is {value:g} ({rule.comparison} {rule.threshold:g})"
            yield Sample(labels, value, len(recent), _described(rule, what))

    def forget_idle(self, now: float) -> None:
        """Let go of what no window can see any more."""
        self.operations.forget_idle(now)

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
                [list(key[:3]), [list(pair) for pair in key[3]], [list(p) for p in points]]
                for key, points in self._points.items()
            ],
        }

    def load(self, state: dict[str, Any]) -> None:
        self.operations.load(state["operations"])
        for item in state["levels"]:
            self._level(Level(*item))
        self._heartbeats = OrderedDict((worker, at) for worker, at in state["heartbeats"])
        for (name, service, source), attributes, points in state["points"]:
            key = (name, service, source, tuple((k, v) for k, v in attributes))
            self._points[key] = deque(((at, value) for at, value in points), maxlen=_MAX_POINTS)


def series_labels(service: str, source: str, **more: str) -> Labels:
    """The labels of one series: `instance`, `service` where it is known, and what else tells it apart."""
    pairs = {"instance": source, **more}
    if service:
        pairs["service"] = service
    return tuple(sorted(pairs.items()))


def _selected(rule: Rule, labels: Labels) -> bool:
    return all(pair in labels for pair in rule.attributes)


def _described(rule: Rule, what: str) -> str:
    return f"{rule.description}: {what}" if rule.description else what


def _reduce(rule: Rule, summary: Summary) -> tuple[float, str, tuple[TraceRef, ...]]:
    if rule.metric_name == "error_rate":
        rate = summary.failed / summary.count
        return rate, f"{rate:.0%} failed", summary.failures
    if rule.metric_name == "throughput":
        rate = summary.count / rule.window_s
        return rate, f"{rate:.3g} calls/s", ()
    aggregation = rule.aggregation or "p95"
    if aggregation == "mean":
        seconds = summary.total_s / summary.count
    elif aggregation in ("max", "last") or _harmless(rule, summary):
        seconds = summary.longest_s
    else:
        seconds = summary.quantile_s(int(aggregation[1:]) / 100.0)
    return seconds * 1e3, f"{aggregation} duration {seconds * 1e3:.0f} ms", summary.slowest


def _harmless(rule: Rule, summary: Summary) -> bool:
    """Whether no quantile can violate the rule, as not even the longest duration does: then none is worked out."""
    limit = rule.threshold if rule.resolve_threshold is None else min(rule.threshold, rule.resolve_threshold)
    return rule.comparison in (Comparison.ABOVE, Comparison.AT_LEAST) and summary.longest_s * 1e3 < limit


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
