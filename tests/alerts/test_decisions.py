"""For every alert there is an answer to why it was, or was not, told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from otel_monitor_processors.alerts import decision
from otel_monitor_processors.alerts.alert import Alert, State
from otel_monitor_processors.alerts.decision import Decisions, Stage
from otel_monitor_processors.alerts.dispatcher import Dispatcher
from otel_monitor_processors.alerts.maintenance import MaintenanceWindow, Once
from otel_monitor_processors.alerts.rate_limit import RateLimit
from otel_monitor_processors.alerts.roster import UnknownAlertError
from otel_monitor_processors.alerts.route import Route
from otel_monitor_processors.alerts.rule import Severity
from tests.alerts.timeline import Timeline, alert, reasons

ROUTE = Route(group_wait_s=10.0, group_interval_s=60.0, repeat_interval_s=600.0)


@pytest.fixture
def timeline() -> Timeline:
    return Timeline(lambda: Dispatcher(["mail"], ROUTE), restarts=True)


def test_a_pending_alert_waits_for_its_duration(timeline: Timeline) -> None:
    pending = alert("r", State.PENDING, held="duration 60 s not reached before 1970-01-01T00:01:00Z", due_at=60.0)
    timeline.take(pending)
    (found,) = timeline.dispatcher.decisions(pending.id)
    assert (found.stage, found.held, found.reason, found.since, found.until) == (
        Stage.CONDITION,
        True,
        "pending: duration 60 s not reached before 1970-01-01T00:01:00Z",
        0.0,
        60.0,
    )


def test_the_whole_way_of_an_alert_is_told_in_its_order(timeline: Timeline) -> None:
    pending = alert("r", State.PENDING, held="duration 60 s not reached before 1970-01-01T00:01:00Z")
    timeline.take(pending)
    timeline.take(replace(pending, state=State.FIRING, fired_at=60.0, held=""), State.PENDING, at=60.0)
    assert reasons(timeline.dispatcher, pending.id) == {
        "condition": "firing: the condition holds",
        "grouping": "grouped until 1970-01-01T00:01:10Z",
    }
    timeline.until(140.0)
    assert reasons(timeline.dispatcher, pending.id) == {
        "condition": "firing: the condition holds",
        "grouping": "its group was due at 1970-01-01T00:01:10Z",
        "repeat": "mail knows since 1970-01-01T00:01:10Z; repeat interval until 1970-01-01T00:11:10Z",
        "notification": "sent to mail at 1970-01-01T00:01:10Z: first",
    }
    assert [d.held for d in timeline.dispatcher.decisions(pending.id)] == [False, False, True, False]


@dataclass(frozen=True)
class Ways:
    """Both ways to decide of one stage: what brings it about, and the words while it holds and afterwards."""

    hold: Callable[[Timeline, Alert], object]
    release: Callable[[Timeline], object]
    held: str
    passed: str


def _critical(timeline: Timeline) -> None:
    timeline.fire("critical_cpu", at=1.0, labels={"i": "w"}, metric="cpu_usage", severity=Severity.CRITICAL)


WAYS = {
    "maintenance": Ways(
        lambda _timeline, _fired: None,
        lambda _timeline: None,
        "in maintenance upgrade (v2) until 1970-01-01T00:01:40Z",
        "no longer in maintenance upgrade (v2)",
    ),
    "inhibition": Ways(
        lambda timeline, _fired: _critical(timeline),
        lambda timeline: timeline.resolve(next(a for a in timeline.dispatcher.alerts() if a.rule == "critical_cpu")),
        "inhibited by critical_cpu i=w (the same, and worse, is told already)",
        "no longer inhibited by critical_cpu i=w (the same, and worse, is told already)",
    ),
    "silence": Ways(
        lambda timeline, _fired: timeline.silence("rule=high_cpu", 0.0, 1_000.0),
        lambda timeline: timeline.dispatcher.expire_silence(timeline.dispatcher.silences()[0].id, timeline.now),
        "silenced by ann (known) until 1970-01-01T00:16:40Z",
        "no longer silenced by ann (known)",
    ),
    "acknowledgement": Ways(
        lambda timeline, fired: timeline.dispatcher.acknowledge(fired.id, "bob", 1.0, comment="on it", until=100.0),
        lambda _timeline: None,
        "acknowledged by bob (on it) until 1970-01-01T00:01:40Z",
        "no longer acknowledged by bob (on it)",
    ),
}


@pytest.mark.parametrize("stage", WAYS)
def test_what_has_held_an_alert_back_and_that_it_does_no_longer_are_plain_sentences(stage: str) -> None:
    ways = WAYS[stage]
    window = MaintenanceWindow(name="upgrade", times=(Once(0.0, 100.0),), comment="v2")
    maintenance = [window] if stage == "maintenance" else []
    timeline = Timeline(lambda: Dispatcher(["mail"], ROUTE, maintenance=maintenance), restarts=True)
    fired = timeline.fire("high_cpu", at=1.0, labels={"i": "w"}, metric="cpu_usage")
    ways.hold(timeline, fired)
    timeline.until(99.0)
    assert reasons(timeline.dispatcher, fired.id)[stage] == ways.held
    ways.release(timeline)
    timeline.until(200.0)
    assert reasons(timeline.dispatcher, fired.id)[stage] == ways.passed
    assert reasons(timeline.dispatcher, fired.id)["notification"].startswith("sent to mail at 1970-01-01T00:0")


def test_an_alert_that_was_flapping_says_so(timeline: Timeline) -> None:
    for at in range(0, 300, 20):
        timeline.resolve(timeline.fire(at=float(at)), at=at + 10.0)
    fired = timeline.fire(at=300.0)
    timeline.until(400.0)
    assert reasons(timeline.dispatcher, fired.id)["flapping"].startswith("flapping: ")
    timeline.until(5_000.0)
    assert reasons(timeline.dispatcher, fired.id)["flapping"] == "no longer flapping"


def test_what_is_told_again_says_why(timeline: Timeline) -> None:
    fired = timeline.fire(at=0.0)
    timeline.until(650.0)
    assert reasons(timeline.dispatcher, fired.id)["repeat"] == "told again: repeat interval"


def test_an_alert_resolved_by_hand_for_a_time_says_that_it_is_back(timeline: Timeline) -> None:
    fired = timeline.fire(at=0.0)
    timeline.until(20.0)
    timeline.dispatcher.resolve(fired.id, "ann", 20.0, ttl_s=100.0)
    timeline.until(90.0)
    assert reasons(timeline.dispatcher, fired.id)["resolved by hand"] == (
        "resolved by ann until the condition has been false once, at most until 1970-01-01T00:02:00Z"
    )
    timeline.until(130.0)
    assert reasons(timeline.dispatcher, fired.id) == {
        "condition": "firing: the condition still holds, and it was resolved by hand only for a time",
        "grouping": "its group was due at 1970-01-01T00:02:00Z",
        "notification": "sent to mail at 1970-01-01T00:02:00Z: new alerts",
    }


def test_what_was_decided_on_the_last_episode_is_not_said_of_one_that_fires_at_once(timeline: Timeline) -> None:
    fired = timeline.fire(at=0.0)
    timeline.until(20.0)
    timeline.dispatcher.resolve(fired.id, "ann", 20.0)
    timeline.resolve(fired, at=30.0)
    again = timeline.fire(at=500.0)
    assert list(reasons(timeline.dispatcher, again.id)) == ["condition", "grouping"]


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
    again = alert("r", State.PENDING, 200.0, held="duration 60 s not reached before 1970-01-01T00:01:00Z")
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
    assert [d.reason for d in held] == ["no longer rate limited: mail takes 2 notifications in 100 s"]


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
