"""Workers that die one after the other are recognised as a cascade, on virtual time."""

from __future__ import annotations

import json

import pytest

from otel_monitor_processors.engine import Engine, Transition, VerdictTransition
from otel_monitor_processors.observation import (
    Assignment,
    Change,
    Heartbeat,
    Membership,
    MetricPoint,
    Observation,
    Operation,
    OperationCount,
    Outcome,
)
from otel_monitor_processors.patterns.cascading_failures.detector import CascadingFailures
from otel_monitor_processors.patterns.verdict import Verdict, VerdictState

START = 1_700_000_000.0


class Fleet:
    """Workers whose heartbeats an orchestrator receives once a second, and which work."""

    def __init__(self, workers: int = 8) -> None:
        self.engine = Engine((), [CascadingFailures()])
        self.now = START
        self.alive = [f"w{number}" for number in range(workers)]
        self.working = list(self.alive)
        self.every_s = 1

    def feed(self, *observations: Observation) -> list[Verdict]:
        return _verdicts(self.engine.observe(observations))

    def run(self, seconds: int) -> list[Verdict]:
        verdicts: list[Verdict] = []
        for _ in range(seconds):
            if int(self.now) % self.every_s == 0:
                verdicts += self.feed(*(Heartbeat(self.now + 0.2, worker, "boss") for worker in self.alive))
            for worker in self.working:
                verdicts += self.feed(Operation(self.now + 0.5, worker, "process", Outcome.OK, 0.1, service="worker"))
            self.now += 1.0
            verdicts += _verdicts(self.engine.advance(self.now))
        return verdicts

    def kill(self, *workers: str, task: str | None = None, wait_s: int = 5) -> list[Verdict]:
        """They are given a task, die, and are given up some seconds later."""
        found = []
        for worker in workers:
            if task is not None:
                found += self.feed(Assignment(self.now, worker, "boss", "resize", task))
            self.alive.remove(worker)
            self.working.remove(worker)
        found += self.run(wait_s)
        for worker in workers:
            found += self.feed(Membership(self.now, worker, "boss", Change.LOST, "heartbeat_timeout"))
        return found


def _verdicts(transitions: list[Transition]) -> list[Verdict]:
    return [t.verdict for t in transitions if isinstance(t, VerdictTransition)]


def _opened(verdicts: list[Verdict]) -> list[Verdict]:
    return [verdict for verdict in verdicts if verdict.state is VerdictState.OPENED]


def test_a_task_that_kills_its_owners_is_named_at_the_third_death_at_the_latest() -> None:
    fleet = Fleet()
    fleet.run(60)
    found = fleet.kill("w1", task="t7") + fleet.run(2) + fleet.kill("w3", task="t7") + fleet.run(2)
    found += fleet.kill("w5", task="t7") + fleet.run(3)
    assert len(_opened(found)) == 1
    last = found[-1]
    assert (last.root, set(last.sources)) == ("t7", {"w1", "w3", "w5"})
    assert "t7" in last.summary


def test_deaths_in_a_row_are_a_cascade_without_any_task() -> None:
    fleet = Fleet()
    fleet.run(60)
    found = []
    for worker in ("w1", "w2", "w3", "w4"):
        found += fleet.kill(worker) + fleet.run(3)
    assert len(_opened(found)) == 1
    assert set(found[-1].sources) == {"w1", "w2", "w3", "w4"}


@pytest.mark.parametrize("workers", [("w1",), ("w1", "w2"), ("w1", "w2", "w3", "w4")])
def test_what_dies_at_the_same_moment_has_a_cause_in_common(workers: tuple[str, ...]) -> None:
    fleet = Fleet()
    fleet.run(60)
    assert fleet.kill(*workers) + fleet.run(120) == []


def test_workers_that_are_given_up_but_go_on_working_have_not_died() -> None:
    fleet = Fleet()
    fleet.run(60)
    found = []
    for worker in ("w1", "w2", "w3", "w4"):
        fleet.alive.remove(worker)
        found += fleet.run(6) + fleet.feed(Membership(fleet.now, worker, "boss", Change.LOST))
    assert found + fleet.run(60) == []


def test_a_rolling_restart_is_none() -> None:
    fleet = Fleet()
    fleet.run(60)
    found = []
    for worker in list(fleet.alive):
        found += fleet.feed(Membership(fleet.now, worker, "boss", Change.LEFT))
        fleet.alive.remove(worker)
        fleet.working.remove(worker)
        found += fleet.run(8) + fleet.feed(Membership(fleet.now, worker, "boss", Change.JOINED))
        fleet.alive.append(worker)
        fleet.working.append(worker)
    assert found + fleet.run(60) == []


@pytest.mark.parametrize(("every_s", "is_found"), [(1, True), (30, False)])
def test_what_is_given_up_within_one_interval_has_died_at_once_for_all_that_counters_tell(
    every_s: int, *, is_found: bool
) -> None:
    fleet = Fleet()
    fleet.every_s = every_s
    fleet.feed(*(OperationCount(fleet.now, worker, "process", 1, 0.1) for worker in fleet.alive))
    found = fleet.run(600)
    del fleet.alive[4:], fleet.working[4:]
    for _ in range(4):
        found += fleet.run(8) + fleet.feed(MetricPoint(fleet.now, "boss", "orchestrator.worker.failures", (), 1.0))
    assert bool(_opened(found + fleet.run(30))) == is_found


