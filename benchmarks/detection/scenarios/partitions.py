"""Networks that fall apart."""

from __future__ import annotations

import random
from collections.abc import Callable

from benchmarks.detection.otlp.profile import Capability
from benchmarks.detection.scenarios.mechanism import (
    EVERYWHERE,
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
from benchmarks.detection.simulator.shape import Routing, Shape

Blocks = Callable[[Node, Node, str], bool]


class Cut:
    """Messages that do not arrive."""

    def __init__(self, blocks: Blocks) -> None:
        self.blocks = blocks
        self.closed = True

    def leg(self, source: Node, target: Node, channel: str, latency_s: float) -> float | None:
        return None if self.closed and self.blocks(source, target, channel) else latency_s


def _zones(shape: Shape, rng: random.Random) -> None:
    shape.zones = rng.choice((2, 3))


def _long_enough(stage: Stage) -> float:
    """So long that those cut off are missed."""
    interval_s = stage.world.shape.heartbeat_s
    return stage.seconds(max(60.0, 8 * interval_s), max(240.0, 12 * interval_s), tasks=20)


def _judge(stage: Stage) -> None:
    stage.episode.visible = stage.new_signs("unreached, recorded") >= 5
    stage.finish()


def _isolated(stage: Stage, low: float = 0.2, high: float = 0.5) -> dict[str, None]:
    workers = stage.some_workers(low, high, at_least=2)
    stage.episode.sources = names_of(workers)
    rest = [node.name for node in stage.world.orchestrators] + [
        worker.name for worker in stage.world.living() if worker not in workers
    ]
    stage.episode.accepted = [rest, [node.name for node in stage.world.orchestrators] + stage.episode.sources]
    return dict.fromkeys(stage.episode.sources)


@mechanism("a zone is cut off", PARTITION, EVERYWHERE, Capability.LINKS, tolerated=(HEARTBEATS,), shape=_zones)
def zone_split(stage: Stage) -> Body[None]:
    """No message passes between one zone and the others."""
    world, rng, episode = stage.world, stage.rng, stage.episode
    home = world.orchestrators[0].zone
    zone = rng.choice([zone for zone in world.zones if zone != home])
    inside = [node.name for node in world.nodes() if node.zone == zone]
    workers = [worker.name for worker in world.living() if worker.zone == zone]
    episode.sources = inside
    episode.accepted = [workers, [node.name for node in world.nodes() if node.zone != zone]]
    stage.begin()
    cut = Cut(lambda source, target, _channel: (source.zone == zone) != (target.zone == zone))
    world.network.conditions.append(cut)
    yield _long_enough(stage)
    world.network.conditions.remove(cut)
    _judge(stage)


@mechanism(
    "workers are cut off from their orchestrator", PARTITION, EVERYWHERE, Capability.LINKS, tolerated=(HEARTBEATS,)
)
def workers_isolated(stage: Stage) -> Body[None]:
    """Some workers lose their orchestrator and nothing else: they go on with what they have."""
    world = stage.world
    names = _isolated(stage)
    bosses = {node.name for node in world.orchestrators}
    stage.begin()
    cut = Cut(
        lambda source, target, _channel: (
            (source.name in names and target.name in bosses) or (source.name in bosses and target.name in names)
        )
    )
    world.network.conditions.append(cut)
    yield _long_enough(stage)
    world.network.conditions.remove(cut)
    _judge(stage)


def _mesh(shape: Shape, _rng: random.Random) -> None:
    shape.mesh = True
    shape.workers = max(shape.workers, 5)


@mechanism("workers lose each other", PARTITION, EVERYWHERE, Capability.LINKS, shape=_mesh)
def mesh_split(stage: Stage) -> Body[None]:
    """Two halves of a fleet cannot fetch from each other, while everybody reaches the orchestrator."""
    world = stage.world
    names = _isolated(stage, 0.35, 0.5)
    stage.episode.accepted = [[worker.name for worker in world.living() if worker.name not in names]]
    stage.begin()
    cut = Cut(lambda source, target, channel: channel == "peer" and (source.name in names) != (target.name in names))
    world.network.conditions.append(cut)
    yield stage.seconds(80.0, 240.0, tasks=60)
    world.network.conditions.remove(cut)
    _judge(stage)


def _pushes(shape: Shape, _rng: random.Random) -> None:
    if shape.routing is Routing.OWNERS:
        shape.routing = Routing.LEAST_LOADED


@mechanism("one-way loss", PARTITION, NOT_FITTED, Capability.LINKS, tolerated=(HEARTBEATS,), shape=_pushes)
def one_way(stage: Stage) -> Body[None]:
    """Some workers are heard and not reached, or reached and not heard."""
    world = stage.world
    names = _isolated(stage)
    outward = stage.rng.random() < 0.5
    bosses = {node.name for node in world.orchestrators}
    stage.episode.intensity["direction"] = "to the workers" if outward else "from the workers"
    stage.begin()
    cut = Cut(
        lambda source, target, _channel: (
            (source.name in bosses and target.name in names)
            if outward
            else (source.name in names and target.name in bosses)
        )
    )
    world.network.conditions.append(cut)
    yield _long_enough(stage)
    world.network.conditions.remove(cut)
    _judge(stage)


@mechanism("flapping link", PARTITION, HELD_OUT, Capability.LINKS, tolerated=(HEARTBEATS,))
def flapping(stage: Stage) -> Body[None]:
    """The same, coming and going every few seconds."""
    world, rng = stage.world, stage.rng
    names = _isolated(stage)
    bosses = {node.name for node in world.orchestrators}
    stage.begin()
    cut = Cut(
        lambda source, target, _channel: (
            (source.name in names and target.name in bosses) or (source.name in bosses and target.name in names)
        )
    )
    world.network.conditions.append(cut)
    began = stage.now
    wanted_s = max(150.0, _long_enough(stage))
    slow = max(1.0, world.shape.heartbeat_s / 5.0)
    while stage.now - began < wanted_s:
        cut.closed = True
        yield rng.uniform(10.0, 30.0) * slow
        cut.closed = False
        yield rng.uniform(4.0, 12.0) * slow
    world.network.conditions.remove(cut)
    _judge(stage)


@mechanism("half-open connections", PARTITION, HELD_OUT, Capability.LINKS, tolerated=(HEARTBEATS,), shape=_pushes)
def half_open(stage: Stage) -> Body[None]:
    """Heartbeats arrive, and nothing else does: those workers start no task although many wait."""
    world = stage.world
    names = _isolated(stage)
    stage.begin()
    cut = Cut(
        lambda source, target, channel: (
            channel in ("assign", "peer", "report") and (source.name in names or target.name in names)
        )
    )
    world.network.conditions.append(cut)
    yield stage.seconds(80.0, 240.0, tasks=60)
    world.network.conditions.remove(cut)
    _judge(stage)
