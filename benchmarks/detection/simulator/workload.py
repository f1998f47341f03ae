"""Tasks arrive: by chance, with the tide of the day, sometimes several at once."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from itertools import accumulate

from benchmarks.detection.simulator.kernel import Body, Simulation
from benchmarks.detection.simulator.task import Kind, Task

_DAY_S = 86_400.0
_LOOK_AGAIN_S = 20.0


class Workload:
    """Makes tasks and hands them to whoever takes them in."""

    def __init__(
        self,
        simulation: Simulation,
        rng: random.Random,
        kinds: tuple[Kind, ...],
        rate: float,
        submit: Callable[[Task], None],
    ) -> None:
        self.kinds = kinds
        self.rate = rate
        self.tide = 0.0
        self.burst = 1.0
        self.factors: dict[str, float] = {}
        """What multiplies the rate at the moment, by what causes it."""
        self.streams: tuple[str, ...] = ()
        self.hot: tuple[float, tuple[str, ...]] = (0.0, ())
        """This share of the tasks belongs to these streams."""
        self.bad_share: dict[str, float] = {}
        """By kind: this share of the tasks has bad input."""
        self.stretch_share: tuple[float, float] = (0.0, 1.0)
        """This share of the tasks takes this many times as long."""
        self.made = 0
        self._simulation = simulation
        self._rng = rng
        self._submit = submit
        self._phase = rng.random() * _DAY_S
        self._kind_weights = list(accumulate(rng.uniform(0.5, 2.0) for _ in kinds))
        self._stream_weights: list[float] = []

    def set_streams(self, names: tuple[str, ...], skew: float) -> None:
        self.streams = names
        self._stream_weights = list(accumulate(1.0 / (rank + 3) ** skew for rank in range(len(names))))

    def current_rate(self) -> float:
        rate = self.rate * (1.0 + self.tide * math.sin(2 * math.pi * (self._simulation.now + self._phase) / _DAY_S))
        for factor in self.factors.values():
            rate *= factor
        return max(rate, 1e-4)

    def run(self) -> Body[None]:
        rng, simulation = self._rng, self._simulation
        while True:
            gap_s = rng.expovariate(self.current_rate() / self.burst)
            if gap_s > _LOOK_AGAIN_S:  # the rate may have changed by then; chance has no memory
                yield _LOOK_AGAIN_S
                continue
            yield gap_s
            count = 1 if self.burst <= 1.0 else 1 + int(rng.expovariate(1.0 / (self.burst - 1.0 + 1e-9)))
            for _ in range(count):
                self._submit(self.make(simulation.now))

    def make(self, now: float, kind: Kind | None = None) -> Task:
        """A new task."""
        rng = self._rng
        if kind is None:
            kind = rng.choices(self.kinds, cum_weights=self._kind_weights)[0]
        stream = None
        if self.streams:
            share, hot = self.hot
            stream = (
                rng.choice(hot)
                if hot and rng.random() < share
                else rng.choices(self.streams, cum_weights=self._stream_weights)[0]
            )
        self.made += 1
        task = Task(f"{kind.name[:2]}{rng.getrandbits(32):08x}", kind, now, stream=stream)
        if self.bad_share and rng.random() < self.bad_share.get(kind.name, 0.0):
            task.fails = True
        share, stretch = self.stretch_share
        if share and rng.random() < share:
            task.stretch = stretch
        return task
