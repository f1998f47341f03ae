"""The life of an alert as a pure function, with the semantics of Prometheus.

Sources: Prometheus `rules/alerting.go` (states, `for`, `keep_firing_for`), its alert compliance suite. Ours are
`resolve_threshold`, `on_no_data`, escalations, and that a pending alert fires on fresh samples only: Prometheus
lets one sample fire that its look-back still sees when `for` is over.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from otel_monitor_processors.alerts.alert import Alert, AlertTransition, State, episode_id, fingerprint
from otel_monitor_processors.alerts.held import instant
from otel_monitor_processors.alerts.rule import Labels, NoData, Rule, Severity
from otel_monitor_processors.observation import TraceRef

_FRESH_GAPS = 2.0
"""The newest sample is fresh while it is no older than so many of the gaps between samples so far."""
Detail = tuple[str, tuple[TraceRef, ...]]
"""What a value means in words, and exemplar traces of it."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The value of one series at an evaluation; `value` None (or NaN) means that there is no data.

    `at` is when the newest point behind the value was taken: None where the value is as of now. `summary` and
    `traces` may come from `detail` instead, which is asked only when the value violates its rule.
    """

    labels: Labels
    value: float | None
    samples: int = 1
    summary: str = ""
    traces: tuple[TraceRef, ...] = ()
    pattern: str = ""
    confidence: float | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)
    at: float | None = None
    detail: Callable[[], Detail] | None = None

    def told(self) -> Detail:
        return (self.summary, self.traces) if self.detail is None else self.detail()


@dataclass(frozen=True, slots=True)
class Step:
    """What one evaluation did: the alert afterwards (None: inactive) and the transition, if there was one.

    `given_up` says that it was kept without data for as long as its rule allows.
    """

    alert: Alert | None
    transition: AlertTransition | None = None
    given_up: bool = False


def advance(rule: Rule, alert: Alert | None, sample: Sample, now: float) -> Step:
    """Evaluate `rule` on one series at `now`. `alert` is the series' alert so far, None when inactive."""
    value = sample.value
    if value is None or math.isnan(value):
        return _without_data(rule, alert, sample, now)
    if sample.samples < rule.min_samples:
        return Step(alert)
    firing = alert is not None and alert.state is State.FIRING
    if rule.breached(value, firing=firing):
        return _breached(rule, alert, sample, value, now)
    return _clear(rule, alert, now, f"{value:g} is no longer {rule.comparison} {rule.threshold:g}")


def violates(rule: Rule, sample: Sample) -> bool:
    """Whether a sample would raise an alert, or make one pending, where there is none."""
    if sample.value is None or math.isnan(sample.value):
        return rule.no_data is NoData.FIRE and rule.pattern is None
    return sample.samples >= rule.min_samples and rule.breached(sample.value, firing=False)


def resume(alert: Alert, missed_s: float) -> Alert:
    """An alert after a time in which nothing was evaluated (a stopped process, a clock that jumped, a restart).

    Nothing is known of that time: it proves nothing and counts for nothing. What fires goes on firing.
    """
    return alert.but(
        active_at=alert.active_at + missed_s if alert.state is State.PENDING else alert.active_at,
        keep_since=_later(alert.keep_since, missed_s),
        blind_since=_later(alert.blind_since, missed_s),
    )


def _later(at: float | None, by_s: float) -> float | None:
    return None if at is None else at + by_s


def _without_data(rule: Rule, alert: Alert | None, sample: Sample, now: float) -> Step:
    if rule.no_data is NoData.FIRE and rule.pattern is None:
        return _breached(rule, alert, sample, math.nan, now)
    if alert is None:
        return Step(None)
    if rule.no_data is NoData.RESOLVE or rule.pattern is not None:
        return _clear(rule, alert, now, "no data any more")
    since = now if alert.blind_since is None else alert.blind_since
    if now - since >= rule.keep_no_data_for_s:
        return replace(over(alert, now, f"given up: no data for {now - since:g} s"), given_up=True)
    until = instant(since + rule.keep_no_data_for_s)
    held = f"no data since {instant(since)}: kept {alert.state} until {until} at most"
    return _kept(alert.but(blind_since=since, held=held), alert, now)


def _kept(kept: Alert, before: Alert, now: float) -> Step:
    """An alert stays as it is although its condition does not hold: that is told when it begins."""
    return Step(kept, AlertTransition(now, kept, kept.state, kept.held) if kept.held != before.held else None)


