"""Heartbeats that come late, irregularly, or not at all."""

from __future__ import annotations

import random

from benchmarks.detection.otlp.profile import Capability
from benchmarks.detection.scenarios.mechanism import (
    EVERYWHERE,
    EXHAUSTION,
    HEARTBEATS,
    HELD_OUT,
    NOT_FITTED,
    PARTITION,
    Stage,
    mechanism,
    names_of,
)
from benchmarks.detection.simulator.kernel import Body
from benchmarks.detection.simulator.node import Node
from benchmarks.detection.simulator.worker import Worker


class Delay:
    """Messages of some nodes that are under way for long."""

    def __init__(self, names: dict[str, None], mean_s: float, share: float, rng: random.Random, channel: str) -> None:
        self._names = names
        self._mean_s = mean_s
        self._share = share
        self._rng = rng
        self._channel = channel

    def leg(self, source: Node, target: Node, channel: str, latency_s: float) -> float | None:
        if source.name not in self._names or channel != self._channel or self._rng.random() > self._share:
            return latency_s
        return latency_s + self._mean_s * self._rng.expovariate(1.0)


class Loss:
    """Packets that are lost and sent again, later and later."""

    def __init__(self, names: dict[str, None], share: float, rng: random.Random) -> None:
        self._names = names
        self._share = share
        self._rng = rng

    def leg(self, source: Node, target: Node, channel: str, latency_s: float) -> float | None:
        if source.name not in self._names and target.name not in self._names:
            return latency_s
        wait_s = 0.2
        while self._rng.random() < self._share and wait_s < 60.0:
            latency_s += wait_s
            wait_s *= 2
        return latency_s


def _begin(stage: Stage) -> tuple[list[Worker], float, float]:
    """Who is concerned, the interval of heartbeats, and how long it lasts."""
    victims = stage.some_workers(0.05, 0.35)
    interval_s = stage.world.shape.heartbeat_s
    seconds = stage.rng.uniform(max(90.0, 14 * interval_s), max(240.0, 24 * interval_s))
    stage.episode.sources = names_of(victims)
    stage.begin()
    return victims, interval_s, seconds


@mechanism("jitter", HEARTBEATS, EVERYWHERE, Capability.HEARTBEATS)
def jitter(stage: Stage) -> Body[None]:
    """The way to the orchestrator takes now short, now long."""
    victims, interval_s, seconds = _begin(stage)
    rng, network = stage.rng, stage.world.network
    delay = Delay(
        dict.fromkeys(names_of(victims)), rng.uniform(0.8, 2.0) * interval_s, rng.uniform(0.6, 1.0), rng, "heartbeat"
    )
    patient = {worker.name: worker.rhythm.timeout_s for worker in victims}
    stage.world.rhythm.timeout_s = max(stage.world.rhythm.timeout_s, 4 * interval_s)
    network.conditions.append(delay)
    yield seconds
    network.conditions.remove(delay)
    stage.world.rhythm.timeout_s = next(iter(patient.values()))
    stage.finish()


@mechanism("a blocked event loop", HEARTBEATS, EVERYWHERE, Capability.HEARTBEATS)
def loop_lag(stage: Stage) -> Body[None]:
    """Something blocks the loop that should send heartbeats."""
    victims, interval_s, seconds = _begin(stage)
    lag_s = stage.rng.uniform(0.8, 2.0) * max(interval_s, 0.5)
    for worker in victims:
        worker.loop_lag_s = lag_s
    yield seconds
    for worker in victims:
        worker.loop_lag_s = 0.0
    stage.finish()


@mechanism("long collections of garbage", HEARTBEATS, EVERYWHERE, Capability.HEARTBEATS)
def collections(stage: Stage) -> Body[None]:
    """A crowded heap: the process stands still again and again."""
    victims, interval_s, seconds = _begin(stage)
    rng = stage.rng
    base_s = max(interval_s, 0.7)
    began = stage.now
    while stage.now - began < seconds:
        for worker in victims:
            worker.machine.stop(base_s * rng.uniform(1.0, 2.5))
        yield base_s * rng.uniform(2.5, 4.0)
    stage.finish()


