"""How the fleet really is, read from its database and its processes: the truth beside the telemetry."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass

from otel_monitor.demo.fleet import WORKERS, Fleet

_RATE_WINDOW_S = 2.0


@dataclass(frozen=True, slots=True)
class WorkerState:
    """One worker: what its process does, what the orchestrator thinks of it, and what it gets done."""

    name: str
    process: str
    membership: str
    heartbeat_age_s: float | None
    streams: int
    items_per_s: float


@dataclass(frozen=True, slots=True)
class FleetState:
    """All workers at one moment, and how many streams two of them work on at once."""

    workers: tuple[WorkerState, ...] = ()
    processed_twice: int = 0


def look(fleet: Fleet) -> FleetState:
    """Read the state of a started fleet. It never waits for a lock: readers pass writers here."""
    now = time.time()
    since = now - _RATE_WINDOW_S
    with closing(sqlite3.connect(f"file:{fleet.database}?mode=ro", uri=True, timeout=1.0)) as connection:
        rows = {row[0]: row[1:] for row in connection.execute("SELECT id, state, last_seen FROM workers")}
        streams = dict(connection.execute("SELECT worker_id, count(*) FROM streams GROUP BY worker_id"))
        items = dict(
            connection.execute("SELECT worker_id, count(*) FROM results WHERE at > ? GROUP BY worker_id", (since,))
        )
        twice = connection.execute(
            "SELECT count(*) FROM (SELECT 1 FROM results WHERE at > ? GROUP BY stream_id "
            "HAVING count(DISTINCT worker_id) > 1)",
            (since,),
        ).fetchone()[0]
    workers = []
    for name in WORKERS:
        membership, last_seen = rows.get(name, ("unknown", None))
        workers.append(
            WorkerState(
                name=name,
                process=_process(fleet, name),
                membership=membership,
                heartbeat_age_s=None if last_seen is None else max(0.0, now - last_seen),
                streams=streams.get(name, 0),
                items_per_s=items.get(name, 0) / _RATE_WINDOW_S,
            )
        )
    return FleetState(tuple(workers), twice)


def _process(fleet: Fleet, name: str) -> str:
    program = fleet.programs.get(name)
    if program is None:
        return "not started"
    return program.ending() or ("paused" if program.paused else "running")
