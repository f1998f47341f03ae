"""Every field of a rule can be configured, the thresholds of the configuration are rules, and every error is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from otel_monitor.detection import reads_foreign_metrics, rules
from otel_monitor.errors import ConfigurationError
from otel_monitor.settings import Settings
from otel_monitor_processors.alerts.flapping import FlapPolicy
from otel_monitor_processors.alerts.rule import Comparison, Escalation, NoData, Rule, Severity
from otel_monitor_processors.patterns.verdict import Pattern

FULL: dict[str, Any] = {
    "name": "deep",
    "metric_name": "queue.depth",
    "attributes": {"queue": "orders", "a": "b"},
    "aggregation": "p95",
    "window": 120,
    "comparison": ">=",
    "threshold": 10,
    "duration": 30,
    "severity": "critical",
    "enabled": True,
    "description": "Too deep",
    "labels": {"team": "shop", "floor": "2"},
    "keep_firing_for": 60,
    "resolve_threshold": 8,
    "staleness": 90,
    "on_no_data": "fire",
    "keep_no_data_for": 600,
    "min_samples": 3,
    "escalations": [{"severity": "emergency", "threshold": 20, "after": 300}],
}


def settings(tmp_path: Path, document: dict[str, Any]) -> Settings:
    path = tmp_path / "monitor.json"
    path.write_text(json.dumps(document))
    return Settings.from_env({"OTEL_MONITOR_CONFIG": str(path)})


def problems(tmp_path: Path, document: dict[str, Any]) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        settings(tmp_path, document)
    return [f"{problem.path}: {problem.message}" for problem in caught.value.problems]


def test_every_field_of_a_rule_on_a_metric(tmp_path: Path) -> None:
    assert settings(tmp_path, {"alert_rules": {"deep": FULL}}).alert_rules["deep"] == Rule(
        name="deep",
        metric_name="queue.depth",
        attributes=(("a", "b"), ("queue", "orders")),
        aggregation="p95",
        window_s=120.0,
        comparison=Comparison.AT_LEAST,
        threshold=10.0,
        duration_s=30.0,
        severity=Severity.CRITICAL,
        description="Too deep",
        labels=(("floor", "2"), ("team", "shop")),
        keep_firing_for_s=60.0,
        resolve_threshold=8.0,
        staleness_s=90.0,
        on_no_data=NoData.FIRE,
        keep_no_data_for_s=600.0,
        min_samples=3,
        escalations=(Escalation(severity=Severity.EMERGENCY, threshold=20.0, after_s=300.0),),
    )


def test_a_rule_on_a_pattern_has_a_confidence(tmp_path: Path) -> None:
    raw = {"pattern": "network_partition", "min_confidence": 0.8, "severity": "emergency"}
    rule = settings(tmp_path, {"alert_rules": {"parted": raw}}).alert_rules["parted"]
    assert (rule.pattern, rule.min_confidence, rule.limit) == (Pattern.NETWORK_PARTITION, 0.8, 0.8)


def test_the_thresholds_of_the_configuration_are_rules(tmp_path: Path) -> None:
    document = {
        "response_time_warning": 100.0,
        "response_time_critical": 200.0,
        "error_rate_warning": 0.2,
        "error_rate_critical": 0.4,
        "resource_usage_warning": 70.0,
        "resource_usage_critical": 80.0,
        "heartbeat_age_warning": 60.0,
        "heartbeat_age_critical": 90.0,
        "default_duration": 20.0,
    }
    found = {rule.name: rule for rule in rules(settings(tmp_path, document)) if rule.metric_name is not None}
    levels = {
        "response_time": (100.0, 200.0),
        "error_rate": (0.2, 0.4),
        "cpu_usage": (70.0, 80.0),
        "memory_usage": (70.0, 80.0),
        "disk_usage": (70.0, 80.0),
        "heartbeat_age": (60.0, 90.0),
    }
    assert {name: (rule.metric_name, rule.threshold, rule.severity) for name, rule in found.items()} == {
        f"{grade}_{metric}": (metric, level, severity)
        for metric, pair in levels.items()
        for grade, level, severity in zip(
            ("high", "critical"), pair, (Severity.WARNING, Severity.CRITICAL), strict=True
        )
    }
    assert {rule.duration_s for rule in found.values() if rule.metric_name != "heartbeat_age"} == {20.0}


def test_there_is_a_default_rule_for_each_pattern() -> None:
    assert {rule.pattern for rule in rules(Settings())} - {None} == set(Pattern)


def test_a_rule_of_the_name_of_a_default_one_replaces_it_or_turns_it_off(tmp_path: Path) -> None:
    own = {
        "high_cpu_usage": {"metric_name": "cpu_usage", "threshold": 50},
        "load_imbalance": {"pattern": "load_imbalance", "enabled": False},
    }
    found = {rule.name: rule for rule in rules(settings(tmp_path, {"alert_rules": own}))}
    assert found["high_cpu_usage"].threshold == 50.0
    assert "load_imbalance" not in found
    assert len(found) == len(rules(Settings())) - 1


def test_at_start_up_the_other_rules_and_channels_count_when_one_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "monitor.json"
    good, wrong = {"metric_name": "m", "threshold": 1}, {"metric_name": "m", "threshold": "one"}
    channels = {"log": {"type": "file", "path": "alerts.jsonl"}, "mail": {"type": "emial"}}
    document = {"alert_rules": {"good": good, "high_cpu_usage": wrong}, "channels": channels, "flapping": {"low": 50}}
    path.write_text(json.dumps(document))
    found, told = Settings.lenient({"OTEL_MONITOR_CONFIG": str(path)})
    wrong_ones = ["alert_rules.high_cpu_usage.threshold", "channels.mail.type", "flapping.low"]
    assert [problem.path for problem in told] == wrong_ones
    assert (list(found.alert_rules), list(found.channels)) == (["good"], ["log"])
    assert found.flapping == FlapPolicy()
    assert "high_cpu_usage" in {rule.name for rule in rules(found)}


def test_when_an_alert_flaps_can_be_set_or_turned_off(tmp_path: Path) -> None:
    given = {"high": 40, "low": 10, "interval": 15}
    assert settings(tmp_path, {"flapping": given}).flapping == FlapPolicy(high=40.0, low=10.0, interval_s=15.0)
    assert settings(tmp_path, {"flapping": {"enabled": False}}).flapping.enabled is False
    assert Settings().flapping == FlapPolicy(enabled=True, high=20.0, low=5.0, interval_s=60.0)


def test_every_error_is_named_at_once_with_path_value_expectation_and_suggestion(tmp_path: Path) -> None:
    document = {
        "alert_rules": {
            "typo": {"metric_nam": "m", "severty": "critical"},
            "values": {
                **FULL,
                "name": "other",
                "aggregation": "p96",
                "comparison": "=>",
                "threshold": "ten",
                "duration": -1,
                "severity": "critcal",
                "enabled": "yes",
                "labels": {"team": 3},
                "window": 0,
                "on_no_data": "keeep",
                "min_samples": 1.5,
                "min_confidence": 2,
                "escalations": [{"severity": "high"}],
            },
            "rate": {"metric_name": "cpu_usage", "threshold": 1, "aggregation": "rate"},
            "back": {"metric_name": "m", "threshold": 10, "resolve_threshold": 12},
            "down": {"metric_name": "m", "comparison": "<", "threshold": 10, "resolve_threshold": 8},
            "same": {"metric_name": "m", "comparison": "==", "threshold": 10, "resolve_threshold": 8},
            "text": "high",
        },
        "flapping": {"hihg": 3, "low": 200},
    }
    operators, aggregations = ">, >=, <, <=, ==, !=", "last, rate, mean, max, p50, p75, p90, p95, p99"
    severities, no_data = "info, warning, critical, emergency", "keep, resolve, fire"
    assert problems(tmp_path, document) == [
        "alert_rules.typo.metric_nam: unknown key (did you mean 'metric_name'?)",
        "alert_rules.typo.severty: unknown key (did you mean 'severity'?)",
        "alert_rules.typo.metric_name: a rule has either a metric_name or a pattern",
        f"alert_rules.values.aggregation: 'p96' is not one of {aggregations} (did you mean 'p99'?)",
        "alert_rules.values.window: 0 is below 1",
        f"alert_rules.values.comparison: '=>' is not one of {operators} (did you mean '>'?)",
        "alert_rules.values.threshold: expected a number, got 'ten'",
        "alert_rules.values.duration: -1 is below 0",
        f"alert_rules.values.severity: 'critcal' is not one of {severities} (did you mean 'critical'?)",
        "alert_rules.values.enabled: expected true or false, got 'yes'",
        "alert_rules.values.labels.team: expected a text, got 3",
        f"alert_rules.values.on_no_data: 'keeep' is not one of {no_data} (did you mean 'keep'?)",
        "alert_rules.values.min_samples: expected a whole number, got 1.5",
        "alert_rules.values.escalations.0.severity: 'high' is not one of info, warning, critical, emergency",
        "alert_rules.values.min_confidence: 2 is above 1",
        "alert_rules.values.name: 'other' differs from the key 'values'",
        "alert_rules.rate.aggregation: cpu_usage has no rate: rates are those of counters",
        "alert_rules.back.resolve_threshold: expected <= the threshold 10 with >, got 12",
        "alert_rules.down.resolve_threshold: expected >= the threshold 10 with <, got 8",
        "alert_rules.same.resolve_threshold: makes no sense with ==: leave it out",
        "alert_rules.text: expected an object, got 'high'",
        "flapping.hihg: unknown key (did you mean 'high'?)",
        "flapping.low: 200 is above 100",
    ]


@pytest.mark.parametrize(
    ("metric", "read"),
    [
        ("queue.depth", True),
        ("orchestrator.operation.duration", True),
        ("process.memory.usage", True),
        ("orchestrator.load.imbalance", False),
        ("cpu_usage", False),
    ],
)
def test_metrics_are_read_where_a_rule_names_one_that_is_not_known_otherwise(
    tmp_path: Path, metric: str, read: bool
) -> None:
    own = {"r": {"metric_name": metric, "threshold": 1}}
    assert reads_foreign_metrics(settings(tmp_path, {"alert_rules": own})) is read
