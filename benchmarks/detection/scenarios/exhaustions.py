"""Resources that run out."""

from __future__ import annotations

import random
from collections.abc import Callable

from benchmarks.detection.otlp.profile import Capability
from benchmarks.detection.scenarios.mechanism import (
    CASCADE,
    EVERYWHERE,
    EXHAUSTION,
    HEARTBEATS,
    HELD_OUT,
    NOT_FITTED,
    Stage,
    mechanism,
    names_of,
)
from benchmarks.detection.simulator.kernel import Body
from benchmarks.detection.simulator.machine import Machine
from benchmarks.detection.simulator.worker import Worker
from benchmarks.detection.simulator.world import World

_STEP_S = 2.0
_SHORTEST_S = 90.0
"""A victim that dies earlier has died of something else."""


def _victims(stage: Stage) -> list[Worker]:
    """Mostly one or two workers; sometimes all, which run the same bad version."""
    if stage.rng.random() < 0.15:
        return list(stage.world.living())
    return stage.some_workers(0.0, 0.25)


def _ramp(
    stage: Stage, victims: list[Worker], share: Callable[[Machine], float], use: Callable[[Machine, float], None]
) -> Body[None]:
    """Use up what is left in a time drawn at random; each victim at its own, somewhat unsteady, pace."""
    rng, episode = stage.rng, stage.episode
    ramp_s = rng.uniform(240.0, 1_200.0)
    stage.begin()
    episode.sources = names_of(victims)
    episode.intensity["ramp_s"] = round(ramp_s)
    pace = {worker.name: rng.uniform(0.85, 1.0) for worker in victims}
    left = {worker.name: 1.0 - share(worker.machine) for worker in victims}
    began = stage.now
    while stage.now - began < 1.5 * ramp_s:
        yield _STEP_S
        for worker in victims:
            if worker.alive:
                step = left[worker.name] * pace[worker.name] * _STEP_S / ramp_s
                use(worker.machine, step * rng.uniform(0.2, 1.8))
        worst = max((share(worker.machine) for worker in victims if worker.alive), default=1.0)
        if worst >= 0.995 or not all(worker.alive for worker in victims):
            break
    episode.limit_at = stage.now
    episode.visible = stage.now - began > _SHORTEST_S


def _restart(stage: Stage, victims: list[Worker]) -> Body[None]:
    """Operators restart them, one after the other."""
    for worker in victims:
        if worker.alive:
            yield from worker.shut_down()
        stage.world.simulation.after(stage.rng.uniform(3.0, 10.0), stage.world.revive, worker)
        yield 0.5
    stage.finish()


@mechanism("memory leak", EXHAUSTION, EVERYWHERE, Capability.LEVELS, tolerated=(HEARTBEATS,))
def memory_leak(stage: Stage) -> Body[None]:
    """The floor of the saw-tooth rises steadily, until the kernel ends the process."""
    victims = _victims(stage)

    def use(machine: Machine, share: float) -> None:
        machine.leaked += share * machine.capacity.memory

    yield from _ramp(stage, victims, lambda machine: machine.memory / machine.capacity.memory, use)
    yield 3.0
    yield from _restart(stage, victims)


@mechanism("file descriptors leak", EXHAUSTION, EVERYWHERE, Capability.LEVELS, tolerated=(HEARTBEATS, CASCADE))
def file_leak(stage: Stage) -> Body[None]:
    """Connections are not closed; in the end nothing can be opened any more."""
    victims = _victims(stage)

    def use(machine: Machine, share: float) -> None:
        machine.files_leaked += share * machine.capacity.files

    yield from _ramp(stage, victims, lambda machine: machine.files / machine.capacity.files, use)
    for worker in victims:
        worker.broken_for_calls = worker.machine.files / worker.machine.capacity.files > 0.98
    yield stage.rng.uniform(30.0, 120.0)
    for worker in victims:
        worker.broken_for_calls = False
    yield from _restart(stage, victims)


@mechanism("disk fills up", EXHAUSTION, EVERYWHERE, Capability.LEVELS, tolerated=(CASCADE,))
def disk_fill(stage: Stage) -> Body[None]:
    """Files that nobody deletes, until somebody does."""
    victims = _victims(stage)
    before = {worker.name: worker.machine.disk_used for worker in victims}

    def use(machine: Machine, share: float) -> None:
        machine.disk_used += share * machine.capacity.disk

    yield from _ramp(stage, victims, lambda machine: machine.disk / machine.capacity.disk, use)
    for worker in victims:
        if worker.machine.disk / worker.machine.capacity.disk > 0.9:
            worker.machine.disk_used = worker.machine.capacity.disk
    yield stage.rng.uniform(30.0, 120.0)
    for worker in victims:
        worker.machine.disk_used = before[worker.name]
    stage.finish()


