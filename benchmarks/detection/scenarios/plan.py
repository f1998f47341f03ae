"""What a scenario will be, drawn from its seed alone: the system, its telemetry, and what happens when."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from benchmarks.detection.otlp.profile import Capability, Profile, Signal, draw_profile
from benchmarks.detection.scenarios import (  # noqa: F401 - they register what they define
    cascades,
    contentions,
    exhaustions,
    imbalances,
    machine_events,
    membership_events,
    partitions,
    slow_heartbeats,
    telemetry_events,
    traffic_events,
)
from benchmarks.detection.scenarios.background import Background, backgrounds_of
from benchmarks.detection.scenarios.mechanism import IMBALANCE, PATTERNS, Mechanism, mechanisms_of
from benchmarks.detection.scenarios.split import Split, number_of
from benchmarks.detection.simulator.shape import Shape, draw_shape

_LOADS = (1.0, 0.1, 1.0, 3.0, 1.0, 0.3, 1.0, 10.0, 1.0, 0.1)
"""Loads of the failing scenarios, one after the other: half of them at 1."""
_OVERLAPPING = 12
"""One failing scenario in so many has a second failure on top of the first."""
_HEALTHY_LOADS = ((0.1, 0.3, 1.0, 3.0), (10, 6, 3, 0.3))
_HEALTHY_S = 6 * 3_600.0
_LEAD_IN_S = (480.0, 780.0)
_TAIL_S = 330.0
_LONGEST_FAULT_S = 2_700.0
_TRIES = 60
_AGAIN_S = 1_200.0


@dataclass(frozen=True, slots=True)
class Happening:
    """A mechanism or a background, and when it begins, in seconds after the recording's begin."""

    what: Mechanism | Background
    after_s: float


@dataclass(slots=True)
class Plan:
    """One scenario."""

    seed: int
    split: Split
    shape: Shape
    profile: Profile
    start: float
    length_s: float
    """The least; a scenario with failures lasts until their effects have passed."""
    tail_s: float = _TAIL_S
    longest_s: float = 6 * 3_600.0
    faults: list[Happening] = field(default_factory=list)
    backgrounds: list[Happening] = field(default_factory=list)

    @property
    def mechanisms(self) -> list[Mechanism]:
        return [item.what for item in self.faults if isinstance(item.what, Mechanism)]


def plan(seed: int) -> Plan:
    """The scenario of a seed."""
    split = Split.of(seed)
    number, fails = number_of(seed)
    rng = random.Random(f"otel-monitor {seed} plan")
    return _failing(seed, split, number, rng) if fails else _healthy(seed, split, rng)


def _start(rng: random.Random) -> float:
    """Some second of 2024 or 2025."""
    return float(int(1_704_067_200 + rng.random() * 2 * 365 * 86_400))


def _failing(seed: int, split: Split, number: int, rng: random.Random) -> Plan:
    pattern = PATTERNS[number % len(PATTERNS)]
    turn = number // len(PATTERNS)
    choices = mechanisms_of(pattern, split)
    first = choices[turn % len(choices)]
    load = _LOADS[(turn + turn // len(choices)) % len(_LOADS)]  # each mechanism meets all loads in time
    mechanisms = [first]
    if rng.random() < 1 / _OVERLAPPING:
        other = rng.choice([item for item in PATTERNS if item != pattern])
        mechanisms.append(rng.choice(mechanisms_of(other, split)))
    shape, profile = _system(mechanisms, load, rng)
    lead_in_s = max(rng.uniform(*_LEAD_IN_S), 25 * shape.heartbeat_s)
    made = Plan(seed, split, shape, profile, _start(rng), lead_in_s, longest_s=lead_in_s + _LONGEST_FAULT_S)
    made.faults.append(Happening(first, lead_in_s))
    for item in mechanisms[1:]:
        made.faults.append(Happening(item, lead_in_s + rng.uniform(10.0, 120.0)))
    pool = [item for item in backgrounds_of(split) if not item.alone]
    for event in rng.sample(pool, k=rng.choices((0, 1, 2), weights=(3, 4, 2))[0]):
        made.backgrounds.append(Happening(event, rng.uniform(60.0, lead_in_s + 200.0)))
    return made


def _system(mechanisms: list[Mechanism], load: float, rng: random.Random) -> tuple[Shape, Profile]:
    """A system in which these mechanisms can happen, and telemetry that shows them."""
    shape, profile = _draw(mechanisms, load, rng)
    for _ in range(_TRIES):
        found = profile.capabilities(load)
        if all(item.needs & found for item in mechanisms) and _shown(mechanisms, profile):
            return shape, profile
        shape, profile = _draw(mechanisms, load, rng)
    profile.signals, profile.sampling, profile.metric_interval_s = frozenset(Signal), 1.0, 10.0
    profile.heartbeat_events = True
    return shape, profile


def _draw(mechanisms: list[Mechanism], load: float, rng: random.Random) -> tuple[Shape, Profile]:
    shape = draw_shape(rng, load=load, workers=rng.choice((5, 12)) if load > 5 else None)
    for item in sorted(mechanisms, key=lambda item: item.pattern == IMBALANCE):  # those need their way of routing
        item.shape(shape, rng)
    return shape, draw_profile(rng, heartbeat_s=shape.heartbeat_s)


def _shown(mechanisms: list[Mechanism], profile: Profile) -> bool:
    """Mechanisms that need metrics get them often enough."""
    return all(Capability.LEVELS not in item.needs or profile.metric_interval_s <= 30.0 for item in mechanisms)


def _healthy(seed: int, split: Split, rng: random.Random) -> Plan:
    loads, weights = _HEALTHY_LOADS
    shape = draw_shape(rng, workers=12, load=rng.choices(loads, weights=weights)[0])
    shape.heartbeat_s = max(shape.heartbeat_s, rng.choice((1.0, 2.0, 5.0)))  # thirty days of it must be affordable
    profile = draw_profile(rng, heartbeat_s=shape.heartbeat_s)
    profile.metric_interval_s = rng.choices((10.0, 15.0, 30.0, 60.0), weights=(0.5, 2, 4, 3))[0]
    profile.sampling = rng.choices((1.0, 0.1, 0.01), weights=(5, 4, 1))[0]
    made = Plan(seed, split, shape, profile, _start(rng), _HEALTHY_S, tail_s=0.0)
    at = rng.uniform(300.0, 900.0)
    pool = backgrounds_of(split)
    last: dict[str, float] = {}
    while at < _HEALTHY_S - 600.0:
        event = rng.choice(pool)
        if at - last.get(event.name, -_AGAIN_S) >= _AGAIN_S:  # no event on top of itself
            last[event.name] = at
            made.backgrounds.append(Happening(event, at))
        at += rng.expovariate(1.0 / 580.0)
    return made
