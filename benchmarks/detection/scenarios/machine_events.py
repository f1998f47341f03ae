"""Machines, databases and networks with a bad moment that is none of the six failures."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.detection.scenarios.background import Setting, background
from benchmarks.detection.scenarios.mechanism import HEARTBEATS
from benchmarks.detection.scenarios.partitions import Cut
from benchmarks.detection.simulator.database import Statement
from benchmarks.detection.simulator.failure import REFUSED
from benchmarks.detection.simulator.kernel import Body


@background("slow disk")
def slow_disk(setting: Setting) -> Body[None]:
    """The database's disk is several times as slow: everything takes longer, nobody waits for a lock."""
    database, rng = setting.world.database, setting.rng
    database.io_factor = rng.uniform(3.0, 8.0)
    yield rng.uniform(60.0, 300.0)
    database.io_factor = 1.0


@background("one long collection of garbage")
def garbage_pause(setting: Setting) -> Body[None]:
    """A worker stands still once, for one or two seconds."""
    worker = setting.worker()
    if worker is not None:
        worker.machine.stop(setting.rng.uniform(0.5, 2.5))
    yield 5.0


@background("backup job")
def backup(setting: Setting) -> Body[None]:
    """The database is read from end to end: its disk is busy, and fuller for a while."""
    database, rng = setting.world.database, setting.rng
    machine = database.node.machine
    extra = rng.uniform(0.05, 0.2) * machine.capacity.disk
    extra = min(extra, 0.85 * machine.capacity.disk - machine.disk_used)
    database.io_factor = rng.uniform(1.5, 3.0)
    machine.extra_cores = 0.2 * machine.capacity.cores
    steps = 30
    seconds = rng.uniform(120.0, 600.0)
    for _ in range(steps):
        machine.disk_used += extra / steps
        yield seconds / steps
    machine.disk_used -= extra
    machine.extra_cores = 0.0
    database.io_factor = 1.0


@background("flush of a cache")
def cache_flush(setting: Setting) -> Body[None]:
    """For a minute or two everything has to be fetched anew."""
    world, rng = setting.world, setting.rng
    factor = rng.uniform(2.0, 4.0)
    for service in world.parts.services.values():
        service.slow = factor
    world.database.io_factor = rng.uniform(1.5, 2.5)
    yield rng.uniform(45.0, 150.0)
    for service in world.parts.services.values():
        service.slow = 1.0
    world.database.io_factor = 1.0


@background("brief blip of the network")
def blip(setting: Setting) -> Body[None]:
    """A second or two in which little gets through; retries succeed."""
    network, rng = setting.world.network, setting.rng
    cut = Cut(lambda _source, _target, _channel: rng.random() < 0.5)
    network.conditions.append(cut)
    yield rng.uniform(0.5, 2.5)
    network.conditions.remove(cut)
    yield 5.0


@background("rotation of certificates")
def certificates(setting: Setting) -> Body[None]:
    """Every connection is closed and opened anew, within half a minute: a call here and there is refused."""
    world, rng = setting.world, setting.rng
    for service in world.parts.services.values():
        for instance in service.instances:
            instance.kill()
            yield rng.uniform(0.1, 0.5)
            instance.restart()
    for worker in list(world.living()):
        world.observer.heartbeat_sent(worker, worker.orchestrator or world.orchestrators[0], setting.now, REFUSED)
        yield rng.uniform(0.1, 30.0 / len(world.workers))


@background("reload of a configuration", tolerated=(HEARTBEATS,))
def reload(setting: Setting) -> Body[None]:
    """Workers read their configuration anew, one after the other: a heartbeat or two are left out.

    Where orchestrators are impatient, a worker is given up for a moment; that may be said.
    """
    world, rng = setting.world, setting.rng
    for worker in list(world.living()):
        worker.beats = False
        world.simulation.after(rng.uniform(1.0, 1.6) * world.shape.heartbeat_s, _beat_again, worker)
        yield rng.uniform(0.2, 3.0)


def _beat_again(worker: object) -> None:
    worker.beats = True  # type: ignore[attr-defined]  # a worker


@background("an expensive query", held_out=True)
def expensive_query(setting: Setting) -> Body[None]:
    """A report reads for minutes: the database is slower for all, and locks nothing."""
    database, rng = setting.world.database, setting.rng
    machine = database.node.machine
    machine.extra_cores = 0.5 * machine.capacity.cores
    database.io_factor = rng.uniform(1.5, 4.0)
    yield rng.uniform(60.0, 300.0)
    machine.extra_cores = 0.0
    database.io_factor = 1.0


@background("failover of the database", held_out=True)
def database_failover(setting: Setting) -> Body[None]:
    """For a few seconds it answers nobody; then another machine has taken over."""
    database, rng = setting.world.database, setting.rng
    database.refuses = database.errors.lost
    yield rng.uniform(2.0, 8.0)
    database.refuses = None
    yield 5.0


@background("a few deadlocks")
def few_deadlocks(setting: Setting) -> Body[None]:
    """Two transactions get in each other's way once or twice an hour."""
    world, rng = setting.world, setting.rng
    database = world.database
    for _ in range(rng.randint(1, 2)):
        left = [rng.randint(1, 2)]

        def rewrite(statements: tuple[Statement, ...], left: list[int] = left) -> tuple[Statement, ...]:
            first = next((statement for statement in statements if statement.writes), None)
            if first is None or left[0] <= 0:
                return statements
            left[0] -= 1
            return (replace(first, row="a", seconds=0.3), replace(first, row="b", seconds=0.3))

        if database.rewrite is None:
            database.rewrite = rewrite
            yield 20.0
            database.rewrite = None
        yield rng.uniform(10.0, 60.0)


@background("growth of a cache up to its limit")
def cache_growth(setting: Setting) -> Body[None]:
    """Memory rises for minutes, and stays where the cache is full."""
    rng = setting.rng
    worker = setting.worker()
    if worker is None:
        return
    machine = worker.machine
    full = rng.uniform(0.1, 0.3) * machine.capacity.memory
    full = min(full, 0.85 * machine.capacity.memory - machine.memory - machine.collect_at)
    seconds = rng.uniform(200.0, 700.0)
    began = setting.now
    before = machine.cache
    while setting.now - began < seconds and worker.alive and full > 0:
        yield 5.0
        machine.cache = before + full * (1.0 - (1.0 - (setting.now - began) / seconds) ** 2)
    yield rng.uniform(300.0, 900.0)
    machine.cache = before
