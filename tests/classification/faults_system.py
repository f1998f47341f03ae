"""Faults of the operating system: files, memory, processes, threads, locks; and control flow of the language."""

from __future__ import annotations

import asyncio
import concurrent.futures
import fcntl
import mmap
import multiprocessing
import os
import queue
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

from otel_monitor_processors.classification import Category

from tests.classification.children import HAS_SYSTEM_RIGHTS, limited, no_descriptors_left, raise_in_child
from tests.classification.faults import fault

CONTENTION, NETWORK, TIMEOUT = Category.CONTENTION, Category.NETWORK, Category.TIMEOUT
RESOURCE, WORKER_LOST, APPLICATION = Category.RESOURCE, Category.WORKER_LOST, Category.APPLICATION
SPAWN = multiprocessing.get_context("spawn")


@fault("file: disk full", RESOURCE)
def _() -> None:
    with Path("/dev/full").open("wb", buffering=0) as full:
        full.write(b"data")


if HAS_SYSTEM_RIGHTS:

    @fault("file: small disk full", RESOURCE, "small_disk")
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
        file.write(b"ab")
        file.flush()
        fcntl.lockf(file, fcntl.LOCK_EX, 1, 0)
        other = subprocess.Popen(
            [sys.executable, "-c", _LOCK_BOTH, file.name], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert other.stdin is not None
        assert other.stdout is not None
        try:
            other.stdout.readline()
            while "F_SETLKW" not in _waiting(other.pid):
                pass
            fcntl.lockf(file, fcntl.LOCK_EX, 1, 1)
        finally:
            fcntl.lockf(file, fcntl.LOCK_UN)
            other.communicate()


_LOCK_BOTH = """
import fcntl, sys
with open(sys.argv[1], "r+b") as file:
    fcntl.lockf(file, fcntl.LOCK_EX, 1, 1)
    print(flush=True)
    fcntl.lockf(file, fcntl.LOCK_EX, 1, 0)
"""


def _waiting(pid: int) -> str:
    locks = Path("/proc/locks").read_text().splitlines()
    return "F_SETLKW" if any("->" in line and f" {pid} " in line for line in locks) else ""


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


@fault("process pool: worker killed", WORKER_LOST)
def _() -> None:
    with ProcessPoolExecutor(1, mp_context=SPAWN) as pool:
        pool.submit(os.kill, 0, signal.SIGKILL) if False else pool.submit(_kill_self).result(30)


def _kill_self() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@fault("process pool: used after its worker was killed", WORKER_LOST)
def _() -> None:
    with ProcessPoolExecutor(1, mp_context=SPAWN) as pool:
        pool.submit(_kill_self).exception(30)
        pool.submit(print)


@fault("process pool: refused connection in a worker", NETWORK)
def _() -> None:
    with ProcessPoolExecutor(1, mp_context=SPAWN) as pool:
        pool.submit(socket.create_connection, ("127.0.0.1", 1)).result(30)


@fault("thread pool: initialiser failed", WORKER_LOST)
def _() -> None:
    with ThreadPoolExecutor(1, initializer=lambda: 1 / 0) as pool:
        pool.submit(print).result(30)


@fault("thread pool: result took too long", TIMEOUT)
def _() -> None:
    over = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        try:
            pool.submit(over.wait, 10).result(0.05)
        finally:
            over.set()


@fault("thread pool: cancelled", None)
def _() -> None:
    over = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(over.wait, 10)
        waiting = pool.submit(print)
        waiting.cancel()
        over.set()
        waiting.result()


@fault("multiprocessing: result took too long", TIMEOUT)
def _() -> None:
    with multiprocessing.get_context("fork").Pool(1) as pool:
        pool.apply_async(signal.pause).get(0.05)


@fault("queue: full", RESOURCE)
def _() -> None:
    waiting: queue.Queue[int] = queue.Queue(1)
    waiting.put_nowait(1)
    waiting.put_nowait(2)


@fault("queue: empty", None)
def _() -> None:
    queue.Queue[int]().get_nowait()


@fault("queue: empty, a simple one", None)
def _() -> None:
    queue.SimpleQueue[int]().get(timeout=0.01)


@fault("asyncio queue: full", RESOURCE)
def _() -> None:
    waiting: asyncio.Queue[int] = asyncio.Queue(1)
    waiting.put_nowait(1)
    waiting.put_nowait(2)


@fault("asyncio queue: empty", None)
def _() -> None:
    asyncio.Queue[int]().get_nowait()


@fault("asyncio: timeout", TIMEOUT)
def _() -> None:
    async def wait() -> None:
        async with asyncio.timeout(0.01):
            await asyncio.Event().wait()

    asyncio.run(wait())


@fault("asyncio: wait_for", TIMEOUT)
def _() -> None:
    async def wait() -> None:
        await asyncio.wait_for(asyncio.Event().wait(), 0.01)

    asyncio.run(wait())


@fault("asyncio: cancelled", None)
def _() -> None:
    async def wait() -> None:
        task = asyncio.ensure_future(asyncio.Event().wait())
        asyncio.get_running_loop().call_soon(task.cancel)
        await task

    asyncio.run(wait())


@fault("asyncio: one task of a group refused", NETWORK)
def _() -> None:
    async def run() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.Event().wait())  # type: ignore[arg-type]  # typeshed wants a bare coroutine
            group.create_task(asyncio.open_connection("127.0.0.1", 1))

    asyncio.run(run())


@fault("generator: closed", None)
def _() -> None:
    caught: list[BaseException] = []

    def numbers() -> Iterator[int]:
        try:
            yield 1
        except BaseException as error:
            caught.append(error)
            raise

    generator = numbers()
    next(generator)
    generator.close()  # type: ignore[attr-defined]  # it is a generator
    raise caught[0]


@fault("generator: exhausted", None)
def _() -> None:
    next(iter(()))


@fault("generator: exhausted inside another", APPLICATION)
def _() -> None:
    def numbers() -> Iterator[int]:
        yield next(iter(()))

    list(numbers())


@fault("async generator: exhausted", None)
def _() -> None:
    async def numbers() -> AsyncIterator[int]:
        return
        yield 1

    async def take() -> None:
        await anext(numbers())

    asyncio.run(take())


@fault("exit", None)
def _() -> None:
    sys.exit(1)


@fault("interrupted from the keyboard", None)
def _() -> None:
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, previous)


@fault("own bug: not a number", APPLICATION)
def _() -> None:
    int("x")


@fault("own bug: while a refused connection is handled", NETWORK)
def _() -> None:
    try:
        socket.create_connection(("127.0.0.1", 1))
    except OSError:
        int("x")


@fault("own bug: a refused connection is behind it, and hidden", APPLICATION)
def _() -> None:
    try:
        socket.create_connection(("127.0.0.1", 1))
    except OSError:
        raise ValueError("unreachable") from None


@fault("own error: raised from a refused connection", NETWORK)
def _() -> None:
    try:
        socket.create_connection(("127.0.0.1", 1))
    except OSError as error:
        raise RuntimeError("no fleet") from error
