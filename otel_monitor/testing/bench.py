"""Rules on virtual time: series in, the states of alerts out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from otel_monitor.testing.clock import VirtualClock
from otel_monitor.testing.notation import Gap, Value, series_of, values_of
from otel_monitor_processors.alerts.alert import Alert, AlertTransition, State
from otel_monitor_processors.alerts.book import AlertBook
from otel_monitor_processors.alerts.lifecycle import Sample
from otel_monitor_processors.alerts.rule import Labels, Rule
from otel_monitor_processors.measures import BUILT_IN, Measures
from otel_monitor_processors.observation import MetricPoint

CONFIDENCE = "otel_monitor.pattern.confidence"
"""A series of this name, with a label `pattern`, is what rules on patterns look at."""

_GIVEN = " (given)"
_INCREASE = " (increase)"


@dataclass(frozen=True, slots=True)
class _Series:
    name: str
    labels: Labels
    values: list[Value]
    interval_s: float


class RuleBench:
    """Evaluates rules every `evaluation_interval_s` seconds from 0 on, as an engine would.

    A series of a built-in metric's name (`response_time`, `error_rate`) is that metric's value. For a rule with the
    aggregation `rate` a series is a counter's running total; where it falls, the counter began anew. Labels named
    `instance` and `service` are the source and its service.
    """

    def __init__(
        self, rules: Iterable[Rule], evaluation_interval_s: float = 60.0, clock: VirtualClock | None = None
    ) -> None:
        self.clock = clock if clock is not None else VirtualClock()
        self.transitions: list[AlertTransition] = []
        self._interval_s = evaluation_interval_s
        self._rules = [_given(rule) for rule in rules if rule.enabled]
        self._measures = Measures(self._rules)
        self._book = AlertBook()
        self._series: list[_Series] = []
        self._confidences: dict[Labels, float] = {}
        self._totals: dict[int, float] = {}
        self._next_sample: list[int] = []
        self._next_evaluation = 0

    def add(self, series: str, values: str, interval_s: float = 60.0) -> None:
        """Give a series in promtool's notation: `add('queue{instance="w1"}', "0+10x5 _ stale")`, from time 0 on.

        Raises:
            ValueError: it is not in that notation.
        """
        name, labels = series_of(series)
        self._series.append(_Series(name, labels, values_of(values), interval_s))
        self._next_sample.append(0)

    def advance(self, seconds: float) -> list[Alert]:
        """Let time pass; the alerts that are pending or firing then."""
        return self.run_until(self.clock.advance(seconds))

    def run_until(self, at_s: float) -> list[Alert]:
        """Evaluate up to and including `at_s`; the alerts that are pending or firing then."""
        while self._next_evaluation * self._interval_s <= at_s + 1e-9:
            self._evaluate(self._next_evaluation * self._interval_s)
            self._next_evaluation += 1
        return self._book.active()

    def _evaluate(self, now: float) -> None:
        for number in range(len(self._series)):
            self._feed(number, now)
        for rule in self._rules:
            samples = self._pattern_samples(rule) if rule.pattern is not None else self._metric_samples(rule, now)
            self.transitions += self._book.evaluate(rule, samples, now)

    def _feed(self, number: int, now: float) -> None:
        series = self._series[number]
        while self._next_sample[number] < len(series.values):
            at = self._next_sample[number] * series.interval_s
            if at > now + 1e-9:
                return
            self._take(number, series.values[self._next_sample[number]], at)
            self._next_sample[number] += 1

    def _take(self, number: int, value: Value, at: float) -> None:
        series = self._series[number]
        if value is Gap.MISSING:
            return
        sample = math.nan if isinstance(value, Gap) else value
        if series.name == CONFIDENCE:
            self._confidences[series.labels] = sample
            return
        labels = dict(series.labels)
        source, service = labels.pop("instance", ""), labels.pop("service", "")
        name = series.name + _GIVEN if series.name in BUILT_IN else series.name
        take = self._measures.interests()[MetricPoint]
        take(MetricPoint(at, source, name, tuple(sorted(labels.items())), sample, "", service))
        if not math.isnan(sample):
            before = self._totals.get(number)
            self._totals[number] = sample
            if before is not None:
                increase = sample - before if sample >= before else sample
                take(MetricPoint(at, source, name + _INCREASE, tuple(sorted(labels.items())), increase, "", service))

    def _metric_samples(self, rule: Rule, now: float) -> Iterator[Sample]:
        for sample in self._measures.samples(rule, now, self._book.of_rule(rule.name)):
            yield replace(sample, labels=tuple(pair for pair in sample.labels if pair != ("instance", "")))

    def _pattern_samples(self, rule: Rule) -> Iterator[Sample]:
        wanted = dict(rule.attributes)
        for labels, confidence in self._confidences.items():
            found = dict(labels)
            if found.get("pattern") != rule.pattern or any(found.get(name) != value for name, value in wanted.items()):
                continue
            kept = tuple(pair for pair in labels if pair[0] not in wanted)
            yield Sample(kept, confidence, pattern=str(rule.pattern), confidence=confidence)

    def firing(self) -> list[Mapping[str, str]]:
        """The labels of the alerts that fire, with `alertname`."""
        return [
            {"alertname": alert.rule, **dict(alert.labels)}
            for alert in self._book.active()
            if alert.state is State.FIRING
        ]


def _given(rule: Rule) -> Rule:
    """A rule on a built-in metric looks at the series that gives its value, one on a rate at a counter's increases."""
    if rule.metric_name not in BUILT_IN:
        return replace(rule, metric_name=f"{rule.metric_name}{_INCREASE}") if rule.aggregation == "rate" else rule
    return replace(rule, metric_name=f"{rule.metric_name}{_GIVEN}", aggregation="last", on_no_data=rule.no_data)
