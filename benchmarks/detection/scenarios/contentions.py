"""Transactions in each other's way."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from benchmarks.detection.otlp.profile import Capability
from benchmarks.detection.scenarios.mechanism import (
    CONTENTION,
    EVERYWHERE,
    HELD_OUT,
    NOT_FITTED,
    Stage,
    mechanism,
)
from benchmarks.detection.simulator.database import Statement
from benchmarks.detection.simulator.kernel import Body
from benchmarks.detection.simulator.locks import Key
from benchmarks.detection.simulator.shape import Shape
from benchmarks.detection.simulator.world import World

Rewrite = Callable[[tuple[Statement, ...]], tuple[Statement, ...]]


def _locking_server(shape: Shape, rng: random.Random) -> None:
    if shape.database == "sqlite":
        shape.database = rng.choice(("postgresql", "mysql"))


def _postgres(shape: Shape, _rng: random.Random) -> None:
    shape.database = "postgresql"


def _all_write(world: World, _rng: random.Random) -> None:
    """Every kind of task uses the database, as contention needs writers."""
    table = world.names.tables[0]
    kinds = []
    for kind in world.kinds:
        writes = tuple(statement for statement in kind.statements if statement.writes)
        kinds.append(kind if writes else replace(kind, statements=(Statement("UPDATE", table, 0.004),)))
    world.kinds = tuple(kinds)
    world.workload.kinds = world.kinds


def _judge(stage: Stage) -> None:
    episode, database = stage.episode, stage.world.database
    episode.sources = stage.nodes_with("locked at ", 1)
    episode.accepted = [[database.node.name], [database.system]]
    episode.root = database.node.name
    recorded = "locked errors" if not stage.instrumentation.records_spans else "locked, recorded"
    episode.visible = stage.new_signs(recorded) >= 5
    stage.finish()


def _during(stage: Stage, rewrite: Rewrite, seconds: float) -> Body[None]:
    database = stage.world.database
    stage.begin()
    database.rewrite = rewrite
    yield seconds
    database.rewrite = None
    _judge(stage)


@mechanism("a lock is held", CONTENTION, EVERYWHERE, Capability.DATABASE, prepare=_all_write)
def held_lock(stage: Stage) -> Body[None]:
    """Another session locks a table, or the whole database, and keeps it."""
    world, rng = stage.world, stage.rng
    database = world.database
    keys: tuple[Key, ...] = tuple((table,) for table in world.names.tables)
    if world.shape.writes_heartbeats and rng.random() < 0.7:
        keys = (*keys, ("workers",))
    if database.system == "sqlite":
        keys = (("", "the database"),)
    stage.begin()
    for _ in range(rng.choice((1, 1, 2, 3))):
        yield from database.hold(keys, stage.seconds(30.0, 120.0, tasks=30))
        yield rng.uniform(1.0, 10.0)
    _judge(stage)


@mechanism("a hot row", CONTENTION, EVERYWHERE, Capability.DATABASE, shape=_locking_server, prepare=_all_write)
def hot_row(stage: Stage) -> Body[None]:
    """Everybody updates the same row, in transactions that last: a line forms before it."""
    rng = stage.rng
    rows = [f"hot-{number}" for number in range(rng.choice((1, 1, 2)))]
    held_s = min(4.0, rng.uniform(1.5, 4.0) * len(rows) / (stage.world.workload.current_rate()))
    share = rng.uniform(0.6, 1.0)

    def rewrite(statements: tuple[Statement, ...]) -> tuple[Statement, ...]:
        return tuple(
            replace(statement, row=rng.choice(rows), seconds=held_s)
            if statement.writes and rng.random() < share
            else statement
            for statement in statements
        )

    yield from _during(stage, rewrite, stage.seconds(60.0, 240.0, tasks=60))


@mechanism(
    "a storm of deadlocks", CONTENTION, EVERYWHERE, Capability.DATABASE, shape=_locking_server, prepare=_all_write
)
def deadlocks(stage: Stage) -> Body[None]:
    """Two code paths lock the same rows in opposite order."""
    rng = stage.rng
    rows = [f"pair-{number}" for number in range(rng.choice((2, 3, 4)))]
    held_s = min(3.0, rng.uniform(0.6, 1.5) * len(rows) / (stage.world.workload.current_rate()))

    def rewrite(statements: tuple[Statement, ...]) -> tuple[Statement, ...]:
        first = next((statement for statement in statements if statement.writes), None)
        if first is None:
            return statements
        one, other = rng.sample(rows, k=2)
        return (replace(first, row=one, seconds=held_s), replace(first, row=other, seconds=held_s))

    yield from _during(stage, rewrite, stage.seconds(60.0, 240.0, tasks=60))


@mechanism("serialisation failures", CONTENTION, NOT_FITTED, Capability.DATABASE, shape=_postgres, prepare=_all_write)
def serialisation(stage: Stage) -> Body[None]:
    """Transactions read, compute and write the same few rows: all but the first must begin again."""
    rng, database = stage.rng, stage.world.database
    rows = [f"counter-{number}" for number in range(rng.choice((1, 2, 3)))]
    held_s = min(4.0, rng.uniform(1.0, 2.5) * len(rows) / (stage.world.workload.current_rate()))
    database.serializable = True

    def rewrite(statements: tuple[Statement, ...]) -> tuple[Statement, ...]:
        return tuple(
            replace(statement, row=rng.choice(rows), seconds=held_s) if statement.writes else statement
            for statement in statements
        )

    yield from _during(stage, rewrite, stage.seconds(60.0, 240.0, tasks=60))
    database.serializable = False


@mechanism("a long transaction", CONTENTION, HELD_OUT, Capability.DATABASE, shape=_locking_server, prepare=_all_write)
def long_transaction(stage: Stage) -> Body[None]:
    """A bulk update locks a good part of a table's rows until it is done."""
    world, rng = stage.world, stage.rng
    share = rng.uniform(0.3, 0.8)
    keys: list[Key] = [
        (table, str(row)) for table in world.names.tables for row in range(10_000) if rng.random() < share
    ]
    stage.begin()
    yield from world.database.hold(tuple(keys), stage.seconds(60.0, 240.0, tasks=60))
    _judge(stage)


@mechanism("idle in transaction", CONTENTION, HELD_OUT, Capability.DATABASE, shape=_locking_server, prepare=_all_write)
def idle_in_transaction(stage: Stage) -> Body[None]:
    """Programs do slow things between a write and its commit; few rows, and each is waited for."""
    rng = stage.rng
    rows = [f"batch-{number}" for number in range(rng.randint(4, 12))]
    idle_s = min(6.0, rng.uniform(1.2, 3.0) * len(rows) / (stage.world.workload.current_rate()))

    def rewrite(statements: tuple[Statement, ...]) -> tuple[Statement, ...]:
        first = next((statement for statement in statements if statement.writes), None)
        if first is None:
            return statements
        row = rng.choice(rows)
        return (replace(first, row=row), Statement("SELECT", first.table, idle_s, writes=False))

    yield from _during(stage, rewrite, stage.seconds(60.0, 240.0, tasks=60))
