"""Settings come from environment, file and default, in this order, and every problem is reported at once."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from otel_monitor.errors import ConfigurationError
from otel_monitor.settings import SETTINGS, Settings
from otel_monitor_processors.alerts.rule import Severity
from otel_monitor_processors.patterns.verdict import Pattern

EXAMPLE: dict[str, Any] = {
    "retention_hours": 24,
    "pattern_window_size": 100,
    "monitoring_interval": 30,
    "response_time_warning": 5000.0,
    "response_time_critical": 10000.0,
    "error_rate_warning": 0.1,
    "error_rate_critical": 0.25,
    "resource_usage_warning": 85.0,
    "resource_usage_critical": 95.0,
    "enable_console_notifications": True,
    "enable_file_notifications": True,
    "enable_email_notifications": False,
    "api_host": "0.0.0.0",
    "api_port": 8080,
    "alert_rules": {
        "high_response_time": {
            "name": "high_response_time",
            "metric_name": "response_time",
            "threshold": 5000.0,
            "severity": "warning",
            "duration": 300,
            "enabled": True,
            "description": "Response time exceeds warning threshold",
        }
    },
}


def write(tmp_path: Path, document: object) -> dict[str, str]:
    path = tmp_path / "monitor.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return {"OTEL_MONITOR_CONFIG": str(path)}


def problems(environ: dict[str, str]) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_env(environ)
    return [f"{problem.path}: {problem.message}" for problem in caught.value.problems]


def test_without_anything_the_defaults_hold() -> None:
    settings = Settings.from_env({})
    assert settings.response_time_warning == 5000.0
    assert settings.enable_console_notifications is True
    assert settings.alert_rules == {}


def test_every_key_of_the_example_is_valid(tmp_path: Path) -> None:
    settings = Settings.from_env(write(tmp_path, EXAMPLE))
    rule = settings.alert_rules["high_response_time"]
    assert (rule.metric_name, rule.threshold, rule.duration_s, rule.severity) == (
        "response_time",
        5000.0,
        300.0,
        Severity.WARNING,
    )
    assert settings.api_host == "0.0.0.0"


def test_environment_beats_file_beats_default(tmp_path: Path) -> None:
    environ = write(tmp_path, {"monitoring_interval": 5, "error_rate_warning": 0.5})
    settings = Settings.from_env({**environ, "OTEL_MONITOR_MONITORING_INTERVAL": "2.5"})
    assert (settings.monitoring_interval, settings.error_rate_warning, settings.error_rate_critical) == (2.5, 0.5, 0.25)


def test_lists_flags_and_json_are_read_from_the_environment() -> None:
    settings = Settings.from_env(
        {
            "OTEL_MONITOR_WORKERS": "shop.fleet:Worker, shop.more:*",
            "OTEL_MONITOR_ENABLED": "false",
            "OTEL_MONITOR_OPERATIONS": '{"shop.fleet:Worker.debug": {"role": "ignore"}}',
        }
    )
    assert settings.workers == ("shop.fleet:Worker", "shop.more:*")
    assert settings.enabled is False
    assert settings.operations["shop.fleet:Worker.debug"]["role"] == "ignore"


def test_all_problems_are_reported_at_once_each_with_its_place_and_a_suggestion(tmp_path: Path) -> None:
    document = {
        "monitoring_intervall": 5,
        "error_rate_warning": 7,
        "alert_rules": {
            "latency": {"metric_name": "response_time", "threshold": "high", "severity": "critcal"},
            "both": {"metric_name": "a", "pattern": "load_imbalance", "threshold": 1},
            "none": {"threshold": 1},
        },
        "patterns": {"cascading_failure": {"enabled": True}, "load_imbalance": {"min_events": 0}},
    }
    found = problems({**write(tmp_path, document), "OTEL_MONITOR_API_PORT": "http"})
    patterns, near = ", ".join(Pattern), " (did you mean 'cascading_failures'?)"
    assert found == [
        "monitoring_intervall: unknown setting (did you mean 'monitoring_interval'?)",
        "error_rate_warning: 7 is above 1",
        "alert_rules.latency.threshold: expected a number, got 'high'",
        f"alert_rules.latency.severity: 'critcal' is not one of {', '.join(Severity)} (did you mean 'critical'?)",
        "alert_rules.both.metric_name: a rule has either a metric_name or a pattern",
        "alert_rules.none.metric_name: a rule has either a metric_name or a pattern",
        f"patterns.cascading_failure: 'cascading_failure' is not one of {patterns}{near}",
        "patterns.load_imbalance.min_events: 0 is below 1",
        "OTEL_MONITOR_API_PORT: expected a whole number, got 'http'",
    ]


@pytest.mark.parametrize(("document", "expected"), [("{", "is not JSON"), ("[1]", "expected an object, got list")])
def test_a_broken_file_is_named(tmp_path: Path, document: str, expected: str) -> None:
    (message,) = problems(write(tmp_path, document))
    assert expected in message


def test_a_missing_file_is_named() -> None:
    (message,) = problems({"OTEL_MONITOR_CONFIG": "/nowhere/monitor.json"})
    assert "/nowhere/monitor.json" in message
    assert "No such file" in message


def test_at_start_up_what_is_wrong_keeps_its_default(tmp_path: Path) -> None:
    environ = write(tmp_path, {"monitoring_interval": 5, "error_rate_warning": 7})
    settings, found = Settings.lenient(environ)
    assert settings.monitoring_interval == 5.0
    assert settings.error_rate_warning == 0.1
    assert len(found) == 1


def test_the_table_names_every_setting_once_with_its_meaning() -> None:
    assert [row.name for row in SETTINGS] == [item.name for item in dataclasses.fields(Settings)]
    assert all(row.meaning.endswith(".") for row in SETTINGS)
    assert all(row.variable == "OTEL_MONITOR_" + row.name.upper() for row in SETTINGS)
