"""Load imbalance is recognised from each worker's share of the work, on virtual time."""

from __future__ import annotations

import json
import random

import pytest

from otel_monitor_processors.classification import Category
from otel_monitor_processors.engine import Engine, Transition, VerdictTransition
from otel_monitor_processors.observation import (
    Assignment,
    Change,
    Heartbeat,
    Link,
    Membership,
    MetricPoint,
    Observation,
    Operation,
    OperationCount,
    Outcome,
)
from otel_monitor_processors.patterns.finding import Gates
from otel_monitor_processors.patterns.load_imbalance.detector import LoadImbalance
from otel_monitor_processors.patterns.verdict import Verdict, VerdictState

START = 1_700_000_000.0


class Fleet:
    """Workers that are given tasks by weight, driven second by second on virtual time."""

    def __init__(self, workers: int = 12, rate: float = 2.4, gates: Gates | None = None, seed: int = 7) -> None:
        self.engine = Engine(rules=(), detectors=[LoadImbalance(gates)])
        self.now = START
        self.weights = {f"w{i}": 1.0 for i in range(workers)}
        self.rate = rate
        self.unreachable: set[str] = set()
        self.failing: dict[str, Category] = {}
        self.shows: tuple[str, ...] = ("spans", "heartbeats")
        self.random = random.Random(seed)
        self.held: dict[str, float] = {}
        self._counted: dict[str, int] = {}

    def run(self, seconds: int) -> list[Verdict]:
        """Tasks as they come for so long; the verdicts on the way."""
        verdicts: list[Verdict] = []
        for _ in range(seconds):
            verdicts += self.feed(self.second())
            self.now += 1.0
            verdicts += _verdicts(self.engine.advance(self.now))
        return verdicts

    def feed(self, observations: list[Observation]) -> list[Verdict]:
        return _verdicts(self.engine.observe(observations))

    def second(self) -> list[Observation]:
        """What is observed in a second, in the order of time."""
        seen: list[Observation] = []
        names = [name for name, weight in self.weights.items() if weight > 0.0]
        weights = [self.weights[name] for name in names]
        for number in range(int(self.rate) + (self.random.random() < self.rate % 1.0)):
            at = self.now + (number + 0.5) / (self.rate + 2.0)
            worker = self.random.choices(names, weights)[0]
            seen += self._task(at, worker)
        if "heartbeats" in self.shows and int(self.now) % 5 == 0:
            seen += [Heartbeat(self.now + 0.99, name, "boss") for name in self.weights if name not in self.unreachable]
        if "metrics" in self.shows:
            seen += self._exports()
        if int(self.now) % 5 == 3:
            seen += [_holds(self.now + 0.5, name, held) for name, held in self.held.items()]
        return seen

    def _task(self, at: float, worker: str) -> list[Observation]:
        self._counted[worker] = self._counted.get(worker, 0) + 1
        category = self.failing.get(worker)
        outcome = Outcome.OK if category is None else Outcome.FAILED
        seen: list[Observation] = []
        if "assignments" in self.shows:
            seen.append(Assignment(at, worker, "boss", "job"))
        if "requests" in self.shows:
            seen.append(Link(at, "boss", worker, True, 0.1, None, None, "scheduler"))
        if "spans" in self.shows:
            seen.append(Operation(at, worker, "process", outcome, 0.1, category, None, "agents"))
        return seen

    def _exports(self) -> list[Observation]:
        seen: list[Observation] = []
        for number, worker in enumerate(self.weights):
            if int(self.now) % 10 == number % 10:
                at = self.now + 0.9
                seen.append(MetricPoint(at, worker, "process.cpu.utilization", (), 0.1, "1", "agents"))
                calls = self._counted.pop(worker, 0)
                if calls:
                    seen.append(OperationCount(at, worker, "process", calls, calls * 0.1, None, False, "agents"))
        return seen


def _holds(at: float, worker: str, held: float) -> MetricPoint:
    attributes = (("orchestrator.worker.id", worker),)
    return MetricPoint(at, "boss", "orchestrator.worker.assigned", attributes, held, "{task}", "scheduler")


def _verdicts(transitions: list[Transition]) -> list[Verdict]:
    return [t.verdict for t in transitions if isinstance(t, VerdictTransition)]


def _favour(fleet: Fleet, *workers: str, share: float) -> None:
    """Give some workers a share of all tasks, the others the rest."""
    others = len(fleet.weights) - len(workers)
    fleet.weights = {
        name: share / len(workers) if name in workers else (1.0 - share) / others for name in fleet.weights
    }


@pytest.mark.parametrize("workers", [5, 12, 50])
def test_equal_shares_raise_nothing(workers: int) -> None:
    assert Fleet(workers).run(1200) == []


def test_shares_that_have_always_been_unequal_raise_nothing() -> None:
    fleet = Fleet()
    fleet.weights = {name: 1.0 + number % 4 for number, name in enumerate(fleet.weights)}
    assert fleet.run(1500) == []


