"""Alerts in the store: what is committed can be read, by its owner and by others, until it is too old."""

from __future__ import annotations

import pytest

from otel_monitor.store.alerts import Alerts
from otel_monitor.store.database import Database
from otel_monitor_processors.alerts.alert import State
from tests.store.alerts import START_S, alert, step

OPEN = (State.PENDING, State.FIRING)


@pytest.fixture
def alerts() -> Alerts:
    return Alerts(Database(None))


def test_steps_come_back_as_they_were_in_their_order(alerts: Alerts) -> None:
    given = [step("w1", State.PENDING), step("w1"), step("w2"), step("w1", State.RESOLVED)]
    recorded = alerts.record("me", given, START_S)
    assert [item.transition for item in alerts.after(0)] == given
    assert alerts.after(recorded[2].seq) == recorded[3:]
    assert [item.transition for item in alerts.history(alert("w1").id)] == [given[0], given[1], given[3]]


def test_an_alert_stands_as_its_last_step_left_it(alerts: Alerts) -> None:
    alerts.record("me", [step("w1", State.PENDING), step("w1"), step("w2"), step("w2", State.RESOLVED)], START_S)
    assert alerts.in_state(OPEN) == [alert("w1")]
    assert alerts.in_state([State.RESOLVED]) == [alert("w2", State.RESOLVED)]


def test_engines_that_share_a_store_find_their_own(alerts: Alerts) -> None:
    alerts.record("first", [step("w1")], START_S)
    alerts.record("second", [step("w2")], START_S)
    assert alerts.open_of("second") == [alert("w2")]


def test_an_alert_is_found_by_the_beginning_of_its_id(alerts: Alerts) -> None:
    alerts.record("me", [step("w1"), step("w2")], START_S)
    wanted = alert("w1")
    assert alerts.matching(wanted.id, 2) == [wanted]
    assert alerts.matching(wanted.id[:8], 2) == [wanted]
    assert len(alerts.matching("", 2)) == 2
    assert alerts.matching("nothing", 2) == []


def test_alerts_of_an_engine_that_has_gone_silent_are_abandoned(alerts: Alerts) -> None:
    alerts.record("gone", [step("w1"), step("w2", State.RESOLVED)], START_S)
    alerts.record("here", [step("w3")], START_S)
    alerts.alive("here", START_S + 600.0)
    assert alerts.abandoned(START_S + 300.0) == [("gone", START_S, alert("w1"))]


def test_what_somebody_has_resolved_by_hand_stays_so_until_its_next_step(alerts: Alerts) -> None:
    (recorded,) = alerts.record("me", [step("w1")], START_S)
    alerts.overrule(recorded)
    assert alerts.in_state(OPEN) == []
    alerts.record("me", [step("w1", at=START_S + 1.0)], START_S)
    alerts.overrule(recorded)
    assert alerts.in_state(OPEN) == [alert("w1")]


def test_only_what_has_ended_and_been_handled_is_deleted_in_batches(alerts: Alerts) -> None:
    recorded = alerts.record(
        "me",
        [step("w1", State.PENDING), step("w1"), step("w2"), step("w2", State.RESOLVED), step("w3", at=START_S + 900.0)],
        START_S,
    )
    last = recorded[-1].seq
    assert alerts.retain(START_S + 600.0, handled=0) is None
    assert len(alerts.after(0)) == 5
    reached = alerts.retain(START_S + 600.0, handled=last, limit=1)
    assert reached == recorded[0].seq
    assert alerts.retain(START_S + 600.0, handled=last, after=reached) is None
    assert [item.seq for item in alerts.after(0)] == [recorded[1].seq, recorded[4].seq]
    assert {item.id for item in alerts.in_state(State)} == {alert("w1").id, alert("w3").id}
