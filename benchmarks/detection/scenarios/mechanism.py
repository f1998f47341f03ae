"""Mechanisms: the ways in which a pattern of failure comes about, each a process in the simulated world."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from benchmarks.detection.otlp.instrumentation import Instrumentation
from benchmarks.detection.otlp.profile import Capability
from benchmarks.detection.scenarios.split import Split
from benchmarks.detection.simulator.kernel import Body
from benchmarks.detection.simulator.shape import Shape
from benchmarks.detection.simulator.worker import Worker
from benchmarks.detection.simulator.world import World

CASCADE = "cascading_failures"
EXHAUSTION = "resource_exhaustion"
PARTITION = "network_partition"
CONTENTION = "database_contention"
HEARTBEATS = "heartbeat_degradation"
IMBALANCE = "load_imbalance"

PATTERNS = (CASCADE, EXHAUSTION, PARTITION, CONTENTION, HEARTBEATS, IMBALANCE)


@dataclass(slots=True)
class Episode:
    """One failure as it really was."""

    pattern: str
    mechanism: str
    tolerated: frozenset[str]
    onset: float = 0.0
    end: float | None = None
    sources: list[str] = field(default_factory=list)
    accepted: list[list[str]] = field(default_factory=list)
    """Other sets of sources that name it just as well."""
    root: str | None = None
    limit_at: float | None = None
    """When the resource was used up."""
    visible: bool = True
    led_up_from: float | None = None
    """When that began which led up to it: its consequences are tolerated from then on."""
    intensity: dict[str, Any] = field(default_factory=dict)


class Stage:
    """What a mechanism has to work with."""

    def __init__(self, world: World, instrumentation: Instrumentation, episode: Episode, rng: random.Random) -> None:
        self.world = world
        self.instrumentation = instrumentation
        self.episode = episode
        self.rng = rng
        self._before = Counter[str]()

    @property
    def now(self) -> float:
        return self.world.simulation.now

    def begin(self) -> None:
        """The failure begins now."""
        self.episode.onset = self.now
        self._before = Counter(self.instrumentation.signs)

    def finish(self) -> None:
        """It is over."""
        self.episode.end = self.now

    def new_signs(self, name: str) -> int:
        """How often something that shows the failure has happened since it began."""
        return self.instrumentation.signs[name] - self._before[name]

    def nodes_with(self, prefix: str, at_least: int = 2) -> list[str]:
        """The nodes where something happened so often since the failure began."""
        found = {}
        for name, count in self.instrumentation.signs.items():
            if name.startswith(prefix):
                found[name.removeprefix(prefix)] = count - self._before[name]
        most = max(found.values(), default=0)
        return [name for name, count in found.items() if count >= max(at_least, 0.05 * most)]

    @property
    def shows_losses(self) -> bool:
        """Whether the telemetry tells that workers have been lost since the failure began."""
        capabilities = self.instrumentation.profile.capabilities(self.world.shape.load)
        recorded = self.new_signs("lost, recorded") >= 2 or self.new_signs("unreached, recorded") >= 5
        return Capability.HEARTBEATS in capabilities or recorded

    @property
    def shows_work(self) -> bool:
        """Whether it tells what each worker has had to do."""
        return self.instrumentation.counts_work or self.new_signs("processed, recorded") >= 50

    def some_workers(self, low: float, high: float, at_least: int = 1) -> list[Worker]:
        """Between these shares of the fleet."""
        living = self.world.living()
        most = max(at_least, int(high * len(living)))
        least = min(most, max(at_least, round(low * len(living))))
        return self.rng.sample(living, k=min(len(living), self.rng.randint(least, most)))

    def seconds(self, low: float, high: float, tasks: float = 0.0) -> float:
        """A duration, longer where the load is so low that fewer than `tasks` tasks would come meanwhile."""
        rate = self.world.workload.current_rate()
        return max(self.rng.uniform(low, high), min(1_200.0, tasks / rate))


def names_of(workers: Iterable[Worker]) -> list[str]:
    return [worker.name for worker in workers]


Run = Callable[[Stage], Body[None]]


@dataclass(frozen=True, slots=True)
class Mechanism:
    """One way in which a pattern comes about."""

    name: str
    pattern: str
    run: Run
    splits: frozenset[Split]
    needs: frozenset[Capability]
    """Telemetry that shows it: any of these."""
    tolerated: frozenset[str]
    """Patterns that are a consequence: no alarm of theirs is demanded, none is wrong."""
    shape: Callable[[Shape, random.Random], None]
    prepare: Callable[[World, random.Random], None]

    @property
    def held_out(self) -> bool:
        """Whether it occurs in reporting only."""
        return self.splits == {Split.REPORT}


MECHANISMS: dict[str, Mechanism] = {}

EVERYWHERE = frozenset(Split)
NOT_FITTED = frozenset({Split.TUNE, Split.REPORT})
HELD_OUT = frozenset({Split.REPORT})


def _as_it_is(shape: Shape, rng: random.Random) -> None:
    """Happens in any system."""


def _nothing(world: World, rng: random.Random) -> None:
    """Needs no preparation."""


def mechanism(
    name: str,
    pattern: str,
    splits: frozenset[Split],
    *needs: Capability,
    tolerated: Iterable[str] = (),
    shape: Callable[[Shape, random.Random], None] = _as_it_is,
    prepare: Callable[[World, random.Random], None] = _nothing,
) -> Callable[[Run], Run]:
    """Register a process as a mechanism. It says when it begins, whom it concerns, and when it is over."""

    def register(run: Run) -> Run:
        if name in MECHANISMS:
            raise ValueError(f"there are two mechanisms named {name!r}")
        MECHANISMS[name] = Mechanism(name, pattern, run, splits, frozenset(needs), frozenset(tolerated), shape, prepare)
        return run

    return register


def mechanisms_of(pattern: str, split: Split) -> list[Mechanism]:
    """The mechanisms of a pattern that may occur in a split."""
    return [item for item in MECHANISMS.values() if item.pattern == pattern and split in item.splits]
