"""Loads that come and go, tasks that are long or bad."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.detection.scenarios.background import Setting, background
from benchmarks.detection.simulator.kernel import Body


def _multiply(setting: Setting, factor: float, seconds: float) -> Body[None]:
    """For a while so many times the load; bounded by what the fleet can do."""
    workload = setting.world.workload
    name = f"{setting.rng.random()}"
    workload.factors[name] = factor
    yield seconds
    del workload.factors[name]


@background("traffic spike")
def traffic_spike(setting: Setting) -> Body[None]:
    """Two to three times the load for some minutes."""
    most = 0.85 / max(0.1, setting.world.shape.utilisation)
    factor = min(most, setting.rng.uniform(2.0, 3.5))
    yield from _multiply(setting, max(1.2, factor), setting.rng.uniform(60.0, 300.0))


@background("cron burst")
def cron_burst(setting: Setting) -> Body[None]:
    """Every few minutes a batch of tasks at the same second."""
    world, rng = setting.world, setting.rng
    period_s = rng.choice((60.0, 120.0, 300.0))
    size = max(3, round(rng.uniform(0.5, 2.5) * len(world.workers)))
    kind = rng.choice(world.kinds)
    for _ in range(rng.randint(3, 6)):
        for _ in range(size):
            world.submit(world.workload.make(setting.now, kind))
        yield period_s


@background("poison batch that fails cleanly")
def poison_batch(setting: Setting) -> Body[None]:
    """Bad input: all tasks of one kind fail, everywhere, and nothing else does."""
    world, rng = setting.world, setting.rng
    kind = rng.choice(world.kinds)
    world.workload.bad_share[kind.name] = rng.uniform(0.6, 1.0)
    yield rng.uniform(60.0, 240.0)
    world.workload.bad_share.pop(kind.name, None)


@background("a single noisy client")
def noisy_client(setting: Setting) -> Body[None]:
    """Somebody sends nonsense: a few per cent of all tasks fail in their own right."""
    world, rng = setting.world, setting.rng
    kind = rng.choice(world.kinds)
    world.workload.bad_share[kind.name] = rng.uniform(0.1, 0.4)
    yield rng.uniform(120.0, 600.0)
    world.workload.bad_share.pop(kind.name, None)


@background("long tasks")
def long_tasks(setting: Setting) -> Body[None]:
    """A few tasks take ten times as long."""
    workload, rng = setting.world.workload, setting.rng
    workload.stretch_share = (rng.uniform(0.01, 0.04), rng.uniform(5.0, 12.0))
    yield rng.uniform(180.0, 600.0)
    workload.stretch_share = (0.0, 1.0)


@background("idle night", alone=True)
def idle_night(setting: Setting) -> Body[None]:
    """Next to nothing to do."""
    yield from _multiply(setting, setting.rng.uniform(0.0, 0.05), setting.rng.uniform(600.0, 1_800.0))


@background("batch job")
def batch_job(setting: Setting) -> Body[None]:
    """A job of the night keeps the machines busy, below their limits."""
    world, rng = setting.world, setting.rng
    share = max(0.05, min(rng.uniform(0.2, 0.45), 0.7 - world.shape.utilisation))
    busy = rng.sample(world.living(), k=max(1, int(rng.uniform(0.3, 1.0) * len(world.living()))))
    for worker in busy:
        worker.machine.extra_cores = share * worker.machine.capacity.cores
        worker.machine.cache += 0.1 * worker.machine.capacity.memory
    yield rng.uniform(180.0, 900.0)
    for worker in busy:
        worker.machine.extra_cores = 0.0
        worker.machine.cache = max(0.0, worker.machine.cache - 0.1 * worker.machine.capacity.memory)


@background("a heavier mix of tasks", held_out=True)
def heavier_mix(setting: Setting) -> Body[None]:
    """One kind of task becomes half as long again: a new version does more."""
    world, rng = setting.world, setting.rng
    number = rng.randrange(len(world.kinds))
    before = world.workload.kinds
    kinds = list(before)
    kinds[number] = replace(kinds[number], seconds=kinds[number].seconds * rng.uniform(1.3, 1.7))
    world.workload.kinds = tuple(kinds)
    yield rng.uniform(300.0, 900.0)
    world.workload.kinds = before
