"""How much memory detection takes: a source, each detector's share of it, and whatever number of names comes."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import psutil

from otel_monitor.detection import build_engine
from otel_monitor.settings import Settings
from otel_monitor_processors.engine import Engine
from otel_monitor_processors.observation import (
    Assignment,
    DatabaseOperation,
    Heartbeat,
    Level,
    Link,
    Observation,
    Operation,
    Outcome,
)
from otel_monitor_processors.patterns.catalogue import detectors

START_S = 1.75e9
FEW, MANY, NAMES = 1_000, 10_000, 1_000_000
_ROUNDS = 10
_ROUND_S = 6.0
_NAMES_PER_S = 5_000
_BATCH = 1_000
_ALL = "all detectors and rules"
_NONE = "neither"


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident bytes a source, of a process of its own each, and of a million names together."""

    per_source: float
    per_source_of_many: float
    by_detector: dict[str, float]
    names_bytes: float


def measure() -> Memory:
    """Sources that do a little of everything for a minute, all alike."""
    alone = _resident(_NONE, FEW)
    shares = {str(one.pattern): (_resident(str(one.pattern), FEW) - alone) / FEW for one in detectors()}
    return Memory(_resident(_ALL, FEW) / FEW, _resident(_ALL, MANY) / MANY, shares, _resident(_ALL, NAMES))


def _resident(what: str, sources: int) -> float:
    """By how many bytes a new process has grown."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(_grown, what, sources).result()


def _grown(what: str, sources: int) -> float:
    engine = _MAKE[what]() if what in _MAKE else Engine((), [one for one in detectors() if str(one.pattern) == what])
    process = psutil.Process()
    gc.collect()
    before = process.memory_info().rss
    for batch in _names(sources) if sources == NAMES else _everything(sources):
        engine.observe(batch)
    gc.collect()
    return float(process.memory_info().rss - before)


_MAKE: dict[str, Callable[[], Engine]] = {_ALL: lambda: build_engine(Settings()), _NONE: lambda: Engine((), ())}


def _everything(sources: int) -> Iterator[list[Observation]]:
    """Work, calls to a database and to a peer, heartbeats, assignments and levels, ten times each."""
    for turn in range(_ROUNDS):
        for first in range(0, sources, _BATCH):
            batch: list[Observation] = []
            for number in range(first, min(first + _BATCH, sources)):
                batch += _said(START_S + _ROUND_S * (turn + number / sources), f"source-{number}", f"{number}-{turn}")
            yield batch


def _said(at: float, source: str, task: str) -> Iterable[Observation]:
    return (
        Operation(at, source, "process", Outcome.OK, 0.1, service="shop"),
        DatabaseOperation(at, source, "postgresql", Outcome.OK, 0.01, service="shop"),
        Link(at, source, "bank", True, 0.02, service="shop"),
        Heartbeat(at, source, "boss"),
        Assignment(at, source, "boss", "order", task),
        *(Level(at, source, resource, 0.5, 1.0, "shop") for resource in ("cpu", "memory", "disk")),
    )


def _names(number: int) -> Iterator[list[Observation]]:
    """Every name works once and has one heartbeat, and is never heard of again."""
    for first in range(0, number, _BATCH):
        batch: list[Observation] = []
        for name in range(first, first + _BATCH):
            at = START_S + name / _NAMES_PER_S
            batch.append(Operation(at, f"source-{name}", "process", Outcome.OK, 0.1, service="shop"))
            batch.append(Heartbeat(at, f"source-{name}", "boss"))
        yield batch
