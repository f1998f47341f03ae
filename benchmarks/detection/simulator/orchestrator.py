"""An orchestrator: knows the workers by their heartbeats, gives them tasks, and gives up those that fall silent."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass

from benchmarks.detection.simulator.database import Statement
from benchmarks.detection.simulator.failure import MISTAKES, Failure
from benchmarks.detection.simulator.kernel import Body, Signal, Slots
from benchmarks.detection.simulator.machine import Capacity
from benchmarks.detection.simulator.node import Node
from benchmarks.detection.simulator.parts import Parts
from benchmarks.detection.simulator.policy import Owners, Policy, Record
from benchmarks.detection.simulator.task import Kind, Task
from benchmarks.detection.simulator.worker import Worker


@dataclass(slots=True)
class Conduct:
    """How an orchestrator goes about its work."""

    lost_after_s: float
    assign_timeout_s: float = 2.0
    max_attempts: int = 3
    writes_heartbeats: bool = False
    """Whether its heartbeat handler writes into the database."""
    handlers: int = 8
    """Heartbeats that it can handle at once."""
    rebalance_s: float | None = None
    max_poison: int = 1_000
    """Quarantine a task after it was given out so often."""


class Orchestrator(Node):
    """One orchestrator process."""

    def __init__(
        self,
        parts: Parts,
        rng: random.Random,
        name: str,
        capacity: Capacity,
        zone: str,
        policy: Policy,
        conduct: Conduct,
    ) -> None:
        super().__init__(parts.simulation, rng, name, parts.names.orchestrator_service, capacity, zone)
        self.parts = parts
        self.policy = policy
        self.conduct = conduct
        self.workers: dict[str, Record] = {}
        self.pending: deque[Task] = deque()
        self.in_flight: dict[str, Task] = {}
        """Tasks that somebody is being asked to take."""
        self.handlers = Slots(parts.simulation, conduct.handlers)
        self.weights: dict[str, float] = {}
        self.slow_s = 0.0
        """What each of its heartbeat handlers takes longer than it should."""
        self.failed_tasks = 0
        self.done_tasks = 0
        self._more = Signal(parts.simulation)

    def start(self) -> None:
        self.handlers = Slots(self.simulation, self.conduct.handlers)
        self.spawn(self._watch())
        self.spawn(self._hand_out())
        if self.conduct.rebalance_s is not None and isinstance(self.policy, Owners):
            self.spawn(self._rebalance_now_and_then(self.policy, self.conduct.rebalance_s))

    # -- membership -------------------------------------------------------------------------------------

    def take_in(self, worker: Worker) -> Body[Failure | None]:
        yield 0.001
        if self.conduct.writes_heartbeats:
            failure = yield from self.parts.database.transact(self, (_remember(worker),), None)
            if failure is not None:
                return failure
        self.know(worker)
        return None

    def know(self, worker: Worker) -> None:
        record = self.workers.get(worker.name)
        if record is None:
            weight = self.weights.get(worker.name, 1.0)
            self.workers[worker.name] = Record(worker, self.simulation.now, weight=weight)
        else:
            record.last_seen = self.simulation.now
            self._take_back(record, "failover")
        self._wake()

    def let_go(self, worker: Worker) -> None:
        record = self.workers.pop(worker.name, None)
        if record is not None:
            self._take_back(record, "rebalance")
            self._move_streams(record, "rebalance")

    def heartbeat(self, worker: Worker) -> Body[Failure | None]:
        if not (yield from self.handlers.take(30.0)):
            return MISTAKES[0]
        try:
            began = self.simulation.now
            self.parts.observer.heartbeat_received(self, worker)
            yield 0.0005 + self.slow_s * self.rng.random()
            failure = None
            if self.conduct.writes_heartbeats:
                failure = yield from self.parts.database.transact(self, (_remember(worker),), None)
            record = self.workers.get(worker.name)
            if record is not None and failure is None:
                record.last_seen = self.simulation.now
            self.parts.observer.heartbeat_handled(self, worker, began, failure)
            return failure
        finally:
            self.handlers.give_back()

    def _watch(self) -> Body[None]:
        while True:
            yield min(1.0, self.conduct.lost_after_s / 3)
            for record in list(self.workers.values()):
                if self.simulation.now - record.last_seen > self.conduct.lost_after_s:
                    self.give_up(record, "heartbeat_timeout")

    def give_up(self, record: Record, reason: str) -> None:
        """The worker is lost: others get what it had."""
        self.workers.pop(record.worker.name, None)
        span = self.parts.observer.span(self, None)
        self.parts.observer.logged(self, 13, f"worker {record.worker.name} lost: {reason}")
        self._take_back(record, "failover")
        self._move_streams(record, "failover")
        self.parts.observer.lost(self, record.worker, span, self.simulation.now - 0.002, reason)

    def _take_back(self, record: Record, reason: str) -> None:
        for task in record.tasks.values():
            task.reason = reason
            task.attempt += 1
            task.worker = None
            if task.attempt <= self.conduct.max_poison:
                self.pending.appendleft(task)
        record.tasks.clear()
        self._wake()

    # -- streams ----------------------------------------------------------------------------------------

    def _move_streams(self, record: Record, reason: str) -> None:
        if isinstance(self.policy, Owners) and record.streams:
            streams, record.streams = list(record.streams), {}
            self.spawn(self._place_all(self.policy, streams, reason))

    def place(self, owners: Owners, stream: str, reason: str, record: Record | None = None) -> Body[None]:
        """Give a stream to a worker."""
        record = record or owners.new_owner(list(self.workers.values()))
        if record is None:
            return
        owners.give(stream, record)
        task = Task(stream, _STREAM, self.simulation.now, stream=stream, reason=reason)
        began = self.simulation.now
        task.span = self.parts.observer.span(self, None)
        worker = record.worker
        failure = yield from self.parts.network.request(self, worker, "assign", self.conduct.assign_timeout_s, _agree)
        self.parts.observer.assigned(self, worker, task, task.span, began, failure)

    def _place_all(self, owners: Owners, streams: list[str], reason: str) -> Body[None]:
        for stream in streams:
            yield from self.place(owners, stream, reason)

    def _rebalance_now_and_then(self, owners: Owners, every_s: float) -> Body[None]:
        while True:
            yield every_s * (0.8 + 0.4 * self.rng.random())
            yield from self.rebalance(owners)

    def rebalance(self, owners: Owners) -> Body[None]:
        began = self.simulation.now
        span = self.parts.observer.span(self, None)
        moved = 0
        for _ in range(20):
            records = list(self.workers.values())
            if len(records) < 2 or owners.forced is not None:
                break
            most = max(records, key=lambda record: len(record.streams) / record.weight)
            least = min(records, key=lambda record: len(record.streams) / record.weight)
            if len(most.streams) / most.weight - len(least.streams) / least.weight <= 1.0:
                break
            stream = next(iter(most.streams))
            del most.streams[stream]
            yield from self.place(owners, stream, "rebalance", least)
            moved += 1
        self.parts.observer.rebalanced(self, span, began, moved)

    # -- tasks ------------------------------------------------------------------------------------------

    def submit(self, task: Task) -> None:
        self.pending.append(task)
        self._wake()

    def _wake(self) -> None:
        if self.pending and not self._more.fired:
            self._more.fire()

    def _hand_out(self) -> Body[None]:
        while True:
            while self.pending:
                record = self._choose(self.pending[0])
                if record is None:
                    break
                task = self.pending.popleft()
                task.worker = record.worker.name
                task.assigned_at = self.simulation.now
                record.tasks[task.id] = task
                if task.stream is not None:
                    self._send_item(record, task)
                else:
                    self.spawn(self._assign(record, task))
            if self.pending:
                yield 0.2
            else:
                self._more = Signal(self.simulation)
                yield self._more

    def _choose(self, task: Task) -> Record | None:
        records = [record for record in self.workers.values() if not record.unused]
        if len(task.tried) and len(records) > 1:
            fresh = [record for record in records if record.worker.name not in task.tried]
            records = fresh or records
        return self.policy.choose(task, records)

    def _send_item(self, record: Record, task: Task) -> None:
        leg = self.parts.network.leg(self, record.worker, "item")
        if leg is not None and record.worker.alive:
            self.simulation.after(leg, _deliver, record.worker, task)

    def _assign(self, record: Record, task: Task) -> Body[None]:
        worker = record.worker
        began = self.simulation.now
        task.span = self.parts.observer.span(self, None)
        answered = False
        try:
            failure = yield from self.parts.network.request(
                self, worker, "assign", self.conduct.assign_timeout_s, lambda: worker.accept(task)
            )
            answered = True
        finally:
            if not answered and record.tasks.pop(task.id, None) is not None:
                self.pending.append(task)  # it has died itself: its next life begins with what it did not finish
        self.parts.observer.assigned(self, worker, task, task.span, began, failure)
        if failure is None or record.tasks.get(task.id) is not task:
            return
        del record.tasks[task.id]
        task.tried.append(worker.name)
        if len(task.tried) > 6:
            task.tried.clear()
        yield 0.3
        task.reason = "retry"
        task.attempt += 1
        self.pending.append(task)
        self._wake()

    def done(self, worker: Worker, task: Task, failure: Failure | None) -> None:
        """A worker's word on how a task went; a second worker's word on the same task counts for nothing."""
        record = self.workers.get(worker.name)
        if record is None or record.tasks.pop(task.id, None) is None:
            return
        if failure is None:
            self.done_tasks += 1
        elif task.attempt < self.conduct.max_attempts and task.stream is None and not task.fails:
            task.attempt += 1
            task.reason = "retry"
            self.simulation.after(0.5, self.submit, task)
        else:
            self.failed_tasks += 1
        self._wake()


_STREAM = Kind("stream", 0.0)


def _remember(worker: Worker) -> Statement:
    return Statement("UPDATE", "workers", 0.002, row=worker.name)


def _agree() -> Body[Failure | None]:
    yield 0.0005
    return None


def _deliver(worker: Worker, task: Task) -> None:
    if worker.alive:
        worker.take_on(task)
