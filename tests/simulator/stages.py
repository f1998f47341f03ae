"""Short scenarios, and an instrumentation that remembers what it was told."""

from __future__ import annotations

import random
from collections import Counter, defaultdict

from benchmarks.detection.otlp.instrumentation import Instrumentation
from benchmarks.detection.otlp.profile import Profile, Signal
from benchmarks.detection.scenarios.background import BACKGROUNDS
from benchmarks.detection.scenarios.labels import Label
from benchmarks.detection.scenarios.mechanism import MECHANISMS
from benchmarks.detection.scenarios.plan import Happening, Plan
from benchmarks.detection.scenarios.scenario import Scenario
from benchmarks.detection.scenarios.split import Split
from benchmarks.detection.simulator.database import Database, Statement
from benchmarks.detection.simulator.failure import Failure
from benchmarks.detection.simulator.node import Node
from benchmarks.detection.simulator.shape import Shape
from benchmarks.detection.simulator.task import Task
from benchmarks.detection.simulator.trace import Span

SEED = Split.REPORT.seeds[123_456]
START = 1.75e9
BEGIN_S = 150.0
NEXT_TO_NOTHING = Profile(signals=frozenset({Signal.LOGS}), heartbeat_events=False)


class Witness(Instrumentation):
    """Remembers when what happened to whom."""

    def __init__(self, profile: Profile, rng: random.Random) -> None:
        super().__init__(profile, rng)
        self.gaps: dict[str, list[tuple[float, float]]] = defaultdict(list)
        self.processed_at: dict[str, list[float]] = defaultdict(list)
        self.assigned_at: dict[str, list[float]] = defaultdict(list)
        self.failed_at: dict[str, list[float]] = defaultdict(list)
        self.unreached: list[tuple[float, str, str]] = []
        self.locked_at: list[float] = []
        self.statements: list[tuple[float, float]] = []
        self.members: list[tuple[float, str]] = []
        self.happened: Counter[str] = Counter()
        self._beats: dict[str, float] = {}

    def registered(self, orchestrator: Node, worker: Node, span: Span, began: float, failure: Failure | None) -> None:
        super().registered(orchestrator, worker, span, began, failure)
        self.members.append((began, "joined"))

    def deregistered(self, orchestrator: Node, worker: Node, span: Span, began: float) -> None:
        super().deregistered(orchestrator, worker, span, began)
        self.members.append((began, "left"))

    def lost(self, orchestrator: Node, worker: Node, span: Span, began: float, reason: str) -> None:
        super().lost(orchestrator, worker, span, began, reason)
        self.members.append((began, "lost"))

    def heartbeat_received(self, orchestrator: Node, worker: Node) -> None:
        super().heartbeat_received(orchestrator, worker)
        now = orchestrator.simulation.now
        last = self._beats.get(worker.name)
        if last is not None:
            self.gaps[worker.name].append((now, now - last))
        self._beats[worker.name] = now

    def heartbeat_sent(self, worker: Node, orchestrator: Node, began: float, failure: Failure | None) -> None:
        super().heartbeat_sent(worker, orchestrator, began, failure)
        self._reached(worker, orchestrator, failure)

    def assigned(
        self, orchestrator: Node, worker: Node, task: Task, span: Span, began: float, failure: Failure | None
    ) -> None:
        super().assigned(orchestrator, worker, task, span, began, failure)
        self._reached(orchestrator, worker, failure)
        if failure is None:
            self.assigned_at[worker.name].append(orchestrator.simulation.now)

    def called(
        self, caller: Node, service: str, target: Node, path: str, span: Span, began: float, failure: Failure | None
    ) -> None:
        super().called(caller, service, target, path, span, began, failure)
        self._reached(caller, target, failure)

    def _reached(self, source: Node, target: Node, failure: Failure | None) -> None:
        if failure is not None and failure.unreached:
            self.unreached.append((source.simulation.now, source.name, target.name))

    def processed(
        self, worker: Node, task: Task, span: Span, began: float, waited_s: float, failure: Failure | None
    ) -> None:
        super().processed(worker, task, span, began, waited_s, failure)
        now = worker.simulation.now
        self.processed_at[worker.name].append(now)
        self.happened["long"] += task.stretch > 1
        if failure is not None:
            self.failed_at[worker.name].append(now)

    def served(self, server: Node, path: str, span: Span, began: float, failure: Failure | None) -> None:
        super().served(server, path, span, began, failure)
        if failure is not None:
            self.failed_at[server.name].append(server.simulation.now)

    def database(
        self,
        client: Node,
        database: Database,
        statement: Statement,
        span: Span,
        began: float,
        failure: Failure | None,
        lock_wait_s: float,
    ) -> None:
        super().database(client, database, statement, span, began, failure, lock_wait_s)
        now = client.simulation.now
        self.statements.append((now, now - began))
        if lock_wait_s > 0.1 or (failure is not None and failure.locked):
            self.locked_at.append(now)

    def logged(self, node: Node, severity: int, text: str, failure: Failure | None = None) -> None:
        super().logged(node, severity, text, failure)
        self.happened[text] += 1


def planned(shape: Shape, profile: Profile, length_s: float) -> Plan:
    return Plan(SEED, Split.REPORT, shape, profile, START, length_s, tail_s=20.0)


def played_mechanism(name: str, profile: Profile = NEXT_TO_NOTHING, number: int = 0) -> tuple[Scenario, Witness, Label]:
    """One mechanism in a small fleet, after some minutes without."""
    item = MECHANISMS[name]
    seed = SEED + number
    shape = Shape(workers=6, heartbeat_s=1.0)
    item.shape(shape, random.Random(seed))
    plan = planned(shape, profile, BEGIN_S)
    plan.faults.append(Happening(item, BEGIN_S))
    return _played(Scenario(seed, plan, Witness))


def played_background(name: str) -> tuple[Scenario, Witness, Label]:
    """One harmless event in a small fleet with everything in it."""
    plan = planned(Shape(workers=8, heartbeat_s=1.0, services=3), NEXT_TO_NOTHING, BEGIN_S + 60.0)
    plan.backgrounds.append(Happening(BACKGROUNDS[name], BEGIN_S))
    return _played(Scenario(SEED, plan, Witness))


def _played(scenario: Scenario) -> tuple[Scenario, Witness, Label]:
    for _ in scenario.lines():
        pass
    witness = scenario.instrumentation
    assert isinstance(witness, Witness)
    return scenario, witness, scenario.label()
