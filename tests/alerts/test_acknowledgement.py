"""An acknowledged alert is told of no more but its end, and its acknowledgement ends with it."""

from __future__ import annotations

import pytest

from otel_monitor_processors.alerts.alert import State
from otel_monitor_processors.alerts.dispatcher import Dispatcher
from otel_monitor_processors.alerts.roster import ConflictError, UnknownAlertError
from otel_monitor_processors.alerts.route import Route
from otel_monitor_processors.alerts.rule import Severity
from tests.alerts.timeline import Timeline, alert, reasons, told

OFTEN = Route(group_wait_s=0.0, group_interval_s=10.0, repeat_interval_s=10.0)


@pytest.fixture
def timeline() -> Timeline:
    return Timeline(lambda: Dispatcher(["a"], OFTEN))


def test_an_acknowledgement_stops_repetition_and_is_told_once(timeline: Timeline) -> None:
    fired = timeline.fire(at=0.0)
    timeline.until(12.0)
    timeline.dispatcher.acknowledge(fired.id, "ann", 12.0, comment="on it")
    sent = [told(item)[:2] for item in timeline.until(100.0)]
    assert sent == [(12.0, "acknowledged")]
    assert timeline.sent[-1].alerts[0].held == "acknowledged by ann (on it)"
    assert reasons(timeline.dispatcher, fired.id)["acknowledgement"] == "acknowledged by ann (on it)"


def test_an_acknowledgement_stops_escalation(timeline: Timeline) -> None:
    fired = timeline.fire(at=0.0)
    timeline.until(1.0)
    timeline.dispatcher.acknowledge(fired.id, "ann", 1.0)
    timeline.fire(at=5.0, since=0.0, severity=Severity.CRITICAL)
    assert [item.reason for item in timeline.until(100.0)] == ["acknowledged"]


def test_the_end_of_an_acknowledged_alert_is_told(timeline: Timeline) -> None:
    fired = timeline.fire(at=0.0)
    timeline.until(1.0)
    timeline.dispatcher.acknowledge(fired.id, "ann", 1.0)
    timeline.resolve(fired, at=15.0)
    assert [item.reason for item in timeline.until(100.0)] == ["acknowledged", "all resolved"]


def test_the_next_episode_is_not_acknowledged(timeline: Timeline) -> None:
    fired = timeline.fire(at=0.0)
    timeline.until(1.0)
    timeline.dispatcher.acknowledge(fired.id, "ann", 1.0)
    timeline.resolve(fired, at=15.0)
    timeline.until(25.0)
    timeline.fire(at=30.0)
    assert [item.reason for item in timeline.until(31.0)] == ["new alerts"]


def test_other_alerts_of_the_group_are_told_without_it(timeline: Timeline) -> None:
    fired = timeline.fire(at=0.0, labels={"instance": "w1"})
    timeline.until(1.0)
    timeline.dispatcher.acknowledge(fired.id, "ann", 1.0)
    timeline.fire(at=5.0, labels={"instance": "w2"})
    _, sent = timeline.until(11.0)
    assert [dict(item.labels) for item in sent.alerts] == [{"instance": "w2"}]


def test_an_acknowledgement_may_end_at_a_time(timeline: Timeline) -> None:
    fired = timeline.fire(at=0.0)
    timeline.until(1.0)
    timeline.dispatcher.acknowledge(fired.id, "ann", 1.0, until=35.0)
    assert [told(item)[:2] for item in timeline.until(45.0)] == [(1.0, "acknowledged"), (40.0, "new alerts")]


def test_an_acknowledgement_can_be_withdrawn(timeline: Timeline) -> None:
    fired = timeline.fire(at=0.0)
    timeline.until(1.0)
    timeline.dispatcher.acknowledge(fired.id, "ann", 1.0)
    timeline.until(25.0)
    assert timeline.dispatcher.withdraw_acknowledgement(fired.id, 25.0)
    assert not timeline.dispatcher.withdraw_acknowledgement(fired.id, 25.0)
    assert [told(item)[:2] for item in timeline.until(31.0)] == [(30.0, "new alerts")]


def test_to_acknowledge_twice_is_to_acknowledge_once(timeline: Timeline) -> None:
    fired = timeline.fire(at=0.0)
    timeline.until(1.0)
    first = timeline.dispatcher.acknowledge(fired.id, "ann", 1.0)
    assert timeline.dispatcher.acknowledge(fired.fingerprint, "ann", 2.0) == first
    assert [item.reason for item in timeline.until(3.0)] == ["acknowledged"]


def test_what_nobody_was_told_of_is_acknowledged_in_silence() -> None:
    timeline = Timeline(lambda: Dispatcher(["a"], Route(group_wait_s=30.0)))
    fired = timeline.fire(at=0.0)
    timeline.dispatcher.acknowledge(fired.id, "ann", 1.0)
    assert timeline.until(1_000.0) == []


def test_only_what_fires_can_be_acknowledged(timeline: Timeline) -> None:
    pending = alert("r", State.PENDING, held="duration 60 s not reached (0 s so far)")
    timeline.take(pending)
    with pytest.raises(ConflictError, match="is pending, not firing: it cannot be acknowledged"):
        timeline.dispatcher.acknowledge(pending.id, "ann", 1.0)
    with pytest.raises(UnknownAlertError, match="no alert 'x'"):
        timeline.dispatcher.acknowledge("x", "ann", 1.0)
