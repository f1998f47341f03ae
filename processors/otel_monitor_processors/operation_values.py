"""What a window of operations comes to for a rule, in numbers and in words."""

from __future__ import annotations

from otel_monitor_processors.alerts.lifecycle import Detail
from otel_monitor_processors.alerts.rule import Comparison, Rule
from otel_monitor_processors.observation import TraceRef
from otel_monitor_processors.operation_windows import Key, Summary
from otel_monitor_processors.series_labels import described


def quantile_of(aggregation: str) -> float:
    """The share of a series that is below what an aggregation gives; 1 where any single value may count."""
    if aggregation == "mean":
        return 1.0
    return int(aggregation[1:]) / 100.0 if aggregation[1:].isdecimal() else 1.0


def operation_detail(rule: Rule, key: Key, summary: Summary, value: float) -> Detail:
    _, source, operation = key
    text, traces = _told(rule, summary, value)
    limit = f"{rule.comparison} {rule.threshold:g}"
    what = f"{operation} on {source}: {text} over {rule.window_s:g} s ({summary.count} calls, {limit})"
    return described(rule, what), traces


def _told(rule: Rule, summary: Summary, value: float) -> tuple[str, tuple[TraceRef, ...]]:
    if rule.metric_name == "error_rate":
        return f"{value:.0%} failed", summary.failures
    if rule.metric_name == "throughput":
        return f"{value:.3g} calls/s", ()
    return f"{rule.aggregation or 'p95'} duration {value:.0f} ms", summary.slowest


def operation_value(rule: Rule, summary: Summary) -> float:
    if rule.metric_name == "error_rate":
        failed = summary.failed
        return failed / summary.count if failed else 0.0
    if rule.metric_name == "throughput":
        return summary.count / rule.window_s
    aggregation = rule.aggregation or "p95"
    longest_s = summary.longest_s
    if aggregation == "mean":
        seconds = summary.total_s / summary.count
    elif aggregation in ("max", "last") or _is_harmless(rule, longest_s):
        seconds = longest_s
    else:
        seconds = summary.quantile_s(int(aggregation[1:]) / 100.0)
    return seconds * 1e3


def _is_harmless(rule: Rule, longest_s: float) -> bool:
    """Whether no quantile can violate the rule, as not even the longest duration does: then none is worked out."""
    limit = rule.threshold if rule.resolve_threshold is None else min(rule.threshold, rule.resolve_threshold)
    return rule.comparison in (Comparison.ABOVE, Comparison.AT_LEAST) and longest_s * 1e3 < limit
