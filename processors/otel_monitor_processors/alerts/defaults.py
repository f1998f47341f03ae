"""The rules that hold unless the user says otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from otel_monitor_processors.alerts.rule import Rule, Severity
from otel_monitor_processors.patterns.verdict import Pattern

_MIN_OPERATIONS = 10
"""Below this a share or a quantile of a window says nothing: one failure of one call is not a rate of 100 %."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """The default thresholds: warning and critical, in the units of the settings of the same names."""

    response_time_ms: tuple[float, float] = (5000.0, 10000.0)
    error_rate: tuple[float, float] = (0.1, 0.25)
    resource_usage_percent: tuple[float, float] = (85.0, 95.0)
    heartbeat_age_s: tuple[float, float] = (120.0, 300.0)
    duration_s: float = 300.0


def default_rules(thresholds: Thresholds, own: Mapping[str, Rule] | None = None) -> tuple[Rule, ...]:
    """The default rules, where a rule in `own` replaces the one of its name, and then the rest of `own`."""
    rules = {rule.name: rule for rule in _thresholds(thresholds)}
    rules |= {rule.name: rule for rule in PATTERN_RULES}
    rules |= dict(own or {})
    return tuple(rule for rule in rules.values() if rule.enabled)


def _thresholds(thresholds: Thresholds) -> list[Rule]:
    pairs: list[tuple[str, tuple[float, float], str, int]] = [
        ("response_time", thresholds.response_time_ms, "Operations are slow", _MIN_OPERATIONS),
        ("error_rate", thresholds.error_rate, "Operations fail", _MIN_OPERATIONS),
        ("cpu_usage", thresholds.resource_usage_percent, "The CPU is busy", 1),
        ("memory_usage", thresholds.resource_usage_percent, "Memory runs out", 1),
        ("disk_usage", thresholds.resource_usage_percent, "The disk fills up", 1),
    ]
    rules = [
        _rule(metric, threshold, severity, text, thresholds.duration_s, min_samples)
        for metric, levels, text, min_samples in pairs
        for threshold, severity in zip(levels, (Severity.WARNING, Severity.CRITICAL), strict=True)
    ]
    rules += [
        _rule("heartbeat_age", threshold, severity, "A worker is silent", 0.0, 1)
        for threshold, severity in zip(thresholds.heartbeat_age_s, (Severity.WARNING, Severity.CRITICAL), strict=True)
    ]
    return rules


def _rule(metric: str, threshold: float, severity: Severity, text: str, duration_s: float, min_samples: int) -> Rule:
    grade = "high" if severity is Severity.WARNING else "critical"
    return Rule(
        name=f"{grade}_{metric}",
        metric_name=metric,
        threshold=threshold,
        severity=severity,
        duration_s=duration_s,
        description=text,
        min_samples=min_samples,
    )


PATTERN_RULES: tuple[Rule, ...] = (
    Rule(
        name="worker_lost",
        pattern=Pattern.HEARTBEAT_DEGRADATION,
        attributes=(("scope", "lost"),),
        severity=Severity.CRITICAL,
        description="Workers have stopped to send heartbeats, or were given up by their orchestrator",
    ),
    Rule(
        name="heartbeat_degradation",
        pattern=Pattern.HEARTBEAT_DEGRADATION,
        attributes=(("scope", "late"),),
        severity=Severity.WARNING,
        description="Heartbeats come later or more irregularly than they used to",
    ),
    Rule(
        name="cascading_failures",
        pattern=Pattern.CASCADING_FAILURES,
        severity=Severity.CRITICAL,
        description="One failure brings about the next",
    ),
    Rule(
        name="resource_exhaustion",
        pattern=Pattern.RESOURCE_EXHAUSTION,
        severity=Severity.WARNING,
        description="Something limited runs out",
    ),
    Rule(
        name="network_partition",
        pattern=Pattern.NETWORK_PARTITION,
        severity=Severity.CRITICAL,
        description="Parts of the system do not reach each other, and work on",
    ),
    Rule(
        name="database_contention",
        pattern=Pattern.DATABASE_CONTENTION,
        severity=Severity.CRITICAL,
        description="Transactions wait for each other's locks, and give up",
    ),
    Rule(
        name="load_imbalance",
        pattern=Pattern.LOAD_IMBALANCE,
        severity=Severity.WARNING,
        description="Some workers carry far more than their share",
    ),
)
