"""The life of an alert as a pure function, with the semantics of Prometheus.

Sources: Prometheus `rules/alerting.go` (states, `for`, `keep_firing_for`), its alert compliance suite.
Ours are `resolve_threshold` and `on_no_data`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from otel_monitor_processors.alerts.alert import Alert, AlertTransition, State, episode_id, fingerprint
from otel_monitor_processors.alerts.rule import Labels, NoData, Rule
from otel_monitor_processors.observation import TraceRef


@dataclass(frozen=True, slots=True)
class Sample:
    """The value of one series at an evaluation; `value` None means that there is no data."""

    labels: Labels
    value: float | None
    samples: int = 1
    summary: str = ""
    traces: tuple[TraceRef, ...] = ()
    pattern: str = ""
    confidence: float | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """What one evaluation did: the alert afterwards (None: inactive) and the transition, if there was one."""

    alert: Alert | None
    transition: AlertTransition | None = None


def advance(rule: Rule, alert: Alert | None, sample: Sample, now: float) -> Step:
    """Evaluate `rule` on one series at `now`. `alert` is the series' alert so far, None when inactive."""
    value = sample.value
    if value is None or math.isnan(value):
        return _without_data(rule, alert, sample, now)
    if sample.samples < rule.min_samples:
        return Step(alert) if alert is not None else Step(None)
    firing = alert is not None and alert.state is State.FIRING
    if rule.breached(value, firing=firing):
        return _breached(rule, alert, sample, value, now)
    return _clear(rule, alert, now, f"{value:g} is no longer {rule.comparison} {rule.threshold:g}")


def _without_data(rule: Rule, alert: Alert | None, sample: Sample, now: float) -> Step:
    if rule.on_no_data is NoData.FIRE:
        return _breached(rule, alert, sample, float("nan"), now)
    if alert is None or rule.on_no_data is NoData.KEEP:
        return Step(alert)
    return _clear(rule, alert, now, "no data any more")


def _breached(rule: Rule, alert: Alert | None, sample: Sample, value: float, now: float) -> Step:
    previous = alert.state if alert is not None else State.INACTIVE
    current = replace(
        alert if alert is not None else _new(rule, sample, now),
        value=value,
        threshold=rule.limit,
        severity=rule.severity,
        summary=sample.summary,
        traces=sample.traces or (alert.traces if alert is not None else ()),
        pattern=sample.pattern,
        confidence=sample.confidence,
        window_s=rule.window_s,
        evidence=sample.evidence,
        keep_since=None,
    )
    elapsed = now - current.active_at
    if previous is State.FIRING:
        return Step(current)
    if elapsed >= rule.duration_s:
        fired = replace(current, state=State.FIRING, fired_at=now, held="")
        reason = f"condition has held for {elapsed:g} s (duration {rule.duration_s:g} s)"
        return Step(fired, AlertTransition(now, fired, previous, reason))
    held = f"duration {rule.duration_s:g} s not reached ({elapsed:g} s so far)"
    pending = replace(current, held=held)
    if previous is State.PENDING:
        return Step(pending)
    return Step(pending, AlertTransition(now, pending, previous, held))


def _clear(rule: Rule, alert: Alert | None, now: float, reason: str) -> Step:
    if alert is None:
        return Step(None)
    if alert.state is State.PENDING:
        inactive = replace(alert, state=State.INACTIVE, held="")
        return Step(None, AlertTransition(now, inactive, State.PENDING, reason))
    since = now if alert.keep_since is None else alert.keep_since
    if now - since < rule.keep_firing_for_s:
        held = f"clear, kept firing for {rule.keep_firing_for_s:g} s ({now - since:g} s so far)"
        return Step(replace(alert, keep_since=since, held=held))
    resolved = replace(alert, state=State.RESOLVED, resolved_at=now, held="")
    return Step(None, AlertTransition(now, resolved, State.FIRING, reason))


def _new(rule: Rule, sample: Sample, now: float) -> Alert:
    labels = tuple(sorted({**dict(sample.labels), **dict(rule.labels)}.items()))
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
    )
