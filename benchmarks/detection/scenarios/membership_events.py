"""Workers and orchestrators that come and go in good order."""

from __future__ import annotations

from benchmarks.detection.scenarios.background import Setting, background
from benchmarks.detection.scenarios.mechanism import HEARTBEATS
from benchmarks.detection.simulator.kernel import Body
from benchmarks.detection.simulator.node import End
from benchmarks.detection.simulator.worker import Worker


def _restart(setting: Setting, worker: Worker, down_s: float) -> Body[None]:
    yield from worker.shut_down()
    yield down_s
    setting.world.revive(worker)


@background("restart of a worker")
def restart(setting: Setting) -> Body[None]:
    """It says goodbye, and is back after some seconds."""
    worker = setting.worker()
    if worker is not None:
        yield from _restart(setting, worker, setting.rng.uniform(5.0, 30.0))


@background("rolling deployment")
def rolling_deployment(setting: Setting) -> Body[None]:
    """All workers are restarted, one or a few at a time."""
    rng = setting.rng
    pause_s = rng.uniform(1.0, 15.0)
    down_s = rng.uniform(3.0, 15.0)
    for worker in list(setting.world.living()):
        if worker.alive:
            yield from _restart(setting, worker, down_s)
        yield pause_s


@background("scale-up")
def scale_up(setting: Setting) -> Body[None]:
    """More workers."""
    world = setting.world
    count = max(1, round(setting.rng.uniform(0.1, 0.5) * world.shape.workers))
    count = min(count, 2 * world.shape.workers - len(world.workers))
    for _ in range(count):
        setting.world.join()
        yield setting.rng.uniform(0.0, 5.0)
    yield 30.0


@background("scale-down")
def scale_down(setting: Setting) -> Body[None]:
    """Fewer workers: each says goodbye."""
    world, rng = setting.world, setting.rng
    least = max(3, round(0.7 * world.shape.workers))  # the rest must be able to do the work
    count = max(1, round(rng.uniform(0.1, 0.4) * len(world.workers)))
    for worker in rng.sample(world.living(), k=max(0, min(count, len(world.living()) - least))):
        yield from world.retire(worker)
        yield rng.uniform(0.0, 5.0)


@background("autoscaling")
def autoscaling(setting: Setting) -> Body[None]:
    """A busy quarter of an hour: workers come, and go again."""
    world, rng = setting.world, setting.rng
    world.workload.factors["autoscaling"] = rng.uniform(1.3, 2.0)
    yield rng.uniform(20.0, 60.0)
    added = [world.join() for _ in range(max(1, len(world.workers) // 4))]
    yield rng.uniform(180.0, 420.0)
    del world.workload.factors["autoscaling"]
    yield rng.uniform(30.0, 90.0)
    for worker in added:
        if worker.alive:
            yield from world.retire(worker)
            yield rng.uniform(0.5, 5.0)


@background("warm-up of a new worker")
def warm_up(setting: Setting) -> Body[None]:
    """It is slow at first, and its caches grow until they are full."""
    rng = setting.rng
    worker = setting.world.join()
    machine = worker.machine
    worker.pace = rng.uniform(1.5, 3.0)
    full = rng.uniform(0.1, 0.35) * machine.capacity.memory
    warm_s = rng.uniform(120.0, 600.0)
    began = setting.now
    while setting.now - began < warm_s and worker.alive:
        yield 5.0
        done = (setting.now - began) / warm_s
        machine.cache = full * (1.0 - (1.0 - done) ** 3)
        worker.pace = max(1.0, worker.pace * 0.97)
    worker.pace = 1.0


@background("change of the leader")
def leader_change(setting: Setting) -> Body[None]:
    """The other orchestrator takes over, or the only one is restarted: no heartbeat is received for a moment."""
    world, rng = setting.world, setting.rng
    if not (world.shape.standby and len(world.orchestrators) == 2):
        yield from _restart_orchestrator(setting)
        return
    old = world.orchestrators[world.leader]
    world.leader = 1 - world.leader
    new = world.orchestrators[world.leader]
    tasks = [task for record in old.workers.values() for task in record.tasks.values()]
    tasks += old.pending
    old.pending.clear()
    yield rng.uniform(0.2, 2.0)
    for worker in world.workers:
        worker.orchestrator = new
        record = old.workers.pop(worker.name, None)
        if record is not None and worker.alive:
            new.know(worker)
            new.workers[worker.name].weight = record.weight
            new.workers[worker.name].streams.update(record.streams)
    new.policy, old.policy = old.policy, new.policy
    for task in tasks:
        task.reason = "failover"
        new.submit(task)


def _restart_orchestrator(setting: Setting) -> Body[None]:
    world, rng = setting.world, setting.rng
    orchestrator = rng.choice(world.orchestrators)
    known = list(orchestrator.workers.values())
    world.observer.said_goodbye(orchestrator)
    orchestrator.kill(End.EXIT)
    yield rng.uniform(1.0, 4.0)
    orchestrator.restart()
    for record in known:
        record.last_seen = setting.now
    orchestrator.start()


@background("crash of a single worker", tolerated=(HEARTBEATS,))
def crash(setting: Setting) -> Body[None]:
    """One worker dies and is replaced. It is lost, and that may be said; it is nothing else."""
    worker = setting.worker()
    if worker is None:
        return
    longest = max(orchestrator.conduct.lost_after_s for orchestrator in setting.world.orchestrators)
    setting.world.crash(worker, None, setting.rng.choice(list(End)))
    yield longest + setting.rng.uniform(5.0, 60.0)
    setting.world.revive(worker)
    yield 30.0
