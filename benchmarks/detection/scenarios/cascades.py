"""Failures that make others fail."""

from __future__ import annotations

import random

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
)
from benchmarks.detection.simulator.kernel import Body
from benchmarks.detection.simulator.machine import MIB
from benchmarks.detection.simulator.service import Service
from benchmarks.detection.simulator.shape import Routing, Shape
from benchmarks.detection.simulator.worker import Worker
from benchmarks.detection.simulator.world import World

_LONGEST_S = 900.0


def _quick_to_notice(shape: Shape, rng: random.Random) -> None:
    shape.heartbeat_s = min(shape.heartbeat_s, rng.choice((1.0, 2.0, 5.0)))


def _has_services(shape: Shape, rng: random.Random) -> None:
    shape.services = rng.choice((3, 5))


def _overloadable(shape: Shape, rng: random.Random) -> None:
    _quick_to_notice(shape, rng)
    shape.utilisation = rng.uniform(0.35, 0.5)
    if shape.routing is Routing.PULL:
        shape.routing = rng.choice((Routing.LEAST_LOADED, Routing.ROUND_ROBIN, Routing.OWNERS))


def _bottom(world: World) -> Service:
    """The service that most others need."""
    return list(world.parts.services.values())[-1]


def _failing(stage: Stage, *, at_least: int = 2) -> None:
    """Whoever has failed since the beginning is concerned."""
    stage.episode.sources = stage.nodes_with("failed at ", at_least)
    stage.episode.visible = len(stage.episode.sources) >= 2


@mechanism(
    "poison task", CASCADE, EVERYWHERE, Capability.ERRORS, Capability.HEARTBEATS,
    tolerated=(HEARTBEATS,), shape=_quick_to_notice,
)  # fmt: skip
def poison_task(stage: Stage) -> Body[None]:
    """A task kills whoever runs it, is given to another, and kills that one too."""
    world, rng, episode = stage.world, stage.rng, stage.episode
    wanted = rng.randint(3, min(8, max(3, len(world.living()) - 1)))
    back_after_s = rng.choice((20.0, 60.0, None))
    tasks = [world.workload.make(stage.now) for _ in range(rng.choice((1, 1, 2)))]
    for task in tasks:
        task.kills = True
        world.submit(task)
    episode.root = tasks[0].stream or tasks[0].id
    deaths: list[tuple[float, str]] = []
    last = began = stage.now
    while len(deaths) < wanted and stage.now - last < 180.0 and stage.now - began < _LONGEST_S:
        yield 0.25
        for died_at, worker in _deaths(world, began, deaths):
            deaths.append((died_at, worker.name))
            last = stage.now
            if len(deaths) == 2:  # one death is no cascade
                stage.begin()
            if back_after_s is not None:
                world.simulation.after(back_after_s, world.revive, worker)
    for task in tasks:
        task.kills = False  # somebody has seen what it does
    episode.visible = len(deaths) >= 3 and stage.shows_losses
    if len(deaths) < 2:
        stage.begin()
    episode.sources = list(dict.fromkeys(name for _, name in deaths))
    stage.finish()
    yield 60.0
    for worker in list(world.workers):
        world.revive(worker)


def _deaths(world: World, since: float, known: list[tuple[float, str]]) -> list[tuple[float, Worker]]:
    """Workers that have died since, and are not known to have."""
    return [
        (worker.died_at, worker)
        for worker in world.workers
        if worker.died_at is not None and worker.died_at > since and (worker.died_at, worker.name) not in known
    ]


@mechanism(
    "overload shifts to survivors", CASCADE, EVERYWHERE, Capability.HEARTBEATS, Capability.ERRORS,
    tolerated=(HEARTBEATS, EXHAUSTION), shape=_overloadable,
)  # fmt: skip
def overload_shift(stage: Stage) -> Body[None]:
    """A worker too few: the others' queues grow until they run out of memory, one after the other."""
    world, rng, episode = stage.world, stage.rng, stage.episode
    workload = world.workload
    per_task = sum(kind.seconds for kind in world.kinds) / len(world.kinds) * 1.13
    capacity = sum(min(worker.size, worker.machine.capacity.cores) for worker in world.living()) / per_task
    workload.factors["overload"] = rng.uniform(1.1, 1.5) * capacity / workload.current_rate()
    waiting = rng.uniform(8, 20)
    for worker in world.workers:
        free = worker.machine.capacity.memory - worker.machine.resident - 200 * MIB
        worker.footprint = max(2 * MIB, free / (waiting + worker.size))
    first = rng.choice(world.living())
    episode.led_up_from = stage.now  # a worker is lost, and the others' memory fills
    world.crash(first, rng.uniform(30.0, 90.0))
    episode.root = first.name
    began = stage.now
    killed = world.parts.killed_for_memory
    before = seen = len(killed)
    while stage.now - began < _LONGEST_S and (seen - before < 6 or stage.now - killed[before][0] < 60.0):
        yield 0.5
        for _, name in killed[seen:]:
            if seen == before:
                stage.begin()
            seen += 1
            _revive_later(world, name, rng.uniform(10.0, 40.0))
    episode.visible = seen - before >= 2 and stage.shows_losses
    if seen == before:
        stage.begin()
    episode.sources = list(dict.fromkeys([first.name, *(name for _, name in killed[before:])]))
    del workload.factors["overload"]
    for orchestrator in world.orchestrators:  # operators throw the backlog away
        orchestrator.pending.clear()
    for worker in world.workers:
        worker.footprint = 0.0
    stage.finish()


