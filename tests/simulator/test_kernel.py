"""Virtual time, queues and locks."""

from __future__ import annotations

import random

from benchmarks.detection.simulator.kernel import EXPIRED, Body, Deadline, Owner, Signal, Simulation, Slots
from benchmarks.detection.simulator.locks import Got, Locks, Transaction


def test_events_happen_in_the_order_of_time_and_of_their_making() -> None:
    simulation = Simulation(0.0)
    seen: list[tuple[float, str]] = []
    for delay, name in ((2.0, "b"), (1.0, "a"), (2.0, "c")):
        simulation.after(delay, lambda name=name: seen.append((simulation.now, name)))
    simulation.run(1.5)
    assert seen == [(1.0, "a")]
    simulation.run(3.0)
    assert seen == [(1.0, "a"), (2.0, "b"), (2.0, "c")]
    assert simulation.now == 3.0


def test_a_wait_ends_with_the_signal_or_with_its_time() -> None:
    simulation = Simulation(0.0)
    ends: list[tuple[float, object]] = []

    def wait(signal: Signal, seconds: float) -> Body[None]:
        value = yield Deadline(signal, seconds)
        ends.append((simulation.now, value))

    fired, silent = Signal(simulation), Signal(simulation)
    simulation.spawn(wait(fired, 5.0))
    simulation.spawn(wait(silent, 2.0))
    simulation.after(1.0, fired.fire, "news")
    simulation.run(10.0)
    assert ends == [(1.0, "news"), (2.0, EXPIRED)]


def test_a_killed_process_cleans_up_and_a_frozen_one_stands_still() -> None:
    simulation = Simulation(0.0)
    owner = Owner()
    seen: list[str] = []

    def work() -> Body[None]:
        try:
            yield 1.0
            seen.append(f"worked at {simulation.now:g}")
            yield 10.0
        finally:
            seen.append(f"ended at {simulation.now:g}")

    simulation.spawn(work(), owner)
    simulation.run(0.5)
    owner.frozen_until = 4.0
    simulation.run(5.0)
    owner.end_processes()
    simulation.run(20.0)
    assert seen == ["worked at 4", "ended at 5"]


def test_slots_are_given_in_turn_and_not_lost_with_those_who_give_up() -> None:
    simulation = Simulation(0.0)
    slots = Slots(simulation, 1)
    seen: list[tuple[str, bool, float]] = []

    def use(name: str, patience_s: float, seconds: float) -> Body[None]:
        got = yield from slots.take(patience_s)
        seen.append((name, got, simulation.now))
        if got:
            yield seconds
            slots.give_back()

    waiting = Owner()
    simulation.spawn(use("first", 1.0, 3.0))
    simulation.spawn(use("impatient", 1.0, 1.0))
    simulation.spawn(use("killed", 9.0, 1.0), waiting)
    simulation.spawn(use("last", 9.0, 1.0))
    simulation.run(2.0)
    waiting.end_processes()
    simulation.run(20.0)
    assert seen == [("first", True, 0.0), ("impatient", False, 1.0), ("last", True, 3.0)]
    assert (slots.used, slots.waiting) == (0, 0)


def test_locks_wait_time_out_and_refuse_a_circle() -> None:
    simulation = Simulation(0.0)
    locks = Locks(simulation)
    seen: list[tuple[str, Got, float]] = []

    def hold(name: str, keys: list[str], seconds: float, timeout_s: float) -> Body[None]:
        transaction = Transaction(name, simulation.now)
        for key in keys:
            got = yield from locks.take(transaction, (key,), timeout_s)
            seen.append((name, got, simulation.now))
            if got is not Got.LOCK:
                break
            yield seconds
        locks.release(transaction)

    simulation.spawn(hold("one", ["a", "b"], 1.0, 10.0))
    simulation.spawn(hold("two", ["b", "a"], 1.5, 10.0))
    simulation.spawn(hold("three", ["a"], 1.0, 0.5))
    simulation.run(30.0)
    assert ("three", Got.TIMEOUT, 0.5) in seen
    assert ("two", Got.DEADLOCK, 1.5) in seen
    assert ("one", Got.LOCK, 1.5) in seen
    assert locks.waiting == 0


def test_no_lock_is_left_when_transactions_come_go_and_are_killed_at_random() -> None:
    rng = random.Random(7)
    simulation = Simulation(0.0)
    locks = Locks(simulation)
    owners = [Owner() for _ in range(5)]

    def busy(name: str) -> Body[None]:
        while True:
            transaction = Transaction(name, simulation.now)
            try:
                for key in rng.sample("abcd", k=2):
                    if (yield from locks.take(transaction, (key,), rng.random())) is not Got.LOCK:
                        break
                    yield rng.random() * 0.3
            finally:
                locks.release(transaction)
            yield rng.random() * 0.1

    for number, owner in enumerate(owners):
        simulation.spawn(busy(f"{number}"), owner)
    for _ in range(200):
        simulation.run(simulation.now + rng.random())
        number = rng.randrange(len(owners))
        owners[number].end_processes()
        simulation.spawn(busy(f"{number}"), owners[number])
    for owner in owners:
        owner.end_processes()
    simulation.run(simulation.now + 10.0)
    assert locks.waiting == 0
    assert all(locks.holder((key,)) is None for key in "abcd")
