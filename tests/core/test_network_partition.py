"""A network partition is recognised from who reaches whom, and who is alive, on virtual time."""

from __future__ import annotations

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
    Outcome,
)
from otel_monitor_processors.patterns.finding import Gates
from otel_monitor_processors.patterns.network_partition.detector import NetworkPartition
from otel_monitor_processors.patterns.network_partition.duplicates import Duplicates
from otel_monitor_processors.patterns.verdict import Verdict, VerdictState

START = 1_700_000_000.0
BOSS = "boss"
TIMEOUT_S = 2.0


class System:
    """An orchestrator and its workers: tasks given, worked on, and fetched for from other workers."""

    def __init__(self, workers: int = 6, *, mesh: bool = False, gates: Gates | None = None) -> None:
        self.workers = [f"w{number}" for number in range(workers)]
        self.now = START
        self.cut: set[str] = set()
        """Workers that do not reach the orchestrator, and are not reached by it."""
        self.halves: set[str] = set()
        """Workers that do not reach the other workers."""
        self.dead: set[str] = set()
        self.slow_boss = False
        self.refuses = False
        self.dependency_down = False
        self.mesh = mesh
        self.engine = Engine(rules=(), detectors=[NetworkPartition(gates)])
        self._random = random.Random(3)

    def seconds(self, seconds: int) -> list[Observation]:
        """What is recorded in so many seconds."""
        seen: list[Observation] = []
        for _ in range(seconds):
            for number, worker in enumerate(self.workers):
                seen += self._second(number, worker)
            self.now += 1.0
        return sorted(seen, key=lambda item: item.at)

    def _second(self, number: int, worker: str) -> list[Observation]:
        at, pick = self.now + number / 100, self._random.random
        seen: list[Observation] = []
        alive = worker not in self.dead
        lost = worker in self.cut or self.slow_boss
        if pick() < 0.5:
            seen.append(_link(BOSS, worker, at, alive and not lost))
            seen.append(Assignment(at + 0.02, worker, BOSS, "job"))
        if alive and pick() < 0.6:
            seen.append(Operation(at + 0.3, worker, "process", Outcome.OK, 0.2, service="worker"))
            seen.append(_link(worker, "shop", at + 0.2, not self.dependency_down))
        if alive and int(self.now) % 5 == number % 5:
            if lost or self.refuses:
                waited = 0.001 if self.refuses else TIMEOUT_S
                seen.append(Link(at + waited, worker, "orchestrator", False, waited, Category.NETWORK))
            else:
                seen.append(Heartbeat(at, worker, BOSS))
        if alive and self.mesh and pick() < 0.4:
            other = self._random.choice([name for name in self.workers if name != worker])
            broken = (worker in self.halves) != (other in self.halves)
            seen.append(_link(worker, other, at + 0.1, not broken and other not in self.dead))
        return seen

    def run(self, seconds: int) -> list[Verdict]:
        return self.feed(self.seconds(seconds))

    def feed(self, seen: list[Observation]) -> list[Verdict]:
        verdicts: list[Verdict] = []
        for item in seen:
            verdicts += _verdicts(self.engine.observe([item]))
        return verdicts + _verdicts(self.engine.advance(self.now))


def _link(source: str, peer: str, at: float, ok: bool) -> Link:
    waited = 0.01 if ok else TIMEOUT_S
    return Link(at + waited, source, peer, ok, waited, None if ok else Category.TIMEOUT, service=_service(source))


def _service(source: str) -> str:
    return "worker" if source.startswith("w") else source


def _verdicts(transitions: list[Transition]) -> list[Verdict]:
    return [item.verdict for item in transitions if isinstance(item, VerdictTransition)]


def _opened(verdicts: list[Verdict]) -> list[Verdict]:
    return [verdict for verdict in verdicts if verdict.state is VerdictState.OPENED]


def test_workers_cut_off_from_their_orchestrator_are_named_exactly() -> None:
    system = System()
    assert system.run(120) == []
    system.cut = {"w1", "w4"}
    verdicts = system.run(30)
    assert len(_opened(verdicts)) == 1
    assert verdicts[-1].sources == ("w1", "w4")
    assert verdicts[0].at - START - 120 <= 25.0
    assert BOSS in verdicts[-1].evidence["sides"][1]
    assert "do not reach each other" in verdicts[-1].summary


def test_a_single_worker_that_is_cut_off_and_works_on_is_a_partition_too() -> None:
    system = System()
    system.run(120)
    system.cut = {"w2"}
    assert system.run(60)[-1].sources == ("w2",)


def test_two_halves_of_a_mesh_are_found() -> None:
    system = System(8, mesh=True)
    system.run(120)
    system.halves = {"w0", "w3", "w5"}
    assert system.run(60)[-1].sources == ("w0", "w3", "w5")


def test_it_is_over_when_calls_get_through_again() -> None:
    system = System()
    system.run(120)
    system.cut = {"w1", "w4"}
    system.run(60)
    system.cut = set()
    assert system.run(60)[-1].state is VerdictState.CLOSED


def test_the_verdict_lasts_as_long_as_the_partition() -> None:
    system = System()
    system.run(120)
    system.cut = {"w1", "w4"}
    verdicts = system.run(300)
    assert verdicts[-1].state is not VerdictState.CLOSED
    assert len(_opened(verdicts)) == 1


def test_dead_workers_are_no_partition() -> None:
    system = System()
    system.run(120)
    system.dead = {"w1", "w4"}
    assert system.run(120) == []


def test_an_orchestrator_that_answers_nobody_is_no_partition() -> None:
    system = System()
    system.run(120)
    system.slow_boss = True
    assert system.run(120) == []