@mechanism("stopped processes", HEARTBEATS, EVERYWHERE, Capability.HEARTBEATS)
def stopped(stage: Stage) -> Body[None]:
    """Workers hang, are given up, and come back as if nothing had been."""
    victims, _interval_s, _seconds = _begin(stage)
    longest = max(orchestrator.conduct.lost_after_s for orchestrator in stage.world.orchestrators)
    seconds = longest * stage.rng.uniform(2.0, 4.0) + 20.0
    for worker in victims:
        worker.freeze(seconds)
    yield seconds
    stage.finish()


@mechanism("CPU throttling", HEARTBEATS, NOT_FITTED, Capability.HEARTBEATS, tolerated=(EXHAUSTION,))
def throttling(stage: Stage) -> Body[None]:
    """A quota is used up early in each period: the process runs in short bursts."""
    victims, interval_s, seconds = _begin(stage)
    rng = stage.rng
    base_s = max(interval_s, 0.6)
    for worker in victims:
        worker.machine.throttle = rng.uniform(2.0, 5.0)
    began = stage.now
    while stage.now - began < seconds:
        for worker in victims:
            worker.machine.stop(base_s * rng.uniform(0.7, 1.8))
        yield base_s * rng.uniform(1.2, 2.2)
    for worker in victims:
        worker.machine.throttle = 1.0
    stage.finish()


@mechanism("an overloaded network", HEARTBEATS, HELD_OUT, Capability.HEARTBEATS, tolerated=(PARTITION,))
def overloaded_network(stage: Stage) -> Body[None]:
    """Packets of some workers are lost and sent again, later and later."""
    victims, interval_s, seconds = _begin(stage)
    share = stage.rng.uniform(0.45, 0.65) if interval_s <= 2.0 else stage.rng.uniform(0.6, 0.75)
    loss = Loss(dict.fromkeys(names_of(victims)), share, stage.rng)
    stage.world.network.conditions.append(loss)
    yield seconds
    stage.world.network.conditions.remove(loss)
    stage.finish()


@mechanism("the heartbeat thread dies", HEARTBEATS, HELD_OUT, Capability.HEARTBEATS)
def thread_dies(stage: Stage) -> Body[None]:
    """A worker works on and does not say so any more."""
    victims, _interval_s, seconds = _begin(stage)
    longest = max(orchestrator.conduct.lost_after_s for orchestrator in stage.world.orchestrators)
    for worker in victims:
        worker.beats = False
    yield max(seconds, 3 * longest)
    for worker in victims:
        worker.beats = True
    stage.finish()


@mechanism("a slow receiver", HEARTBEATS, HELD_OUT, Capability.HEARTBEATS)
def slow_receiver(stage: Stage) -> Body[None]:
    """The orchestrator handles heartbeats one by one and far too slowly: all of them seem late."""
    world, rng = stage.world, stage.rng
    orchestrator = rng.choice(world.living()).orchestrator or world.orchestrators[0]
    mine = [worker.name for worker in world.living() if worker.orchestrator is orchestrator]
    interval_s = world.shape.heartbeat_s
    stage.episode.sources = [orchestrator.name]
    stage.episode.accepted = [mine]
    before = orchestrator.handlers.capacity
    stage.begin()
    orchestrator.handlers.capacity = 1
    orchestrator.slow_s = rng.uniform(2.2, 4.0) * interval_s / max(1, len(mine))
    yield rng.uniform(max(90.0, 14 * interval_s), max(240.0, 24 * interval_s))
    orchestrator.slow_s = 0.0
    orchestrator.handlers.capacity = before
    orchestrator.handlers.admit()
    stage.finish()
