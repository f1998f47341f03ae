"""Faults of pools, queues and asyncio; control flow of the language; and an application's own errors."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import queue
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

from otel_monitor_processors.classification import Category
from tests.classification.faults import fault

NETWORK, TIMEOUT = Category.NETWORK, Category.TIMEOUT
RESOURCE, WORKER_LOST, APPLICATION = Category.RESOURCE, Category.WORKER_LOST, Category.APPLICATION
SPAWN = multiprocessing.get_context("spawn")


@fault("process pool: worker killed", WORKER_LOST)
def _() -> None:
    with ProcessPoolExecutor(1, mp_context=SPAWN) as pool:
        pool.submit(_kill_self).result(30)


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
            group.create_task(asyncio.Event().wait())
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
        for number in range(0):
            yield number

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
