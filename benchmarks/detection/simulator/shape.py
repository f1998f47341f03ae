"""What kind of system is simulated: its size, load, routing, database, zones and services."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum

LOADS = (0.1, 0.3, 1.0, 3.0, 10.0)
FLEETS = (5, 12, 50)


class Routing(StrEnum):
    """How tasks find their workers."""

    LEAST_LOADED = "least loaded"
    ROUND_ROBIN = "round robin"
    PULL = "pull"
    OWNERS = "owners"
    """Each stream belongs to a worker."""


@dataclass(slots=True)
class Shape:
    """One kind of system."""

    workers: int = 12
    load: float = 1.0
    heartbeat_s: float = 2.0
    orchestrators: int = 1
    standby: bool = False
    """Whether the second orchestrator only waits for the first one's end."""
    routing: Routing = Routing.LEAST_LOADED
    database: str = "postgresql"
    writes_heartbeats: bool = False
    zones: int = 1
    services: int = 3
    mesh: bool = False
    """Whether workers fetch data from each other."""
    unequal: bool = False
    """Whether some workers are larger and are given more."""
    burst: float = 1.0
    """Mean number of tasks that come at once."""
    utilisation: float = 0.35
    tide: float = 0.2
    """How much the load of a day's busiest hour is above the mean."""


def draw_shape(rng: random.Random, *, workers: int | None = None, load: float | None = None) -> Shape:
    """A system at random; the intervals of heartbeats lie between a quarter of a second and half a minute."""
    size = workers if workers is not None else rng.choices(FLEETS, weights=(3, 5, 1))[0]
    two = rng.random() < 0.25
    return Shape(
        workers=size,
        load=load if load is not None else rng.choice(LOADS),
        heartbeat_s=_heartbeat_s(rng, size),
        orchestrators=2 if two else 1,
        standby=two and rng.random() < 0.5,
        routing=rng.choices(list(Routing), weights=(4, 2, 3, 3))[0],
        database=rng.choices(("postgresql", "mysql", "sqlite"), weights=(5, 3, 2))[0],
        writes_heartbeats=rng.random() < 0.3,
        zones=rng.choices((1, 2, 3), weights=(4, 3, 3))[0],
        services=rng.choices((0, 1, 3, 5), weights=(2, 2, 3, 3))[0],
        mesh=rng.random() < 0.35,
        unequal=rng.random() < 0.2,
        burst=rng.choices((1.0, 2.0, 4.0), weights=(6, 2, 1))[0],
        utilisation=rng.uniform(0.12, 0.5),
        tide=rng.uniform(0.0, 0.4),
    )


def _heartbeat_s(rng: random.Random, workers: int) -> float:
    intervals = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0)
    weights = (1, 2, 4, 5, 6, 4, 2, 1) if workers <= 12 else (0, 0, 2, 4, 6, 5, 2, 1)
    return rng.choices(intervals, weights=weights)[0]
