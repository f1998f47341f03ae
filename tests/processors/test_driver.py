"""The driver feeds one engine from many hooks, and survives forks, pauses and faults."""

from __future__ import annotations

import os
import threading
import time

import pytest

from otel_monitor_processors import Driver, Engine, guard
from otel_monitor_processors.observation import Heartbeat, Observation, Operation, Outcome
from tests.polling import eventually


def beat(driver: Driver, worker: str = "w1") -> Heartbeat:
    return Heartbeat(driver.now(), worker, "o")


class Pausing(Engine):
    """An engine that remembers the pauses it was told of."""

    def __init__(self) -> None:
        super().__init__([], [])
        self.pauses: list[float] = []
        self.seen: list[Observation] = []

    def pause(self, gap_s: float) -> None:
        self.pauses.append(gap_s)

    def observe(self, observations: object) -> list[object]:  # type: ignore[override]  # only remembers
        self.seen += list(observations)  # type: ignore[call-overload]  # an iterable of observations
        return []


def test_offered_observations_reach_the_engine_without_anyone_waiting() -> None:
    engine = Pausing()
    driver = Driver(engine)
    driver.offer(beat(driver))
    eventually(lambda: len(engine.seen) == 1)
    driver.stop()


def test_event_time_is_unix_time_that_runs_on_the_monotonic_clock() -> None:
    assert Driver(Engine([], [])).now() == pytest.approx(time.time(), abs=1.0)


def test_a_stopped_process_tells_the_engine_of_its_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Pausing()
    driver = Driver(engine)
    driver.observe(beat(driver))
    real = time.monotonic
    monkeypatch.setattr("time.monotonic", lambda: real() + 30.0)
    driver.observe(beat(driver))
    assert engine.pauses[0] == pytest.approx(30.0, abs=1.0)
    driver.stop()


def test_periodic_functions_run_in_the_background_thread() -> None:
    driver = Driver(Engine([], []))
    names: list[str] = []
    driver.every(0.1, lambda: names.append(threading.current_thread().name))
    driver.start()
    eventually(lambda: len(names) >= 2)
    driver.stop()
    assert set(names) == {"otel-monitor"}


def test_a_failing_periodic_function_is_counted_and_tried_again() -> None:
    guard.reraise_errors(enabled=False)
    driver = Driver(Engine([], []))
    calls: list[int] = []

    def broken() -> None:
        calls.append(1)
        raise RuntimeError("sampling")

    before = guard.error_counts().get("driver.periodic", 0)
    driver.every(0.05, broken)
    driver.start()
    eventually(lambda: len(calls) >= 2)
    driver.stop()
    assert guard.error_counts()["driver.periodic"] >= before + 2


def test_a_forked_child_starts_with_an_empty_engine_and_a_thread_of_its_own() -> None:
    driver = Driver(Engine())
    for _ in range(10):
        driver.observe(beat(driver))
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        driver.offer(beat(driver, "mine"))
        eventually(lambda: driver.queue_size == 0)
        os.write(write, b"1" if b'"w1"' not in driver.engine.dump() and b'"mine"' in driver.engine.dump() else b"0")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 1) == b"1"
    assert b'"w1"' in driver.engine.dump()
    driver.stop()


def test_stopping_twice_is_harmless_and_quick() -> None:
    driver = Driver(Engine([], []))
    driver.start()
    started = time.monotonic()
    driver.stop()
    driver.stop()
    assert time.monotonic() - started < 2.0


def test_a_signal_handler_that_observes_while_its_own_thread_is_at_the_engine_does_not_block() -> None:
    driver = Driver(Engine([], []))
    with driver._working:
        driver.observe(Operation(driver.now(), "w", "x", Outcome.FAILED, 0.1))
    assert driver.queue_size == 1
    driver.stop()
    assert driver.queue_size == 0
