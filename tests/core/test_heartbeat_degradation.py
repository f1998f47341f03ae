"""Heartbeat degradation is recognised from each worker's own rhythm, on virtual time."""

from __future__ import annotations

import random

import pytest

from otel_monitor_processors.observation import Change, Heartbeat, Level, Link, Membership, MetricPoint
from otel_monitor_processors.patterns.finding import Gates
from otel_monitor_processors.patterns.heartbeat_degradation.detector import HeartbeatDegradation
from otel_monitor_processors.patterns.verdict import Verdict, VerdictState
from tests.core.heartbeat_fleet import START, Fleet, verdicts_of


@pytest.mark.parametrize("interval_s", [0.25, 1.0, 5.0, 30.0])
@pytest.mark.parametrize("workers", [1, 4, 50])
def test_regular_heartbeats_raise_nothing(interval_s: float, workers: int) -> None:
    assert Fleet(workers, interval_s, noise=0.2).run(interval_s * 200) == []


@pytest.mark.parametrize("interval_s", [0.25, 1.0, 5.0])
def test_a_silent_worker_is_lost_within_five_intervals_or_three_seconds(interval_s: float) -> None:
    fleet = Fleet(4, interval_s)
    fleet.run(interval_s * 40)
    fleet.silent = {"w2"}
    silent_since = fleet.now
    verdicts = fleet.run(interval_s * 20 + 10)
    assert [(v.scope, v.sources, v.state) for v in verdicts] == [("lost", ("w2",), VerdictState.OPENED)]
    assert verdicts[0].at - silent_since <= max(3.0, 5 * interval_s) + 1.0
    assert verdicts[0].confidence >= 0.5
    assert "w2" in verdicts[0].summary


def test_a_worker_given_up_by_its_orchestrator_is_lost_when_its_next_heartbeat_fails_to_come() -> None:
    fleet = Fleet(4)
    fleet.run(30)
    fleet.silent = {"w1"}
    fleet.run(1.5)
    verdicts = fleet.feed(Membership(fleet.now, "w1", "orchestrator", Change.LOST)) + fleet.run(4)
    assert [(v.scope, v.sources) for v in verdicts] == [("lost", ("w1",))]
    assert "given up by its orchestrator" in verdicts[0].summary


def test_a_worker_given_up_too_early_is_not_lost() -> None:
    fleet = Fleet(4)
    fleet.run(30)
    fleet.feed(Membership(fleet.now, "w1", "orchestrator", Change.LOST))
    assert fleet.run(30) == []


def test_a_worker_that_leaves_in_good_order_is_not_lost() -> None:
    fleet = Fleet(4)
    fleet.run(30)
    fleet.silent = {"w1"}
    fleet.feed(Membership(fleet.now, "w1", "orchestrator", Change.LEFT))
    assert fleet.run(60) == []


def test_a_second_lost_worker_updates_the_open_verdict() -> None:
    fleet = Fleet(5)
    fleet.run(30)
    fleet.silent = {"w1"}
    fleet.run(20)
    fleet.silent = {"w1", "w3"}
    verdicts = fleet.run(20)
    assert [(v.state, v.sources) for v in verdicts] == [(VerdictState.UPDATED, ("w1", "w3"))]


def test_the_verdict_closes_when_the_worker_is_back_for_a_while() -> None:
    fleet = Fleet(4)
    fleet.run(30)
    fleet.silent = {"w1"}
    fleet.run(20)
    fleet.silent = set()
    verdicts = [v for v in fleet.run(30) if v.scope == "lost"]
    assert [v.state for v in verdicts] == [VerdictState.CLOSED]


def test_a_loss_is_not_announced_in_its_first_two_seconds() -> None:
    fleet = Fleet(4, interval_s=0.25)
    fleet.run(30)
    fleet.silent = {"w1"}
    began = fleet.now
    fleet.run(1.0)
    fleet.feed(Membership(fleet.now, "w1", "orchestrator", Change.LOST))
    assert fleet.run(1.9) == []
    verdicts = fleet.run(2.0)
    assert [v.sources for v in verdicts] == [("w1",)]
    assert verdicts[0].at - began <= 4.5


