"""A worker: takes tasks, runs them in so many slots, and says regularly that it is there."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.detection.simulator.failure import (
    DISK_FULL,
    MISTAKES,
    NO_THREAD,
    QUEUE_FULL,
    TOO_MANY_FILES,
    Failure,
)
from benchmarks.detection.simulator.kernel import Body, Slots
from benchmarks.detection.simulator.machine import Capacity
from benchmarks.detection.simulator.node import End, Node
from benchmarks.detection.simulator.task import Task
from benchmarks.detection.simulator.trace import Span

if TYPE_CHECKING:
    from benchmarks.detection.simulator.orchestrator import Orchestrator
    from benchmarks.detection.simulator.parts import Parts

_FULL = 0.995
_FOR_EVER = 1e9


@dataclass(slots=True)
class Rhythm:
    """How a worker says that it is there."""

    interval_s: float
    timeout_s: float
    jitter: float = 0.02
    fixed_rate: bool = True
    """Whether it sleeps until the next multiple of the interval, or for an interval."""


class Worker(Node):
    """One worker process."""

    def __init__(
        self, parts: Parts, rng: random.Random, name: str, capacity: Capacity, zone: str, slots: int, rhythm: Rhythm
    ) -> None:
        super().__init__(parts.simulation, rng, name, parts.names.worker_service, capacity, zone)
        self.parts = parts
        self.size = slots
        self.slots = Slots(parts.simulation, slots)
        self.rhythm = rhythm
        self.orchestrator: Orchestrator | None = None
        self.queue_limit = 100_000
        self.beats = True
        """False: the thread that says so has died, all else goes on."""
        self.loop_lag_s = 0.0
        """What something that blocks the event loop adds, at random, to each of its turns."""
        self.footprint = 0.0
        """Memory that each waiting task takes."""
        self.here = 0
        self.pace = 1.0
        self.fails_at_once: Failure | None = None

    # -- life -------------------------------------------------------------------------------------------

    def start(self, *, registers: bool = True) -> None:
        self.slots = Slots(self.simulation, self.size)
        self.here = 0
        self.beats = True
        self.spawn(self._live(registers))

    def _live(self, registers: bool) -> Body[None]:
        if registers:
            yield from self.register()
        else:
            yield self.rhythm.interval_s * self.rng.random()
        yield from self._send_heartbeats()

    def register(self) -> Body[None]:
        """Ask until the orchestrator takes it in."""
        while True:
            orchestrator = self.orchestrator
            if orchestrator is not None:
                began = self.simulation.now
                span = self.parts.observer.span(self, None)
                failure = yield from self.parts.network.request(
                    self,
                    orchestrator,
                    "register",
                    5.0,
                    lambda to=orchestrator: to.take_in(self),  # type: ignore[misc]
                )
                self.parts.observer.registered(orchestrator, self, span, began, failure)
                if failure is None:
                    return
            yield 1.0 + self.rng.random()

    def shut_down(self) -> Body[None]:
        """End in good order: what is running is finished by others. Not one of its own processes."""
        orchestrator = self.orchestrator
        if orchestrator is None or not self.alive:
            return
        began = self.simulation.now
        span = self.parts.observer.span(self, None)
        yield 0.005
        orchestrator.let_go(self)
        self.parts.observer.deregistered(orchestrator, self, span, began)
        self.parts.observer.said_goodbye(self)
        self.kill(End.EXIT)

    # -- heartbeats -------------------------------------------------------------------------------------

    def _send_heartbeats(self) -> Body[None]:
        rhythm, rng = self.rhythm, self.rng
        due = self.simulation.now
        while True:
            due = (
                max(due + rhythm.interval_s, self.simulation.now)
                if rhythm.fixed_rate
                else (self.simulation.now + rhythm.interval_s)
            )
            yield max(0.0, due - self.simulation.now + rhythm.interval_s * rhythm.jitter * rng.random())
            lag_s = self.machine.loop_delay_s()
            if self.loop_lag_s > 0.0:
                lag_s += self.loop_lag_s * rng.expovariate(1.0)
            yield lag_s
            orchestrator = self.orchestrator
            if not self.beats or orchestrator is None:
                continue
            began = self.simulation.now
            failure = yield from self.parts.network.request(
                self,
                orchestrator,
                "heartbeat",
                rhythm.timeout_s,
                lambda to=orchestrator: to.heartbeat(self),  # type: ignore[misc]
            )
            self.parts.observer.heartbeat_sent(self, orchestrator, began, failure)
            if failure is None and self.name not in orchestrator.workers:
                yield from self.register()

    # -- tasks ------------------------------------------------------------------------------------------

    def accept(self, task: Task) -> Body[Failure | None]:
        """The orchestrator's request to run a task."""
        yield 0.0005
        if self.here >= self.queue_limit:
            return QUEUE_FULL
        self.take_on(task)
        return None

    def take_on(self, task: Task) -> None:
        self.spawn(self._run(task, task.span))

    def _run(self, task: Task, parent: Span | None) -> Body[None]:
        machine, kind = self.machine, task.kind
        arrived = self.simulation.now
        self.here += 1
        machine.held += self.footprint
        held = self.footprint
        try:
            yield from self.slots.take(_FOR_EVER)
            try:
                machine.held += kind.memory
                held += kind.memory
                if machine.memory > machine.capacity.memory:
                    self.simulation.after(0.0, self.parts.out_of_memory, self)
                began = self.simulation.now
                span = self.parts.observer.span(self, parent)
                failure = yield from self._work(task, span)
            finally:
                self.slots.give_back()
            machine.allocate(kind.garbage)
            machine.write_log(20_000.0)
            self.parts.observer.processed(self, task, span, began, began - arrived, failure)
        finally:
            machine.held -= held
            self.here -= 1
        self._report(task, failure, 0)

    def _work(self, task: Task, span: Span) -> Body[Failure | None]:
        kind, machine, rng = task.kind, self.machine, self.rng
        if self.fails_at_once is not None:
            yield 0.01
            return self.fails_at_once
        yield from machine.burn(kind.seconds * task.stretch * self.pace * rng.lognormvariate(0.0, 0.5))
        if task.kills:
            self.simulation.after(0.0, self.kill, End.EXIT)
            yield _FOR_EVER
        refusal = self._refusal()
        if refusal is not None:
            return refusal
        if task.fails or rng.random() < kind.mistake_share:
            failure = MISTAKES[len(kind.name) % len(MISTAKES)]
            self.parts.observer.logged(self, 17, f"{kind.name} failed", failure)
            return failure
        return (yield from self._use_others(task, span))

    def _use_others(self, task: Task, span: Span) -> Body[Failure | None]:
        kind, parts = task.kind, self.parts
        for name in kind.calls:
            failure = yield from parts.calls.call(self, parts.services[name], span)
            if failure is not None:
                self.parts.observer.logged(self, 17, f"{name} failed", failure)
                return _raised(failure)
        for _ in range(kind.peers):
            failure = yield from parts.fetch(self, span)
            if failure is not None:
                return failure
        if kind.statements:
            failure = None
            for attempt in range(parts.database_retries + 1):
                failure = yield from parts.database.transact(self, kind.statements, span)
                if failure is None or not failure.locked or attempt == parts.database_retries:
                    break
                yield 0.05 * 2**attempt * (0.5 + self.rng.random())
            if failure is not None:
                self.parts.observer.logged(self, 17, f"{kind.name}: database error", failure)
            return failure
        return None

    def _refusal(self) -> Failure | None:
        """What the machine has no more of."""
        machine, capacity = self.machine, self.machine.capacity
        if machine.disk / capacity.disk > _FULL and self.rng.random() < 0.7:
            return DISK_FULL
        if machine.files / capacity.files > _FULL:
            return TOO_MANY_FILES
        if machine.thread_count / capacity.threads > _FULL and self.rng.random() < 0.5:
            return NO_THREAD
        return None

    def _report(self, task: Task, failure: Failure | None, tries: int) -> None:
        """Tell the orchestrator how it went, again and again until the message has got through."""
        orchestrator = self.orchestrator
        if orchestrator is None:
            return
        leg = self.parts.network.leg(self, orchestrator, "report")
        if leg is not None and orchestrator.alive:
            self.simulation.after(leg, orchestrator.done, self, task, failure)
        elif tries < 20 and self.alive:
            self.simulation.after(3.0, self._report, task, failure, tries + 1)


def _raised(failure: Failure) -> Failure:
    """What a client library makes of an answer that it does not like."""
    if failure.http_code is None:
        return failure
    return _STATUS_ERRORS.setdefault(
        failure.http_code,
        Failure("httpx.HTTPStatusError", f"Server error '{failure.http_code} {failure.message}'"),
    )


_STATUS_ERRORS: dict[int, Failure] = {}
