"""What is resolved by hand stays so until its condition was false once."""

from __future__ import annotations

import pytest

from otel_monitor_processors.alerts.alert import State
from otel_monitor_processors.alerts.dispatcher import Dispatcher
from otel_monitor_processors.alerts.roster import ConflictError, UnknownAlertError
from otel_monitor_processors.alerts.route import Route
from tests.alerts.timeline import Timeline, alert, reasons, told

PROMPT = Route(group_wait_s=0.0, group_interval_s=10.0)


@pytest.fixture
def timeline() -> Timeline:
    return Timeline(lambda: Dispatcher(["a"], PROMPT), restarts=True)


def test_the_resolution_is_told_and_the_alert_stays_resolved_while_the_condition_holds(timeline: Timeline) -> None:
    fired = timeline.fire(at=0.0)
    timeline.until(1.0)
    transition = timeline.dispatcher.resolve(fired.id, "ann", 5.0)
    assert transition is not None
    assert (transition.alert.state, transition.previous, transition.at) == (State.RESOLVED, State.FIRING, 5.0)
    assert transition.reason == "resolved by ann until the condition has been false once"
    timeline.fire(at=7.0, since=0.0)
    assert [told(item) for item in timeline.until(500.0)] == [(10.0, "all resolved", [], ["r"])]
    assert "resolved by hand" in reasons(timeline.dispatcher, fired.fingerprint)


def test_what_the_engine_says_of_it_meanwhile_is_no_news(timeline: Timeline) -> None:
    fired = timeline.fire(at=0.0)
    timeline.dispatcher.resolve(fired.id, "ann", 5.0)
    assert timeline.take(fired, State.FIRING, at=6.0) is False
    assert timeline.take(alert("r", State.RESOLVED, 0.0, resolved_at=8.0), State.FIRING, at=8.0) is False


def test_once_the_condition_was_false_the_alert_may_fire_again(timeline: Timeline) -> None:
    fired = timeline.fire(at=0.0)
    timeline.until(1.0)
    timeline.dispatcher.resolve(fired.id, "ann", 5.0)
    timeline.resolve(fired, at=15.0)
    timeline.fire(at=30.0)
    assert [item.reason for item in timeline.until(31.0)] == ["all resolved", "new alerts"]


def test_with_a_time_to_live_it_fires_again_when_that_is_over(timeline: Timeline) -> None:
    fired = timeline.fire(at=0.0)
    timeline.until(1.0)
    timeline.dispatcher.resolve(fired.id, "ann", 5.0, ttl_s=60.0)
    assert [told(item)[:2] for item in timeline.until(100.0)] == [(10.0, "all resolved"), (65.0, "new alerts")]


def test_to_resolve_twice_is_to_resolve_once(timeline: Timeline) -> None:
    fired = timeline.fire(at=0.0)
    timeline.dispatcher.resolve(fired.id, "ann", 5.0)
    assert timeline.dispatcher.resolve(fired.id, "ann", 6.0) is None
    timeline.until(500.0)
    assert timeline.dispatcher.resolve(fired.id, "ann", 500.0) is None


def test_what_is_resolved_within_the_group_wait_was_never_told() -> None:
    timeline = Timeline(lambda: Dispatcher(["a"]))
    fired = timeline.fire(at=0.0)
    timeline.dispatcher.resolve(fired.id, "ann", 5.0)
    assert timeline.until(1_000.0) == []


def test_a_pending_alert_cannot_be_resolved_and_an_unknown_one_is_unknown(timeline: Timeline) -> None:
    pending = alert("r", State.PENDING)
    timeline.take(pending)
    with pytest.raises(ConflictError, match="is pending, not firing: it cannot be resolved"):
        timeline.dispatcher.resolve(pending.id, "ann", 1.0)
    with pytest.raises(UnknownAlertError):
        timeline.dispatcher.resolve("x", "ann", 1.0)