def test_a_silent_worker_that_works_on_is_not_lost_while_it_is_given_work() -> None:
    fleet = Fleet(4)
    fleet.run(60)
    fleet.silent = {"w1"}
    verdicts: list[Verdict] = []
    for second in range(40):
        fleet.feed(Level(fleet.now, "w1", "memory", 1.0, 2.0))
        if second % 4 == 0:
            fleet.feed(Link(fleet.now, "orchestrator", "w1", True, 0.01))
        verdicts += fleet.run(1.0)
    assert verdicts == []


def test_a_worker_whose_own_heartbeats_are_answered_is_not_lost() -> None:
    fleet = Fleet(4)
    fleet.run(60)
    fleet.silent = {"w1"}
    verdicts: list[Verdict] = []
    for _ in range(40):
        fleet.feed(Heartbeat(fleet.now, "w1", "w1", True, 0.01))
        verdicts += fleet.run(1.0)
    assert verdicts == []


def test_heartbeats_of_which_suddenly_only_one_in_ten_is_recorded_raise_no_loss() -> None:
    fleet = Fleet(12)
    chance = random.Random(9)
    verdicts: list[Verdict] = []
    for second in range(1_500):
        for index in range(12):
            if second < 300 or chance.random() < 0.1:
                verdicts += fleet.feed(Heartbeat(START + second + index / 12, f"w{index}", "orchestrator"))
    assert [v for v in verdicts if v.scope == "lost"] == []


def test_heartbeats_that_slow_down_are_late_though_none_is_missing() -> None:
    fleet = Fleet(10, interval_s=5.0)
    fleet.run(200)
    fleet.stretch = {"w3": 1.9}
    verdicts = fleet.run(80)
    assert [(v.scope, v.sources) for v in verdicts] == [("late", ("w3",))]


def test_heartbeats_that_become_irregular_are_reported_though_their_mean_is_unchanged() -> None:
    fleet = Fleet(10, interval_s=0.5)
    fleet.run(60)
    fleet.shake = {"w3": 0.98}
    verdicts = fleet.run(120)
    assert verdicts
    assert verdicts[0].scope == "late"
    assert verdicts[0].sources == ("w3",)


def test_when_all_are_late_together_their_observer_is_named() -> None:
    fleet = Fleet(6, interval_s=1.0)
    fleet.run(60)
    fleet.stretch = {f"w{i}": 2.5 for i in range(6)}
    verdicts = [v for v in fleet.run(40) if v.scope == "late"]
    assert verdicts[-1].sources == ("orchestrator",)


def test_a_short_stall_of_the_observer_is_no_loss_of_its_workers() -> None:
    fleet = Fleet(6, interval_s=0.5)
    fleet.run(60)
    fleet.silent = {f"w{i}" for i in range(6)}
    fleet.run(4)
    fleet.silent = set()
    assert [v for v in fleet.run(30) if v.scope == "lost"] == []


@pytest.mark.parametrize(("stall_s", "is_loss"), [(15, False), (60, True)])
def test_workers_given_up_by_an_orchestrator_that_hears_nobody_are_in_doubt_for_a_while(
    stall_s: int, *, is_loss: bool
) -> None:
    fleet = Fleet(6)
    fleet.run(60)
    fleet.silent = {f"w{i}" for i in range(6)}
    fleet.run(3)
    for worker in sorted(fleet.silent):
        fleet.feed(Membership(fleet.now, worker, "orchestrator", Change.LOST))
    found = fleet.run(stall_s)
    fleet.silent = set()
    found += fleet.run(30)
    assert any(v.scope == "lost" for v in found) == is_loss


def test_a_pause_of_the_process_itself_proves_nothing() -> None:
    fleet = Fleet(4)
    fleet.run(30)
    fleet.engine.pause(60.0)
    fleet.now += 60.0
    fleet._due = {worker: due + 60.0 for worker, due in fleet._due.items()}
    assert fleet.run(30) == []


def test_a_rhythm_that_has_changed_for_good_is_learned_anew() -> None:
    fleet = Fleet(10, interval_s=1.0)
    fleet.run(120)
    fleet.stretch = {"w3": 3.0}
    states = [v.state for v in fleet.run(600)]
    assert states[0] is VerdictState.OPENED
    assert states[-1] is VerdictState.CLOSED
    assert fleet.run(300) == []


def test_a_workers_own_account_of_its_sending_is_not_judged() -> None:
    fleet = Fleet(0)
    for second in range(30):
        fleet.feed(Heartbeat(START + second, "w1", "w1"))
    assert verdicts_of(fleet.engine.advance(START + 300)) == []


