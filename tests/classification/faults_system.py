"""Faults of the operating system: files, memory, processes, threads, locks."""

from __future__ import annotations

import fcntl
import mmap
import resource
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import NoReturn

from otel_monitor_processors.classification import Category
from tests.classification.children import HAS_SYSTEM_RIGHTS, limited, no_descriptors_left, raise_in_child
from tests.classification.faults import fault
from tests.polling import eventually

CONTENTION, NETWORK, TIMEOUT = Category.CONTENTION, Category.NETWORK, Category.TIMEOUT
RESOURCE, WORKER_LOST, APPLICATION = Category.RESOURCE, Category.WORKER_LOST, Category.APPLICATION


@fault("file: disk full", RESOURCE)
def _() -> None:
    with Path("/dev/full").open("wb", buffering=0) as full:
        full.write(b"data")


@fault("file: small disk full", RESOURCE, "small_disk", possible=HAS_SYSTEM_RIGHTS)
def _(small_disk: Path) -> None:
    (small_disk / "file").write_bytes(bytes(2_000_000))


@fault("file: over the limit of its size", APPLICATION)
def _() -> None:
    with limited(resource.RLIMIT_FSIZE, 1000), tempfile.TemporaryFile(buffering=0) as file:
        file.write(bytes(1000))
        file.write(b"data")


@fault("file: unreadable disk", RESOURCE)
def _() -> None:
    with Path("/proc/self/mem").open("rb", buffering=0) as memory:
        memory.read(1)


@fault("file: not there", APPLICATION)
def _() -> None:
    Path("/nowhere/file").read_bytes()


@fault("file: a directory", APPLICATION)
def _() -> None:
    Path("/").read_bytes()


@fault("file: no descriptors left", RESOURCE)
def _() -> None:
    with no_descriptors_left():
        Path("/dev/null").read_bytes()


@fault("socket: no descriptors left", RESOURCE)
def _() -> None:
    with no_descriptors_left():
        socket.create_connection(("127.0.0.1", 1))


@fault("pipe: nobody reads", NETWORK)
def _() -> None:
    process = subprocess.Popen(["true"], stdin=subprocess.PIPE, bufsize=0)
    process.wait()
    assert process.stdin is not None
    with process.stdin as pipe:
        pipe.write(b"data")


@fault("memory: too large a block", RESOURCE)
def _() -> None:
    bytearray(2**62)


@fault("memory: at the process's limit", RESOURCE)
def _() -> None:
    raise_in_child("""
        import resource
        resource.setrlimit(resource.RLIMIT_AS, (2**28, 2**28))
        bytearray(2**28)
    """)


@fault("memory: mapping refused", RESOURCE)
def _() -> None:
    mmap.mmap(-1, 2**46)


@fault("stack: recursion without end", RESOURCE)
def _() -> None:
    def deeper() -> NoReturn:
        deeper()

    deeper()


@fault("thread: cannot start", RESOURCE)
def _() -> None:
    before = threading.stack_size(2**46)
    try:
        threading.Thread(target=print).start()
    finally:
        threading.stack_size(before)


@fault("process: fork at the limit of processes", RESOURCE)
def _() -> None:
    raise_in_child("""
        import os, resource
        if os.geteuid() == 0:
            os.setuid(65534)
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
        os.fork()
    """)


@fault("lock: deadlock of two processes over a file", CONTENTION)
def _() -> None:
    with tempfile.NamedTemporaryFile() as file:
        fcntl.lockf(file, fcntl.LOCK_EX, 1, 0)
        with subprocess.Popen([sys.executable, "-c", _LOCK_BOTH, file.name]) as other:
            try:
                eventually(lambda: _waits_for_lock(other.pid))
                fcntl.lockf(file, fcntl.LOCK_EX, 1, 1)
            finally:
                fcntl.lockf(file, fcntl.LOCK_UN)


_LOCK_BOTH = """
import fcntl, sys
with open(sys.argv[1], "r+b") as file:
    fcntl.lockf(file, fcntl.LOCK_EX, 1, 1)
    fcntl.lockf(file, fcntl.LOCK_EX, 1, 0)
"""


def _waits_for_lock(pid: int) -> bool:
    return any("->" in line and f" {pid} " in line for line in Path("/proc/locks").read_text().splitlines())


@fault("process: took too long", TIMEOUT)
def _() -> None:
    subprocess.run(["sleep", "10"], timeout=0.05, check=False)


@fault("process: killed", WORKER_LOST)
def _() -> None:
    subprocess.run(["sh", "-c", "kill -9 $$"], check=True)


@fault("process: killed below a shell", WORKER_LOST)
def _() -> None:
    subprocess.run(["sh", "-c", "(kill -9 $(sh -c 'echo $PPID')); exit $?"], check=True, stderr=subprocess.DEVNULL)


@fault("process: crashed", WORKER_LOST)
def _() -> None:
    subprocess.run(["sh", "-c", "ulimit -c 0; kill -SEGV $$"], check=True)


@fault("process: asked to stop", APPLICATION)
def _() -> None:
    subprocess.run(["sh", "-c", "kill -TERM $$"], check=True)


@fault("process: failed", APPLICATION)
def _() -> None:
    subprocess.run(["false"], check=True)


@fault("process: program not there", APPLICATION)
def _() -> None:
    subprocess.run(["/nowhere/program"], check=True)