@pytest.mark.parametrize("shows", ["spans", "assignments", "requests", "metrics"])
def test_a_worker_that_gets_most_of_the_work_is_named(shows: str) -> None:
    fleet = Fleet()
    fleet.shows = tuple({shows, "spans" if shows != "metrics" else shows, "heartbeats"})
    assert fleet.run(600) == []
    _favour(fleet, "w3", share=0.6)
    (verdict,) = fleet.run(60)
    assert verdict.state is VerdictState.OPENED
    assert (verdict.scope, verdict.sources, verdict.root) == ("agents", ("w3",), "w3")
    assert verdict.at - START - 600 <= (45 if shows == "metrics" else 30)
    assert "w3 got" in verdict.summary


def test_a_tenth_of_the_load_takes_longer_but_is_enough() -> None:
    fleet = Fleet(rate=0.24)
    fleet.run(1200)
    _favour(fleet, "w3", share=0.6)
    (verdict,) = fleet.run(200)
    assert verdict.sources == ("w3",)


def _holding_streams(each: int = 6) -> Fleet:
    """Four workers that hold streams, of which nothing else is recorded."""
    fleet = Fleet(workers=4)
    fleet.shows = ("heartbeats",)
    fleet.held = dict.fromkeys(fleet.weights, float(each))
    return fleet


def test_a_worker_that_is_given_the_others_streams_is_named_within_seconds() -> None:
    fleet = _holding_streams()
    assert fleet.run(60) == []
    fleet.held = {"w0": 1.0, "w1": 21.0, "w2": 1.0, "w3": 1.0}
    (verdict,) = fleet.run(20)
    assert (verdict.sources, verdict.root, verdict.evidence["kind"]) == (("w1",), "w1", "tasks held")
    assert "w1 has 88% of the tasks held among 4 workers" in verdict.summary
    fleet.held = dict.fromkeys(fleet.held, 6.0)
    assert [v.state for v in fleet.run(20)] == [VerdictState.CLOSED]


def test_one_report_that_is_out_of_line_raises_nothing() -> None:
    fleet = _holding_streams()
    fleet.run(60)
    fleet.held["w1"] = 60.0
    verdicts = fleet.run(5)
    fleet.held["w1"] = 6.0
    assert verdicts + fleet.run(60) == []


def test_workers_that_have_always_held_unequal_numbers_raise_nothing() -> None:
    fleet = _holding_streams()
    fleet.held = {"w0": 2.0, "w1": 30.0, "w2": 4.0, "w3": 4.0}
    assert fleet.run(300) == []


def test_queues_that_come_and_go_raise_nothing() -> None:
    fleet = _holding_streams()
    verdicts: list[Verdict] = []
    for _ in range(200):
        fleet.held = {name: float(fleet.random.choice((0, 1, 1, 2, 3, 5, 8, 30))) for name in fleet.held}
        verdicts += fleet.run(5)
    assert verdicts == []


def test_streams_of_a_worker_that_is_gone_may_be_held_by_the_others() -> None:
    fleet = _holding_streams()
    verdicts = fleet.run(120)
    fleet.unreachable = {"w3"}
    del fleet.held["w3"]
    fleet.held |= {"w0": 8.0, "w1": 8.0, "w2": 8.0}
    verdicts += fleet.feed([Membership(fleet.now, "w3", "boss", Change.LOST)]) + fleet.run(300)
    fleet.unreachable.clear()
    fleet.held["w3"] = 0.0
    verdicts += fleet.feed([Membership(fleet.now, "w3", "boss", Change.JOINED)]) + fleet.run(10)
    fleet.held = dict.fromkeys(fleet.held, 6.0)
    assert verdicts + fleet.run(300) == []


def test_a_backlog_that_is_worked_off_is_no_imbalance_any_more() -> None:
    fleet = Fleet()
    fleet.run(600)
    _favour(fleet, "w3", share=0.6)
    assert [v.state for v in fleet.run(300)] == [VerdictState.OPENED]
    fleet.weights = {name: 2.0 if name == "w3" else 0.2 for name in fleet.weights}  # as many of w3's as before
    fleet.rate *= 1.0 + 0.6
    assert [v.state for v in fleet.run(400)] == [VerdictState.CLOSED]


def test_several_workers_are_one_verdict() -> None:
    fleet = Fleet()
    fleet.run(600)
    _favour(fleet, "w3", "w7", share=0.7)
    verdicts = fleet.run(120)
    assert {verdict.scope for verdict in verdicts} == {"agents"}
    assert verdicts[-1].sources == ("w3", "w7")


def test_when_most_workers_are_forgotten_those_that_carry_the_load_are_named() -> None:
    fleet = Fleet()
    fleet.run(600)
    fleet.weights = {name: float(number < 4) for number, name in enumerate(fleet.weights)}
    verdicts = fleet.run(120)
    assert verdicts[-1].sources == ("w0", "w1", "w2", "w3")


def test_the_verdict_stays_while_the_imbalance_lasts_and_closes_after_it() -> None:
    fleet = Fleet()
    fleet.run(600)
    _favour(fleet, "w3", share=0.6)
    assert [v.state for v in fleet.run(600)] == [VerdictState.OPENED]
    fleet.weights = dict.fromkeys(fleet.weights, 1.0)
    assert [v.state for v in fleet.run(60)] == [VerdictState.CLOSED]