def test_the_gates_hold_a_pattern_back() -> None:
    fleet = Fleet(10, gates=Gates(failure_rate_threshold=0.3))
    fleet.run(30)
    fleet.silent = {"w1", "w2"}
    assert fleet.run(30) == []
    fleet.silent = {"w1", "w2", "w3"}
    assert [v.sources for v in fleet.run(30)] == [("w1", "w2", "w3")]


def test_a_silent_worker_is_part_of_the_fleet_no_more_after_some_minutes() -> None:
    fleet = Fleet(4)
    fleet.run(60)
    fleet.silent = {"w1"}
    assert [v.state for v in fleet.run(260)] == [VerdictState.OPENED, VerdictState.CLOSED]


def test_heartbeats_of_which_one_in_ten_is_recorded_raise_nothing() -> None:
    fleet = Fleet(12)
    chance = random.Random(5)
    verdicts: list[Verdict] = []
    for second in range(3_000):
        for index in range(12):
            if chance.random() < 0.1:
                verdicts += fleet.feed(Heartbeat(START + second + index / 12, f"w{index}", "orchestrator"))
    assert verdicts == []


def test_records_that_get_lost_in_batches_raise_nothing() -> None:
    fleet = Fleet(12)
    chance = random.Random(6)
    verdicts: list[Verdict] = []
    for second in range(0, 3_000, 5):
        if chance.random() < 0.05:
            continue
        for index in range(60):
            at = START + second + index / 12
            verdicts += fleet.feed(Heartbeat(at, f"w{index % 12}", "orchestrator"))
    assert verdicts == []


def test_a_heartbeat_that_two_signals_record_is_one() -> None:
    fleet = Fleet(4)
    for second in range(120):
        for index in range(4):
            for later in (0.0, 0.012):
                fleet.feed(Heartbeat(START + second + index / 4 + later, f"w{index}", "orchestrator"))
    assert fleet.engine.detectors[0].dump()["roster"]["workers"][0][1][2][1][0] == pytest.approx(1.0, abs=0.05)


def metrics(fleet: Fleet, at: float, means: dict[str, float], ages: dict[str, float]) -> list[Verdict]:
    """One export of an orchestrator."""
    points = [
        MetricPoint(at, "orchestrator", f"orchestrator.heartbeat.{name}", (("orchestrator.worker.id", worker),), value)
        for name, values in (("interval", means), ("age", ages))
        for worker, value in values.items()
    ]
    return verdicts_of(fleet.engine.observe(points))


def test_heartbeats_that_only_metrics_tell_of_are_late_when_their_mean_interval_grows() -> None:
    fleet = Fleet(0)
    workers = [f"w{index}" for index in range(6)]
    verdicts: list[Verdict] = []
    for export in range(60):
        slow = export >= 40
        means = {worker: 1.5 if slow and worker == "w2" else 1.0 + 0.001 * (export % 7) for worker in workers}
        verdicts += metrics(fleet, START + 10.0 * export, means, dict.fromkeys(workers, 0.4))
    assert [(v.scope, v.sources) for v in verdicts] == [("late", ("w2",))]
    assert verdicts[0].at - (START + 400.0) <= 30.0


def test_heartbeats_that_only_metrics_tell_of_have_stopped_when_the_age_of_the_last_grows() -> None:
    fleet = Fleet(0)
    workers = [f"w{index}" for index in range(6)]
    verdicts: list[Verdict] = []
    for export in range(48):
        silent_s = max(0.0, 10.0 * (export - 40))
        means = {worker: 1.0 for worker in workers if worker != "w2" or not silent_s}
        ages = {worker: 0.4 + (silent_s if worker == "w2" else 0.0) for worker in workers}
        verdicts += metrics(fleet, START + 10.0 * export, means, ages)
    assert [(v.scope, v.sources) for v in verdicts if v.scope == "lost"] == [("lost", ("w2",))]


