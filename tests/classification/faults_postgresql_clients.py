"""Faults on the way to PostgreSQL and in its clients' pools, where no server says a code."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator

import asyncpg
import psycopg2.pool
import psycopg_pool
import sqlalchemy

from otel_monitor_processors.classification import Category
from tests.classification.children import no_descriptors_left
from tests.classification.drivers import POSTGRESQL_DRIVERS, ByPsycopg, Connect, closing
from tests.classification.faults import fault
from tests.classification.peers import HOST, UNRESOLVABLE, hang_up, peer, refusing, silent, unreachable
from tests.servers import PostgreSQL

CONTENTION, NETWORK, TIMEOUT = Category.CONTENTION, Category.NETWORK, Category.TIMEOUT
RESOURCE, APPLICATION = Category.RESOURCE, Category.APPLICATION

SHORTEST_S = {"psycopg": 2, "psycopg2": 2, "asyncpg": 0.05}
"""libpq waits for two seconds at least."""


def on_the_way(connect: Connect, timeout_s: float) -> dict[str, Callable[[], object]]:
    """Everything that keeps a driver from reaching a server."""

    def hung_up() -> None:
        with peer(hang_up) as port:
            connect(port)

    def not_accepted() -> None:
        with unreachable() as port:
            connect(port, timeout_s=timeout_s)

    def never_answered() -> None:
        with silent() as port:
            connect(port, timeout_s=timeout_s)

    return {
        "refused": lambda: connect(refusing()),
        "name does not resolve": lambda: connect(5432, host=UNRESOLVABLE),
        "hung up": hung_up,
        "connect timed out": not_accepted,
        "connected, and silent": never_answered,
    }


for driver, connect in POSTGRESQL_DRIVERS.items():
    for name, provoke in on_the_way(connect, SHORTEST_S[driver]).items():
        fault(f"{driver}: {name}", NETWORK)(provoke)


@fault("psycopg: no descriptors left, of which it says nothing", NETWORK)
def _() -> None:
    with no_descriptors_left():
        ByPsycopg(1)


@fault("psycopg2: no descriptors left", RESOURCE)
def _() -> None:
    with no_descriptors_left():
        psycopg2.connect(host=HOST, port=1)


@fault("psycopg_pool: all connections in use", RESOURCE, "postgresql")
def _(postgresql: PostgreSQL) -> None:
    with psycopg_pool.ConnectionPool(postgresql.dsn, min_size=1, max_size=1, open=True) as pool, pool.connection():
        pool.getconn(timeout=0.05)


@fault("psycopg_pool: too many wait", RESOURCE, "postgresql")
def _(postgresql: PostgreSQL) -> None:
    async def wait_twice() -> None:
        pool = psycopg_pool.AsyncConnectionPool(postgresql.dsn, min_size=1, max_size=1, max_waiting=1, open=False)
        async with pool, pool.connection():
            waiting = asyncio.ensure_future(pool.getconn())
            await asyncio.sleep(0)
            try:
                await pool.getconn()
            finally:
                waiting.cancel()

    asyncio.run(wait_twice())


@fault("psycopg2: all connections of the pool in use", RESOURCE, "postgresql")
def _(postgresql: PostgreSQL) -> None:
    pool = psycopg2.pool.SimpleConnectionPool(1, 1, postgresql.dsn)
    pool.getconn()
    try:
        pool.getconn()
    finally:
        pool.closeall()


def asyncpg_pool(port: int, **options: object) -> asyncpg.Pool:
    return asyncpg.create_pool(host=HOST, port=port, user="postgres", min_size=0, max_size=1, **options)


@fault("asyncpg: all connections of the pool in use", RESOURCE, "postgresql")
def _(postgresql: PostgreSQL) -> None:
    async def acquire_twice() -> None:
        async with asyncpg_pool(postgresql.port) as pool, pool.acquire():
            await pool.acquire(timeout=0.05)

    asyncio.run(acquire_twice())


@fault("asyncpg: the pool cannot connect", NETWORK)
def _() -> None:
    async def acquire(port: int) -> None:
        async with asyncpg_pool(port, timeout=0.05) as pool, pool.acquire():
            pass

    with silent() as port:
        asyncio.run(acquire(port))


@fault("asyncpg: query takes too long, by the client", TIMEOUT, "postgresql")
def _(postgresql: PostgreSQL) -> None:
    async def sleep() -> None:
        connection = await asyncpg.connect(host=HOST, port=postgresql.port, user="postgres")
        try:
            await connection.fetch("SELECT pg_sleep(5)", timeout=0.05)
        finally:
            await connection.close()

    asyncio.run(sleep())


@fault("asyncpg: query through the pool takes too long, by the client", TIMEOUT, "postgresql")
def _(postgresql: PostgreSQL) -> None:
    async def sleep() -> None:
        async with asyncpg_pool(postgresql.port, command_timeout=0.05) as pool:
            await pool.fetch("SELECT pg_sleep(5)")

    asyncio.run(sleep())


@fault("asyncpg: two queries at once", APPLICATION, "postgresql")
def _(postgresql: PostgreSQL) -> None:
    async def query_twice() -> None:
        connection = await asyncpg.connect(host=HOST, port=postgresql.port, user="postgres")
        try:
            await asyncio.gather(connection.fetch("SELECT pg_sleep(0.1)"), connection.fetch("SELECT 1"))
        finally:
            connection.terminate()

    asyncio.run(query_twice())


@contextlib.contextmanager
def engine(driver: str, port: int) -> Iterator[sqlalchemy.Engine]:
    made = sqlalchemy.create_engine(f"postgresql+{driver}://postgres@{HOST}:{port}/postgres", pool_size=1)
    try:
        yield made
    finally:
        made.dispose()


def locked_table(driver: str) -> Callable[[PostgreSQL], None]:
    def provoke(postgresql: PostgreSQL) -> None:
        with (
            closing(ByPsycopg(postgresql.port)) as admin,
            engine(driver, postgresql.port) as ours,
            ours.begin() as connection,
        ):
            admin.run("CREATE TABLE IF NOT EXISTS locked (k int)")
            admin.run("BEGIN")
            admin.run("LOCK TABLE locked")
            connection.exec_driver_sql("LOCK TABLE locked NOWAIT")

    return provoke


def terminated(driver: str) -> Callable[[PostgreSQL], None]:
    def provoke(postgresql: PostgreSQL) -> None:
        with engine(driver, postgresql.port) as ours, ours.connect() as connection:
            connection.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")

    return provoke


def duplicate(driver: str) -> Callable[[PostgreSQL], None]:
    def provoke(postgresql: PostgreSQL) -> None:
        with engine(driver, postgresql.port) as ours, ours.connect() as connection:
            connection.exec_driver_sql("CREATE TEMP TABLE u (k int PRIMARY KEY)")
            connection.exec_driver_sql("INSERT INTO u VALUES (1), (1)")

    return provoke


def unreached(driver: str) -> Callable[[], None]:
    def provoke() -> None:
        with engine(driver, refusing()) as ours:
            ours.connect()

    return provoke


for driver in ("psycopg", "psycopg2"):
    fault(f"sqlalchemy, {driver}: table locked, NOWAIT", CONTENTION, "postgresql")(locked_table(driver))
    fault(f"sqlalchemy, {driver}: terminated by an operator", NETWORK, "postgresql")(terminated(driver))
    fault(f"sqlalchemy, {driver}: duplicate key", APPLICATION, "postgresql")(duplicate(driver))
    fault(f"sqlalchemy, {driver}: refused", NETWORK)(unreached(driver))
