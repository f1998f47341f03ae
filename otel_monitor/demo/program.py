"""One program of the demo: a process in a session of its own, its output in a file."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

_POLL_S = 0.05
_LIMITED = 'ulimit -c 0; ulimit -m "$0" 2>/dev/null; exec "$@"'
"""No core dumps from the programs that are made to crash, and a declared limit of memory, in KiB."""


class Program:
    """A started program. Its process group is its process id, as it leads a session."""

    def __init__(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path, memory_limit: int
    ) -> None:
        self.name = name
        self.log = log
        self.started_at = time.time()
        with log.open("ab") as output:
            output.write(f"$ {shlex.join(command)}\n".encode())
            output.flush()
            self.process = subprocess.Popen(  # noqa: S603 - our own programs, no shell expands the arguments
                ["/bin/sh", "-c", _LIMITED, str(memory_limit // 1024), *command],
                env=dict(environment),
                cwd=log.parent,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    @property
    def paused(self) -> bool:
        with contextlib.suppress(psutil.Error):
            return bool(psutil.Process(self.pid).status() == psutil.STATUS_STOPPED)
        return False

    def ending(self) -> str | None:
        """How the process ended: `exit 1`, `SIGKILL`; None while it lives."""
        code = self.process.poll()
        if code is None:
            return None
        return f"exit {code}" if code >= 0 else signal.Signals(-code).name

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the whole process group, if there is anything left of it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def resident_bytes(self) -> int:
        """Memory in use, 0 when the process is gone."""
        with contextlib.suppress(psutil.Error):
            return int(psutil.Process(self.pid).memory_info().rss)
        return 0

    async def ended(self, timeout_s: float) -> bool:
        """Whether the process has ended within `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while self.alive and time.monotonic() < deadline:
            await asyncio.sleep(_POLL_S)
        return not self.alive

    def output(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def last_lines(self, count: int = 5) -> str:
        return "\n".join(self.output().splitlines()[-count:])