def _revive_later(world: World, name: str, after_s: float) -> None:
    for worker in world.workers:
        if worker.name == name:
            world.simulation.after(after_s, world.revive, worker)


@mechanism("a dependency fails its callers", CASCADE, EVERYWHERE, Capability.ERRORS, shape=_has_services)
def dependency_failure(stage: Stage) -> Body[None]:
    """What most services need answers with errors, or is gone: its callers fail, and theirs."""
    world, rng, episode = stage.world, stage.rng, stage.episode
    bottom = _bottom(world)
    episode.root = bottom.name
    stage.begin()
    gone = rng.random() < 0.4
    if gone:
        for instance in bottom.instances:
            instance.kill()
    else:
        bottom.error_share = rng.uniform(0.6, 1.0)
    yield stage.seconds(60.0, 300.0, tasks=60)
    bottom.error_share = 0.0
    if gone:
        for instance in bottom.instances:
            instance.restart()
    _failing(stage)
    stage.finish()


def _persistent_callers(world: World, _rng: random.Random) -> None:
    client = world.parts.calls.client
    client.retries, client.timeout_s, client.backoff_s = 3, 1.0, 0.05


@mechanism(
    "retry storm", CASCADE, NOT_FITTED, Capability.ERRORS,
    tolerated=(EXHAUSTION,), shape=_has_services, prepare=_persistent_callers,
)  # fmt: skip
def retry_storm(stage: Stage) -> Body[None]:
    """A slow service is asked again and again by callers that time out, and drowns."""
    world, rng, episode = stage.world, stage.rng, stage.episode
    bottom = _bottom(world)
    episode.root = bottom.name
    stage.begin()
    bottom.slow = rng.uniform(1.5, 4.0) * world.parts.calls.client.timeout_s / bottom.seconds
    yield stage.seconds(60.0, 240.0, tasks=60)
    bottom.slow = 1.0
    _failing(stage)
    stage.finish()


@mechanism(
    "back-pressure through full queues", CASCADE, HELD_OUT, Capability.ERRORS,
    tolerated=(EXHAUSTION,), shape=_has_services,
)  # fmt: skip
def back_pressure(stage: Stage) -> Body[None]:
    """A service crawls with one thread: its line is full, it turns callers away, and so do they."""
    world, rng, episode = stage.world, stage.rng, stage.episode
    bottom = _bottom(world)
    episode.root = bottom.name
    stage.begin()
    before = [(instance.threads.capacity, instance.backlog) for instance in bottom.instances]
    for instance in bottom.instances:
        instance.threads.capacity, instance.backlog = 1, rng.choice((1, 2))
    rate = max(0.05, world.workload.current_rate())
    bottom.slow = rng.uniform(3.0, 8.0) * len(bottom.instances) / (rate * bottom.seconds)
    bottom.slow = min(bottom.slow, 20.0 / bottom.seconds)
    yield stage.seconds(90.0, 300.0, tasks=80)
    bottom.slow = 1.0
    for instance, (threads, backlog) in zip(bottom.instances, before, strict=True):
        instance.threads.capacity, instance.backlog = threads, backlog
        instance.threads.admit()
    _failing(stage)
    stage.finish()


def _caches(world: World, rng: random.Random) -> None:
    """Callers have cached nine of ten answers, and what they call has shrunk accordingly."""
    services = list(world.parts.services.values())
    bottom = services[-1]
    for service in services[:-1]:
        service.call_share = 0.1
    threads = 0
    for instance in bottom.instances:
        instance.threads.capacity = 1
        instance.backlog = 4
        threads += 1
    calls_s = max(0.05, 0.6 * world.workload.rate)
    bottom.seconds = min(5.0, rng.uniform(1.5, 3.0) * threads / calls_s)
    world.parts.calls.client.timeout_s = max(2.0, 2.5 * bottom.seconds)


@mechanism(
    "cache stampede", CASCADE, HELD_OUT, Capability.ERRORS,
    tolerated=(EXHAUSTION,), shape=_has_services, prepare=_caches,
)  # fmt: skip
def cache_stampede(stage: Stage) -> Body[None]:
    """A cache is lost: what it had shielded gets ten times the calls."""
    world, episode = stage.world, stage.episode
    services = list(world.parts.services.values())
    episode.root = services[-1].name
    stage.begin()
    for service in services[:-1]:
        service.call_share = 1.0
    yield stage.seconds(120.0, 300.0, tasks=80)
    for service in services[:-1]:
        service.call_share = 0.1
    _failing(stage)
    stage.finish()
