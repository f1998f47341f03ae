"""The engine turns observations into the same transitions, whoever drives it."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_monitor_processors.alerts.alert import AlertTransition, State
from otel_monitor_processors.alerts.defaults import Thresholds, default_rules
from otel_monitor_processors.alerts.rule import Rule, Severity
from otel_monitor_processors.classification import Category
from otel_monitor_processors.engine import Engine, Transition
from otel_monitor_processors.observation import (
    Change,
    Heartbeat,
    Level,
    Membership,
    MetricPoint,
    Observation,
    Operation,
    Outcome,
    TraceRef,
)
from otel_monitor_processors.patterns.finding import Finding
from otel_monitor_processors.patterns.resource_exhaustion.detector import ResourceExhaustion

START = 1_700_000_000.0
SLOW = Rule(name="slow", metric_name="response_time", threshold=100.0, severity=Severity.WARNING, window_s=10.0)
FAILING = Rule(name="failing", metric_name="error_rate", threshold=0.5, duration_s=5.0, window_s=10.0, min_samples=4)


def call(at: float, duration_s: float = 0.01, *, failed: bool = False, trace: int = 1, source: str = "w1") -> Operation:
    outcome = Outcome.FAILED if failed else Outcome.OK
    category = Category.APPLICATION if failed else None
    return Operation(START + at, source, "process", outcome, duration_s, category, TraceRef(trace, trace), "shop")


def alerts(transitions: list[Transition]) -> list[tuple[str, State]]:
    return [(t.alert.rule, t.alert.state) for t in transitions if isinstance(t, AlertTransition)]


def test_a_slow_call_fires_at_once_and_names_its_trace() -> None:
    engine = Engine([SLOW], [])
    (transition,) = engine.observe([call(0.0, 0.5, trace=77)])
    assert isinstance(transition, AlertTransition)
    assert transition.alert.state is State.FIRING
    assert transition.alert.traces == (TraceRef(77, 77),)
    assert transition.alert.labels == (("instance", "w1"), ("operation", "process"), ("service", "shop"))
    assert "p95 duration" in transition.alert.summary


def test_the_offending_spans_of_an_active_alert_are_named() -> None:
    engine = Engine([SLOW], [])
    engine.observe([call(0.0, 0.5, trace=1), call(0.2, 0.01, trace=2), call(0.4, 0.6, trace=3)])
    assert [offence.trace.span_id for offence in engine.take_offences()] == [1, 3]
    assert engine.take_offences() == []


def test_an_alert_resolves_when_the_window_has_emptied() -> None:
    engine = Engine([SLOW], [])
    engine.observe([call(0.0, 0.5)])
    assert alerts(engine.advance(START + 5)) == []
    assert alerts(engine.advance(START + 15)) == [("slow", State.RESOLVED)]


def test_an_error_rate_must_hold_for_its_duration() -> None:
    engine = Engine([FAILING], [])
    transitions = engine.observe([call(i * 0.5, failed=True) for i in range(20)])
    assert alerts(transitions) == [("failing", State.PENDING), ("failing", State.FIRING)]
    pending, firing = (t.at for t in transitions)
    assert firing - pending == pytest.approx(5.0, abs=0.6)


def test_cancelled_calls_say_nothing() -> None:
    engine = Engine([FAILING], [])
    cancelled = [call(i * 0.5)._replace(outcome=Outcome.CANCELLED) for i in range(40)]
    assert engine.observe(cancelled) == []


def test_each_instance_and_operation_has_an_alert_of_its_own() -> None:
    engine = Engine([SLOW], [])
    engine.observe([call(0.0, 0.5, source="w1"), call(0.0, 0.5, source="w2"), call(0.1, 0.01, source="w3")])
    assert sorted(dict(alert.labels)["instance"] for alert in engine.alerts()) == ["w1", "w2"]


def test_resource_usage_is_held_against_its_limit() -> None:
    engine = Engine(default_rules(Thresholds(duration_s=10.0)), [])
    transitions: list[Transition] = []
    for second in range(15):
        transitions += engine.observe([Level(START + second, "w1", "memory", 870.0, 1000.0)])
    assert alerts(transitions) == [("high_memory_usage", State.PENDING), ("high_memory_usage", State.FIRING)]


def test_a_silent_worker_has_a_heartbeat_age() -> None:
    engine = Engine(default_rules(Thresholds(heartbeat_age_s=(30.0, 60.0))), [])
    for second in range(20):
        engine.observe([Heartbeat(START + second, worker, "o") for worker in ("a", "b") if worker == "b" or second < 5])
    transitions = engine.observe([Heartbeat(START + second, "b", "o") for second in range(20, 70)])
    assert alerts(transitions) == [("high_heartbeat_age", State.FIRING), ("critical_heartbeat_age", State.FIRING)]


def test_a_rule_reads_any_metric_by_its_name_and_attributes() -> None:
    rule = Rule(name="deep", metric_name="queue.depth", threshold=10.0, attributes=(("queue", "a"),))
    engine = Engine([rule], [])
    points = [MetricPoint(START + 1, "w1", "queue.depth", (("queue", queue),), 50.0) for queue in ("a", "b")]
    engine.observe(points)
    engine.observe([MetricPoint(START + 1, "w1", "other", (), 50.0)])
    assert alerts(engine.advance(START + 3)) == [("deep", State.FIRING)]
    (alert,) = engine.alerts()
    assert dict(alert.labels)["queue"] == "a"


@pytest.mark.parametrize(
    ("aggregation", "value"), [("last", 3.0), ("mean", 2.0), ("max", 3.0), ("rate", 0.6), ("p50", 2.0)]
)
def test_points_are_aggregated_over_the_window(aggregation: str, value: float) -> None:
    rule = Rule(name="r", metric_name="m", threshold=-1.0, aggregation=aggregation, window_s=10.0)
    engine = Engine([rule], [])
    engine.observe([MetricPoint(START + i, "w1", "m", (), float(i + 1)) for i in range(3)])
    engine.advance(START + 4)
    (alert,) = engine.alerts()
    assert alert.value == pytest.approx(value)


def test_malformed_observations_are_counted_and_passed_over() -> None:
    engine = Engine([SLOW], [])
    nan = float("nan")
    bad = [call(0.0, -1.0), call(0.0, nan), call(nan), call(float("inf"))]
    assert engine.observe(bad) == []
    assert engine.malformed == len(bad)


def _mixed(seed: int, seconds: int = 90) -> list[Observation]:
    chance = random.Random(seed)
    stream: list[Observation] = []
    for second in range(seconds):
        for worker in ("w1", "w2", "w3"):
            at = second + chance.random()
            if worker != "w2" or not 30 <= second < 60:
                stream.append(Heartbeat(START + at, worker, "o"))
            stream.append(
                call(
                    at,
                    chance.expovariate(20.0),
                    failed=chance.random() < 0.1 + 0.5 * (second > 50),
                    source=worker,
                    trace=second + 1,
                )
            )
        stream.append(Level(START + second + 0.5, "w1", "cpu", chance.random(), 1.0))
    stream.append(Membership(START + 31.7, "w2", "o", Change.LOST, "heartbeat_timeout"))
    return sorted(stream, key=lambda observation: observation.at)


RULES = (*default_rules(Thresholds(duration_s=10.0, response_time_ms=(100.0, 200.0))), SLOW, FAILING)


def test_a_dumped_and_loaded_engine_continues_identically() -> None:
    stream = _mixed(3)
    whole, first = Engine(RULES), Engine(RULES)
    expected, got = whole.observe(stream), first.observe(stream[:200])
    second = Engine(RULES)
    second.load(first.dump())
    got += second.observe(stream[200:])
    assert got == expected
    assert second.dump() == whole.dump()
    assert alerts(expected)


def test_a_dump_of_another_version_is_refused() -> None:
    with pytest.raises(ValueError, match="version"):
        Engine([]).load(b'{"version": 0}')


@settings(max_examples=15, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(0, 5))
def test_the_order_of_arrival_within_the_lateness_does_not_matter(chance: random.Random, seed: int) -> None:
    stream = _mixed(seed, 45)
    shuffled = sorted(stream, key=lambda observation: observation.at + chance.uniform(0.0, 4.9))
    results = []
    for order in (stream, shuffled):
        engine = Engine(RULES, allowed_lateness_s=5.0)
        transitions = [t for observation in order for t in engine.observe([observation])]
        transitions += engine.advance(START + 200)
        assert engine.late == 0
        results.append(transitions)
    assert results[0] == results[1]
    assert results[0]


def test_what_is_later_than_allowed_is_counted_not_used() -> None:
    engine = Engine([SLOW], [], allowed_lateness_s=5.0)
    engine.observe([call(20.0)])
    engine.observe([call(10.0, 9.0)])
    engine.advance(START + 30)
    assert engine.late == 1
    assert engine.alerts() == []


def test_a_long_quiet_time_is_passed_in_a_few_steps() -> None:
    engine = Engine([SLOW], [])
    engine.observe([call(0.0, 0.5)])
    assert alerts(engine.advance(START + 365 * 86400.0)) == [("slow", State.RESOLVED)]
    assert engine.next_deadline() is None


def test_a_rule_of_the_user_replaces_the_default_of_its_name() -> None:
    own = replace(SLOW, name="high_response_time")
    rules = default_rules(Thresholds(), {"high_response_time": own, "more": replace(SLOW, name="more", enabled=False)})
    assert own in rules
    assert len([rule for rule in rules if rule.name == "high_response_time"]) == 1
    assert "more" not in [rule.name for rule in rules]


def test_a_reset_engine_knows_nothing() -> None:
    engine = Engine(RULES)
    engine.observe(_mixed(1))
    engine.reset()
    assert engine.dump() == Engine(RULES).dump()


def test_detectors_are_asked_at_every_grid_point_whatever_the_rules_keep() -> None:
    class Asked(ResourceExhaustion):
        def __init__(self) -> None:
            super().__init__()
            self.times: list[float] = []

        def findings(self, now: float) -> Iterable[Finding]:
            self.times.append(now - START)
            return super().findings(now)

    detector = Asked()
    engine = Engine([], [detector])
    for second in (0, 30, 900):
        engine.observe([Level(START + second, "w1", "disk", 0.5, 1.0)])
        engine.advance(START + second + 30)
    assert set(range(1, 61)) <= set(detector.times)
    assert set(range(901, 931)) <= set(detector.times)
    assert len(detector.times) < 930  # ten minutes after the last observation nothing is expected