def test_workers_that_die_leave_their_share_to_the_others() -> None:
    fleet = Fleet()
    fleet.run(600)
    dead = [f"w{i}" for i in range(7)]
    fleet.unreachable = set(dead)
    fleet.weights |= dict.fromkeys(dead, 0.0)
    fleet.feed([Membership(fleet.now, name, "boss", Change.LOST) for name in dead])
    assert fleet.run(600) == []


def test_a_restart_a_scale_up_and_a_rolling_deployment_raise_nothing() -> None:
    fleet = Fleet()
    verdicts = fleet.run(600)
    for name in list(fleet.weights):
        fleet.weights[name] = 0.0
        verdicts += fleet.feed([Membership(fleet.now, name, "boss", Change.LEFT)]) + fleet.run(8)
        fleet.weights[name] = 1.0
        verdicts += fleet.feed([Membership(fleet.now, name, "boss", Change.JOINED)]) + fleet.run(4)
    fleet.weights |= {f"new{i}": 1.0 for i in range(8)}
    assert verdicts + fleet.run(300) == []


def test_spikes_and_bursts_raise_nothing() -> None:
    fleet = Fleet()
    verdicts = fleet.run(600)
    fleet.rate = 8.0
    verdicts += fleet.run(120)
    fleet.rate = 2.4
    for _ in range(5):
        verdicts += fleet.feed([observation for _ in range(30) for observation in fleet.second()]) + fleet.run(60)
    assert verdicts == []


def test_one_burst_to_one_worker_raises_nothing() -> None:
    fleet = Fleet()
    fleet.run(600)
    burst = [Operation(fleet.now, "w3", "process", Outcome.OK, 0.1, None, None, "agents") for _ in range(40)]
    assert fleet.feed(list(burst)) + fleet.run(120) == []


def test_shares_that_move_because_others_fail_raise_nothing() -> None:
    fleet = Fleet()
    fleet.run(600)
    fleet.failing = {f"w{i}": Category.NETWORK for i in range(5, 12)}
    _favour(fleet, "w1", "w2", share=0.6)
    assert fleet.run(120) == []


def test_the_beginning_of_a_recording_is_no_imbalance() -> None:
    fleet = Fleet()
    _favour(fleet, "w3", share=0.6)
    assert fleet.run(900) == []


def test_gates_hold_back_and_can_be_changed_at_run_time() -> None:
    fleet = Fleet(gates=Gates(enabled=False))
    fleet.run(600)
    _favour(fleet, "w3", share=0.6)
    assert fleet.run(60) == []
    fleet.engine.detectors[0].gates = Gates(failure_rate_threshold=0.5)
    assert fleet.run(30) == []
    fleet.engine.detectors[0].gates = Gates()
    assert [verdict.sources for verdict in fleet.run(30)] == [("w3",)]


def test_a_loaded_state_continues_identically() -> None:
    fleet, twin = Fleet(), Fleet()
    fleet.shows = twin.shows = ("spans", "heartbeats", "metrics", "assignments")
    fleet.held = dict.fromkeys(fleet.weights, 6.0)
    twin.held = dict.fromkeys(fleet.weights, 6.0)
    fleet.run(590)
    twin.run(590)
    _favour(fleet, "w3", share=0.6)
    _favour(twin, "w3", share=0.6)
    fleet.held["w3"] = twin.held["w3"] = 40.0
    fleet.run(15)
    twin.run(15)
    state = json.loads(json.dumps(twin.engine.detectors[0].dump()))
    engine = Engine(rules=(), detectors=[LoadImbalance()])
    engine.load(twin.engine.dump())
    twin.engine = engine
    assert json.loads(json.dumps(engine.detectors[0].dump())) == state
    assert twin.run(200) == fleet.run(200)
    assert twin.engine.dump() == fleet.engine.dump()


def test_the_order_within_a_second_does_not_matter() -> None:
    fleet, shuffled = Fleet(), Fleet()
    order = random.Random(3)
    in_order: list[Verdict] = []
    out_of_order: list[Verdict] = []
    for second in range(800):
        if second == 600:
            _favour(fleet, "w3", share=0.6)
            _favour(shuffled, "w3", share=0.6)
        in_order += fleet.run(1)
        seen = shuffled.second()
        order.shuffle(seen)
        out_of_order += shuffled.feed(seen)
        shuffled.now += 1.0
        out_of_order += _verdicts(shuffled.engine.advance(shuffled.now))
    assert [(v.at, v.sources, v.state) for v in in_order] == [(v.at, v.sources, v.state) for v in out_of_order]
    assert in_order


def test_a_hundred_thousand_sources_are_bounded() -> None:
    detector = LoadImbalance()
    take = detector.interests()[OperationCount]
    for number in range(100_000):
        take(OperationCount(START + number * 1e-3, f"w{number}", "process", 1, 0.1, None, False, "agents"))
        if number % 5000 == 0:
            list(detector.findings(START + number * 1e-3))
    assert detector.dropped > 80_000
    assert len(json.dumps(detector.dump())) < 4_000_000
