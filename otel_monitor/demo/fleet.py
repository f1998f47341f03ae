"""The fleet that the demo breaks: one orchestrator, its workers, and the network between them."""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from otel_monitor.demo.program import Program
from otel_monitor.demo.proxy import Proxy
from otel_monitor.errors import OtelMonitorError

PROGRAMS = Path(__file__).with_name("programs")
ORCHESTRATOR = "orchestrator"
WORKERS = ("w1", "w2", "w3", "w4")
MEMORY_LIMIT_BYTES = 600 * 1024 * 1024
"""What each worker is told to be its limit, and where it is killed as if it had run out of memory."""

_START_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 4.0
_LISTENING = re.compile(r"listening on 127\.0\.0\.1:(\d+)$", re.MULTILINE)
_WATCHDOG = Path(__file__).with_name("watchdog.py")

Launch = Callable[[str], tuple[Sequence[str], Mapping[str, str]]]
"""From a program's name (`orchestrator`, `w1` ...) to its environment, after what stands before its script."""


class FleetError(OtelMonitorError):
    """The demo's programs do not run as they should."""


class Fleet:
    """Starts and stops the programs, and gives the faults a grip on them."""

    def __init__(self, *, keep: bool = False) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="otel-monitor-demo-"))
        self.database = self.directory / "fleet.db"
        self.proxies: dict[str, Proxy] = {}
        self.programs: dict[str, Program] = {}
        self._launch: Launch | None = None
        self._keep = keep
        command = [sys.executable, "-S", "-E", str(_WATCHDOG), *([] if keep else [str(self.directory)])]
        self._watchdog = subprocess.Popen(  # noqa: S603 - our own script
            command, stdin=subprocess.PIPE, start_new_session=True, text=True
        )

    async def start(self, launch: Launch) -> None:
        """Start everything as `launch` says, and return when every worker has its streams.

        Raises:
            FleetError: a program ended, or did not get ready in time.
        """
        self._launch = launch
        orchestrator = self._start(ORCHESTRATOR, "orchestrator.py", "--port", "0")
        await self._until(lambda: _LISTENING.search(orchestrator.output()) is not None, "the orchestrator to listen")
        found = _LISTENING.search(orchestrator.output())
        for worker_id in WORKERS:
            proxy = self.proxies[worker_id] = Proxy("127.0.0.1", int(found[1]) if found else 0)
            await proxy.start()
            self.start_worker(worker_id)
        await self._until(lambda: len(set(self.owners().values())) == len(WORKERS), "the workers to get their streams")

    def start_worker(self, worker_id: str) -> None:
        address = f"127.0.0.1:{self.proxies[worker_id].port}"
        self._start(worker_id, "worker.py", "--id", worker_id, "--orchestrator", address)

    def restart_dead_workers(self) -> list[str]:
        """Start again what has ended, as a service manager does, and name it."""
        dead = [worker_id for worker_id in WORKERS if not self.programs[worker_id].alive]
        for worker_id in dead:
            self._tell_watchdog(f"-{self.programs[worker_id].pid}")
            self.start_worker(worker_id)
        return dead

    def execute(self, statement: str, *parameters: object) -> None:
        """Change the fleet's database, as an operator or a producer of data does."""
        with closing(sqlite3.connect(self.database, timeout=5.0, isolation_level=None)) as connection:
            connection.execute(statement, parameters)

    def owners(self) -> dict[str, str | None]:
        """Who works on each stream, as the database has it."""
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=5.0)) as connection:
            return {str(row[0]): row[1] for row in connection.execute("SELECT id, worker_id FROM streams ORDER BY id")}

    def streams_of(self, worker_id: str) -> list[str]:
        return [stream_id for stream_id, owner in self.owners().items() if owner == worker_id]

    def kill(self, name: str) -> None:
        self.programs[name].signal(signal.SIGKILL)

    async def stop(self) -> None:
        """End the programs in good order, the workers first; what does not end is killed."""
        for names in (WORKERS, (ORCHESTRATOR,)):
            programs = [self.programs[name] for name in names if name in self.programs]
            for program in programs:
                program.signal(signal.SIGTERM)
            await asyncio.gather(*(program.ended(_STOP_TIMEOUT_S) for program in programs))

    async def close(self) -> None:
        """Kill whatever still runs, and remove what was written unless it is to be kept."""
        for program in self.programs.values():
            program.signal(signal.SIGKILL)
            program.process.wait()
            self._tell_watchdog(f"-{program.pid}")
        for proxy in self.proxies.values():
            await proxy.stop()
        if self._watchdog.stdin is not None:
            self._watchdog.stdin.close()
        self._watchdog.wait()
        if not self._keep:
            shutil.rmtree(self.directory, ignore_errors=True)

    def _start(self, name: str, script: str, *arguments: str) -> Program:
        if self._launch is None:
            raise FleetError("the fleet is not started")
        prefix, environment = self._launch(name)
        command = [*prefix, str(PROGRAMS / script), "--database", str(self.database), *arguments]
        program = Program(name, command, environment, self.directory / f"{name}.log", MEMORY_LIMIT_BYTES)
        self.programs[name] = program
        self._tell_watchdog(f"+{program.pid}")
        return program

    def _tell_watchdog(self, line: str) -> None:
        if self._watchdog.stdin is not None:
            self._watchdog.stdin.write(line + "\n")
            self._watchdog.stdin.flush()

    async def _until(self, ready: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not ready():
            for program in self.programs.values():
                if not program.alive:
                    raise FleetError(f"{program.name} ended ({program.ending()}):\n{program.last_lines()}")
            if time.monotonic() > deadline:
                last = "\n".join(f"{name}: {program.last_lines(1)}" for name, program in self.programs.items())
                raise FleetError(f"waited {_START_TIMEOUT_S:.0f} s for {what}, in vain:\n{last}")
            await asyncio.sleep(0.05)
