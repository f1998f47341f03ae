"""The nested parts of a configuration: alert rules, operations, failure patterns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import voluptuous as v

from otel_monitor.settings_shapes import by_name, fields, listed
from otel_monitor.settings_values import Value, boolean, choice, json_from, number, text
from otel_monitor_processors.alerts.rule import AGGREGATIONS, Comparison, Escalation, NoData, Rule, Severity
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
    values = _rule_fields(raw)
    problems = _contradictions(name, values)
    if problems:
        raise v.MultipleInvalid(problems)
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


def _contradictions(name: str, values: Mapping[str, Any]) -> list[v.Invalid]:
    problems = []
    if values.get("name", name) != name:
        problems.append(v.Invalid(f"{values['name']!r} differs from the key {name!r}", path=["name"]))
    if ("metric_name" in values) == ("pattern" in values):
        problems.append(v.Invalid("a rule has either a metric_name or a pattern", path=["metric_name"]))
    if "metric_name" in values and "threshold" not in values:
        problems.append(v.Invalid("required", path=["threshold"]))
    return problems


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
