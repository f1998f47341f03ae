"""Routes, inhibitions and maintenance windows come from the settings, and every error in them is named at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from otel_monitor.errors import ConfigurationError
from otel_monitor.settings import Settings
from otel_monitor.settings_alerts import all_inhibitions, rate_limit, root_route
from otel_monitor_processors.alerts.inhibition import DEFAULT_INHIBITIONS
from otel_monitor_processors.alerts.maintenance import Once, Weekly
from otel_monitor_processors.alerts.rate_limit import RateLimit
from otel_monitor_processors.alerts.rule import Escalation, NoData, Severity

GOOD: dict[str, Any] = {
    "routes": [
        {
            "matchers": ["severity=~critical|emergency"],
            "channels": ["pager"],
            "group_by": ["service"],
            "group_wait": 0,
            "group_interval": 60,
            "repeat_interval": 3600,
            "continue": True,
            "send_resolved": False,
            "routes": [{"matchers": ["service=shop"]}],
        }
    ],
    "inhibitions": [{"source": ["rule=down"], "target": ["rule!=down"], "equal": ["instance"], "same_source": True}],
    "default_inhibitions": False,
    "maintenance": [
        {
            "name": "nightly",
            "matchers": ["service=shop"],
            "comment": "backups",
            "weekly": [{"days": ["monday"], "from": "22:00", "to": "06:00", "time_zone": "Europe/Berlin"}],
            "once": [{"from": "2030-01-01T00:00:00Z", "to": "2030-01-01T06:00:00+00:00"}],
        }
    ],
    "alert_rules": {
        "deep": {
            "metric_name": "queue.depth",
            "threshold": 10,
            "on_no_data": "keep",
            "keep_no_data_for": 600,
            "escalations": [{"severity": "critical", "threshold": 20}, {"severity": "emergency", "after": 900}],
        }
    },
}


def settings(tmp_path: Path, document: dict[str, Any]) -> Settings:
    path = tmp_path / "monitor.json"
    path.write_text(json.dumps(document))
    return Settings.from_env({"OTEL_MONITOR_CONFIG": str(path)})


def test_routes_are_a_tree_below_the_default_one(tmp_path: Path) -> None:
    root = root_route(settings(tmp_path, GOOD).routes)
    (route,) = root.routes
    assert root.channels is None
    assert (route.channels, route.group_by, route.group_wait_s, route.group_interval_s) == (
        ("pager",),
        ("service",),
        0.0,
        60.0,
    )
    assert (route.repeat_interval_s, route.goes_on, route.send_resolved) == (3600.0, True, False)
    (below,) = route.routes
    assert (below.channels, below.repeat_interval_s, below.goes_on, below.send_resolved) == (
        ("pager",),
        3600.0,
        False,
        False,
    )


def test_own_inhibitions_come_on_top_of_the_default_ones_or_instead(tmp_path: Path) -> None:
    found = settings(tmp_path, GOOD)
    (own,) = found.inhibitions
    assert (own.equal, own.same_source, own.name) == (("instance",), True, 'rule="down" inhibits it')
    assert all_inhibitions(found.inhibitions, defaults=found.default_inhibitions) == (own,)
    assert all_inhibitions(found.inhibitions, defaults=True) == (*DEFAULT_INHIBITIONS, own)


def test_maintenance_windows_have_weekly_and_single_times(tmp_path: Path) -> None:
    (window,) = settings(tmp_path, GOOD).maintenance
    once, weekly = window.times
    assert isinstance(once, Once)
    assert isinstance(weekly, Weekly)
    assert (once.ends_at - once.starts_at, weekly.weekdays, str(weekly.zone)) == (
        6 * 3600.0,
        frozenset({0}),
        "Europe/Berlin",
    )


def test_rules_have_escalations_and_a_bound_on_keeping_without_data(tmp_path: Path) -> None:
    rule = settings(tmp_path, GOOD).alert_rules["deep"]
    assert (rule.on_no_data, rule.keep_no_data_for_s) == (NoData.KEEP, 600.0)
    assert rule.escalations == (
        Escalation(severity=Severity.CRITICAL, threshold=20.0),
        Escalation(severity=Severity.EMERGENCY, after_s=900.0),
    )


def test_routes_can_stand_in_a_variable() -> None:
    found = Settings.from_env({"OTEL_MONITOR_ROUTES": '[{"channels": ["mail"]}]'})
    assert found.routes[0].channels == ("mail",)


def test_a_channels_limit_is_a_number_within_a_period() -> None:
    assert rate_limit({"notifications": 5}) == RateLimit(5, 3600.0)
    assert rate_limit({"notifications": 5, "period": 60}) == RateLimit(5, 60.0)


def test_every_problem_is_named_at_once_with_its_place(tmp_path: Path) -> None:
    document = {
        "routes": [
            {"matchers": ["severity=critical"], "routes": [{"matchers": ["a=~(b+)+", "x"], "chanels": []}]},
            3,
            {"group_wait": -1, "group_interval": 0, "continue": "yes"},
        ],
        "inhibitions": [{"source": [], "target": ["a=b"]}, {"source": ["a=b"]}],
        "maintenance": [
            {"name": "never"},
            {
                "name": "wrong",
                "weekly": [{"days": ["munday"], "from": "25:00", "to": "06:00", "time_zone": "Europe/Berln"}],
                "once": [{"from": "2030-01-02T00:00Z", "to": "2030-01-01T00:00Z"}, {"from": "2030-01-01T00:00"}],
            },
        ],
        "alert_rules": {"r": {"metric_name": "m", "threshold": 1, "escalations": [{"severity": "critical"}]}},
    }
    with pytest.raises(ConfigurationError) as caught:
        settings(tmp_path, document)
    days = "monday, tuesday, wednesday, thursday, friday, saturday, sunday"
    assert [f"{problem.path}: {problem.message}" for problem in caught.value.problems] == [
        (
            "routes.0.routes.0.matchers.0: the regular expression '(b+)+' repeats a repetition, "
            "which may take for ever: leave out the inner or the outer one"
        ),
        "routes.0.routes.0.matchers.1: 'x' is no matcher: expected a name, one of = != =~ !~, and a value",
        "routes.0.routes.0.chanels: unknown key (did you mean 'channels'?)",
        "routes.1: expected an object, got 3",
        "routes.2.group_wait: -1 is below 0",
        "routes.2.group_interval: 0 is below 0.001",
        "routes.2.continue: expected true or false, got 'yes'",
        "inhibitions.0.source: expected at least one matcher",
        "inhibitions.1.target: required",
        "maintenance.0.weekly: a maintenance window has times: once, weekly, or both",
        f"maintenance.1.weekly.0.days.0: 'munday' is not one of {days} (did you mean 'sunday'?)",
        "maintenance.1.weekly.0.from: expected a time of day such as 22:30, got '25:00'",
        "maintenance.1.weekly.0.time_zone: 'Europe/Berln' is no time zone (did you mean 'Europe/Berlin'?)",
        "maintenance.1.once.0.to: 2030-01-01T00:00Z is not after 2030-01-02T00:00Z",
        (
            "maintenance.1.once.1.from: expected a time with its offset, such as 2030-01-01T00:00Z or "
            "2030-01-01T00:00+01:00"
        ),
        "maintenance.1.once.1.to: required",
        "alert_rules.r.escalations.0.threshold: an escalation has a threshold, a time (after), or both",
    ]