def _large_pools(world: World, rng: random.Random) -> None:
    for worker in world.workers:
        worker.pools["database"].capacity = rng.choice((10, 20, 30))


@mechanism(
    "connection pool leaks", EXHAUSTION, NOT_FITTED, Capability.LEVELS,
    tolerated=(CASCADE,), prepare=_large_pools,
)  # fmt: skip
def pool_leak(stage: Stage) -> Body[None]:
    """Connections are taken and not given back; in the end everybody waits for one."""
    rng, episode = stage.rng, stage.episode
    victims = _victims(stage)
    stage.begin()
    episode.sources = names_of(victims)
    ramp_s = rng.uniform(240.0, 900.0)
    pools = [worker.pools["database"] for worker in victims]
    steps = max(pool.capacity for pool in pools)
    while any(pool.used < pool.capacity for pool in pools):
        yield ramp_s / steps * rng.uniform(0.5, 1.5)
        for pool in pools:
            if pool.used < pool.capacity:
                pool.used += 1
    episode.limit_at = stage.now
    yield stage.seconds(60.0, 180.0)
    yield from _restart(stage, victims)


@mechanism("threads leak", EXHAUSTION, HELD_OUT, Capability.LEVELS, tolerated=(CASCADE,))
def thread_leak(stage: Stage) -> Body[None]:
    """Threads that never end, until none can be started."""
    victims = _victims(stage)

    def use(machine: Machine, share: float) -> None:
        machine.threads_leaked += share * machine.capacity.threads

    yield from _ramp(stage, victims, lambda machine: machine.thread_count / machine.capacity.threads, use)
    yield stage.rng.uniform(30.0, 120.0)
    yield from _restart(stage, victims)


@mechanism("a runaway process takes the CPUs", EXHAUSTION, HELD_OUT, Capability.LEVELS, tolerated=(HEARTBEATS,))
def cpu_saturation(stage: Stage) -> Body[None]:
    """Something on the same machine computes without end."""
    rng, episode = stage.rng, stage.episode
    victims = stage.some_workers(0.0, 0.25)
    stage.begin()
    episode.sources = names_of(victims)
    wanted = rng.uniform(1.0, 1.6)
    ramp_s = rng.uniform(10.0, 120.0)
    began = stage.now
    while stage.now - began < ramp_s:
        yield _STEP_S
        for worker in victims:
            worker.machine.extra_cores = wanted * worker.machine.capacity.cores * (stage.now - began) / ramp_s
    episode.limit_at = stage.now
    yield rng.uniform(180.0, 480.0)
    for worker in victims:
        worker.machine.extra_cores = 0.0
    stage.finish()


@mechanism("saw-tooth with a rising floor", EXHAUSTION, HELD_OUT, Capability.LEVELS, tolerated=(HEARTBEATS,))
def rising_floor(stage: Stage) -> Body[None]:
    """Each collection of a busy heap leaves more behind than the one before."""
    rng, episode, world = stage.rng, stage.episode, stage.world
    victims = stage.some_workers(0.0, 0.2)
    for worker in victims:
        worker.machine.collect_at = rng.uniform(0.25, 0.35) * worker.machine.capacity.memory
    yield 1.0
    stage.begin()
    episode.sources = names_of(victims)
    period_s = rng.uniform(15.0, 60.0)
    collections = rng.randint(8, 20)
    keep = {
        worker.name: (0.98 - (worker.machine.memory - worker.machine.garbage) / worker.machine.capacity.memory)
        for worker in victims
    }
    began = stage.now
    while stage.now - began < 2 * period_s * collections:
        yield 1.0
        for worker in victims:
            machine = worker.machine
            if not worker.alive:
                continue
            before = machine.collections
            machine.allocate(machine.collect_at / period_s * rng.uniform(0.5, 1.5))
            if machine.collections > before:
                machine.leaked += keep[worker.name] / collections * machine.capacity.memory
        if not all(worker.alive for worker in victims):
            break
    episode.limit_at = stage.now
    episode.visible = stage.now - began > _SHORTEST_S
    for worker in victims:
        if not worker.alive:
            world.simulation.after(rng.uniform(5.0, 20.0), world.revive, worker)
        else:
            worker.machine.leaked = 0.0
    stage.finish()
