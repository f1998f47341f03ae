"""Backgrounds: what happens in healthy systems and must not raise an alarm."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from benchmarks.detection.otlp.instrumentation import Instrumentation
from benchmarks.detection.scenarios.split import Split
from benchmarks.detection.simulator.kernel import Body
from benchmarks.detection.simulator.worker import Worker
from benchmarks.detection.simulator.world import World


class Setting:
    """What a background has to work with."""

    def __init__(self, world: World, instrumentation: Instrumentation, rng: random.Random) -> None:
        self.world = world
        self.instrumentation = instrumentation
        self.rng = rng

    @property
    def now(self) -> float:
        return self.world.simulation.now

    def worker(self) -> Worker | None:
        """Somebody; None in a fleet that has no one to spare."""
        living = self.world.living()
        return self.rng.choice(living) if len(living) >= 2 else None


Run = Callable[[Setting], Body[None]]


@dataclass(frozen=True, slots=True)
class Background:
    """One harmless thing that happens."""

    name: str
    run: Run
    held_out: bool
    """Whether it occurs in reporting only."""
    alone: bool
    """Whether it would hide a failure: then it occurs in healthy systems only."""
    tolerated: frozenset[str]
    """Patterns that somebody might rightly see in it."""


BACKGROUNDS: dict[str, Background] = {}


def background(
    name: str, *, held_out: bool = False, alone: bool = False, tolerated: Iterable[str] = ()
) -> Callable[[Run], Run]:
    """Register a process as a background; it ends when the event is over."""

    def register(run: Run) -> Run:
        if name in BACKGROUNDS:
            raise ValueError(f"there are two backgrounds named {name!r}")
        BACKGROUNDS[name] = Background(name, run, held_out, alone, frozenset(tolerated))
        return run

    return register


def backgrounds_of(split: Split) -> list[Background]:
    """The backgrounds that may occur in a split."""
    return [item for item in BACKGROUNDS.values() if split is Split.REPORT or not item.held_out]
