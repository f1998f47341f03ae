"""One whole system, built from its shape and a seed."""

from __future__ import annotations

import random

from benchmarks.detection.simulator.database import Database, Statement, pool_of
from benchmarks.detection.simulator.facts import Observer
from benchmarks.detection.simulator.kernel import Body, Simulation, Slots
from benchmarks.detection.simulator.machine import MIB, Capacity
from benchmarks.detection.simulator.names import Names
from benchmarks.detection.simulator.network import Network
from benchmarks.detection.simulator.node import End, Node
from benchmarks.detection.simulator.orchestrator import Conduct, Orchestrator
from benchmarks.detection.simulator.parts import Parts
from benchmarks.detection.simulator.policy import LeastLoaded, Owners, Policy, Pull, RoundRobin
from benchmarks.detection.simulator.service import Calls, Client, Instance, Service
from benchmarks.detection.simulator.shape import Routing, Shape
from benchmarks.detection.simulator.task import Kind, Task
from benchmarks.detection.simulator.worker import Rhythm, Worker
from benchmarks.detection.simulator.workload import Workload

_TASKS_PER_WORKER_S = 0.2
"""Tasks that a worker is given each second at load 1."""


class World:
    """The parts, and what faults and events do to them."""

    def __init__(self, shape: Shape, rng: random.Random, start: float, observer: Observer) -> None:
        self.shape = shape
        self.rng = rng
        self.simulation = Simulation(start)
        self.names = Names.draw(rng)
        self.zones = tuple(
            f"{rng.choice(('eu-west', 'us-east', 'rack', 'az'))}-{letter}" for letter in "abc"[: shape.zones]
        )
        self.observer = observer
        self.network = Network(self.simulation, rng)
        node = self._node(self.names.database, shape.database, self.zones[0])
        self.database = Database(self.simulation, rng, shape.database, node, self.network, observer)
        client = Client(rng.choice((1.0, 2.0, 5.0)), rng.choice((0, 1, 2)), rng.choice((0.05, 0.2)))
        calls = Calls(self.network, observer, client, rng)
        calls.database = self.database
        self.parts = Parts(
            self.simulation, rng, self.names, self.network, observer, self.database, calls, {}, rng.choice((0, 1, 2))
        )
        self._add_services()
        self.kinds = self._kinds()
        self.rhythm = Rhythm(
            shape.heartbeat_s,
            max(0.5, min(5.0, shape.heartbeat_s * rng.choice((1.0, 2.0)))),
            rng.uniform(0.0, 0.08),
            fixed_rate=rng.random() < 0.6,
        )
        self.orchestrators: list[Orchestrator] = []
        self.leader = 0
        self._add_orchestrators()
        self.workers: list[Worker] = []
        self.retired: list[Worker] = []
        rate = _TASKS_PER_WORKER_S * shape.load * shape.workers
        self.workload = Workload(self.simulation, rng, self.kinds, rate, self.submit)
        self.workload.tide, self.workload.burst = shape.tide, shape.burst
        for _ in range(shape.workers):
            self._begin(self.add_worker())
        self._place_streams()
        self.simulation.spawn(self.workload.run())
        self.simulation.spawn(self._keep_house())

    # -- building ---------------------------------------------------------------------------------------

    def _node(self, name: str, service: str, zone: str) -> Node:
        cores = self.rng.choice((4.0, 8.0, 16.0))
        return Node(self.simulation, self.rng, name, service, Capacity(cores=cores, memory=8192 * MIB), zone)

    def _add_services(self) -> None:
        """A graph of calls: entries at the top, and what most of them need at the bottom."""
        rng, services = self.rng, self.parts.services
        for number, name in enumerate(self.names.services[: self.shape.services]):
            service = Service(name, f"/v1/{name.replace('-', '/')}", rng.uniform(0.004, 0.04), rng)
            services[name] = service
            for instance_number in range(rng.choice((1, 2, 3))):
                service.instances.append(self._instance(service, instance_number + 1))
            if number >= 1 and rng.random() < 0.4:
                service.statement = Statement("SELECT", self.names.tables[0], rng.uniform(0.001, 0.006), writes=False)
                for instance in service.instances:
                    pool_of(instance, self.simulation, 10)
        ordered = list(services.values())
        for number, service in enumerate(ordered[:-1]):
            service.calls.append(ordered[-1] if number >= 1 or len(ordered) < 3 else ordered[1])
            if number == 0 and len(ordered) > 3:
                service.calls.append(ordered[2])

    def _instance(self, service: Service, number: int) -> Instance:
        rng = self.rng
        instance = Instance(
            self.simulation,
            rng,
            self.names.instance(service.name, number),
            service.name,
            Capacity(cores=rng.choice((2.0, 4.0))),
            rng.choice(self.zones),
        )
        instance.threads = Slots(self.simulation, rng.choice((4, 8, 16)))
        instance.backlog = rng.choice((16, 32, 64))
        return instance

    def _kinds(self) -> tuple[Kind, ...]:
        rng, shape = self.rng, self.shape
        rate = _TASKS_PER_WORKER_S * shape.load
        self.slots = (
            rng.choice((1, 2)) if shape.load < 0.5 else rng.choice((2, 4)) if shape.load < 5 else rng.choice((4, 8))
        )
        self.cores = float(max(1, self.slots // rng.choice((1, 2))))
        seconds = min(20.0, max(0.01, shape.utilisation * self.cores / rate))
        entries = list(self.parts.services)[:2] if len(self.parts.services) >= 3 else list(self.parts.services)[:1]
        garbage = 256 * MIB / (rate * rng.uniform(60.0, 600.0))
        kinds: list[Kind] = []
        for name in self.names.tasks:
            table = rng.choice(self.names.tables)
            statements: tuple[Statement, ...] = (
                Statement(rng.choice(("UPDATE", "INSERT")), table, rng.uniform(0.002, 0.012)),
            )
            if rng.random() < 0.3:
                statements = (Statement("SELECT", table, rng.uniform(0.001, 0.008), writes=False), *statements)
            kinds.append(
                Kind(
                    name,
                    seconds * rng.uniform(0.5, 1.5),
                    statements if rng.random() < 0.85 or not kinds else (),
                    (rng.choice(entries),) if entries and rng.random() < 0.6 else (),
                    1 if self.shape.mesh else 0,
                    rng.choice((0.0, 0.001, 0.005, 0.02)),
                    rng.uniform(1.0, 8.0) * MIB,
                    min(garbage * rng.uniform(0.5, 1.5), 64 * MIB),
                )
            )
        if entries and not any(kind.calls for kind in kinds):
            first = kinds[0]
            kinds[0] = Kind(
                first.name,
                first.seconds,
                first.statements,
                (entries[0],),
                first.peers,
                first.mistake_share,
                first.memory,
                first.garbage,
            )
        return tuple(kinds)

    def _policy(self) -> Policy:
        if self.shape.routing is Routing.OWNERS:
            return Owners(self.rng)
        if self.shape.routing is Routing.ROUND_ROBIN:
            return RoundRobin()
        if self.shape.routing is Routing.PULL:
            return Pull(self.rng, self.rng.choice((0, 1, 4)))
        return LeastLoaded(self.rng)

    def _add_orchestrators(self) -> None:
        rng, shape = self.rng, self.shape
        for number in range(shape.orchestrators):
            conduct = Conduct(
                lost_after_s=max(1.5, shape.heartbeat_s * rng.choice((3.0, 4.0, 6.0))),
                assign_timeout_s=rng.choice((1.0, 2.0, 5.0)),
                writes_heartbeats=shape.writes_heartbeats,
                handlers=rng.choice((4, 8, 16)),
                rebalance_s=rng.uniform(180.0, 600.0) if rng.random() < 0.6 else None,
            )
            name = self.names.instance(self.names.orchestrator_service, number + 1)
            capacity = Capacity(cores=4.0)
            orchestrator = Orchestrator(
                self.parts, rng, name, capacity, self.zones[number % len(self.zones)], self._policy(), conduct
            )
            pool_of(orchestrator, self.simulation, rng.choice((5, 10)))
            self.orchestrators.append(orchestrator)
            orchestrator.start()

    def _place_streams(self) -> None:
        if self.shape.routing is not Routing.OWNERS:
            return
        count = self.shape.workers * self.rng.choice((4, 6, 10))
        names = tuple(f"{self.rng.choice(self.names.tables)}-{number:03d}" for number in range(count))
        self.workload.set_streams(names, self.rng.uniform(0.0, 0.35))
        for number, name in enumerate(names):
            orchestrator = self._orchestrator_of_stream(name)
            records = list(orchestrator.workers.values())
            if isinstance(orchestrator.policy, Owners) and records:
                orchestrator.policy.give(name, records[number % len(records)])

    def _orchestrator_of_stream(self, name: str) -> Orchestrator:
        if self.shape.standby:
            return self.orchestrators[self.leader]
        return self.orchestrators[sum(name.encode()) % len(self.orchestrators)]

    # -- workers ----------------------------------------------------------------------------------------

    def add_worker(self) -> Worker:
        """A worker that is there, but not started yet."""
        rng = self.rng
        number = len(self.workers)
        large = self.shape.unequal and number % 3 == 0
        slots = self.slots * 2 if large else self.slots
        capacity = Capacity(cores=self.cores * 2 if large else self.cores)
        zone = self.zones[number % len(self.zones)]
        worker = Worker(self.parts, rng, self.names.worker(), capacity, zone, slots, self.rhythm)
        worker.orchestrator = self.orchestrator_for(number)
        if large:
            worker.orchestrator.weights[worker.name] = 2.0
        pool_of(worker, self.simulation, max(2, slots + 1))
        self.workers.append(worker)
        if self.shape.mesh:
            self.parts.peers.append(worker)
        return worker

    def orchestrator_for(self, number: int) -> Orchestrator:
        if self.shape.standby:
            return self.orchestrators[self.leader]
        return self.orchestrators[number % len(self.orchestrators)]

    def _begin(self, worker: Worker) -> None:
        """It was there before the recording begins."""
        if worker.orchestrator is not None:
            worker.orchestrator.know(worker)
        worker.start(registers=False)

    def join(self) -> Worker:
        """A new worker starts and registers."""
        worker = self.add_worker()
        worker.start()
        return worker

    def crash(self, worker: Worker, back_after_s: float | None, end: End = End.EXIT) -> None:
        worker.kill(end)
        if back_after_s is not None:
            self.simulation.after(back_after_s, self.revive, worker)

    def revive(self, worker: Worker) -> None:
        if not worker.alive:
            worker.restart()
            worker.start()

    def retire(self, worker: Worker) -> Body[None]:
        """Shut it down for good."""
        yield from worker.shut_down()
        if worker in self.workers:
            self.workers.remove(worker)
            self.retired.append(worker)
        if worker in self.parts.peers:
            self.parts.peers.remove(worker)

    def living(self) -> list[Worker]:
        return [worker for worker in self.workers if worker.alive]

    # -- the rest ---------------------------------------------------------------------------------------

    def submit(self, task: Task) -> None:
        if task.stream is not None:
            self._orchestrator_of_stream(task.stream).submit(task)
        elif self.shape.standby or len(self.orchestrators) == 1:
            self.orchestrators[self.leader].submit(task)
        else:
            self.rng.choice(self.orchestrators).submit(task)

    def nodes(self) -> list[Node]:
        """Every process that emits telemetry of its own."""
        instances = [instance for service in self.parts.services.values() for instance in service.instances]
        return [*self.orchestrators, *self.workers, *instances]

    def _keep_house(self) -> Body[None]:
        """What goes on by itself: memory is looked after, a process above its limit is ended."""
        rng = self.rng
        while True:
            yield 1.0
            for worker in self.workers:
                machine = worker.machine
                machine.write_log(2_000.0)
                machine.other_cores += rng.gauss(0.0, 0.01) * machine.capacity.cores
                machine.other_cores = min(max(machine.other_cores, 0.01), 0.25 * machine.capacity.cores)
                if worker.alive and machine.memory > machine.capacity.memory:
                    self.parts.out_of_memory(worker)
