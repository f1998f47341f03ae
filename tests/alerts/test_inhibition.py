"""An alert that explains others holds them back while it fires; by default patterns hold back their symptoms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from otel_monitor_processors.alerts.alert import Alert, State
from otel_monitor_processors.alerts.dispatcher import Dispatcher
from otel_monitor_processors.alerts.inhibition import DEFAULT_INHIBITIONS, Inhibition, Inhibitor
from otel_monitor_processors.alerts.matcher import label_view, parse_matchers
from otel_monitor_processors.alerts.route import Route
from otel_monitor_processors.alerts.rule import Severity
from tests.alerts.timeline import Timeline, alert, reasons

PROMPT = Route(group_by=("...",), group_wait_s=0.0, group_interval_s=10.0)


def pattern(rule: str, name: str, *sources: str, severity: Severity = Severity.CRITICAL) -> Alert:
    return alert(rule, pattern=name, labels={"pattern": name}, evidence={"sources": list(sources)}, severity=severity)


def metric(rule: str, name: str, severity: Severity = Severity.WARNING, **labels: str) -> Alert:
    return alert(rule, metric=name, labels=labels, severity=severity)


def held(source: Alert, target: Alert, inhibitions: tuple[Inhibition, ...] = DEFAULT_INHIBITIONS) -> bool:
    inhibitor = Inhibitor(inhibitions)
    inhibitor.note(source, label_view(source))
    inhibitor.note(target, label_view(target))
    return inhibitor.holding(target, label_view(target)) is not None


CONTENTION = pattern("database_contention", "database_contention", "w1")
EXHAUSTION = pattern("resource_exhaustion", "resource_exhaustion", "w1", severity=Severity.WARNING)
PARTITION = pattern("network_partition", "network_partition", "w1", "w2")
LOST = pattern("worker_lost", "heartbeat_degradation", "w1")


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (CONTENTION, LOST),
        (CONTENTION, pattern("heartbeat_degradation", "heartbeat_degradation", "w7")),
        (CONTENTION, metric("high_heartbeat_age", "heartbeat_age", worker="w7")),
        (CONTENTION, metric("high_response_time", "response_time", instance="w7")),
        (CONTENTION, metric("critical_error_rate", "error_rate", Severity.CRITICAL, instance="w7")),
        (EXHAUSTION, metric("high_memory_usage", "memory_usage", instance="w1")),
        (EXHAUSTION, metric("critical_memory_usage", "memory_usage", Severity.CRITICAL, instance="w1")),
        (PARTITION, LOST),
        (LOST, metric("critical_heartbeat_age", "heartbeat_age", Severity.CRITICAL, worker="w1")),
        (
            metric("critical_cpu_usage", "cpu_usage", Severity.CRITICAL, instance="w1"),
            metric("high_cpu_usage", "cpu_usage", instance="w1"),
        ),
    ],
    ids=lambda item: item.rule,
)
def test_by_default_a_cause_holds_back_its_symptom(source: Alert, target: Alert) -> None:
    assert held(source, target)
    assert not held(target, source)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (EXHAUSTION, metric("high_memory_usage", "memory_usage", instance="w2")),
        (LOST, metric("high_heartbeat_age", "heartbeat_age", worker="w2")),
        (LOST, PARTITION),
        (
            metric("critical_cpu_usage", "cpu_usage", Severity.CRITICAL, instance="w1"),
            metric("high_cpu_usage", "cpu_usage", instance="w2"),
        ),
        (
            metric("critical_cpu_usage", "cpu_usage", Severity.CRITICAL, instance="w1"),
            metric("high_memory_usage", "memory_usage", instance="w1"),
        ),
        (CONTENTION, metric("high_disk_usage", "disk_usage", instance="w1")),
    ],
    ids=lambda item: item.rule,
)
def test_by_default_nothing_else_is_held_back(source: Alert, target: Alert) -> None:
    assert not held(source, target)


def own(**fields: Any) -> tuple[Inhibition, ...]:
    values: Mapping[str, Any] = {"name": "own", **fields}
    return (
        Inhibition(
            **{**values, "source": parse_matchers(values["source"]), "target": parse_matchers(values["target"])}
        ),
    )


def test_a_label_that_neither_has_is_equal() -> None:
    inhibitions = own(source="rule=a", target="rule=b", equal=("zone",))
    assert held(alert("a"), alert("b"), inhibitions)
    assert not held(alert("a", labels={"zone": "x"}), alert("b"), inhibitions)


def test_an_alert_never_holds_itself_back() -> None:
    assert not held(alert("a"), alert("a"), own(source="rule=~.+", target="rule=~.+"))


def test_what_is_both_source_and_target_is_not_held_back_by_its_like() -> None:
    inhibitions = own(source="severity=warning", target="rule=~.+")
    assert not held(alert("a"), alert("b"), inhibitions)
    assert held(alert("a"), alert("b", severity=Severity.INFO), inhibitions) is True


def test_what_is_held_back_names_what_holds_it_back() -> None:
    timeline = Timeline(lambda: Dispatcher(["a"], PROMPT))
    timeline.take(CONTENTION)
    timeline.take(LOST)
    assert [item.alerts[0].rule for item in timeline.until(1.0)] == ["database_contention"]
    words = "inhibited by database_contention pattern=database_contention (database_contention explains it)"
    assert reasons(timeline.dispatcher, LOST.id)["inhibition"] == words


def test_a_cause_that_comes_later_does_not_take_back_what_was_told_but_stops_its_repetition() -> None:
    route = Route(group_by=("...",), group_wait_s=0.0, group_interval_s=10.0, repeat_interval_s=10.0)
    timeline = Timeline(lambda: Dispatcher(["a"], route))
    timeline.take(LOST, at=0.0)
    timeline.until(1.0)
    timeline.take(CONTENTION, at=5.0)
    rules = [[item.rule for item in sent.alerts] for sent in timeline.until(24.0)]
    assert rules == [["database_contention"], ["database_contention"]]


def test_when_the_cause_is_gone_what_is_still_firing_is_told() -> None:
    timeline = Timeline(lambda: Dispatcher(["a"], PROMPT))
    timeline.take(CONTENTION, at=0.0)
    timeline.take(LOST, at=0.0)
    timeline.until(12.0)
    timeline.resolve(CONTENTION, at=15.0)
    told = {item.alerts[0].rule: item.status for item in timeline.until(40.0)}
    assert told == {"database_contention": "resolved", "worker_lost": "firing"}


def test_a_pending_cause_holds_nothing_back() -> None:
    source = alert("a", State.PENDING)
    assert not held(source, alert("b"), own(source="rule=a", target="rule=b"))
