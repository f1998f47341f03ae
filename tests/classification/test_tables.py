"""The tables name what is there: classes of the libraries installed, and the codes of their errors."""

from __future__ import annotations

import builtins
import importlib
import sys

import asyncpg.exceptions
import psycopg.errors
import psycopg2.errors
import pytest

from otel_monitor_processors.classification import Category, classify, classify_attributes
from otel_monitor_processors.classification.codes import sqlstate_meaning
from otel_monitor_processors.classification.evidence import class_evidence
from otel_monitor_processors.classification.foreign import qualified_name
from otel_monitor_processors.classification.messages import text_meaning
from otel_monitor_processors.classification.type_names import TYPE_NAMES
from otel_monitor_processors.classification.words import name_evidence

NEW_IN_313 = {"queue.ShutDown", "asyncio.queues.QueueShutDown"}
MOVED = {"asyncio.exceptions.TimeoutError", "socket.timeout", "concurrent.futures._base.TimeoutError", "queue.Empty"}
"""Aliases of today's Python, and full names in telemetry of older ones."""

LIBRARIES = [
    *("aiohttp", "amqp", "asyncpg", "billiard", "celery", "grpc", "httpcore", "httpx", "kombu", "mysql", "pika"),
    *("psycopg", "psycopg2", "psycopg_pool", "redis", "requests", "rq", "sqlalchemy", "urllib3"),
]


def known(library: str) -> list[str]:
    return [name for name in TYPE_NAMES if name.partition(".")[0] == library]


def find(name: str) -> object:
    if "." not in name:
        return getattr(builtins, name)
    module, _, qualname = name.rpartition(".")
    return getattr(importlib.import_module(module), qualname)


@pytest.mark.parametrize("library", LIBRARIES)
def test_every_class_that_the_tables_name_exists(library: str) -> None:
    names = known(library)
    assert names
    for name in names:
        kind = find(name)
        assert isinstance(kind, type), name
        assert issubclass(kind, BaseException), name
        assert qualified_name(kind) == name


def test_every_class_of_python_that_the_tables_name_exists() -> None:
    for name in TYPE_NAMES:
        if name.partition(".")[0] not in sys.stdlib_module_names and "." in name:
            continue
        if name in NEW_IN_313 and sys.version_info < (3, 13):
            continue
        kind = find(name)
        assert isinstance(kind, type), name
        assert name in MOVED or qualified_name(kind) == name


def exceptions_of(module: str) -> list[type[BaseException]]:
    values = vars(importlib.import_module(module)).values()
    return [value for value in values if isinstance(value, type) and issubclass(value, BaseException)]


@pytest.mark.parametrize(
    "module",
    [
        *("aiohttp.client_exceptions", "amqp.exceptions", "billiard.exceptions", "celery.exceptions", "httpcore"),
        *("httpx", "kombu.exceptions", "mysql.connector.errors", "pika.exceptions", "psycopg.errors"),
        *("psycopg2.errors", "psycopg_pool", "redis.exceptions", "requests.exceptions", "rq.exceptions", "rq.timeouts"),
        *("sqlalchemy.exc", "urllib3.exceptions", "asyncpg.exceptions", "concurrent.futures.process", "asyncio"),
        *("socket", "ssl", "http.client", "queue", "subprocess", "builtins"),
    ],
)
def test_a_name_alone_says_what_the_class_with_its_ancestors_says(module: str) -> None:
    """Telemetry has but the name of a class; no subclass may need its ancestors to be known."""
    silent = {}
    for kind in exceptions_of(module):
        if class_evidence(kind).meaning != name_evidence(qualified_name(kind)).meaning:
            silent[qualified_name(kind)] = class_evidence(kind).meaning
    assert not silent


@pytest.mark.parametrize("module", [psycopg.errors, psycopg2.errors, asyncpg.exceptions])
def test_a_class_made_for_an_sqlstate_means_what_the_sqlstate_means(module: object) -> None:
    for kind in exceptions_of(getattr(module, "__name__")):  # noqa: B009 - a module is an object to mypy here
        code = getattr(kind, "sqlstate", None)
        if isinstance(code, str) and code != "P0000" and code[2:] != "000":
            expected = sqlstate_meaning(code) or Category.APPLICATION
            assert classify_attributes({"exception.type": qualified_name(kind)}) == expected, (kind, code)


@pytest.mark.parametrize("text", ["", "x" * 1_000_000, "connection to the past refused to be made", "lock, stock"])
def test_a_text_without_a_known_phrase_says_nothing(text: str) -> None:
    assert text_meaning(text) is None


