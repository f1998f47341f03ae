"""Work that is shared out badly."""

from __future__ import annotations

import random

from benchmarks.detection.otlp.profile import Capability
from benchmarks.detection.scenarios.mechanism import (
    EVERYWHERE,
    EXHAUSTION,
    HEARTBEATS,
    HELD_OUT,
    IMBALANCE,
    NOT_FITTED,
    Stage,
    mechanism,
    names_of,
)
from benchmarks.detection.simulator.failure import MISTAKES
from benchmarks.detection.simulator.kernel import Body
from benchmarks.detection.simulator.policy import Owners, Pull, Sticky
from benchmarks.detection.simulator.shape import Routing, Shape

_TASKS = 150
"""So many tasks it takes until a bad share is more than chance."""


def _seconds(stage: Stage) -> float:
    return stage.seconds(150.0, 420.0, tasks=_TASKS)


def _judge(stage: Stage) -> None:
    stage.episode.visible = stage.shows_work and bool(stage.episode.sources)
    stage.finish()


def _not_owned(shape: Shape, _rng: random.Random) -> None:
    shape.standby = shape.orchestrators == 2
    if shape.routing is Routing.OWNERS:
        shape.routing = Routing.LEAST_LOADED


def _owned(shape: Shape, _rng: random.Random) -> None:
    shape.standby = shape.orchestrators == 2
    shape.routing = Routing.OWNERS


def _pulled(shape: Shape, _rng: random.Random) -> None:
    shape.standby = shape.orchestrators == 2
    shape.routing = Routing.PULL


def _least_loaded(shape: Shape, _rng: random.Random) -> None:
    shape.standby = shape.orchestrators == 2
    shape.routing = Routing.LEAST_LOADED


@mechanism("sticky routing", IMBALANCE, EVERYWHERE, Capability.WORK, tolerated=(EXHAUSTION,), shape=_not_owned)
def sticky_routing(stage: Stage) -> Body[None]:
    """Sessions stick: a few workers are given most of the tasks."""
    world, rng = stage.world, stage.rng
    orchestrator = world.orchestrators[world.leader]
    workers = stage.some_workers(0.0, 0.17)
    names = tuple(names_of(workers))
    fair = len(names) / len(world.living())
    share = min(0.95, max(rng.uniform(0.45, 0.9), 2.5 * fair))
    stage.episode.sources = list(names)
    stage.begin()
    before = orchestrator.policy
    orchestrator.policy = Sticky(rng, before, names, share)
    yield _seconds(stage)
    orchestrator.policy = before
    _judge(stage)


@mechanism("skewed keys", IMBALANCE, EVERYWHERE, Capability.WORK, tolerated=(EXHAUSTION,), shape=_owned)
def skewed_keys(stage: Stage) -> Body[None]:
    """A few streams get most of the tasks, and with them whoever owns those."""
    world, rng = stage.world, stage.rng
    owners = world.orchestrators[world.leader].policy
    assert isinstance(owners, Owners)
    first = rng.choice(world.workload.streams)
    owner = owners.owner.get(first)
    mine = [stream for stream in world.workload.streams if owners.owner.get(stream) == owner]
    hot = tuple(rng.sample(mine, k=min(len(mine), rng.choice((1, 1, 2)))))
    stage.episode.sources = [owner] if owner else []
    stage.episode.root = first
    stage.begin()
    world.workload.hot = (rng.uniform(0.45, 0.85), hot)
    yield _seconds(stage)
    world.workload.hot = (0.0, ())
    _judge(stage)


