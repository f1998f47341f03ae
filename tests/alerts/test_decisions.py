"""For every alert there is an answer to why it was, or was not, told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from otel_monitor_processors.alerts import decision
from otel_monitor_processors.alerts.alert import State
from otel_monitor_processors.alerts.decision import Decisions, Stage
from otel_monitor_processors.alerts.dispatcher import Dispatcher, UnknownAlertError
from otel_monitor_processors.alerts.rate_limit import RateLimit
from otel_monitor_processors.alerts.route import Route
from tests.alerts.timeline import Timeline, alert, reasons

ROUTE = Route(group_wait_s=10.0, group_interval_s=60.0, repeat_interval_s=600.0)


@pytest.fixture
def timeline() -> Timeline:
    return Timeline(lambda: Dispatcher(["mail"], ROUTE), restarts=True)


def test_a_pending_alert_waits_for_its_duration(timeline: Timeline) -> None:
    pending = alert("r", State.PENDING, held="duration 60 s not reached (0 s so far)", due_at=60.0)
    timeline.take(pending)
    (found,) = timeline.dispatcher.decisions(pending.id)
    assert (found.stage, found.held, found.reason, found.since, found.until) == (
        Stage.CONDITION,
        True,
        "duration 60 s not reached before 1970-01-01T00:01:00Z",
        0.0,
        60.0,
    )


def test_the_whole_way_of_an_alert_is_told_in_its_order(timeline: Timeline) -> None:
    pending = alert("r", State.PENDING, held="duration 60 s not reached (0 s so far)")
    timeline.take(pending)
    timeline.take(replace(pending, state=State.FIRING, fired_at=60.0, held=""), State.PENDING, at=60.0)
    assert reasons(timeline.dispatcher, pending.id) == {
        "condition": "the condition holds",
        "grouping": "grouped until 1970-01-01T00:01:10Z",
    }
    timeline.until(140.0)
    assert reasons(timeline.dispatcher, pending.id) == {
        "condition": "the condition holds",
        "grouping": "no longer: grouped until 1970-01-01T00:01:10Z",
        "repeat": "told mail at 1970-01-01T00:01:10Z; repeat interval until 1970-01-01T00:11:10Z",
        "notification": "sent to mail at 1970-01-01T00:01:10Z: first",
    }
    assert [d.held for d in timeline.dispatcher.decisions(pending.id)] == [False, False, True, False]


def test_as_long_as_a_stage_decides_the_same_since_stays_and_at_moves(timeline: Timeline) -> None:
    fired = timeline.fire(at=0.0)
    timeline.until(300.0)
    (found,) = [d for d in timeline.dispatcher.decisions(fired.id) if d.stage is Stage.REPEAT]
    assert (found.since, found.at, found.until) == (70.0, 250.0, 610.0)


def test_a_new_episode_starts_with_a_clean_sheet(timeline: Timeline) -> None:
    fired = timeline.fire(at=0.0)
    timeline.until(20.0)
    timeline.resolve(fired, at=30.0)
    timeline.until(100.0)
    again = alert("r", State.PENDING, 200.0, held="duration 60 s not reached (0 s so far)")
    timeline.take(again, at=200.0)
    assert list(reasons(timeline.dispatcher, again.id)) == ["condition"]


def test_what_was_decided_can_be_asked_after_the_end_by_fingerprint(timeline: Timeline) -> None:
    fired = timeline.fire(at=0.0)
    timeline.until(20.0)
    timeline.resolve(fired, at=30.0)
    timeline.until(100.0)
    assert reasons(timeline.dispatcher, fired.fingerprint)["notification"] == (
        "sent to mail at 1970-01-01T00:01:10Z: all resolved"
    )


def test_a_channel_at_its_limit_gets_all_of_it_when_there_is_room_again() -> None:
    limits = {"mail": RateLimit(2, 100.0)}
    route = Route(group_by=("...",), group_wait_s=0.0, group_interval_s=1_000.0)
    timeline = Timeline(lambda: Dispatcher(["mail", "log"], route, rate_limits=limits), restarts=True)
    fired = [timeline.fire(f"r{index}", at=0.0) for index in range(3)]
    timeline.resolve(fired[0], at=1.0)
    sent = timeline.until(120.0)
    assert [item.at for item in sent if item.channel == "log"] == [0.0, 0.0, 0.0]
    assert [item.at for item in sent if item.channel == "mail"] == [0.0, 0.0, pytest.approx(50.0)]
    held = [d for item in fired for d in timeline.dispatcher.decisions(item.id) if d.stage is Stage.RATE_LIMIT]
    assert [d.reason for d in held] == ["no longer: rate limited: mail takes 2 notifications in 100 s"]


def test_a_resolution_waits_for_room_too() -> None:
    limits = {"mail": RateLimit(1, 100.0)}
    timeline = Timeline(
        lambda: Dispatcher(["mail"], Route(group_wait_s=0.0, group_interval_s=10.0), rate_limits=limits)
    )
    fired = timeline.fire(at=0.0)
    timeline.resolve(fired, at=5.0)
    assert [(item.at, item.reason) for item in timeline.until(500.0)] == [(0.0, "first"), (100.0, "all resolved")]


def test_what_lies_over_an_alert_can_be_asked(timeline: Timeline) -> None:
    fired = timeline.fire(at=0.0)
    timeline.silence("rule=r", 0.0, 100.0)
    timeline.dispatcher.acknowledge(fired.id, "bob", 0.0)
    held = timeline.dispatcher.held_by(fired.id, 5.0)
    assert {str(stage): item.until for stage, item in held.items()} == {"silence": 100.0, "acknowledgement": None}
    with pytest.raises(UnknownAlertError):
        timeline.dispatcher.held_by("x", 5.0)


def test_decisions_are_bounded_and_what_leaves_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decision, "_MAX_ALERTS", 3)
    monkeypatch.setattr(decision, "_MAX_EACH", 2)
    decisions = Decisions()
    for name in "abcde":
        decisions.note(name, Stage.SILENCE, "silenced", 0.0)
    assert (decisions.of("a"), len(decisions.of("e")), decisions.dropped) == ((), 1, 2)
    for channel in "xyz":
        decisions.note("e", Stage.REPEAT, "told", 0.0, channel=channel)
    assert (len(decisions.of("e")), decisions.dropped) == (2, 4)