SPECIFIED = {
    Category.CONTENTION: """
        sqlalchemy.orm.exc.StaleDataError redis.exceptions.LockError redis.exceptions.WatchError
        huey.exceptions.TaskLockedException""",
    Category.NETWORK: """
        redis.exceptions.ConnectionError redis.exceptions.ReadOnlyError kombu.exceptions.OperationalError
        amqp.exceptions.ConnectionError pika.exceptions.AMQPConnectionError pika.exceptions.AMQPHeartbeatTimeout
        pika.exceptions.StreamLostError httpx.ConnectError httpx.ReadError httpx.WriteError httpx.RemoteProtocolError
        httpx.ConnectTimeout aiohttp.client_exceptions.ClientConnectionError
        aiohttp.client_exceptions.ClientPayloadError aiohttp.client_exceptions.ConnectionTimeoutError
        requests.exceptions.ConnectionError requests.exceptions.ConnectTimeout
        requests.exceptions.ChunkedEncodingError urllib3.exceptions.NewConnectionError
        urllib3.exceptions.ConnectTimeoutError urllib3.exceptions.ProtocolError socket.gaierror
        http.client.RemoteDisconnected http.client.IncompleteRead asyncio.exceptions.IncompleteReadError
        ssl.SSLEOFError distributed.comm.core.CommClosedError pymongo.errors.ConnectionFailure
        dramatiq.errors.BrokerConnectionError taskiq.exceptions.SendTaskError psycopg.errors.ConnectionTimeout""",
    Category.TIMEOUT: """
        TimeoutError redis.exceptions.TimeoutError httpx.ReadTimeout httpx.WriteTimeout
        requests.exceptions.ReadTimeout aiohttp.client_exceptions.ServerTimeoutError
        urllib3.exceptions.ReadTimeoutError pymongo.errors.NetworkTimeout pymongo.errors.ExecutionTimeout
        billiard.exceptions.SoftTimeLimitExceeded billiard.exceptions.TimeLimitExceeded
        rq.timeouts.JobTimeoutException dramatiq.middleware.time_limit.TimeLimitExceeded huey.exceptions.TaskTimeout
        multiprocessing.context.TimeoutError subprocess.TimeoutExpired""",
    Category.RESOURCE: """
        MemoryError RecursionError redis.exceptions.OutOfMemoryError redis.exceptions.BusyLoadingError
        sqlalchemy.exc.TimeoutError psycopg_pool.PoolTimeout psycopg_pool.TooManyRequests psycopg2.pool.PoolError
        mysql.connector.errors.PoolError httpx.PoolTimeout urllib3.exceptions.EmptyPoolError
        pymongo.errors.WaitQueueTimeoutError kombu.exceptions.LimitExceeded queue.Full asyncio.queues.QueueFull
        pika.exceptions.ConnectionBlockedTimeout ray.exceptions.OutOfMemoryError""",
    Category.WORKER_LOST: """
        billiard.exceptions.WorkerLostError rq.exceptions.AbandonedJobError distributed.scheduler.KilledWorker
        concurrent.futures._base.BrokenExecutor loky.process_executor.TerminatedWorkerError
        ray.exceptions.WorkerCrashedError ray.exceptions.ActorDiedError ray.exceptions.NodeDiedError
        ray.exceptions.OwnerDiedError""",
    None: """
        celery.exceptions.Retry celery.exceptions.Ignore celery.exceptions.Reject celery.exceptions.WorkerShutdown
        celery.exceptions.WorkerTerminate dramatiq.errors.Retry dramatiq.middleware.shutdown.Shutdown
        rq.exceptions.ShutDownImminentException rq.exceptions.StopRequested huey.exceptions.RetryTask
        huey.exceptions.CancelExecution arq.worker.Retry arq.worker.RetryJob distributed.exceptions.Reschedule
        asyncio.exceptions.CancelledError _queue.Empty GeneratorExit StopIteration SystemExit KeyboardInterrupt""",
}


@pytest.mark.parametrize(("expected", "names"), SPECIFIED.items())
def test_the_classes_that_matter_most_mean_what_they_should(expected: Category | None, names: str) -> None:
    for name in names.split():
        assert classify_attributes({"exception.type": name}) == expected, name
        module, _, qualname = name.rpartition(".")
        made = type(qualname, (Exception,), {"__module__": module or "builtins"})
        assert classify(made()) == expected, name