def _breached(rule: Rule, alert: Alert | None, sample: Sample, value: float, now: float) -> Step:
    previous = alert.state if alert is not None else State.INACTIVE
    base = alert if alert is not None else _new(rule, sample, now)
    summary, traces = sample.told()
    current = base.but(
        value=value,
        threshold=rule.limit,
        severity=_severity(rule, base, value, now),
        summary=summary,
        traces=traces or base.traces,
        pattern=sample.pattern,
        confidence=sample.confidence,
        window_s=rule.window_s,
        evidence=sample.evidence,
        keep_since=None,
        held="",
        **_seen(base, sample, now),
    )
    if alert is not None and previous is State.FIRING:
        return _still_firing(current, alert, now)
    elapsed = now - current.active_at
    held = _waits(rule, current, elapsed, now)
    if held:
        pending = current.but(held=held, due_at=current.active_at + rule.duration_s)
        known = alert is not None and alert.blind_since is None
        return Step(pending, None if known else AlertTransition(now, pending, previous, held))
    fired = current.but(state=State.FIRING, fired_at=now, due_at=None)
    held = f"condition has held for {elapsed:g} s (duration {rule.duration_s:g} s)"
    reason = held if rule.duration_s > 0 else "the condition holds"
    return Step(fired, AlertTransition(now, fired, previous, reason))


def _still_firing(current: Alert, before: Alert, now: float) -> Step:
    if current.severity is before.severity:
        again = AlertTransition(now, current, State.FIRING, "the condition holds again") if before.held else None
        return Step(current, again)
    reason = f"severity has changed from {before.severity} to {current.severity} (value {current.value:g})"
    return Step(current, AlertTransition(now, current, State.FIRING, reason, before.severity))


def _waits(rule: Rule, alert: Alert, elapsed: float, now: float) -> str:
    """What a pending alert waits for; nothing when it may fire."""
    if elapsed < rule.duration_s:
        return f"duration {rule.duration_s:g} s not reached before {instant(alert.active_at + rule.duration_s)}"
    if rule.duration_s <= 0 or alert.sampled_at is None:
        return ""
    age = now - alert.sampled_at
    if alert.sample_gap_s > 0 and age <= _FRESH_GAPS * alert.sample_gap_s:
        return ""
    return f"waits for a fresh sample (the newest is {age:g} s old)"


def _seen(alert: Alert, sample: Sample, now: float) -> dict[str, Any]:
    """What is new about an alert's samples; a pending one's time without data does not count."""
    news: dict[str, Any] = {}
    if alert.blind_since is not None:
        news["blind_since"] = None
        if alert.state is State.PENDING:
            news["active_at"] = alert.active_at + (now - alert.blind_since)
    if sample.at is not None and alert.sampled_at is not None and sample.at > alert.sampled_at:
        news["sampled_at"] = sample.at
        news["sample_gap_s"] = max(alert.sample_gap_s, sample.at - alert.sampled_at)
    return news


def _severity(rule: Rule, alert: Alert, value: float, now: float) -> Severity:
    """The rule's severity, or the highest of its escalations that holds; within an episode it never falls again."""
    if not rule.escalations:
        return rule.severity
    firing_s = now - alert.fired_at if alert.fired_at is not None else 0.0
    reached = [step.severity for step in rule.escalations if step.reached(rule, value, firing_s)]
    kept = [alert.severity] if alert.state is State.FIRING else []
    return max([rule.severity, *kept, *reached], key=lambda severity: severity.number)


def _clear(rule: Rule, alert: Alert | None, now: float, reason: str) -> Step:
    if alert is None:
        return Step(None)
    since = now if alert.keep_since is None else alert.keep_since
    if alert.state is State.FIRING and now - since < rule.keep_firing_for_s:
        held = f"clear since {instant(since)}: kept firing until {instant(since + rule.keep_firing_for_s)}"
        return _kept(alert.but(keep_since=since, blind_since=None, held=held), alert, now)
    return over(alert, now, reason)


def over(alert: Alert, now: float, reason: str) -> Step:
    """End an alert, whatever its rule says."""
    if alert.state is State.PENDING:
        inactive = alert.but(state=State.INACTIVE, held="", due_at=None)
        return Step(None, AlertTransition(now, inactive, State.PENDING, reason))
    resolved = alert.but(state=State.RESOLVED, resolved_at=now, held="")
    return Step(None, AlertTransition(now, resolved, State.FIRING, reason))


def alert_labels(rule: Rule, labels: Labels) -> Labels:
    """The labels of an alert: its series', and the rule's own, which beat them."""
    return tuple(sorted({**dict(labels), **dict(rule.labels)}.items())) if rule.labels else labels


def _new(rule: Rule, sample: Sample, now: float) -> Alert:
    labels = tuple(sorted(alert_labels(rule, sample.labels)))
    identity = fingerprint(rule.name, labels)
    return Alert(
        id=episode_id(identity, now),
        fingerprint=identity,
        rule=rule.name,
        labels=labels,
        severity=rule.severity,
        state=State.PENDING,
        active_at=now,
        value=0.0,
        threshold=rule.limit,
        metric=rule.metric_name or "",
        sampled_at=sample.at,
    )
