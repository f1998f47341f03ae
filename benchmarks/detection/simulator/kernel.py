"""Discrete events: processes that sleep and wait on virtual time.

A process is a generator. It yields a float to sleep so many seconds, a `Signal` to wait until that is fired,
or a `Deadline` to wait for one no longer than so many seconds. The same seed gives the same order of events:
simultaneous ones happen in the order in which they were scheduled.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Generator
from typing import Any, Final, NamedTuple, TypeVar

T = TypeVar("T")


class Signal:
    """Something that happens once; whoever waits for it is given its value."""

    __slots__ = ("_simulation", "_waiting", "fired", "value")

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._waiting: list[tuple[Process, int]] = []
        self.fired = False
        self.value: Any = None

    def fire(self, value: Any = None) -> None:
        if self.fired:
            return
        self.fired = True
        self.value = value
        for process, turn in self._waiting:
            self._simulation.schedule(self._simulation.now, process, turn, value)
        self._waiting.clear()

    def wait(self, process: Process, turn: int) -> None:
        if self.fired:
            self._simulation.schedule(self._simulation.now, process, turn, self.value)
        else:
            self._waiting.append((process, turn))


class Deadline(NamedTuple):
    """Wait for a signal, but not for ever: `EXPIRED` is the value when it did not come."""

    signal: Signal
    timeout_s: float


class _Expired:
    """The value of a wait that was in vain."""


EXPIRED: Final = _Expired()

Wait = float | Signal | Deadline
Body = Generator[Wait, Any, T]


class Owner:
    """What processes belong to: when it is killed they end where they are, when it is frozen they stand still."""

    __slots__ = ("frozen_until", "processes")

    def __init__(self) -> None:
        self.frozen_until = 0.0
        self.processes: dict[Process, None] = {}  # a dictionary: a set would end them in another order each run

    def end_processes(self) -> None:
        for process in list(self.processes):
            process.kill()
        self.processes.clear()


class Process:
    """A generator on its way through virtual time."""

    __slots__ = ("_body", "_owner", "_simulation", "_turn")

    def __init__(self, simulation: Simulation, body: Body[Any], owner: Owner | None) -> None:
        self._simulation = simulation
        self._body = body
        self._owner = owner
        self._turn = 0
        if owner is not None:
            owner.processes[self] = None

    def resume(self, turn: int, value: Any) -> None:
        """Go on with `value`, unless something else has gone on before."""
        if turn != self._turn:
            return
        simulation, owner = self._simulation, self._owner
        if owner is not None and owner.frozen_until > simulation.now:
            simulation.schedule(owner.frozen_until, self, turn, value)
            return
        self._turn = turn = turn + 1
        try:
            wait = self._body.send(value)
        except StopIteration:
            if owner is not None:
                owner.processes.pop(self, None)
            return
        if type(wait) is float:
            simulation.schedule(simulation.now + wait, self, turn, None)
        elif type(wait) is Signal:
            wait.wait(self, turn)
        elif type(wait) is Deadline:
            wait.signal.wait(self, turn)
            simulation.schedule(simulation.now + wait.timeout_s, self, turn, EXPIRED)
        else:
            raise TypeError(f"a process may wait for a float, a Signal or a Deadline, not for {wait!r}")

    def kill(self) -> None:
        """End it where it is. It must not be the one that is running."""
        self._turn = -1
        self._body.close()


class Simulation:
    """Virtual time, and what happens on it."""

    def __init__(self, start: float) -> None:
        self.now = start
        self.events = 0
        self._queue: list[tuple[float, int, Callable[..., None] | Process, Any, Any]] = []
        self._scheduled = 0

    def schedule(self, time: float, process: Process, turn: int, value: Any) -> None:
        self._scheduled += 1
        heapq.heappush(self._queue, (time, self._scheduled, process, turn, value))

    def at(self, time: float, action: Callable[..., None], *arguments: Any) -> None:
        """Call `action` at `time`, or now if that is past."""
        self._scheduled += 1
        heapq.heappush(self._queue, (max(time, self.now), self._scheduled, action, arguments, None))

    def after(self, delay_s: float, action: Callable[..., None], *arguments: Any) -> None:
        self.at(self.now + delay_s, action, *arguments)

    def spawn(self, body: Body[Any], owner: Owner | None = None) -> Process:
        process = Process(self, body, owner)
        self.schedule(self.now, process, 0, None)
        return process

    def run(self, until: float) -> None:
        """Let everything happen that is due by `until`."""
        queue = self._queue
        pop = heapq.heappop
        while queue and queue[0][0] <= until:
            self.now, _, what, first, second = pop(queue)
            self.events += 1
            if type(what) is Process:
                what.resume(first, second)
            else:
                what(*first)  # type: ignore[operator]  # a callable, where it is no process
        self.now = until


class Slots:
    """So many of something that can be in use at once; who wants one waits in line."""

    def __init__(self, simulation: Simulation, capacity: int) -> None:
        self.capacity = capacity
        self.used = 0
        self._simulation = simulation
        self._line: list[Signal] = []

    @property
    def waiting(self) -> int:
        return len(self._line)

    def take(self, timeout_s: float) -> Body[bool]:
        """Whether there was one in time. Who is killed while waiting leaves the line."""
        if self.used < self.capacity and not self._line:
            self.used += 1
            return True
        ticket = Signal(self._simulation)
        self._line.append(ticket)
        taken = False
        try:
            taken = (yield Deadline(ticket, timeout_s)) is True
        finally:
            if not taken:
                self._leave(ticket)
        return taken

    def _leave(self, ticket: Signal) -> None:
        if ticket.fired:  # it was this one's turn at the moment when it gave up
            self.give_back()
        else:
            self._line.remove(ticket)

    def give_back(self) -> None:
        self.used -= 1
        self.admit()

    def admit(self) -> None:
        """Let those in line have what is free."""
        while self._line and self.used < self.capacity:
            self.used += 1
            self._line.pop(0).fire(True)