def test_whoever_was_given_up_long_after_its_last_heartbeat_died_then() -> None:
    fleet = Fleet()
    fleet.every_s = 30
    fleet.run(600)
    for worker in ("w1", "w2", "w3", "w4"):
        fleet.alive.remove(worker)
        fleet.working.remove(worker)
    found = fleet.run(160)
    for worker in ("w1", "w2", "w3", "w4"):
        found += fleet.feed(Membership(fleet.now, worker, "boss", Change.LOST)) + fleet.run(10)
    assert found + fleet.run(60) == []


def test_what_counters_tell_without_names_is_not_enough() -> None:
    fleet = Fleet()
    found = fleet.run(60)
    for _ in range(4):
        found += fleet.run(10) + fleet.feed(MetricPoint(fleet.now, "boss", "orchestrator.worker.failures", (), 1.0))
    assert found + fleet.run(30) == []


def test_a_fast_fleet_dies_step_by_step_though_its_heartbeats_are_exported_rarely() -> None:
    fleet = Fleet()
    fleet.every_s = 15
    fleet.run(150)
    interval = "orchestrator.heartbeat.interval"
    attributes = ((("orchestrator.worker.id", f"w{number}"),) for number in range(8))
    fleet.feed(*(MetricPoint(fleet.now, "boss", interval, labels, 0.5) for labels in attributes))
    found = []
    for worker in ("w1", "w2", "w3", "w4"):
        found += fleet.kill(worker, wait_s=4)
    assert [set(verdict.sources) for verdict in _opened(found + fleet.run(3))] == [{"w1", "w2", "w3"}]


def test_a_task_that_is_passed_on_a_moment_before_the_loss_is_announced_is_to_blame() -> None:
    fleet = Fleet()
    fleet.run(60)
    fleet.feed(Assignment(fleet.now, "w1", "boss", "resize", "t7"))
    found = []
    for worker, heir in (("w1", "w2"), ("w2", "w3"), ("w3", "w4")):
        fleet.alive.remove(worker)
        fleet.working.remove(worker)
        found += fleet.run(5) + fleet.feed(Assignment(fleet.now - 0.01, heir, "boss", "resize", "t7", "failover"))
        found += fleet.feed(Membership(fleet.now, worker, "boss", Change.LOST, "heartbeat_timeout"))
    found += fleet.run(3)
    assert (found[-1].root, set(found[-1].sources)) == ("t7", {"w1", "w2", "w3"})


def _come_back(fleet: Fleet, silent_s: int) -> list[Verdict]:
    """A worker falls silent, registers again, and is given the same task again."""
    fleet.alive.remove("w1")
    fleet.working.remove("w1")
    found = fleet.run(silent_s) + fleet.feed(Membership(fleet.now, "w1", "boss", Change.JOINED))
    found += fleet.feed(Assignment(fleet.now + 0.01, "w1", "boss", "resize", "t7", "failover"))
    fleet.alive.append("w1")
    fleet.working.append("w1")
    return found + fleet.run(10)


@pytest.mark.parametrize(("silent_s", "is_found"), [(2, True), (0, False)])
def test_a_worker_that_comes_back_to_the_task_that_kills_it_dies_again_and_again(silent_s: int, is_found: bool) -> None:
    fleet = Fleet()
    fleet.run(60)
    fleet.feed(Assignment(fleet.now, "w1", "boss", "resize", "t7"))
    found = [verdict for _ in range(3) for verdict in _come_back(fleet, silent_s)]
    assert {(verdict.root, verdict.sources) for verdict in found} == ({("t7", ("w1",))} if is_found else set())


def test_where_living_workers_are_given_up_again_and_again_losses_prove_little() -> None:
    fleet = Fleet()
    fleet.run(60)
    for _ in range(5):  # w0 goes on working
        fleet.feed(Membership(fleet.now, "w0", "boss", Change.LOST), Membership(fleet.now, "w0", "boss", Change.JOINED))
        fleet.run(5)
    found = []
    for worker in ("w1", "w2", "w3"):
        found += fleet.kill(worker) + fleet.run(3)
    assert found + fleet.run(60) == []


def test_a_dump_continues_identically() -> None:
    fleets = [Fleet(), Fleet()]
    for fleet in fleets:
        fleet.run(60)
        fleet.kill("w1", task="t7")
        fleet.kill("w3", task="t7")
    state = fleets[1].engine.dump()
    fleets[1].engine = Engine((), [CascadingFailures()])
    fleets[1].engine.load(state)
    found = [fleet.kill("w5", task="t7") + fleet.run(3) for fleet in fleets]
    assert found[0] == found[1] != []
    dumps = [json.loads(fleet.engine.dump())["detectors"] for fleet in fleets]
    assert dumps[0] == dumps[1]
