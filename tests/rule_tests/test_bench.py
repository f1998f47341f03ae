"""Rules on virtual time, and the fixtures that give them to users' tests."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from otel_monitor.testing import RuleBench, VirtualClock
from otel_monitor_processors.alerts.alert import State
from otel_monitor_processors.alerts.rule import Comparison, NoData, Rule
from otel_monitor_processors.patterns.verdict import Pattern

pytest_plugins = ["otel_monitor.testing.fixtures"]

CASES = json.loads((Path(__file__).parent.parent / "data" / "alert-cases.json").read_text())["cases"]
DEEP = Rule(name="deep", metric_name="queue.depth", threshold=10.0, duration_s=60.0)


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_the_recorded_cases_of_prometheus_come_out_the_same(case: dict[str, Any]) -> None:
    raw = case["rule"]
    rule = Rule(
        name="case",
        metric_name="m",
        comparison=Comparison(raw["comparison"]),
        threshold=raw["threshold"],
        duration_s=raw["duration"],
        keep_firing_for_s=raw["keep_firing_for"],
        on_no_data=NoData(raw["on_no_data"]),
        staleness_s=raw["staleness"],
    )
    bench = RuleBench([rule], case["evaluation_interval"])
    for name, values in case["series"].items():
        bench.add(f'm{{series="{name}"}}', values, case["sample_interval"])
    for check in case["checks"]:
        states = {dict(alert.labels).get("series", ""): str(alert.state) for alert in bench.run_until(check["at"])}
        assert {name: states.get(name, "inactive") for name in case["series"]} == check["states"], check["at"]


def test_time_passes_only_when_it_is_told_to(virtual_clock: VirtualClock, rule_bench: Callable[..., RuleBench]) -> None:
    bench = rule_bench([DEEP], evaluation_interval_s=30.0)
    bench.add('queue.depth{queue="q"}', "11x10", interval_s=30.0)
    assert [alert.state for alert in bench.advance(0.0)] == [State.PENDING]
    assert [alert.state for alert in bench.advance(30.0)] == [State.PENDING]
    assert [alert.state for alert in bench.advance(30.0)] == [State.FIRING]
    assert virtual_clock.now == 60.0
    assert bench.firing() == [{"alertname": "deep", "queue": "q"}]


def test_a_clock_does_not_run_back() -> None:
    with pytest.raises(ValueError, match="cannot run back"):
        VirtualClock().advance(-1.0)


def test_built_in_metrics_are_given_as_they_are() -> None:
    bench = RuleBench([Rule(name="slow", metric_name="response_time", threshold=5000.0)], 60.0)
    bench.add('response_time{instance="w1",service="s"}', "6000")
    (alert,) = bench.run_until(0.0)
    assert dict(alert.labels) == {"instance": "w1", "service": "s"}


def test_for_a_rate_a_series_is_a_counter_that_may_begin_anew() -> None:
    busy = Rule(name="busy", metric_name="jobs", threshold=0.9, aggregation="rate", window_s=120.0)
    many = Rule(name="many", metric_name="jobs", threshold=170.0, on_no_data=NoData.RESOLVE)
    bench = RuleBench([busy, many], 60.0)
    bench.add('jobs{queue="q"}', "0+30x2 120 180 60 stale 60x5")
    rates = {at: [alert.rule for alert in bench.run_until(at)] for at in range(0, 600, 60)}
    assert {at: rules for at, rules in rates.items() if rules} == {240: ["busy", "many"], 300: ["busy"]}


def test_rules_on_patterns_look_at_confidences() -> None:
    parted = Rule(name="parted", pattern=Pattern.NETWORK_PARTITION, min_confidence=0.8)
    bench = RuleBench([parted, replace(parted, name="links", attributes=(("scope", "links"),))], 60.0)
    bench.add('otel_monitor.pattern.confidence{pattern="network_partition",scope="views"}', "0.9 0.7")
    bench.add('otel_monitor.pattern.confidence{pattern="load_imbalance",scope="x"}', "1x9")
    assert [(alert.rule, dict(alert.labels)) for alert in bench.run_until(0.0)] == [
        ("parted", {"pattern": "network_partition", "scope": "views"})
    ]
    assert bench.run_until(60.0) == []


def test_a_disabled_rule_is_not_evaluated() -> None:
    bench = RuleBench([replace(DEEP, enabled=False)], 30.0)
    bench.add("queue.depth", "11x10")
    assert bench.run_until(300.0) == []
