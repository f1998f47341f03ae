"""Faults that need a process of their own: its limits, its user, its network."""

from __future__ import annotations

import os
import pickle
import resource
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CAP_SYS_ADMIN = 21


def _capabilities() -> int:
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("CapEff:")).split()[1], 16)


HAS_SYSTEM_RIGHTS = os.geteuid() == 0 and bool(_capabilities() >> _CAP_SYS_ADMIN & 1)
"""Whether this process may mount file systems and take a network of its own."""


def raise_in_child(code: str) -> None:
    """Run code in a Python process of its own, and raise here the exception that it pickles."""
    program = (
        "import pickle, sys\n"
        "try:\n"
        f"    exec({textwrap.dedent(code)!r})\n"
        "except BaseException as error:\n"
        "    sys.stdout.buffer.write(pickle.dumps(error))\n"
    )
    child = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=True, timeout=30)
    raise pickle.loads(child.stdout)


@contextmanager
def limited(kind: int, soft: int) -> Iterator[None]:
    """A lower limit of this process's own."""
    before = resource.getrlimit(kind)
    resource.setrlimit(kind, (soft, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(kind, before)


@contextmanager
def no_descriptors_left(spare: int = 0) -> Iterator[None]:
    """No more than `spare` files or sockets can be opened."""
    highest = max(int(descriptor.name) for descriptor in Path("/proc/self/fd").iterdir())
    held: list[int] = []
    with limited(resource.RLIMIT_NOFILE, highest + 1 + spare):
        try:
            while True:
                held.append(os.dup(0))
        except OSError:
            for descriptor in held[len(held) - spare :]:
                os.close(descriptor)
            del held[len(held) - spare :]
        try:
            yield
        finally:
            for descriptor in held:
                os.close(descriptor)
