"""What task frameworks raise: lost and overdue workers, and the control flow that is no error."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import billiard.pool
import celery
import celery.exceptions
import celery.result
import pika

from otel_monitor_processors.classification import Category
from tests.classification.faults import fault
from tests.classification.peers import HOST, UNRESOLVABLE, hang_up, peer, refusing, reset
from tests.servers import Redis

NETWORK, TIMEOUT, WORKER_LOST, APPLICATION = (
    Category.NETWORK,
    Category.TIMEOUT,
    Category.WORKER_LOST,
    Category.APPLICATION,
)


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def broken() -> None:
    int("x")


@contextmanager
def pool(**options: Any) -> Iterator[Any]:
    workers = billiard.pool.Pool(1, **options)
    try:
        yield workers
    finally:
        workers.terminate()
        workers.join()


@fault("billiard: worker killed", WORKER_LOST)
def _() -> None:
    with pool(lost_worker_timeout=0.1) as workers:
        workers.apply_async(killed).get(20)


@fault("billiard: hard time limit", TIMEOUT)
def _() -> None:
    with pool(timeout=1) as workers:
        workers.apply_async(time.sleep, (20,)).get(20)


@fault("billiard: soft time limit", TIMEOUT)
def _() -> None:
    with pool(soft_timeout=1) as workers:
        workers.apply_async(time.sleep, (20,)).get(20)


@fault("billiard: result took too long", TIMEOUT)
def _() -> None:
    with pool() as workers:
        workers.apply_async(time.sleep, (0.3,)).get(0.1)


@fault("billiard: own bug", APPLICATION)
def _() -> None:
    with pool() as workers:
        workers.apply_async(broken).get(20)


def raised_in_task(body: Callable[[Any], object], **options: Any) -> Callable[[], None]:
    """Run `body` as a Celery task, and raise what it ends in as the worker would see it."""

    def provoke() -> None:
        app = celery.Celery(broker="memory://", set_as_current=False)
        app.conf.task_always_eager = True
        caught: list[BaseException] = []

        def run(self: Any) -> None:
            try:
                body(self)
            except BaseException as error:
                caught.append(error)
                raise

        app.task(run, bind=True, name="task", **options).apply()
        raise caught[0]

    return provoke


def ignore(_: Any) -> None:
    raise celery.exceptions.Ignore


def reject(_: Any) -> None:
    raise celery.exceptions.Reject("not now", requeue=True)


fault("celery: ignore", None)(raised_in_task(ignore))
fault("celery: reject", None)(raised_in_task(reject))


@fault("celery: retry", None)
def _() -> None:
    raised_in_task(lambda task: task.retry(countdown=0, max_retries=1), max_retries=1)()


@fault("celery: retries used up", APPLICATION)
def _() -> None:
    raised_in_task(lambda task: task.retry(max_retries=0))()


@fault("celery: result took too long", TIMEOUT, "redis_server")
def _(redis_server: Redis) -> None:
    app = celery.Celery(backend=f"redis://{HOST}:{redis_server.port}/0", set_as_current=False)
    celery.result.AsyncResult("nothing", app=app).get(timeout=0.1)


@fault("celery: result of a revoked task", None, "redis_server")
def _(redis_server: Redis) -> None:
    app = celery.Celery(backend=f"redis://{HOST}:{redis_server.port}/0", set_as_current=False)
    app.backend.mark_as_revoked("revoked", "by an operator")
    celery.result.AsyncResult("revoked", app=app).get(timeout=5)


@fault("celery: result of a task whose worker was lost", WORKER_LOST, "redis_server")
def _(redis_server: Redis) -> None:
    app = celery.Celery(backend=f"redis://{HOST}:{redis_server.port}/0", set_as_current=False)
    app.backend.mark_as_failure("lost", celery.exceptions.WorkerLostError("Worker exited prematurely: signal 9"))
    celery.result.AsyncResult("lost", app=app).get(timeout=5)


def connect_to_rabbitmq(port: int, host: str = HOST) -> None:
    parameters = pika.ConnectionParameters(
        host, port, connection_attempts=1, socket_timeout=1, stack_timeout=2, blocked_connection_timeout=2
    )
    pika.BlockingConnection(parameters)


@fault("pika: refused", NETWORK)
def _() -> None:
    connect_to_rabbitmq(refusing())


@fault("pika: name does not resolve", NETWORK)
def _() -> None:
    connect_to_rabbitmq(5672, host=UNRESOLVABLE)


@fault("pika: hung up", NETWORK)
def _() -> None:
    with peer(hang_up) as port:
        connect_to_rabbitmq(port)


@fault("pika: reset", NETWORK)
def _() -> None:
    with peer(reset) as port:
        connect_to_rabbitmq(port)
