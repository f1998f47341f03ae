"""The alert book: every active alert, and the evaluation of rules that changes them."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from otel_monitor_processors.alerts.alert import Alert, AlertTransition, State
from otel_monitor_processors.alerts.lifecycle import Sample, advance, alert_labels, over, resume, violates
from otel_monitor_processors.alerts.rule import STALENESS_S, Comparison, Labels, Rule, Severity

ABANDONED_AFTER_S = 300.0
"""An alert whose process has not been heard of for so long is over, as it is for an Alertmanager."""

_MAX_ALERTS = 10_000
_MISSED_INTERVALS = 2.0
"""An evaluation that comes later than so many intervals after the last has missed some."""
_BLIND_FOR_S = 24 * 3600.0
"""How long an alert `no_data` fires at most: a series that is gone for a day is not coming back."""
_NONE: Mapping[Labels, Alert] = MappingProxyType({})

NO_DATA = Rule(
    name="no_data",
    metric_name="otel_monitor.rule.data",
    comparison=Comparison.BELOW,
    threshold=1.0,
    severity=Severity.WARNING,
    description="A series that an alert was kept for has no data any more",
)
"""Raised for a series that was given up, after an alert on it was kept without data."""

RULE_FAILED = Rule(
    name="rule_failed",
    metric_name="otel_monitor.rule.evaluation",
    comparison=Comparison.BELOW,
    threshold=1.0,
    severity=Severity.WARNING,
    description="A rule cannot be evaluated; its alerts stay as they are",
)
"""Raised for a rule whose evaluation fails."""


class EvaluationError(ValueError):
    """A rule cannot be evaluated as things are."""


class AlertBook:
    """Holds the alert of each rule and label set; at most 10,000 of them, what would be more is counted.

    `interval_s` is the time between two evaluations of a rule: what was missed counts for nothing. None: evaluations
    come as they come.
    """

    def __init__(self, interval_s: float | None = None) -> None:
        self._interval_s = interval_s
        self._active: dict[str, dict[Labels, Alert]] = {}
        self._count = 0
        self._evaluated: dict[str, float] = {}
        self._blind: dict[str, dict[Labels, float]] = {}
        self._failed: set[str] = set()
        self._restored: dict[tuple[str, Labels], float] = {}
        self.dropped = 0

    def evaluate(self, rule: Rule, samples: Iterable[Sample], now: float) -> Iterator[AlertTransition]:
        """Hold every series of `rule` against it; a series that has vanished has no data.

        A rule that cannot be evaluated keeps its state, and raises an alert of its own.
        """
        self._catch_up(rule, now)
        transitions: list[AlertTransition] = []
        try:
            for transition in self._evaluate_all(rule, samples, now):
                transitions.append(transition)  # noqa: PERF402 - what was found before a failure is kept
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one rule, it is told, and the others go on
            self._failed.add(rule.name)
            transitions += self._health(rule, now, f"{type(error).__name__}: {error}")
        else:
            if rule.name in self._failed:
                self._failed.discard(rule.name)
                transitions += self._health(rule, now, "")
        yield from transitions

    def _evaluate_all(self, rule: Rule, samples: Iterable[Sample], now: float) -> Iterator[AlertTransition]:
        seen: set[Labels] = set()
        for sample in samples if not rule.labels else _distinct(rule, samples):
            seen.add(sample.labels)
            yield from self.evaluate_one(rule, sample, now)
        for labels in [labels for labels in self.of_rule(rule.name) if labels not in seen]:
            yield from self.evaluate_one(rule, Sample(labels, None), now)
        blind = self._blind.get(rule.name)
        for labels in [labels for labels in blind or () if labels not in seen]:
            yield from self._still_blind(rule, labels, now)

    def evaluate_one(self, rule: Rule, sample: Sample, now: float) -> Iterator[AlertTransition]:
        """Hold one series against `rule`."""
        if self._restored and self._not_seen_yet(rule, sample, now):
            return
        before = self.of(rule.name, sample.labels)
        if before is None and self._count >= _MAX_ALERTS:
            self.dropped += violates(rule, sample)
            return
        step = advance(rule, before, sample, now)
        if step.alert is None:
            if before is not None:
                self._remove(rule.name, sample.labels)
        else:
            self._count += before is None
            self._active.setdefault(rule.name, {})[sample.labels] = step.alert
        if step.transition is not None:
            yield step.transition
        if step.given_up:
            self._blind.setdefault(rule.name, {})[sample.labels] = now
            yield from self._data(rule, sample.labels, now, 0.0)
        elif rule.name in self._blind and sample.value is not None:
            yield from self._sees_again(rule, sample.labels, now)

    def _catch_up(self, rule: Rule, now: float) -> None:
        """What was missed since the last evaluation counts for nothing."""
        last = self._evaluated.get(rule.name)
        self._evaluated[rule.name] = now
        if last is None or self._interval_s is None or now - last <= _MISSED_INTERVALS * self._interval_s:
            return
        alerts = self._active.get(rule.name, {})
        for labels, alert in alerts.items():
            alerts[labels] = resume(alert, now - last - self._interval_s)

    def _remove(self, rule: str, labels: Labels) -> None:
        del self._active[rule][labels]
        self._count -= 1
        if not self._active[rule]:
            del self._active[rule]

    # -- after a restart --------------------------------------------------------------------------------

    def restore(
        self, rules: Iterable[Rule], alerts: Iterable[Alert], now: float, last_seen_at: float | None = None
    ) -> list[AlertTransition]:
        """Take up alerts that were pending or firing when an earlier process ended; those that end by that.

        A firing one is over where that process was last heard of, at `last_seen_at`, longer than
        `ABANDONED_AFTER_S` ago: it counts anew.
        They stay as they are until there is data on their series again, for as long as a series may be stale. The
        time since `last_seen_at` does not count for a pending one; None: nor does any time before.
        """
        known = {rule.name: rule for rule in rules}
        away_s = 0.0 if last_seen_at is None else now - last_seen_at
        transitions: list[AlertTransition] = []
        for alert in alerts:
            rule = known.get(alert.rule)
            if rule is None:
                transitions += _ended(alert, now, "its rule is no more")
                continue
            if alert.state is State.FIRING and away_s > ABANDONED_AFTER_S:
                transitions += _ended(alert, now, f"nothing had been heard of its process for {away_s:.0f} s")
                continue
            missed_s = now - (alert.active_at if last_seen_at is None else max(last_seen_at, alert.active_at))
            own = dict(rule.labels)
            labels = tuple(pair for pair in alert.labels if pair[0] not in own)
            if labels not in self.of_rule(rule.name) and self._count < _MAX_ALERTS:
                self._active.setdefault(rule.name, {})[labels] = resume(alert, max(0.0, missed_s))
                self._restored[rule.name, labels] = now + max(rule.staleness_s or STALENESS_S, rule.window_s)
                self._count += 1
        return transitions

    def _not_seen_yet(self, rule: Rule, sample: Sample, now: float) -> bool:
        """Whether there is nothing yet on the series of a restored alert, and still time to wait."""
        key = (rule.name, sample.labels)
        until = self._restored.get(key)
        if until is None:
            return False
        if now < until and (sample.value is None or math.isnan(sample.value)):
            return True
        del self._restored[key]
        return False

    # -- alerts about rules -----------------------------------------------------------------------------

    def _health(self, rule: Rule, now: float, problem: str) -> Iterator[AlertTransition]:
        summary = f"{RULE_FAILED.description}: {rule.name}: {problem}"
        sample = Sample((("rule", rule.name),), 0.0 if problem else 1.0, summary=summary)
        yield from self.evaluate_one(RULE_FAILED, sample, now)

    def _data(self, rule: Rule, labels: Labels, now: float, value: float) -> Iterator[AlertTransition]:
        about = tuple(sorted({**dict(labels), "rule": rule.name}.items()))
        what = f"rule {rule.name} has had no data for {rule.keep_no_data_for_s:g} s; its alert is given up"
        yield from self.evaluate_one(NO_DATA, Sample(about, value, summary=f"{NO_DATA.description}: {what}"), now)

    def _still_blind(self, rule: Rule, labels: Labels, now: float) -> Iterator[AlertTransition]:
        if now - self._blind[rule.name][labels] >= _BLIND_FOR_S:
            yield from self._sees_again(rule, labels, now)

    def _sees_again(self, rule: Rule, labels: Labels, now: float) -> Iterator[AlertTransition]:
        if self._blind[rule.name].pop(labels, None) is not None:
            yield from self._data(rule, labels, now, 1.0)
        if not self._blind[rule.name]:
            del self._blind[rule.name]

    # -- what there is ----------------------------------------------------------------------------------

    def active(self) -> list[Alert]:
        """Every pending and firing alert."""
        return [alert for alerts in self._active.values() for alert in alerts.values()]

    def of(self, rule: str, labels: Labels) -> Alert | None:
        """The active alert of a rule on a series."""
        return self.of_rule(rule).get(labels)

    def of_rule(self, rule: str) -> Mapping[Labels, Alert]:
        """The active alerts of a rule, by the labels of their series."""
        return self._active.get(rule, _NONE)

    def watched(self, rule: str) -> Collection[Labels]:
        """The series that a rule has to be told the value of, even one that raises nothing: any end is news."""
        alerts, blind = self._active.get(rule), self._blind.get(rule)
        if not blind:
            return (alerts or _NONE).keys()
        return {*(alerts or ()), *blind}

    def __len__(self) -> int:
        return self._count

    def dump(self) -> dict[str, Any]:
        return {
            "alerts": [
                [list(map(list, labels)), alert.dump()]
                for alerts in self._active.values()
                for labels, alert in alerts.items()
            ],
            "evaluated": self._evaluated,
            "blind": [
                [rule, list(map(list, labels)), since]
                for rule, series in self._blind.items()
                for labels, since in series.items()
            ],
            "failed": sorted(self._failed),
            "restored": [[rule, list(map(list, labels)), until] for (rule, labels), until in self._restored.items()],
        }

    def load(self, state: Mapping[str, Any]) -> None:
        self._active.clear()
        for pairs, item in state["alerts"]:
            alert = Alert.load(item)
            self._active.setdefault(alert.rule, {})[_labels(pairs)] = alert
        self._count = len(state["alerts"])
        self._evaluated = dict(state["evaluated"])
        self._blind.clear()
        for rule, pairs, since in state["blind"]:
            self._blind.setdefault(rule, {})[_labels(pairs)] = since
        self._failed = set(state["failed"])
        self._restored = {(rule, _labels(pairs)): until for rule, pairs, until in state["restored"]}


def _ended(alert: Alert, now: float, reason: str) -> Iterator[AlertTransition]:
    step = over(alert, now, reason)
    if step.transition is not None:
        yield step.transition


def _labels(pairs: Iterable[Iterable[str]]) -> Labels:
    return tuple((name, value) for name, value in pairs)


def _distinct(rule: Rule, samples: Iterable[Sample]) -> list[Sample]:
    """The samples, if the rule's own labels leave each its identity.

    Raises:
        EvaluationError: two of them would raise the same alert.
    """
    found = list(samples)
    seen: set[Labels] = set()
    for sample in found:
        labels = alert_labels(rule, sample.labels)
        if labels in seen:
            same = ", ".join(f"{name}={value}" for name, value in labels)
            raise EvaluationError(f"two series have the same labels ({same}) under the labels of the rule")
        seen.add(labels)
    return found
