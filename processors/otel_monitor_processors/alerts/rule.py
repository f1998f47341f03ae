"""Rules: when a metric or a failure pattern is worth an alert."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from otel_monitor_processors.patterns.verdict import Pattern

Labels = tuple[tuple[str, str], ...]
"""Sorted name and value pairs: hashable, and equal when the label sets are."""

STALENESS_S = 300.0
"""After this time without a point a series has no data, where neither its rule nor its interval says when."""

AGGREGATIONS = ("last", "rate", "mean", "max", "p50", "p75", "p90", "p95", "p99")
"""How the points of a window become one value."""


class Severity(StrEnum):
    """How bad an alert is; `number` is the severity number of its log event."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"
    EMERGENCY = "emergency"

    @property
    def number(self) -> int:
        return _SEVERITY_NUMBERS[self]


_SEVERITY_NUMBERS = {Severity.INFO: 9, Severity.WARNING: 13, Severity.CRITICAL: 17, Severity.EMERGENCY: 21}


class Comparison(StrEnum):
    """How the value is held against the threshold."""

    ABOVE = ">"
    AT_LEAST = ">="
    BELOW = "<"
    AT_MOST = "<="
    EQUAL = "=="
    UNEQUAL = "!="

    def holds(self, value: float, threshold: float) -> bool:
        return _COMPARISONS[self](value, threshold)


_COMPARISONS: dict[Comparison, Callable[[float, float], bool]] = {
    Comparison.ABOVE: operator.gt,
    Comparison.AT_LEAST: operator.ge,
    Comparison.BELOW: operator.lt,
    Comparison.AT_MOST: operator.le,
    Comparison.EQUAL: operator.eq,
    Comparison.UNEQUAL: operator.ne,
}


_SILENT_WHEN_CLEAR = frozenset({"response_time", "error_rate", "throughput", "heartbeat_age"})


class NoData(StrEnum):
    """What becomes of an alert whose series has no value any more."""

    KEEP = "keep"
    RESOLVE = "resolve"
    FIRE = "fire"


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalation:
    """An alert of the rule has `severity` once its value has passed `threshold`, or once it has fired for `after_s`.

    Where both are given, both have to hold.
    """

    severity: Severity
    threshold: float | None = None
    after_s: float | None = None

    def reached(self, rule: Rule, value: float, firing_s: float) -> bool:
        """Whether it holds for a value of an alert that has been firing for so long."""
        if self.threshold is not None and not rule.exceeds(value, self.threshold):
            return False
        return self.after_s is None or firing_s >= self.after_s > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule, over a metric (`metric_name`) or over a failure pattern (`pattern`).

    `metric_name` is a built-in name (see `measures.BUILT_IN`) or the name of any OpenTelemetry metric, whose
    points `attributes` selects and `aggregation` reduces over `window_s`. The condition must hold for
    `duration_s` before the alert fires. For a pattern, `attributes` selects by the verdict's scope.
    A series without a point for `staleness_s` has no data (None: for three of the intervals in which it is exported);
    a pattern that is not there is simply clear. What that means `no_data` says: with `keep` an alert without data
    stays as it is for `keep_no_data_for_s`; then it is given up, and an alert `no_data` raised. `escalations` raise
    the severity of the same alert, which does not fall again.
    """

    name: str
    metric_name: str | None = None
    pattern: Pattern | None = None
    threshold: float = 0.0
    comparison: Comparison = Comparison.ABOVE
    duration_s: float = 0.0
    severity: Severity = Severity.WARNING
    enabled: bool = True
    description: str = ""
    labels: Labels = ()
    attributes: Labels = ()
    aggregation: str | None = None
    window_s: float = 60.0
    keep_firing_for_s: float = 0.0
    resolve_threshold: float | None = None
    staleness_s: float | None = None
    on_no_data: NoData | None = None
    keep_no_data_for_s: float = 3600.0
    min_samples: int = 1
    min_confidence: float = 0.5
    escalations: tuple[Escalation, ...] = ()

    @property
    def no_data(self) -> NoData:
        """What becomes of an alert without data: what the rule says, else it is kept.

        Of operations and heartbeats there is none when nothing was called, and when a worker has left: that is clear.
        """
        if self.on_no_data is not None:
            return self.on_no_data
        clear = self.pattern is not None or self.metric_name in _SILENT_WHEN_CLEAR
        return NoData.RESOLVE if clear else NoData.KEEP

    @property
    def limit(self) -> float:
        """What a value is held against: the threshold, for a pattern the least confidence."""
        return self.threshold if self.pattern is None else self.min_confidence

    def breached(self, value: float, *, firing: bool) -> bool:
        """Whether `value` violates the rule. A firing alert stays so until it is past `resolve_threshold`."""
        if self.pattern is not None:
            return value >= self.min_confidence
        if firing and self.resolve_threshold is not None:
            return self.comparison.holds(value, self.resolve_threshold)
        return self.comparison.holds(value, self.threshold)

    def exceeds(self, value: float, limit: float) -> bool:
        """Whether `value` would violate the rule if `limit` were its threshold."""
        return value >= limit if self.pattern is not None else self.comparison.holds(value, limit)
