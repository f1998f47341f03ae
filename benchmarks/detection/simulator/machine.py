"""What a process runs on: CPUs, memory with a garbage collector, a disk, file descriptors, threads."""

from __future__ import annotations

import random
from dataclasses import dataclass

from benchmarks.detection.simulator.kernel import Body, Owner, Simulation

MIB = 1024.0 * 1024.0


@dataclass(slots=True)
class Capacity:
    """The limits of a machine."""

    cores: float = 2.0
    memory: float = 1024 * MIB
    disk: float = 20_000 * MIB
    files: float = 1024.0
    threads: float = 256.0


class Machine:
    """How much of each resource is in use, from what runs on it."""

    def __init__(self, simulation: Simulation, rng: random.Random, capacity: Capacity, owner: Owner) -> None:
        self.capacity = capacity
        self.busy_s = 0.0
        self.running = 0
        self.other_cores = rng.uniform(0.02, 0.15) * capacity.cores
        """What others on the same machine use."""
        self.extra_cores = 0.0
        """What uses CPUs besides, for the time being."""
        self.throttle = 1.0
        self.speed = 1.0
        self.resident = rng.uniform(0.12, 0.3) * capacity.memory
        self.cache = 0.0
        self.leaked = 0.0
        self.held = 0.0
        """Memory of the tasks that are here."""
        self.garbage = 0.0
        self.collect_at = rng.uniform(0.08, 0.35) * capacity.memory
        """A collection begins when so much is garbage: a saw-tooth whose period depends on the load."""
        self.pause_s_per_gib = rng.uniform(0.02, 0.15)
        self.disk_used = rng.uniform(0.2, 0.6) * capacity.disk
        self.log = 0.0
        self.rotate_at = rng.uniform(0.01, 0.05) * capacity.disk
        self.files_open = rng.uniform(12, 60)
        self.files_leaked = 0.0
        self.threads = rng.uniform(6, 24)
        self.threads_leaked = 0.0
        self.collections = 0
        self._simulation = simulation
        self._rng = rng
        self._owner = owner

    # -- CPU --------------------------------------------------------------------------------------------

    def stretch(self) -> float:
        """How much longer work takes than alone on a whole core."""
        wanted = self.running + self.other_cores + self.extra_cores
        return max(1.0, wanted / self.capacity.cores) * self.throttle / self.speed

    def burn(self, seconds: float) -> Body[None]:
        """Compute for so many seconds of one core."""
        self.running += 1
        try:
            yield seconds * self.stretch()
        finally:
            self.running -= 1
        self.busy_s += seconds / self.speed

    def loop_delay_s(self) -> float:
        """How late an event loop here runs what is due."""
        crowd = max(0.0, (self.running + self.other_cores + self.extra_cores) / self.capacity.cores - 0.7)
        return self._rng.expovariate(1.0) * (0.002 + 0.03 * crowd) * self.throttle

    # -- memory -----------------------------------------------------------------------------------------

    @property
    def memory(self) -> float:
        return self.resident + self.cache + self.leaked + self.held + self.garbage

    def allocate(self, amount: float) -> None:
        """Use memory for a moment: garbage, until it is collected; the collection stops the process."""
        self.garbage += amount
        if self.garbage >= self.collect_at:
            self.collect()

    def collect(self) -> None:
        live = self.memory - self.garbage
        self.garbage *= 0.1 * self._rng.random()
        self.collections += 1
        self.stop(self.pause_s_per_gib * live / (1024 * MIB))

    def stop(self, seconds: float) -> None:
        """Nothing of this process runs for so long."""
        self._owner.frozen_until = max(self._owner.frozen_until, self._simulation.now + seconds)

    # -- disk, files, threads ---------------------------------------------------------------------------

    def write_log(self, amount: float) -> None:
        self.log += amount
        if self.log >= self.rotate_at:
            self.log = 0.0

    @property
    def disk(self) -> float:
        return min(self.capacity.disk, self.disk_used + self.log)

    @property
    def files(self) -> float:
        return min(self.capacity.files, self.files_open + self.files_leaked + 2 * self.running)

    @property
    def thread_count(self) -> float:
        return min(self.capacity.threads, self.threads + self.threads_leaked + self.running)
