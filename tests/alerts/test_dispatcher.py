"""The dispatcher: what is news, what is not, what survives a restart, and what is bounded."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_monitor_processors.alerts import roster as module
from otel_monitor_processors.alerts.alert import Alert, AlertTransition, State
from otel_monitor_processors.alerts.dispatcher import Dispatcher
from otel_monitor_processors.alerts.notification import Notification, Status
from otel_monitor_processors.alerts.route import Route
from otel_monitor_processors.alerts.rule import Severity
from tests.alerts.timeline import Timeline, alert, told

QUICK = Route(group_by=("rule",), group_wait_s=2.0, group_interval_s=10.0, repeat_interval_s=60.0)


def make() -> Dispatcher:
    return Dispatcher(["a", "b"], QUICK)


def test_nothing_is_due_where_nothing_fires() -> None:
    assert make().next_deadline() is None
    assert make().advance(1_000.0) == []


def test_the_messages_of_a_group_to_a_channel_are_numbered_and_have_ids_of_their_own() -> None:
    timeline = Timeline(make)
    fired = timeline.fire(at=0.0)
    timeline.until(70.0)
    timeline.resolve(fired, at=75.0)
    timeline.until(100.0)
    numbers = [(item.channel, item.number) for item in timeline.sent]
    assert numbers == [("a", 1), ("b", 1), ("a", 2), ("b", 2), ("a", 3), ("b", 3)]
    assert len({item.id for item in timeline.sent}) == 6


def test_the_most_severe_alert_comes_first() -> None:
    timeline = Timeline(make)
    for severity in (Severity.INFO, Severity.EMERGENCY, Severity.WARNING):
        timeline.fire(at=0.0, labels={"severity_of": severity}, severity=severity)
    sent = timeline.until(3.0)[0]
    assert [item.severity for item in sent.alerts] == [Severity.EMERGENCY, Severity.WARNING, Severity.INFO]
    assert (sent.severity, sent.status) == (Severity.EMERGENCY, Status.FIRING)


def test_another_severity_of_the_same_alert_is_told_at_once() -> None:
    timeline = Timeline(lambda: Dispatcher(["a"], QUICK))
    timeline.fire(at=0.0)
    timeline.until(3.0)
    timeline.fire(at=4.0, since=0.0, severity=Severity.CRITICAL)
    assert [told(item)[:2] for item in timeline.until(20.0)] == [(4.0, "severity changed")]


def test_other_evidence_of_the_same_alert_is_no_news_but_is_told_when_there_is_some() -> None:
    timeline = Timeline(lambda: Dispatcher(["a"], QUICK))
    timeline.fire(at=0.0, summary="old")
    timeline.until(3.0)
    timeline.fire(at=4.0, since=0.0, summary="new")
    assert [(item.at, item.alerts[0].summary) for item in timeline.until(100.0)] == [(62.0, "new")]


def test_the_repeat_interval_counts_from_when_the_channel_was_reached() -> None:
    timeline = Timeline(lambda: Dispatcher(["a"], QUICK), restarts=True)
    timeline.fire(at=0.0)
    (first,) = timeline.until(30.0)
    timeline.dispatcher.reached(first.group_key, "a", 30.0)
    timeline.dispatcher.reached(first.group_key, "a", 20.0)  # news of an earlier message
    timeline.dispatcher.reached("another", "a", 30.0)
    assert [told(item)[:2] for item in timeline.until(100.0)] == [(92.0, "repeat interval")]


def test_a_resolution_of_one_of_several_is_told_and_the_rest_is_said_to_fire_still() -> None:
    timeline = Timeline(lambda: Dispatcher(["a"], QUICK))
    first = timeline.fire(at=0.0, labels={"instance": "w1"})
    timeline.fire(at=0.0, labels={"instance": "w2"})
    timeline.until(3.0)
    timeline.resolve(first, at=4.0)
    (sent,) = timeline.until(20.0)
    assert (sent.reason, len(sent.firing), len(sent.resolved), sent.status) == (
        "alerts resolved",
        1,
        1,
        Status.FIRING,
    )


def test_a_group_that_is_over_leaves_nothing_behind_but_what_was_told() -> None:
    timeline = Timeline(make)
    fired = timeline.fire(at=0.0)
    timeline.until(3.0)
    timeline.resolve(fired, at=4.0)
    timeline.until(50.0)
    state = timeline.dispatcher.dump()
    assert (state["alerts"], state["groups"]) == ([], [])
    assert timeline.dispatcher.next_deadline() is None


def test_after_a_long_standstill_a_group_is_told_once_as_things_are_now() -> None:
    dispatcher = Dispatcher(["a"], QUICK)
    timeline = Timeline(lambda: dispatcher)
    timeline.fire(at=0.0)
    assert [(item.at, item.reason) for item in dispatcher.advance(86_400.0)] == [(86_400.0, "first")]


def test_a_transition_from_the_future_does_not_take_the_dispatcher_there() -> None:
    dispatcher = Dispatcher(["a"], QUICK)
    early = alert(at=4_000_000_000.0)
    dispatcher.take(AlertTransition(4_000_000_000.0, early, State.PENDING, "the condition holds"), now=10.0)
    assert dispatcher.next_deadline() == 12.0
    assert [item.at for item in dispatcher.advance(12.0)] == [12.0]


def test_after_a_restart_nothing_that_was_told_is_told_again() -> None:
    timeline = Timeline(make, restarts=True)
    timeline.fire(at=0.0)
    timeline.until(3.0)
    timeline.fire(at=5.0, since=0.0)
    assert timeline.until(61.0)[2:] == []


def test_after_a_restart_with_other_routes_alerts_go_where_they_belong_now() -> None:
    old = Dispatcher(["a"], Route(routes=(Route(channels=("a",), group_by=("zone",), group_wait_s=0.0),)))
    timeline = Timeline(lambda: old)
    fired = timeline.fire(at=0.0)
    timeline.until(1.0)
    new = Dispatcher(["a"], QUICK)
    new.load(json.loads(json.dumps(old.dump())))
    assert [item.alerts[0].id for item in new.advance(5.0)] == [fired.id]


def test_a_state_of_another_version_is_refused() -> None:
    with pytest.raises(ValueError, match="not a dispatcher's state of version 1"):
        make().load({"version": 0})


def test_what_was_made_but_not_fetched_survives_a_restart() -> None:
    first = Dispatcher(["a"], Route(group_wait_s=0.0))
    timeline = Timeline(lambda: first)
    timeline.fire(at=0.0, rule="x")
    timeline.fire(at=10.0, rule="y")
    second = Dispatcher(["a"], Route(group_wait_s=0.0))
    second.load(json.loads(json.dumps(first.dump())))
    assert second.advance(10.0) == first.advance(10.0)


def test_alerts_are_bounded_and_what_has_no_room_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_ALERTS", 2)
    timeline = Timeline(make)
    for index in range(5):
        timeline.fire(f"r{index}", at=0.0)
    assert timeline.dispatcher.dropped["alerts"] == 3
    assert len(timeline.until(3.0)) == 4


RULES = ("r1", "r2", "r3")
EVENTS = st.lists(
    st.tuples(st.sampled_from(RULES), st.sampled_from(["fire", "resolve", "worse"]), st.integers(0, 15)), max_size=40
)


def history(events: list[tuple[str, str, int]], timeline: Timeline) -> list[Notification]:
    alive: dict[str, Alert] = {}
    at = 0.0
    for rule, kind, wait in events:
        at += wait
        if kind == "resolve" and rule in alive:
            timeline.resolve(alive.pop(rule), at=at)
        elif kind == "worse" and rule in alive:
            since = alive[rule].active_at
            alive[rule] = timeline.fire(rule, at=at, since=since, severity=Severity.CRITICAL)
        elif kind == "fire" and rule not in alive:
            alive[rule] = timeline.fire(rule, at=at)
    for fired in alive.values():
        timeline.resolve(fired, at=at)
    timeline.until(at + 10_000.0)
    return timeline.sent


@settings(max_examples=150, deadline=None)
@given(EVENTS)
def test_whatever_happens_every_receiver_ends_up_knowing_that_all_is_over(events: list[tuple[str, str, int]]) -> None:
    sent = history(events, Timeline(make))
    for channel in ("a", "b"):
        believed: set[str] = set()
        numbers: dict[str, int] = {}
        for item in (item for item in sent if item.channel == channel):
            assert item.number == numbers.get(item.group_key, 0) + 1
            numbers[item.group_key] = item.number
            believed |= {alert.fingerprint for alert in item.firing}
            assert all(alert.fingerprint in believed for alert in item.resolved)
            believed -= {alert.fingerprint for alert in item.resolved}
        assert believed == set()


@settings(max_examples=60, deadline=None)
@given(EVENTS)
def test_whatever_happens_restarts_change_nothing(events: list[tuple[str, str, int]]) -> None:
    assert history(events, Timeline(make, restarts=True)) == history(events, Timeline(make))


def test_many_alerts_take_little_time() -> None:
    timeline = Timeline(lambda: Dispatcher(["a"], Route(group_by=("...",), group_wait_s=1.0)))
    fired = [timeline.fire("r", at=0.0, labels={"instance": f"w{index}"}) for index in range(2_000)]
    before = time.process_time()
    for item in fired:
        timeline.resolve(item, at=2.0)
    timeline.until(400.0)
    assert len(timeline.sent) == 4_000
    assert time.process_time() - before < 4.0
