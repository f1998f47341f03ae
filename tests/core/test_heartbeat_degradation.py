"""Heartbeat degradation is recognised from each worker's own rhythm, on virtual time."""

from __future__ import annotations

import random

import pytest

from otel_monitor_processors.engine import Engine, Transition, VerdictTransition
from otel_monitor_processors.observation import Change, Heartbeat, Membership, Observation
from otel_monitor_processors.patterns.finding import Gates
from otel_monitor_processors.patterns.heartbeat_degradation import HeartbeatDegradation
from otel_monitor_processors.patterns.verdict import Verdict, VerdictState

START = 1_700_000_000.0


class Fleet:
    """Workers whose heartbeats an orchestrator receives, driven on virtual time."""

    def __init__(self, workers: int, interval_s: float = 1.0, noise: float = 0.02, gates: Gates | None = None) -> None:
        self.engine = Engine(rules=(), detectors=[HeartbeatDegradation(gates)])
        self.now = START
        self.interval_s = interval_s
        self._random = random.Random(7)
        self._noise = noise
        self._due = {f"w{i}": START + i * interval_s / max(1, workers) for i in range(workers)}
        self.silent: set[str] = set()
        self.stretch: dict[str, float] = {}
        self.shake: dict[str, float] = {}

    def feed(self, observation: Observation) -> list[Verdict]:
        return _verdicts(self.engine.observe([observation]))

    def run(self, seconds: float) -> list[Verdict]:
        """Heartbeats as they come for so long; the verdicts on the way."""
        verdicts: list[Verdict] = []
        end = self.now + seconds
        while self.now < end:
            worker, due = min(self._due.items(), key=lambda item: item[1])
            self.now = min(due, end)
            if due > end:
                break
            interval = self.interval_s * self.stretch.get(worker, 1.0)
            shake = self.shake.get(worker, self._noise)
            self._due[worker] = due + max(0.01, interval * (1.0 + self._random.uniform(-shake, shake)))
            if worker not in self.silent:
                verdicts += self.feed(Heartbeat(due, worker, "orchestrator"))
            verdicts += _verdicts(self.engine.advance(self.now))
        verdicts += _verdicts(self.engine.advance(self.now))
        return verdicts


def _verdicts(transitions: list[Transition]) -> list[Verdict]:
    return [t.verdict for t in transitions if isinstance(t, VerdictTransition)]


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
    verdicts = fleet.run(interval_s * 40 + 10)
    assert [(v.scope, v.sources, v.state) for v in verdicts] == [("lost", ("w2",), VerdictState.OPENED)]
    assert verdicts[0].at - silent_since <= max(3.0, 5 * interval_s) + 1.0
    assert verdicts[0].confidence > 0.9
    assert "w2" in verdicts[0].summary


def test_a_worker_given_up_by_its_orchestrator_is_lost_at_once() -> None:
    fleet = Fleet(4)
    fleet.run(30)
    fleet.silent = {"w1"}
    fleet.run(1.5)
    (verdict,) = fleet.feed(Membership(fleet.now, "w1", "orchestrator", Change.LOST))
    assert verdict.scope == "lost"
    assert verdict.sources == ("w1",)
    assert "given up by its orchestrator" in verdict.summary


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
    verdicts = fleet.run(30)
    assert [v.state for v in verdicts] == [VerdictState.CLOSED]


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
    assert _verdicts(fleet.engine.advance(START + 300)) == []


def test_the_gates_hold_a_pattern_back() -> None:
    fleet = Fleet(10, gates=Gates(failure_rate_threshold=0.3))
    fleet.run(30)
    fleet.silent = {"w1", "w2"}
    assert fleet.run(30) == []
    fleet.silent = {"w1", "w2", "w3"}
    assert [v.sources for v in fleet.run(30)] == [("w1", "w2", "w3")]


def test_workers_beyond_the_limit_are_counted() -> None:
    detector = HeartbeatDegradation()
    for index in range(10_050):
        detector.interests()[Heartbeat](Heartbeat(START + index * 1e-3, f"w{index}", "orchestrator"))
    assert detector.dropped == 50
