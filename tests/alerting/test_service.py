"""The service of one process: what it is told it keeps, tells in order, and knows again after a restart."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from otel_monitor.alerting.recall import read
from otel_monitor.alerting.service import AlertService
from otel_monitor.channels.channel import Rejected, Retry
from otel_monitor.store.outbox import Place
from otel_monitor_processors.alerts.alert import State
from otel_monitor_processors.alerts.decision import Stage
from otel_monitor_processors.alerts.dispatcher import Dispatcher
from tests.alerting.services import AT_ONCE, START_S, Recorder, Timeline, fires, resolves, running, service
from tests.polling import eventually


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return tmp_path / "alerts.db" if request.param == "file" else None


def test_what_fires_and_ends_is_told_in_this_order(store: Path | None) -> None:
    ops = Recorder()
    with running(service(ops, path=store)) as alerts:
        first = fires("w1")
        alerts(first)
        eventually(lambda: ops.told, what="the first message")
        alerts(resolves(first))
        alerts(fires("w2"))
        eventually(lambda: len(ops.told) == 3, what="all messages")
    assert [state for name, state in ops.told if name == "w1"] == [State.FIRING, State.RESOLVED]


def test_what_is_waiting_at_the_end_is_still_delivered(store: Path | None) -> None:
    ops = Recorder()
    with running(service(ops, path=store)) as alerts:
        for number in range(100):
            alerts(fires(f"w{number}"))
    assert len(ops.told) == 100


def test_what_waits_for_its_group_in_memory_is_told_at_the_end() -> None:
    ops = Recorder()
    with running(service(ops, route=replace(AT_ONCE, group_wait_s=30.0))) as alerts:
        alerts(fires("w1"))
    assert ops.told == [("w1", State.FIRING)]


def test_nothing_is_opened_or_started_before_there_is_something_to_do(tmp_path: Path) -> None:
    alerts = service(Recorder(), path=tmp_path / "alerts.db")
    alerts.stop(1.0)
    assert list(tmp_path.iterdir()) == []


def test_after_a_restart_nobody_is_told_again_and_the_end_is_told(tmp_path: Path) -> None:
    path = tmp_path / "alerts.db"
    before, after = Recorder(), Recorder()
    raised = fires("w1")
    with running(service(before, path=path)) as alerts:
        alerts(raised)
    assert before.told == [("w1", State.FIRING)]
    again = service(after, path=path)
    restored = again.restore()
    assert [alert.id for alert in restored.alerts] == [raised.alert.id]
    assert restored.last_seen_at == pytest.approx(time.time(), abs=10.0)
    with running(again):
        again(fires("w2"))
        eventually(lambda: after.told)
        again(resolves(raised))
        eventually(lambda: len(after.told) == 2)
    assert after.told == [("w2", State.FIRING), ("w1", State.RESOLVED)]


def test_who_takes_over_without_a_kept_state_knows_what_was_told_from_the_journal(tmp_path: Path) -> None:
    before, after = Recorder(), Recorder()
    killed = service(before, path=tmp_path / "alerts.db")
    for second in range(5):
        killed(fires(f"w{second}", START_S + second))
        killed.step(START_S + second)
    heir = service(after, path=tmp_path / "alerts.db", name="heir")
    found = read(heir.keeper.shelf, lambda: Dispatcher(["ops"], AT_ONCE))
    assert found.kept.entry == 0
    assert found.progress.last_event == 5
    at = START_S + 60.0  # longer than a leader may be silent
    while heir.step(at):
        continue
    heir.deliver(5.0)
    assert after.told == [(f"w{second}", State.FIRING) for second in range(5)]
    assert [message.place for message in heir.keeper.shelf.outbox.in_place(Place.DELIVERED)] == [Place.DELIVERED] * 5
    close(killed, heir)


def test_what_people_were_answered_holds_though_the_process_that_answered_is_killed(tmp_path: Path) -> None:
    killed = service(Recorder(), path=tmp_path / "alerts.db")
    raised = fires("w1", START_S)
    killed(raised)
    killed.step(START_S)
    silence = {
        "matchers": ["instance=w2"],
        "starts_at": START_S,
        "ends_at": START_S + 86_400.0,
        "author": "eve",
        "comment": "planned",
    }
    dispatch = killed.keeper.shelf.dispatch
    asked = [
        dispatch.ask({"do": "silence", "silence": silence}, START_S),
        dispatch.ask({"do": "acknowledge", "alert": raised.alert.id, "author": "eve", "comment": "on it"}, START_S),
    ]
    killed.step(START_S + 1.0)
    assert [(dispatch.answer(seq) or {}).get("ok") for seq in asked] == [True, True]
    ops = Recorder()
    heir = service(ops, path=tmp_path / "alerts.db", name="heir")
    heir(fires("w2", START_S + 2.0))
    for second in (60.0, 60.1, 61.0):
        heir.step(START_S + second)
    heir.deliver(5.0)
    assert ops.told == [("w1", State.FIRING), ("w1", State.FIRING)], "that it fires, and that it is acknowledged"
    assert [item.reason for item in ops.got] == ["first", "acknowledged"]
    found = read(heir.keeper.shelf, lambda: Dispatcher(["ops"], AT_ONCE)).dispatcher
    assert [one.author for one in found.silences()] == ["eve"]
    assert found.held_by(raised.alert.id, START_S + 61.0)[Stage.ACKNOWLEDGEMENT].reason == "acknowledged by eve (on it)"
    close(killed, heir)


def test_the_state_is_not_written_with_every_notification(tmp_path: Path) -> None:
    alerts = service(Recorder(), path=tmp_path / "alerts.db")
    for second in range(70):
        alerts(fires(f"w{second}", START_S + second))
        alerts.step(START_S + second)
    snapshot = alerts.keeper.shelf.dispatch.snapshot()
    assert snapshot.state is not None
    assert 60 <= snapshot.progress.last_event < 70, "once a minute"
    close(alerts)


def test_a_channel_that_refuses_for_ever_leaves_a_dead_letter_and_does_not_stop_the_next(tmp_path: Path) -> None:
    outcomes: list[tuple[str, str]] = []
    ops = Recorder("ops", Rejected("no such address"), Retry("busy", 0.01))
    alerts = service(ops, path=tmp_path / "alerts.db", report=lambda *outcome: outcomes.append(outcome))
    with running(alerts):
        alerts(fires("w1"))
        eventually(lambda: outcomes)
        alerts(fires("w2"))
        eventually(lambda: ops.told)
        (dead,) = alerts.keeper.shelf.outbox.in_place(Place.DEAD)
        assert dead.said == "no such address"
    assert ops.told == [("w2", State.FIRING)]
    assert outcomes == [("ops", "dead"), ("ops", "retry"), ("ops", "delivered")]


def test_an_alert_resolved_by_hand_stays_so_across_a_restart_until_its_condition_was_false(tmp_path: Path) -> None:
    path, ops = tmp_path / "alerts.db", Recorder()
    raised = fires("w1", START_S)
    alerts = service(ops, path=path)
    alerts(raised)
    alerts.step(START_S)
    alerts.keeper.shelf.dispatch.ask({"do": "resolve", "alert": raised.alert.id, "author": "eve"}, START_S + 1.0)
    alerts.step(START_S + 2.0)
    alerts.step(START_S + 3.0)
    assert states(alerts) == [State.RESOLVED]
    close(alerts)
    again = service(ops, path=path)
    assert [alert.id for alert in again.restore().alerts] == [raised.alert.id], "its engine goes on with it"
    again(replace(raised, at=START_S + 4.0, reason="severity has changed"))
    again.step(START_S + 4.0)
    assert states(again) == [State.RESOLVED]
    again(resolves(raised, START_S + 5.0))
    again.step(START_S + 5.0)
    anew = fires("w1", START_S + 6.0)
    again(anew)
    again.step(START_S + 6.0)
    again.deliver(5.0)
    assert [state for _, state in ops.told] == [State.FIRING, State.RESOLVED, State.FIRING]
    history = again.keeper.shelf.alerts.history(raised.alert.id)
    assert [step.transition.reason for step in history][1].startswith("resolved by eve")
    close(again)


def test_requests_are_answered_with_what_has_come_of_them() -> None:
    alerts = service(Recorder())
    alerts.step(START_S)
    dispatch = alerts.keeper.shelf.dispatch
    asked = {
        "unknown": {"do": "acknowledge", "alert": "nothing", "author": "eve"},
        "invalid": {"do": "dance"},
    }
    for kind, body in asked.items():
        seq = dispatch.ask(body, START_S)
        alerts.step(START_S)
        answer = dispatch.answer(seq)
        assert answer is not None
        assert answer["kind"] == kind


def test_an_engine_that_ended_without_a_word_has_its_alerts_resolved_by_another(tmp_path: Path) -> None:
    path, ops = tmp_path / "alerts.db", Recorder()
    gone = service(Recorder(), path=path, name="gone")  # it has not ended: it hangs
    gone(fires("w1", START_S))
    gone.step(START_S)
    here = service(ops, path=path, name="here")
    for minute in range(1, 10):
        here.step(START_S + 60.0 * minute)
    here.deliver(5.0)
    assert ("w1", State.RESOLVED) in ops.told
    (step,) = here.keeper.shelf.alerts.history(here.keeper.shelf.alerts.in_state([State.RESOLVED])[0].id)[-1:]
    assert step.transition.reason == "nothing has been heard of gone for 360 s"
    close(gone, here)


def test_whoever_starts_to_lead_ends_at_once_what_a_dead_process_has_left_long_ago(tmp_path: Path) -> None:
    path, ops = tmp_path / "alerts.db", Recorder()
    dead, hung = service(Recorder(), path=path, name="dead"), service(Recorder(), path=path, name="hung")
    for one, name in ((dead, "w1"), (hung, "w2")):
        one(fires(name, START_S))
        one.step(START_S)
    close(dead)
    here = service(ops, path=path, name="here")
    here.step(START_S + 400.0)
    assert [alert.labels for alert in here.keeper.shelf.alerts.in_state([State.FIRING])] == [(("instance", "w2"),)]
    here.step(START_S + 400.1)
    here.deliver(5.0)
    assert ("w1", State.RESOLVED) in ops.told
    close(hung, here)


def test_what_a_dead_process_was_sending_is_sent_at_once_by_who_takes_over(tmp_path: Path) -> None:
    path, ops = tmp_path / "alerts.db", Recorder()
    dead = service(Recorder(), path=path, name="dead")
    dead(fires("w1", START_S))
    dead.step(START_S)
    assert dead.keeper.shelf.outbox.lease("ops", START_S) is not None
    heir = service(ops, path=path, name="heir")
    heir.step(START_S + 11.0)
    assert heir.keeper.shelf.outbox.lease("ops", START_S + 11.0) is None, "it may be about to send it"
    heir.resign(START_S + 11.0)
    close(dead, heir)
    again = service(ops, path=path, name="again")
    again.step(START_S + 12.0)
    assert again.keeper.shelf.outbox.lease("ops", START_S + 12.0) is not None
    close(again)


def test_after_the_machine_has_slept_nobody_is_taken_for_dead(tmp_path: Path) -> None:
    path = tmp_path / "alerts.db"
    other, leader = service(Recorder(), path=path, name="other"), service(Recorder(), path=path, name="leader")
    for minute in range(4):
        leader.step(START_S + 60.0 * minute)
        other(fires(f"w{minute}", START_S + 60.0 * minute))
        other.step(START_S + 60.0 * minute)
    woken = START_S + 50_000.0
    leader.step(woken)
    leader.step(woken + 61.0)
    assert len(leader.keeper.shelf.alerts.in_state([State.FIRING])) == 4
    close(other, leader)


def test_what_is_old_is_deleted_and_what_is_open_stays(tmp_path: Path) -> None:
    line = Timeline(tmp_path / "alerts.db", retention_s=3600.0, route=replace(AT_ONCE, group_interval_s=60.0))
    lasting = line.raises("lasting")
    short = [fires(f"w{number}", START_S) for number in range(1_200)]
    for raised in short:
        line.alerts(raised)
    line.go(1.0)
    for raised in short:
        line.alerts(resolves(raised, START_S + 2.0))
    line.go(1.0)
    line.go(60.0)
    assert len(line.told) == 2_401
    line.go(7200.0)
    line.go(61.0)
    shelf = line.alerts.keeper.shelf
    assert [alert.id for alert in shelf.alerts.in_state(State)] == [lasting.alert.id]
    with shelf.database.reading() as connection:
        assert connection.execute("SELECT count(*) FROM event").fetchone() == (1,)
        assert connection.execute("SELECT count(*) FROM outbox WHERE ended_at < ?", (START_S + 100,)).fetchone() == (0,)
    line.close()


def states(alerts: AlertService) -> list[State]:
    return [alert.state for alert in alerts.keeper.shelf.alerts.in_state(State)]


def close(*services: AlertService) -> None:
    for one in services:
        one.keeper.close()