@pytest.mark.parametrize("apart_s", [0.25, 0.9])
def test_a_worker_is_lost_when_it_is_given_up_between_rare_exports_of_frequent_heartbeats(apart_s: float) -> None:
    fleet = Fleet(0)
    workers = [f"w{index}" for index in range(4)]
    for export in range(30):
        metrics(fleet, START + export, dict.fromkeys(workers, 0.25), dict.fromkeys(workers, 0.1))
    verdicts = fleet.feed(Membership(START + 29.0 + apart_s, "w3", "orchestrator", Change.LOST))
    for export in range(30, 40):
        metrics_of = dict.fromkeys(workers[:3], 0.25), dict.fromkeys(workers[:3], 0.1)
        verdicts += metrics(fleet, START + export, *metrics_of)
        verdicts += verdicts_of(fleet.engine.advance(START + export + apart_s))
    assert [(v.scope, v.sources) for v in verdicts if v.scope == "lost"] == [("lost", ("w3",))]


def test_long_gaps_are_not_learned_before_it_is_clear_that_nothing_is_wrong() -> None:
    fleet = Fleet(0)
    verdicts: list[Verdict] = []
    for export in range(24):
        means = {f"w{index}": 0.9 if export >= 10 and index == 2 else 0.252 for index in range(4)}
        verdicts += metrics(fleet, START + export, means, dict.fromkeys(means, 0.1))
    assert [(v.scope, v.sources) for v in verdicts] == [("late", ("w2",))]
    assert verdicts[0].evidence["late"]["w2"]["interval_s"] == pytest.approx(0.252, abs=1e-3)


def test_late_heartbeats_stand_out_where_records_get_lost() -> None:
    fleet, chance = Fleet(8), random.Random(3)
    beats = [
        Heartbeat(START + at + 0.1 * index + late * chance.uniform(0.0, 8.0), f"w{index}", "orchestrator")
        for at in range(0, 1_200, 5)
        for index, late in enumerate((0, 0, 0, at >= 1_000, 0, 0, 0, 0))
        if chance.random() > 0.08
    ]
    verdicts: list[Verdict] = []
    for beat in sorted(beats, key=lambda beat: beat.at):
        verdicts += fleet.feed(beat)
    assert [(v.scope, v.sources) for v in verdicts] == [("late", ("w3",))]
    assert verdicts[0].at - (START + 1_000.0) <= 60.0


def event_loops(fleet: Fleet, blocked: set[str], seconds: int) -> list[Verdict]:
    """Heartbeats in their rhythm, and every second how late the workers' event loops are."""
    verdicts: list[Verdict] = []
    for second in range(seconds):
        verdicts += fleet.run(1.0)
        for index in range(6):
            delay_s = 0.4 if f"w{index}" in blocked else 0.001 + 0.001 * (second % 3)
            verdicts += fleet.feed(MetricPoint(fleet.now, f"w{index}", "orchestrator.event_loop.delay", (), delay_s))
    return verdicts


def test_a_worker_whose_event_loop_is_blocked_is_named_though_its_heartbeats_keep_their_rhythm() -> None:
    fleet = Fleet(6)
    assert event_loops(fleet, set(), 30) == []
    began = fleet.now
    (verdict,) = event_loops(fleet, {"w2"}, 20)
    assert (verdict.scope, verdict.sources) == ("late", ("w2",))
    assert verdict.at - began <= 12.0
    assert "event loop" in verdict.summary


def test_event_loops_that_are_blocked_together_are_nothing_of_the_workers_own() -> None:
    fleet = Fleet(6)
    assert event_loops(fleet, set(), 30) == []
    assert event_loops(fleet, {f"w{index}" for index in range(6)}, 60) == []


def test_an_event_loop_that_is_late_by_less_than_a_heartbeat_notices_raises_nothing() -> None:
    fleet = Fleet(6, interval_s=5.0)
    assert event_loops(fleet, set(), 120) == []
    assert event_loops(fleet, {"w2"}, 60) == []


def test_a_restored_state_continues_identically() -> None:
    one, other = Fleet(5), Fleet(5)
    for fleet in (one, other):
        fleet.run(60)
        fleet.stretch = {"w3": 2.2}
        fleet.run(8)
    other.engine.load(other.engine.dump())
    for fleet in (one, other):
        fleet.silent = {"w1"}
    assert one.run(60) == other.run(60)
    assert one.engine.dump() == other.engine.dump()


def test_workers_beyond_the_limit_are_counted() -> None:
    detector = HeartbeatDegradation()
    for index in range(100_000):
        detector.interests()[Heartbeat](Heartbeat(START + index * 1e-3, f"w{index}", "orchestrator"))
    assert detector.dropped == 90_000
