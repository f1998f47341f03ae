"""Drivers of databases behind one small face: autocommit, text in, one value out."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import asyncpg
import mysql.connector
import psycopg
import psycopg2
import pymysql

from tests.classification.peers import HOST


class Connection(Protocol):
    """What the faults need of a driver."""

    def run(self, sql: str) -> Any: ...

    def close(self) -> None: ...


class ByPsycopg:
    def __init__(self, port: int, host: str = HOST, timeout_s: int = 10, **options: Any) -> None:
        self._connection: Any = psycopg.connect(
            host=host,
            port=port,
            **{"user": "postgres", "dbname": "postgres", "connect_timeout": timeout_s, **options},
            autocommit=True,
        )

    def run(self, sql: str) -> Any:
        cursor = self._connection.execute(sql)
        return cursor.fetchone()[0] if cursor.description and cursor.rowcount else None

    def close(self) -> None:
        self._connection.close()


class ByPsycopg2:
    def __init__(self, port: int, host: str = HOST, timeout_s: int = 10, **options: Any) -> None:
        self._connection: Any = psycopg2.connect(
            host=host,
            port=port,
            **{"user": "postgres", "dbname": "postgres", "connect_timeout": timeout_s, **options},
        )
        self._connection.autocommit = True

    def run(self, sql: str) -> Any:
        cursor = self._connection.cursor()
        cursor.execute(sql)
        return cursor.fetchone()[0] if cursor.description and cursor.rowcount else None

    def close(self) -> None:
        self._connection.close()


class ByAsyncpg:
    def __init__(
        self, port: int, host: str = HOST, timeout_s: float = 10, dbname: str = "postgres", **options: Any
    ) -> None:
        self._loop = asyncio.new_event_loop()
        connecting = asyncpg.connect(
            host=host, port=port, database=dbname, timeout=timeout_s, **{"user": "postgres", **options}
        )
        try:
            self._connection = self._loop.run_until_complete(connecting)
        except BaseException:
            self._loop.close()
            raise

    def run(self, sql: str) -> Any:
        if sql.startswith(("SELECT", "SHOW")):
            return self._loop.run_until_complete(self._connection.fetchval(sql))
        return self._loop.run_until_complete(self._connection.execute(sql))

    def close(self) -> None:
        self._connection.terminate()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()


Connect = Callable[..., Connection]
POSTGRESQL_DRIVERS: dict[str, Connect] = {"psycopg": ByPsycopg, "psycopg2": ByPsycopg2, "asyncpg": ByAsyncpg}


@contextlib.contextmanager
def closing(connection: Connection) -> Iterator[Connection]:
    try:
        yield connection
    finally:
        connection.close()


class ByPymysql:
    def __init__(self, port: int, host: str = HOST, timeout_s: float = 10, **options: Any) -> None:
        self._connection: Any = pymysql.connect(
            host=host,
            port=port,
            **{"user": "root", "connect_timeout": timeout_s, "read_timeout": timeout_s, "autocommit": True, **options},
        )

    def run(self, sql: str) -> Any:
        with self._connection.cursor() as cursor:
            cursor.execute(sql)
            row = cursor.fetchone()
            return row[0] if row else None

    def close(self) -> None:
        if self._connection.open:
            self._connection.close()


class ByMysqlConnector:
    def __init__(self, port: int, host: str = HOST, timeout_s: float = 10, **options: Any) -> None:
        self._connection: Any = mysql.connector.connect(
            host=host,
            port=port,
            use_pure=True,
            **{"user": "root", "connection_timeout": timeout_s, "autocommit": True, **options},
        )

    def run(self, sql: str) -> Any:
        with contextlib.closing(self._connection.cursor()) as cursor:
            cursor.execute(sql)
            row = cursor.fetchone() if cursor.description else None
            return row[0] if row else None

    def close(self) -> None:
        self._connection.close()


MARIADB_DRIVERS: dict[str, Connect] = {"pymysql": ByPymysql, "mysql.connector": ByMysqlConnector}
