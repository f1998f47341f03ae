"""Resource exhaustion is forecast from each level's own past, on virtual time."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Callable

import pytest

from otel_monitor_processors.classification import Category
from otel_monitor_processors.engine import Engine, Transition, VerdictTransition
from otel_monitor_processors.observation import Level, Observation, Operation, Outcome
from otel_monitor_processors.patterns.finding import Gates
from otel_monitor_processors.patterns.resource_exhaustion.detector import ResourceExhaustion
from otel_monitor_processors.patterns.verdict import Verdict, VerdictState

START = 1_700_000_000.0
LEAD_IN_S = 600.0
Course = Callable[[float], float]
"""A level, as a share of its limit, by the seconds since the lead-in ended (negative before that)."""


class Machines:
    """Sources whose levels are read every so many seconds, driven on virtual time."""

    def __init__(self, every_s: float = 10.0, gates: Gates | None = None) -> None:
        self.detector = ResourceExhaustion(gates)
        self.engine = Engine(rules=(), detectors=[self.detector])
        self.courses: dict[tuple[str, str], Course] = {}
        self.now = START
        self._every_s = every_s
        self._random = random.Random(7)

    def batch(self) -> list[Observation]:
        """One reading of everything."""
        elapsed = self.now - START - LEAD_IN_S
        return [
            Level(self.now, source, resource, 1_000.0 * min(1.0, max(0.0, course(elapsed))), 1_000.0)
            for (source, resource), course in self.courses.items()
        ]

    def run(self, seconds: float) -> list[Verdict]:
        verdicts: list[Verdict] = []
        end = self.now + seconds
        while self.now < end:
            verdicts += _verdicts(self.engine.observe(self.batch()))
            self.now += self._every_s
            verdicts += _verdicts(self.engine.advance(self.now))
        return verdicts

    def noise(self, size: float = 0.005) -> float:
        return self._random.uniform(-size, size)

    def leak(self, ramp_s: float, base: float = 0.2) -> Course:
        return lambda t: base + self.noise() + (1.0 - base) * max(0.0, t) / ramp_s


def _verdicts(transitions: list[Transition]) -> list[Verdict]:
    return [t.verdict for t in transitions if isinstance(t, VerdictTransition)]


def _saw_tooth(period_s: float, height: float, floor: float = 0.2) -> Course:
    return lambda t: floor + height * ((t % period_s) / period_s)


@pytest.mark.parametrize("every_s", [5.0, 10.0, 30.0])
@pytest.mark.parametrize("ramp_s", [360.0, 720.0, 1_200.0])
@pytest.mark.parametrize("resource", ["file_descriptors", "disk", "process.thread"])
def test_a_leak_is_found_before_half_of_the_room_is_gone(resource: str, ramp_s: float, every_s: float) -> None:
    machines = Machines(every_s)
    machines.courses["w1", resource] = machines.leak(ramp_s)
    machines.courses["w2", resource] = lambda t: 0.2 + machines.noise()
    assert machines.run(LEAD_IN_S) == []
    verdicts = machines.run(0.5 * ramp_s)
    assert [(v.state, v.sources) for v in verdicts] == [(VerdictState.OPENED, ("w1",))]
    early, middle, late = verdicts[0].evidence["seconds_to_limit"]
    left_s = START + LEAD_IN_S + ramp_s - verdicts[0].at
    assert early <= middle <= late
    assert middle == pytest.approx(left_s, rel=0.25)


@pytest.mark.parametrize("every_s", [0.5, 1.0])
@pytest.mark.parametrize("resource", ["memory", "disk"])
def test_what_fills_within_moments_is_found_before_it_is_full(resource: str, every_s: float) -> None:
    machines = Machines(every_s)
    machines.now = START + LEAD_IN_S - 9.0
    machines.courses["w2", resource] = lambda t: 0.1 + 0.9 * max(0.0, t) / 12.0
    machines.courses["w3", resource] = lambda t: 0.1 + 0.003 * machines.noise()
    assert machines.run(9.0) == []
    opened = machines.run(12.0)
    assert [(v.state, v.sources) for v in opened] == [(VerdictState.OPENED, ("w2",))]
    assert opened[0].at < START + LEAD_IN_S + 9.0
    machines.courses.pop(("w2", resource))
    assert machines.run(30.0) == [], "what died of it has not recovered"


def test_a_start_that_fills_memory_steadily_is_no_exhaustion() -> None:
    machines = Machines(1.0)
    machines.now = START + LEAD_IN_S
    machines.courses["w1", "memory"] = lambda t: min(0.8, 0.1 + 0.7 * t / 40.0)
    assert machines.run(300.0) == []


def test_a_pool_that_fills_while_operations_wait_is_no_leak() -> None:
    machines = Machines(20.0)
    machines.courses["w1", "connections"] = lambda t: 0.1 if not 0 < t < 160 else 0.1 + 0.6 * min(1.0, t / 100.0)
    machines.courses["w2", "connections"] = lambda t: 0.1 + 0.9 * round(20 * max(0.0, t) / 700.0) / 20
    verdicts = machines.run(LEAD_IN_S + 600.0)
    assert [(v.state, v.sources) for v in verdicts] == [(VerdictState.OPENED, ("w2",))]


@pytest.mark.parametrize("period_s", [45.0, 130.0, 400.0])
def test_a_leak_beneath_a_saw_tooth_is_found_before_the_limit(period_s: float) -> None:
    machines = Machines()
    tooth = _saw_tooth(period_s, 0.2)
    machines.courses["w1", "memory"] = lambda t: tooth(t) + 0.7 * max(0.0, t) / 900.0
    assert machines.run(LEAD_IN_S) == []
    opened = machines.run(700.0)
    assert [v.sources for v in opened if v.state is VerdictState.OPENED] == [("w1",)]


@pytest.mark.parametrize("period_s", [30.0, 45.0, 130.0, 400.0, 1_500.0])
@pytest.mark.parametrize("height", [0.1, 0.35])
def test_a_saw_tooth_is_no_leak(period_s: float, height: float) -> None:
    machines = Machines()
    machines.courses["w1", "memory"] = _saw_tooth(period_s, height)
    assert machines.run(7_200.0) == []


def _cache(t: float) -> float:
    done = min(1.0, max(0.0, t / 500.0))
    return 0.3 + 0.3 * (1.0 - (1.0 - done) ** 2)


def _warm_up(t: float) -> float:
    done = min(1.0, (t + LEAD_IN_S) / 400.0)
    return 0.2 + 0.4 * (1.0 - (1.0 - done) ** 3)


def _tide(t: float) -> float:
    return 0.4 + 0.2 * (t / 7_200.0)


@pytest.mark.parametrize(
    ("course", "resource"),
    [
        pytest.param(_cache, "memory", id="a cache that grows up to its limit"),
        pytest.param(_warm_up, "memory", id="a warm-up"),
        pytest.param(lambda t: 0.3 if t < 0 else 0.75, "memory", id="one step"),
        pytest.param(_tide, "memory", id="a tide"),
        pytest.param(lambda t: 0.97, "disk", id="always nearly full"),
        pytest.param(lambda t: 0.96, "cpu", id="always busy"),
        pytest.param(lambda t: 1.0 if t % 120.0 < 25.0 else 0.3, "cpu", id="busy for a moment again and again"),
        pytest.param(lambda t: 0.3 if not 0 < t < 240 else 0.85, "cpu", id="a batch job"),
        pytest.param(lambda t: 0.3 if not 0 < t < 75 else 1.0, "cpu", id="busy for more than a minute"),
        pytest.param(lambda t: 1.0 if t > -560 else 0.4, "cpu", id="busy almost from the start"),
    ],
)
def test_what_rises_and_stays_is_no_exhaustion(course: Course, resource: str) -> None:
    machines = Machines()
    machines.courses["w1", resource] = course
    assert machines.run(3_600.0) == []


def test_several_workers_that_leak_together_are_one_verdict() -> None:
    machines = Machines()
    for number in range(4):
        machines.courses[f"w{number}", "file_descriptors"] = machines.leak(600.0 + 40.0 * number)
    machines.run(LEAD_IN_S)
    verdicts = machines.run(420.0)
    assert [v.scope for v in verdicts if v.state is VerdictState.OPENED] == ["file_descriptors"]
    assert verdicts[-1].sources == ("w0", "w1", "w2", "w3")


def test_the_verdict_stays_until_the_level_is_given_back() -> None:
    machines = Machines()
    machines.courses["w1", "disk"] = machines.leak(480.0)
    machines.run(LEAD_IN_S)
    assert [v.state for v in machines.run(700.0)] == [VerdictState.OPENED]
    machines.courses["w1", "disk"] = lambda t: 0.2
    assert [v.state for v in machines.run(60.0)] == [VerdictState.CLOSED]
    assert machines.run(1_800.0) == []


def test_a_cpu_that_is_taken_is_found_and_one_that_works_more_is_not() -> None:
    machines = Machines()
    for source in ("robbed", "working"):
        machines.courses[source, "cpu"] = lambda t: 0.3 + machines.noise(0.1) if t < 0 else 1.0
    verdicts: list[Verdict] = []
    while machines.now < START + LEAD_IN_S + 240.0:
        verdicts += machines.run(10.0)
        busier = 3 if machines.now > START + LEAD_IN_S else 1
        for source, calls in (("robbed", 5), ("working", 5 * busier)):
            done = [Operation(machines.now + 0.1, source, "process", Outcome.OK, 0.1)] * calls
            verdicts += _verdicts(machines.engine.observe(done))
    assert [(v.state, v.sources) for v in verdicts] == [(VerdictState.OPENED, ("robbed",))]


def test_a_level_that_is_no_longer_reported_is_no_longer_believed() -> None:
    machines = Machines()
    machines.courses["w1", "disk"] = machines.leak(480.0)
    machines.run(LEAD_IN_S + 240.0)
    machines.courses.clear()
    assert [v.state for v in machines.run(180.0)] == [VerdictState.CLOSED]


def test_errors_for_want_of_a_resource_alone_are_a_suspicion() -> None:
    machines = Machines()
    machines.courses["w1", "memory"] = lambda t: 0.3
    machines.run(LEAD_IN_S)
    failed = Operation(machines.now, "w1", "process", Outcome.FAILED, 0.1, Category.RESOURCE)
    machines.engine.observe([failed] * 10)
    machines.engine.advance(machines.now + 2.0)
    assert 0.05 <= machines.engine.confidence(machines.detector.pattern) < 0.5


def test_a_detector_that_is_switched_off_finds_nothing() -> None:
    machines = Machines(gates=Gates(enabled=False))
    machines.courses["w1", "disk"] = machines.leak(480.0)
    assert machines.run(LEAD_IN_S + 480.0) == []


def test_a_loaded_state_continues_identically() -> None:
    machines = Machines()
    machines.courses["w1", "disk"] = machines.leak(480.0)
    machines.courses["w1", "cpu"] = lambda t: 0.3 if t < 100 else 1.0
    tooth = _saw_tooth(130.0, 0.2)
    machines.courses["w2", "memory"] = lambda t: tooth(t) + 0.7 * max(0.0, t) / 900.0
    machines.courses["w3", "memory"] = lambda t: 0.2 + 0.8 * max(0.0, t) / 300.0
    machines.run(LEAD_IN_S + 150.0)
    other = Engine(rules=(), detectors=[ResourceExhaustion()])
    other.load(machines.engine.dump())
    for _ in range(60):
        batch = machines.batch()
        assert machines.engine.observe(batch) == other.observe(batch)
        machines.now += 10.0
    assert machines.engine.dump() == other.dump()


def test_the_order_within_a_second_does_not_matter() -> None:
    def verdicts(*, shuffled: bool) -> list[Verdict]:
        machines, order = Machines(), random.Random(3)
        for number in range(6):
            machines.courses[f"w{number}", "disk"] = machines.leak(500.0) if number < 2 else lambda t: 0.3
        found = []
        while machines.now < START + LEAD_IN_S + 400.0:
            batch = machines.batch()
            found += _verdicts(machines.engine.observe(order.sample(batch, len(batch)) if shuffled else batch))
            machines.now += 10.0
        return found

    assert [(v.at, v.sources) for v in verdicts(shuffled=True)] == [(v.at, v.sources) for v in verdicts(shuffled=False)]


def test_a_level_that_never_moves_takes_little_memory() -> None:
    def size(resources: int) -> int:
        detector = ResourceExhaustion()
        tracemalloc.start()
        for number in range(40):
            at = START + 15.0 * number
            for source in range(50):
                for resource in range(resources):
                    detector._level(Level(at, f"w{source}", f"disk{resource}", 20.0 + 0.3 * (number % 3), 100.0))
        size = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        return size

    assert (size(5) - size(1)) / (4 * 50) < 420


def test_what_is_remembered_is_bounded() -> None:
    machines = Machines()
    for number in range(100_000):
        machines.detector._level(Level(START, f"w{number}", "disk", 1.0, 2.0))
    assert machines.detector.dropped == 80_000