def test_a_service_that_answers_nobody_is_no_partition() -> None:
    system = System()
    system.run(120)
    system.dependency_down = True
    assert system.run(120) == []


@pytest.mark.parametrize("seconds", [1, 3])
def test_a_blip_is_no_partition(seconds: int) -> None:
    system = System()
    system.run(120)
    system.cut = {"w1", "w4", "w5"}
    system.run(seconds)
    system.cut = set()
    assert system.run(60) == []


def test_a_change_of_the_leader_is_no_partition() -> None:
    system = System()
    system.run(120)
    system.refuses = True
    system.run(4)
    system.refuses = False
    assert system.run(60) == []


def test_a_worker_that_restarts_is_no_partition() -> None:
    system = System()
    system.run(120)
    system.dead = {"w3"}
    verdicts = system.run(15)
    system.dead = set()
    verdicts += system.feed([Membership(system.now, "w3", BOSS, Change.JOINED)])
    assert verdicts + system.run(60) == []


def test_peers_that_never_answered_say_nothing() -> None:
    system = System()
    system.run(120)
    verdicts: list[Verdict] = []
    for _ in range(60):
        new = [_link(BOSS, name, system.now, ok=False) for name in ("n1", "n2", "n3")]
        verdicts += system.feed([*system.seconds(1), *new])
    assert verdicts == []


def test_errors_counted_by_metrics_alone_show_it() -> None:
    """Workers count errors of their messages; the orchestrator hears the others."""
    engine = Engine(rules=(), detectors=[NetworkPartition()])
    workers = [f"w{number}" for number in range(6)]
    verdicts: list[Verdict] = []
    label = (("otel_monitor.error.category", "timeout"),)
    for second in range(0, 300, 10):
        at = START + second
        for worker in workers:
            broken = second > 200 and worker in ("w2", "w5")
            seen: list[Observation] = [Heartbeat(at, worker, worker)]
            if broken:
                seen.append(MetricPoint(at, worker, "orchestrator.errors", label, 4.0))
            else:
                seen.append(Heartbeat(at, worker, BOSS))
            verdicts += _verdicts(engine.observe(seen))
        verdicts += _verdicts(engine.advance(at + 9.0))
    assert [verdict.sources for verdict in _opened(verdicts)] == [("w2", "w5")]


def test_a_worker_that_observes_only_itself_says_that_it_is_cut_off() -> None:
    engine = Engine(rules=(), detectors=[NetworkPartition()])
    verdicts: list[Verdict] = []
    for second in range(240):
        at = START + second
        seen: list[Observation] = [Operation(at, "w1", "process", Outcome.OK, 0.2, service="worker")]
        if second > 120 and second % 3 == 0:
            seen.append(_link("w1", "orchestrator", at, ok=False))
        verdicts += _verdicts(engine.observe(seen))
    assert [verdict.sources for verdict in _opened(verdicts)] == [("w1",)]
    assert all(verdict.confidence < 0.8 for verdict in verdicts)


def test_it_continues_identically_from_a_dump() -> None:
    one, other = System(mesh=True), System(mesh=True)
    for system in (one, other):
        system.run(120)
        system.cut = {"w1", "w4"}
        system.run(18)
    state = one.engine.dump()
    one.engine = Engine(rules=(), detectors=[NetworkPartition()])
    one.engine.load(state)
    assert one.engine.dump() == state
    assert one.run(60) == other.run(60)


def test_the_order_within_a_second_does_not_matter() -> None:
    tapes = []
    for shuffled in (False, True):
        system, dice = System(mesh=True), random.Random(9)
        verdicts = system.run(120)
        system.cut = {"w1", "w4"}
        for _ in range(60):
            seen = system.seconds(1)
            if shuffled:
                dice.shuffle(seen)
            verdicts += system.feed(seen)
        tapes.append([(verdict.sources, verdict.state) for verdict in verdicts])
    assert tapes[0] == tapes[1] != []


def test_what_it_remembers_is_bounded() -> None:
    detector = NetworkPartition()
    take = detector.interests()
    for number in range(100_000):
        take[Heartbeat](Heartbeat(START, f"w{number}", BOSS))
        take[Link](Link(START, BOSS, f"w{number}", number % 2 == 0, 1.0, Category.TIMEOUT))
    assert detector.dropped > 100_000
    assert len(detector.dump()["links"]["pairs"]) <= 4_096
    assert len(detector.dump()["fleet"]["members"]) <= 10_000


def test_disabled_it_finds_nothing() -> None:
    system = System(gates=Gates(enabled=False))
    system.run(120)
    system.cut = {"w1", "w4"}
    assert system.run(60) == []


def test_tasks_that_change_hands_to_and_fro_have_two_owners() -> None:
    duplicates = Duplicates()
    for second in range(10):
        duplicates.done("moved once", "w1" if second < 5 else "w2", second)
        duplicates.done("on both sides", "w1" if second % 2 else "w2", second)
        duplicates.done(f"done once {second}", "w1", second)
    assert duplicates.since(0.0) == 1
    assert duplicates.since(20.0) == 0
    restored = Duplicates()
    restored.load(duplicates.dump())
    assert restored.dump() == duplicates.dump()


def test_only_so_many_tasks_are_remembered() -> None:
    duplicates = Duplicates()
    for number in range(12_000):
        duplicates.done(f"task {number}", "w1", number / 1_000)
    assert duplicates.dropped == 2_000
    for number in range(20_000):
        duplicates.done(f"later task {number}", "w1", 60.0 + number)
    assert duplicates.dropped == 2_000, "what is long done is not missed"
