"""The nested parts of a configuration: alert rules, operations, failure patterns."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import voluptuous as v

from otel_monitor.settings_shapes import by_name, fields, listed
from otel_monitor.settings_values import Value, boolean, choice, json_from, number, text
from otel_monitor_processors.alerts.rule import AGGREGATIONS, Comparison, Escalation, NoData, Rule, Severity
from otel_monitor_processors.measures import BUILT_IN
from otel_monitor_processors.patterns.verdict import Pattern

_labels = by_name(lambda _name, value: text(value))

_escalation_fields = fields(
    {"severity": choice(*Severity), "threshold": number(), "after": number(0.001)}, required=("severity",)
)


def _escalation(raw: Any) -> Escalation:
    values = _escalation_fields(raw)
    if "threshold" not in values and "after" not in values:
        raise v.Invalid("an escalation has a threshold, a time (after), or both", path=["threshold"])
    return Escalation(
        severity=Severity(values["severity"]), threshold=values.get("threshold"), after_s=values.get("after")
    )


_RULE_FIELDS: dict[str, Callable[[Any], Any]] = {
    "name": text,
    "metric_name": text,
    "pattern": choice(*Pattern),
    "threshold": number(),
    "comparison": choice(*Comparison),
    "duration": number(0),
    "severity": choice(*Severity),
    "enabled": boolean,
    "description": text,
    "labels": _labels,
    "attributes": _labels,
    "aggregation": choice(*AGGREGATIONS),
    "window": number(1),
    "keep_firing_for": number(0),
    "resolve_threshold": number(),
    "staleness": number(0),
    "on_no_data": choice(*NoData),
    "keep_no_data_for": number(0),
    "escalations": listed(_escalation),
    "min_samples": number(1, whole=True),
    "min_confidence": number(0, 1),
}

_SECONDS = ("duration", "window", "keep_firing_for", "staleness", "keep_no_data_for")
_rule_fields = fields(_RULE_FIELDS)


def _rule(name: str, raw: Any) -> Rule:
    errors: list[v.Invalid] = []
    values: dict[str, Any] = {}
    try:
        values = _rule_fields(raw)
    except v.MultipleInvalid as error:
        errors += error.errors
        wrong = {one.path[0] for one in errors}
        values = {key: item for key, item in raw.items() if key not in wrong}
    errors += _contradictions(name, values, raw)
    if errors:
        raise v.MultipleInvalid(errors)
    values["name"] = name
    for key, convert in _CONVERT.items():
        if key in values:
            values[key] = convert(values[key])
    for key in _SECONDS:
        if key in values:
            values[f"{key}_s"] = values.pop(key)
    return Rule(**values)


_CONVERT: dict[str, Callable[[Any], Any]] = {
    "comparison": Comparison,
    "severity": Severity,
    "on_no_data": NoData,
    "pattern": Pattern,
    "labels": lambda labels: tuple(sorted(labels.items())),
    "attributes": lambda attributes: tuple(sorted(attributes.items())),
}


def _contradictions(name: str, values: Mapping[str, Any], given: Collection[str]) -> list[v.Invalid]:
    """What is wrong with fields together: with the `values` of those that are right in themselves, of all `given`."""
    problems = []
    if values.get("name", name) != name:
        problems.append(v.Invalid(f"{values['name']!r} differs from the key {name!r}", path=["name"]))
    if ("metric_name" in given) == ("pattern" in given):
        problems.append(v.Invalid("a rule has either a metric_name or a pattern", path=["metric_name"]))
    if "metric_name" in given and "threshold" not in given:
        problems.append(v.Invalid("required", path=["threshold"]))
    if values.get("aggregation") == "rate" and values.get("metric_name") in BUILT_IN:
        message = f"{values['metric_name']} has no rate: rates are those of counters"
        problems.append(v.Invalid(message, path=["aggregation"]))
    return problems + _hysteresis(values)


def _hysteresis(values: Mapping[str, Any]) -> list[v.Invalid]:
    """An alert that would resolve while its threshold is still violated would come and go for ever."""
    threshold, resolve = values.get("threshold"), values.get("resolve_threshold")
    if threshold is None or resolve is None:
        return []
    comparison = Comparison(values.get("comparison", Comparison.ABOVE))
    side = _RESOLVES.get(comparison)
    if side is None:
        return [v.Invalid(f"makes no sense with {comparison}: leave it out", path=["resolve_threshold"])]
    if side.holds(resolve, threshold):
        return []
    message = f"expected {side} the threshold {threshold:g} with {comparison}, got {resolve:g}"
    return [v.Invalid(message, path=["resolve_threshold"])]


_RESOLVES = {
    Comparison.ABOVE: Comparison.AT_MOST,
    Comparison.AT_LEAST: Comparison.AT_MOST,
    Comparison.BELOW: Comparison.AT_LEAST,
    Comparison.AT_MOST: Comparison.AT_LEAST,
}


def _operation(_name: str, raw: Any) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise v.Invalid(f"expected an object, got {raw!r}")
    return raw


_pattern_gates = fields(
    {
        "enabled": boolean,
        "min_events": number(1, whole=True),
        "time_window": number(1),
        "failure_rate_threshold": number(0, 1),
    }
)

RULES = Value("object", by_name(_rule), json_from)
OPERATIONS = Value("object", by_name(_operation), json_from)
PATTERNS = Value("object", by_name(lambda _name, raw: _pattern_gates(raw), choice(*Pattern)), json_from)
