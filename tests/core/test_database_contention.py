"""Database contention is recognised by errors of locks, waits, and the server's own metrics, on virtual time."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator

import pytest

from otel_monitor_processors.classification import Category
from otel_monitor_processors.engine import Engine, Transition, VerdictTransition
from otel_monitor_processors.observation import (
    DatabaseOperation,
    ErrorLog,
    MetricPoint,
    Observation,
    Operation,
    OperationCount,
    Outcome,
)
from otel_monitor_processors.patterns.database_contention.detector import DatabaseContention
from otel_monitor_processors.patterns.finding import Gates
from otel_monitor_processors.patterns.verdict import Verdict, VerdictState

START = 1_700_000_000.0
PAST_S = 300.0

Call = Callable[[random.Random], tuple[float, Category | None]]


def quick(rng: random.Random) -> tuple[float, Category | None]:
    """A call as in health: a few milliseconds, now and then some more."""
    return 0.004 * rng.lognormvariate(0.0, 0.5), None


class System:
    """Clients of one database, on virtual time."""

    def __init__(self, clients: int = 5, rate: float = 4.0, gates: Gates | None = None) -> None:
        self.engine = Engine(rules=(), detectors=[DatabaseContention(gates)])
        self.now = START
        self.rate = rate
        self.clients = [f"w{i}" for i in range(clients)]
        self.rng = random.Random(7)

    def calls(self, seconds: float, call: Call = quick) -> list[Observation]:
        """Database calls of all clients together, at a rate."""
        found: list[Observation] = []
        at = self.now
        while (at := at + self.rng.expovariate(self.rate)) < self.now + seconds:
            duration_s, category = call(self.rng)
            outcome = Outcome.OK if category is None else Outcome.FAILED
            found.append(DatabaseOperation(at, self.rng.choice(self.clients), "mysql", outcome, duration_s, category))
        return found

    def run(self, seconds: float, call: Call = quick, *more: Observation) -> list[Verdict]:
        return self.feed([*self.calls(seconds, call), *more], seconds)

    def feed(self, observations: list[Observation], seconds: float) -> list[Verdict]:
        """What is observed for so long; the verdicts on the way."""
        transitions: list[Transition] = []
        for observation in sorted(observations, key=lambda item: item.at):
            transitions += self.engine.observe([observation])
        self.now += seconds
        transitions += self.engine.advance(self.now)
        return [item.verdict for item in transitions if isinstance(item, VerdictTransition)]


def of_locks(share: float, timeout_s: float = 2.0) -> Call:
    """So many calls give up on a lock."""

    def call(rng: random.Random) -> tuple[float, Category | None]:
        return (timeout_s, Category.CONTENTION) if rng.random() < share else quick(rng)

    return call


def waiting(share: float, longest_s: float = 4.0) -> Call:
    """So many calls wait, and get their lock in the end."""

    def call(rng: random.Random) -> tuple[float, Category | None]:
        return (rng.uniform(0.5, longest_s), None) if rng.random() < share else quick(rng)

    return call


def every(seconds: float, step_s: float, start: float) -> Iterator[float]:
    at = start
    while (at := at + step_s) <= start + seconds:
        yield at


@pytest.mark.parametrize("rate", [0.4, 4.0, 40.0])
def test_errors_of_locks_are_found_at_any_load(rate: float) -> None:
    system = System(rate=rate)
    assert system.run(PAST_S / min(1.0, rate)) == []
    began = system.now
    verdicts = system.run(90.0, of_locks(0.5))
    assert verdicts[0].state is VerdictState.OPENED
    assert verdicts[0].at - began < (10.0 if rate > 1.0 else 60.0)
    assert set(verdicts[-1].sources) == set(system.clients)


def test_it_closes_soon_after_the_locks_are_gone() -> None:
    system = System()
    system.run(PAST_S)
    system.run(90.0, of_locks(0.5))
    verdicts = system.run(60.0)
    assert [item.state for item in verdicts] == [VerdictState.CLOSED]
    assert system.run(600.0) == []


def test_waits_are_enough_where_other_calls_are_as_quick_as_ever() -> None:
    system = System()
    system.run(PAST_S)
    (verdict, *_) = system.run(60.0, waiting(0.4))
    assert verdict.state is VerdictState.OPENED
    assert "lasted many times as long" in verdict.summary


def test_a_constant_share_of_such_errors_is_how_the_system_is() -> None:
    system = System(rate=40.0)
    assert system.run(1_800.0, of_locks(0.02)) == []


@pytest.mark.parametrize("factor", [3.0, 8.0, 15.0])
def test_a_slow_disk_is_no_contention(factor: float) -> None:
    system = System(rate=20.0)
    system.run(PAST_S)
    assert system.run(300.0, lambda rng: (factor * quick(rng)[0], None)) == []


def test_a_slow_network_is_no_contention() -> None:
    system = System(rate=20.0)
    system.run(PAST_S)
    assert system.run(120.0, lambda rng: (1.0 + quick(rng)[0], None)) == []


def test_a_spike_of_traffic_is_no_contention() -> None:
    system = System(rate=10.0)
    system.run(PAST_S, of_locks(0.005))
    system.rate = 100.0
    assert system.run(120.0, of_locks(0.008)) == []


@pytest.mark.parametrize("category", [Category.APPLICATION, Category.NETWORK, Category.TIMEOUT, Category.RESOURCE])
def test_other_errors_are_no_contention(category: Category) -> None:
    """A poison batch, a failover, a full disk."""
    system = System()
    system.run(PAST_S)
    failing: Call = lambda rng: (5.0, category) if rng.random() < 0.6 else quick(rng)  # noqa: E731  # short
    assert system.run(120.0, failing) == []


def test_a_few_deadlocks_are_nothing() -> None:
    system = System()
    system.run(PAST_S)
    deadlocks = [
        DatabaseOperation(system.now + 10.0 + 0.3 * i, f"w{i}", "mysql", Outcome.FAILED, 0.3, Category.CONTENTION)
        for i in range(3)
    ]
    assert system.run(600.0, quick, *deadlocks) == []


def test_one_client_that_stands_still_is_no_contention() -> None:
    system = System()
    system.run(PAST_S)
    late = [DatabaseOperation(system.now + 20.0, "w1", "mysql", Outcome.OK, 3.0) for _ in range(8)]
    assert system.run(60.0, quick, *late) == []


def test_logs_alone_tell_it() -> None:
    system = System()
    for at in every(600.0, 10.0, system.now):
        system.feed([ErrorLog(at, "w1", "ValueError", Category.APPLICATION)], 10.0)
    locked = [ErrorLog(at, f"w{int(at) % 5}", "", Category.CONTENTION) for at in every(60.0, 1.0, system.now)]
    (verdict, *_) = system.feed(list(locked), 60.0)
    assert verdict.at < START + 630.0


def test_metrics_alone_tell_it() -> None:
    system = System()

    def counts(start: float, seconds: float, failed: int) -> list[Observation]:
        found: list[Observation] = []
        for at in every(seconds, 10.0, start):
            for client in system.clients:
                found.append(OperationCount(at, client, "mysql", 20, 0.1, None, True))
                if failed:
                    found.append(OperationCount(at, client, "mysql", failed, 2.0 * failed, Category.CONTENTION, True))
        return found

    assert system.feed(counts(START, PAST_S, 0), PAST_S) == []
    (verdict, *_) = system.feed(counts(system.now, 60.0, 5), 60.0)
    assert verdict.at <= START + PAST_S + 30.0


def test_an_outsider_that_locks_everything_is_found_within_ten_seconds_of_a_short_past() -> None:
    """As in the demo: handlers of heartbeats fail, and so does what the workers do."""
    system = System(clients=4)
    work = [Operation(at, f"w{int(at * 4) % 4}", "process", Outcome.OK, 0.01) for at in every(6.0, 0.1, START)]
    assert system.feed(list(work), 6.0) == []
    locked: list[Observation] = []
    for at in every(8.0, 1.0, system.now):
        locked.append(Operation(at, "orchestrator", "heartbeat", Outcome.FAILED, 1.0, Category.CONTENTION))
        locked += [Operation(at, f"w{i}", "process", Outcome.FAILED, 1.0, Category.CONTENTION) for i in range(4)]
    (verdict, *_) = system.feed(locked, 8.0)
    assert verdict.at <= START + 14.0


def _server(start: float, seconds: float, wait: float, commits: float, rng: random.Random) -> list[Observation]:
    """A busy server, each second: sessions wait for locks in health too."""
    found: list[Observation] = []
    for at in every(seconds, 1.0, start):
        shake = rng.lognormvariate(0.0, 0.5)
        found.append(MetricPoint(at, "db", "mysql.row_locks.time", (), 1e3 * wait * shake, "ms"))
        found.append(MetricPoint(at, "db", "mysql.commands", (("command", "commit"),), commits * shake, "1"))
    return found


def test_a_server_tells_by_the_wait_for_each_transaction() -> None:
    system, rng = System(), random.Random(3)
    assert system.feed(_server(START, 120.0, 40.0, 60.0, rng), 120.0) == []
    (verdict, *_) = system.feed(_server(system.now, 60.0, 60.0, 10.0, rng), 60.0)
    assert verdict.sources == ("db",)


@pytest.mark.parametrize(("wait", "commits"), [(200.0, 300.0), (10.0, 5.0), (0.0, 0.0)])
def test_a_server_with_more_work_or_at_a_standstill_has_no_contention(wait: float, commits: float) -> None:
    system, rng = System(), random.Random(3)
    system.feed(_server(START, 120.0, 40.0, 60.0, rng), 120.0)
    assert system.feed(_server(system.now, 60.0, wait, commits, rng), 60.0) == []


def test_order_within_a_second_does_not_matter() -> None:
    verdicts = []
    for seed in (1, 2):
        system = System(rate=20.0)
        observations = [*system.calls(PAST_S)]
        system.now += PAST_S
        observations += system.calls(60.0, of_locks(0.4))
        shuffled = random.Random(seed)
        keyed = sorted(observations, key=lambda item: (int(item.at), shuffled.random()))
        transitions: list[Transition] = []
        for observation in keyed:
            transitions += system.engine.observe([observation])
        verdicts.append([t.verdict for t in transitions if isinstance(t, VerdictTransition)])
    assert verdicts[0]
    assert [(v.state, int(v.at), v.sources) for v in verdicts[0]] == [
        (v.state, int(v.at), v.sources) for v in verdicts[1]
    ]


def test_a_loaded_state_continues_identically() -> None:
    system = System(rate=10.0)
    system.run(PAST_S)
    system.run(12.0, of_locks(0.3))
    twin = Engine(rules=(), detectors=[DatabaseContention()])
    twin.load(system.engine.dump())
    rest = [*system.calls(60.0, of_locks(0.3)), *_server(system.now, 60.0, 1.0, 1.0, random.Random(1))]
    rest.sort(key=lambda item: item.at)
    seen: list[list[Transition]] = [[], []]
    for engine, found in zip((system.engine, twin), seen, strict=True):
        for observation in rest:
            found.extend(engine.observe([observation]))
    assert seen[0] == seen[1]
    assert json.loads(system.engine.dump()) == json.loads(twin.dump())


def test_a_hundred_thousand_sources_are_too_many_to_remember() -> None:
    detector = DatabaseContention()
    take = detector.interests()[OperationCount]
    for i in range(100_000):
        take(OperationCount(START + i / 2_000, f"w{i}", "mysql", 1, 0.01, None, True, f"s{i}"))
    assert list(detector.findings(START + 60.0)) == []
    assert detector.dropped > 0
    assert len(json.dumps(detector.dump())) < 4_000_000


def test_gates_can_be_changed_while_it_runs() -> None:
    system = System()
    (detector,) = system.engine.detectors
    system.run(PAST_S)
    detector.gates = Gates(enabled=False)
    assert system.run(30.0, of_locks(0.5)) == []
    detector.gates = Gates(failure_rate_threshold=0.9)
    assert system.run(30.0, of_locks(0.5)) == []
    detector.gates = Gates()
    assert system.run(30.0, of_locks(0.5)) != []
