"""A process somewhere in the system: what dies, freezes, sends and is reached."""

from __future__ import annotations

import random
from enum import StrEnum

from benchmarks.detection.simulator.kernel import Body, Owner, Process, Simulation, Slots
from benchmarks.detection.simulator.machine import Capacity, Machine


class End(StrEnum):
    """What is left of a process that is not there any more."""

    EXIT = "exit"
    """Its host answers for it: whoever connects is refused."""
    VANISHED = "vanished"
    """Nobody answers."""


class Node(Owner):
    """One process with its machine. A restarted one has the same name, and forgets everything else."""

    def __init__(
        self, simulation: Simulation, rng: random.Random, name: str, service: str, capacity: Capacity, zone: str
    ) -> None:
        super().__init__()
        self.simulation = simulation
        self.rng = rng
        self.name = name
        self.service = service
        self.host = name
        self.zone = zone
        self.alive = True
        self.generation = 0
        """How often it has been started anew."""
        self.started_at = simulation.now
        self.end = End.EXIT
        self.died_at: float | None = None
        self.machine = Machine(simulation, rng, capacity, self)
        self.pools: dict[str, Slots] = {}
        """Connection pools by what they lead to."""
        self.clock_offset_s = 0.0
        """Its clock is so much ahead of the true time."""
        self.broken_for_calls = False
        """Cannot open files: no descriptor is left."""

    def spawn(self, body: Body[None]) -> Process:
        return self.simulation.spawn(body, self)

    def kill(self, end: End = End.EXIT) -> None:
        """It ends at once, in the middle of whatever it was doing. Never to be called by its own processes."""
        if not self.alive:
            return
        self.alive = False
        self.end = end
        self.died_at = self.simulation.now
        self.end_processes()

    def restart(self) -> None:
        """A new process of the same name: what it had leaked is gone."""
        self.alive = True
        self.generation += 1
        self.started_at = self.simulation.now
        self.frozen_until = 0.0
        machine = self.machine
        machine.leaked = machine.files_leaked = machine.threads_leaked = machine.garbage = machine.held = 0.0
        machine.running = 0
        machine.cache = 0.0
        machine.throttle = 1.0
        for pool in self.pools.values():
            pool.used = 0

    def freeze(self, seconds: float) -> None:
        """Stopped: nothing runs, and all goes on afterwards as if nothing had been."""
        self.frozen_until = max(self.frozen_until, self.simulation.now + seconds)
