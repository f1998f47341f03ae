"""The faults: each breaks the fleet from outside, as life does, and mends it again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sqlite3
import time
from typing import ClassVar, Protocol

from otel_monitor.demo.fault_names import FaultName
from otel_monitor.demo.fleet import MEMORY_LIMIT_BYTES, Fleet
from otel_monitor.demo.programs.worker import score
from otel_monitor_processors.patterns.verdict import Pattern

_OOM_POLL_S = 0.05
_OOM_STEP_BYTES = 12_000_000
_OOM_ITEMS_PER_S = 2
_CPU_S_PER_ITEM = 0.6
_MEASURED_CPU_S = 0.02
_BROKEN_LENGTH = 512 * 1024 * 1024


class Fault(Protocol):
    """One way to break the fleet: `title` says what is done to whom, `verdict` what is to be recognised."""

    title: ClassVar[str]
    verdict: ClassVar[Pattern | None]

    async def inject(self, fleet: Fleet, seconds: float) -> None:
        """Break it; the fault is to last for about `seconds`."""

    async def heal(self, fleet: Fleet) -> None:
        """Take the cause away. What died stays dead."""


class Kill9:
    """Workers that die without a word."""

    title: ClassVar[str] = "w3 and w4 are killed with SIGKILL"
    verdict: ClassVar[Pattern | None] = Pattern.HEARTBEAT_DEGRADATION

    async def inject(self, fleet: Fleet, seconds: float) -> None:
        del seconds
        for name in ("w3", "w4"):
            fleet.kill(name)

    async def heal(self, fleet: Fleet) -> None:
        """Nothing to mend: the service manager starts them again."""


class Partition:
    """Workers that live, and cannot be reached."""

    title: ClassVar[str] = "the network drops everything between w3, w4 and the orchestrator; connections stay open"
    verdict: ClassVar[Pattern | None] = Pattern.NETWORK_PARTITION

    async def inject(self, fleet: Fleet, seconds: float) -> None:
        del seconds
        for name in ("w3", "w4"):
            fleet.proxies[name].dropping = True

    async def heal(self, fleet: Fleet) -> None:
        for name in ("w3", "w4"):
            fleet.proxies[name].dropping = False
            fleet.proxies[name].disconnect()


class Sigstop:
    """A worker that stands still: a paused machine, a frozen container."""

    title: ClassVar[str] = "w3 is paused with SIGSTOP"
    verdict: ClassVar[Pattern | None] = Pattern.HEARTBEAT_DEGRADATION

    async def inject(self, fleet: Fleet, seconds: float) -> None:
        del seconds
        fleet.programs["w3"].signal(signal.SIGSTOP)

    async def heal(self, fleet: Fleet) -> None:
        fleet.programs["w3"].signal(signal.SIGCONT)


class Dblock:
    """A transaction that somebody forgot to end."""

    title: ClassVar[str] = "another process holds the write lock of the shared database"
    verdict: ClassVar[Pattern | None] = Pattern.DATABASE_CONTENTION

    def __init__(self) -> None:
        self._connection: sqlite3.Connection | None = None

    async def inject(self, fleet: Fleet, seconds: float) -> None:
        del seconds
        self._connection = sqlite3.connect(fleet.database, timeout=10.0, isolation_level=None)
        self._connection.execute("BEGIN IMMEDIATE")

    async def heal(self, fleet: Fleet) -> None:
        if self._connection is not None:
            self._connection.rollback()
            self._connection.close()


class Skew:
    """A change of configuration with a slip of the finger."""

    title: ClassVar[str] = "an operator gives w1 the weight 21: it gets 21 streams, the others one each"
    verdict: ClassVar[Pattern | None] = Pattern.LOAD_IMBALANCE

    async def inject(self, fleet: Fleet, seconds: float) -> None:
        del seconds
        fleet.execute("UPDATE workers SET weight = 21 WHERE id = 'w1'")

    async def heal(self, fleet: Fleet) -> None:
        fleet.execute("UPDATE workers SET weight = 1")


class Jitter:
    """A network that delivers everything, some time."""

    title: ClassVar[str] = "the network to w3 and w4 delays what it carries by 0.02 to 1.2 s"
    verdict: ClassVar[Pattern | None] = Pattern.HEARTBEAT_DEGRADATION

    async def inject(self, fleet: Fleet, seconds: float) -> None:
        del seconds
        for name in ("w3", "w4"):
            fleet.proxies[name].delay_s = (0.02, 1.2)

    async def heal(self, fleet: Fleet) -> None:
        for name in ("w3", "w4"):
            fleet.proxies[name].delay_s = None


class _BadData:
    """Faults that come with the data: some streams carry a payload that the workers cannot stand."""

    def __init__(self) -> None:
        self._streams: list[str] = []

    def _spoil(self, fleet: Fleet, streams: list[str], **fields: int) -> None:
        self._streams = streams
        for stream_id in streams:
            payload = json.dumps({"text": f"reading of {stream_id} " * 4, **fields})
            fleet.execute("UPDATE streams SET payload = ? WHERE id = ?", payload, stream_id)

    async def heal(self, fleet: Fleet) -> None:
        self._spoil(fleet, self._streams)


class Cascade(_BadData):
    """A poisoned task that is handed on to the next victim."""

    title: ClassVar[str] = "an item of stream s24 with a wrong length crashes every worker that reads it"
    verdict: ClassVar[Pattern | None] = Pattern.CASCADING_FAILURES

    async def inject(self, fleet: Fleet, seconds: float) -> None:
        del seconds
        self._spoil(fleet, ["s24"], length=_BROKEN_LENGTH)


class Cpu(_BadData):
    """Data that costs far more computation than it used to."""

    title: ClassVar[str] = "the streams of w2 carry items that take 0.6 s of CPU each, on its event loop"
    verdict: ClassVar[Pattern | None] = Pattern.HEARTBEAT_DEGRADATION

    async def inject(self, fleet: Fleet, seconds: float) -> None:
        del seconds
        self._spoil(fleet, fleet.streams_of("w2"), passes=_passes(_CPU_S_PER_ITEM))


class Oom(_BadData):
    """Data that a cache keeps without a bound."""

    title: ClassVar[str] = "items of 12 MB fill the memory of w2 until it is killed at 600 MB"
    verdict: ClassVar[Pattern | None] = Pattern.RESOURCE_EXHAUSTION

    def __init__(self) -> None:
        super().__init__()
        self._killer: asyncio.Task[None] | None = None

    async def inject(self, fleet: Fleet, seconds: float) -> None:
        limit_reached_s = 0.7 * seconds
        streams = round(MEMORY_LIMIT_BYTES / (limit_reached_s * _OOM_ITEMS_PER_S * _OOM_STEP_BYTES)) or 1
        text_bytes = len("reading of s01 " * 4)
        self._spoil(fleet, fleet.streams_of("w2")[:streams], copies=_OOM_STEP_BYTES // text_bytes)
        self._killer = asyncio.create_task(self._kill_at_limit(fleet))

    async def heal(self, fleet: Fleet) -> None:
        if self._killer is not None:
            self._killer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._killer
        await super().heal(fleet)

    async def _kill_at_limit(self, fleet: Fleet) -> None:
        """Do what the kernel's OOM killer does; the large items end with the worker."""
        while fleet.programs["w2"].resident_bytes() < MEMORY_LIMIT_BYTES:
            await asyncio.sleep(_OOM_POLL_S)
        fleet.kill("w2")
        await super().heal(fleet)


class Nothing:
    """The control: whatever fires here is a false alarm."""

    title: ClassVar[str] = "nothing is broken: no alert may come"
    verdict: ClassVar[Pattern | None] = None

    async def inject(self, fleet: Fleet, seconds: float) -> None:
        """Leave the fleet alone."""

    async def heal(self, fleet: Fleet) -> None:
        """Nothing to mend."""


FAULTS: dict[FaultName, type[Fault]] = {
    FaultName.KILL9: Kill9,
    FaultName.PARTITION: Partition,
    FaultName.SIGSTOP: Sigstop,
    FaultName.DBLOCK: Dblock,
    FaultName.SKEW: Skew,
    FaultName.JITTER: Jitter,
    FaultName.CASCADE: Cascade,
    FaultName.CPU: Cpu,
    FaultName.OOM: Oom,
    FaultName.NONE: Nothing,
}


def _passes(cpu_s: float) -> int:
    """How many passes of a worker's `score` take `cpu_s` on this machine."""
    document = b"x" * 64
    passes, spent_s = 1000, 0.0
    while spent_s < _MEASURED_CPU_S:
        passes *= 2
        started = time.thread_time()
        score(document, passes)
        spent_s = time.thread_time() - started
    return round(passes * cpu_s / spent_s)