@mechanism("a slow worker hoards", IMBALANCE, EVERYWHERE, Capability.WORK, tolerated=(EXHAUSTION,), shape=_pulled)
def hoarding(stage: Stage) -> Body[None]:
    """A slow worker fetches far ahead: tasks wait there while others are idle."""
    world, rng = stage.world, stage.rng
    policy = world.orchestrators[world.leader].policy
    assert isinstance(policy, Pull)
    worker = rng.choice(world.living())
    stage.episode.sources = [worker.name]
    stage.begin()
    seconds = _seconds(stage)
    policy.greed[worker.name] = int(max(30.0, rng.uniform(0.5, 0.9) * world.workload.current_rate() * seconds))
    worker.pace = rng.uniform(1.5, 4.0)
    yield seconds
    policy.greed.clear()
    worker.pace = 1.0
    _judge(stage)


@mechanism(
    "unequal shares after a failover", IMBALANCE, NOT_FITTED, Capability.WORK,
    tolerated=(EXHAUSTION, HEARTBEATS), shape=_owned,
)  # fmt: skip
def after_failover(stage: Stage) -> Body[None]:
    """Workers die, one other gets all of their streams, and they get nothing when they are back."""
    world, rng = stage.world, stage.rng
    orchestrator = world.orchestrators[world.leader]
    owners = orchestrator.policy
    assert isinstance(owners, Owners)
    dead = stage.some_workers(0.2, 0.5, at_least=1)[: max(1, len(world.living()) - 2)]
    heir = rng.choice([worker for worker in world.living() if worker not in dead])
    owners.forced = heir.name
    stage.episode.sources = [heir.name]
    stage.episode.led_up_from = stage.now
    for worker in dead:
        world.crash(worker, orchestrator.conduct.lost_after_s + rng.uniform(10.0, 30.0))
    while any(record.worker in dead and record.streams for record in orchestrator.workers.values()):
        yield 0.5
        if all(worker.alive for worker in dead):
            break
    stage.begin()
    yield _seconds(stage)
    owners.forced = None
    _judge(stage)
    yield from orchestrator.rebalance(owners)


@mechanism("a black hole", IMBALANCE, HELD_OUT, Capability.WORK, shape=_least_loaded)
def black_hole(stage: Stage) -> Body[None]:
    """A worker that fails every task at once always seems idle, and gets the next one."""
    world, rng = stage.world, stage.rng
    worker = rng.choice(world.living())
    stage.episode.sources = [worker.name]
    orchestrator = world.orchestrators[world.leader]
    stage.begin()
    worker.fails_at_once = rng.choice(MISTAKES)
    record = orchestrator.workers.get(worker.name)
    if record is not None:
        record.believed_idle = True
    yield _seconds(stage)
    worker.fails_at_once = None
    if record is not None:
        record.believed_idle = False
    _judge(stage)


@mechanism("workers forgotten after a blip", IMBALANCE, HELD_OUT, Capability.WORK, shape=_not_owned)
def forgotten(stage: Stage) -> Body[None]:
    """More than half of the workers are connected, idle, and never given anything."""
    world, rng = stage.world, stage.rng
    orchestrator = world.orchestrators[world.leader]
    records = list(orchestrator.workers.values())
    unused = rng.sample(records, k=max(1, min(len(records) - 1, round(rng.uniform(0.5, 0.75) * len(records)))))
    stage.begin()
    for record in unused:
        record.unused = True
    stage.episode.sources = [record.worker.name for record in records if not record.unused]
    stage.episode.accepted = [[record.worker.name for record in unused]]
    yield _seconds(stage)
    for record in unused:
        record.unused = False
    _judge(stage)


@mechanism(
    "a load that is believed to be nothing", IMBALANCE, HELD_OUT, Capability.WORK,
    tolerated=(EXHAUSTION,), shape=_least_loaded,
)  # fmt: skip
def stuck_view(stage: Stage) -> Body[None]:
    """The orchestrator's view of one worker is stuck: it always looks idle."""
    world, rng = stage.world, stage.rng
    orchestrator = world.orchestrators[world.leader]
    record = rng.choice(list(orchestrator.workers.values()))
    stage.episode.sources = [record.worker.name]
    stage.begin()
    record.believed_idle = True
    yield _seconds(stage)
    record.believed_idle = False
    _judge(stage)
