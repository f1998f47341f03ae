"""Running the demo's fleet inside a test, without instrumentation: what a fault does, not who sees it."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing

from otel_monitor.demo.environment import plain
from otel_monitor.demo.fleet import Fleet
from otel_monitor.demo.fleet_state import WorkerState, look


@asynccontextmanager
async def running_fleet() -> AsyncIterator[Fleet]:
    """A fleet that was started and has its streams; nothing of it is left afterwards."""
    fleet = Fleet()
    try:
        await fleet.start(plain)
        yield fleet
    finally:
        await fleet.close()


async def until(holds: Callable[[], bool], what: str, timeout_s: float = 15.0) -> None:
    """Wait until something has become true."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, f"{what} did not come true within {timeout_s:g} s"
        await asyncio.sleep(0.05)


def worker(fleet: Fleet, name: str) -> WorkerState:
    return next(state for state in look(fleet).workers if state.name == name)


def is_lost(fleet: Fleet, *names: str) -> bool:
    return all(worker(fleet, name).membership == "lost" for name in names)


def all_available(fleet: Fleet) -> bool:
    return all(state.membership == "available" for state in look(fleet).workers)


def items(fleet: Fleet, name: str) -> int:
    """How many items a worker has processed so far."""
    with closing(sqlite3.connect(fleet.database)) as connection:
        row = connection.execute("SELECT count(*) FROM results WHERE worker_id = ?", (name,)).fetchone()
    return int(row[0])


def told(fleet: Fleet, name: str, text: str) -> int:
    """How often a program has written `text`."""
    return fleet.programs[name].output().count(text)
