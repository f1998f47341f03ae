"""Faults of PostgreSQL, each in psycopg 3, psycopg2 and asyncpg: they raise very different errors for the same."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg

from otel_monitor_processors.classification import Category
from tests.classification.children import HAS_SYSTEM_RIGHTS
from tests.classification.drivers import POSTGRESQL_DRIVERS, ByAsyncpg, ByPsycopg, Connect, closing
from tests.classification.faults import fault
from tests.classification.peers import HOST, refusing
from tests.polling import eventually
from tests.servers import PostgreSQL

CONTENTION, NETWORK, TIMEOUT = Category.CONTENTION, Category.NETWORK, Category.TIMEOUT
RESOURCE, APPLICATION = Category.RESOURCE, Category.APPLICATION


class Scene:
    """A driver's connection under test, an administrator's beside it, and a table with two rows."""

    def __init__(self, server: PostgreSQL, connect: Connect) -> None:
        self.server = server
        self.connect = connect
        self.admin = ByPsycopg(server.port)
        self.admin.run("DROP TABLE IF EXISTS t")
        self.admin.run("CREATE TABLE t (k int PRIMARY KEY, v int)")
        self.admin.run("INSERT INTO t VALUES (1, 1), (2, 2)")
        self.ours = connect(server.port)

    def close(self) -> None:
        for connection in (self.ours, self.admin):
            with contextlib.suppress(Exception):
                connection.close()

    @contextlib.contextmanager
    def row_locked(self, row: int = 1) -> Iterator[None]:
        self.admin.run("BEGIN")
        self.admin.run(f"UPDATE t SET v = 0 WHERE k = {row}")
        try:
            yield
        finally:
            self.admin.run("ROLLBACK")

    @property
    def pid(self) -> int:
        return int(self.ours.run("SELECT pg_backend_pid()"))

    def wait_until_gone(self, pid: int) -> None:
        eventually(lambda: self.admin.run(f"SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = {pid}"))


Scenario = Callable[[Scene], object]
SCENARIOS: dict[str, tuple[Category, Scenario, dict[str, Category]]] = {}


def scenario(
    name: str, expected: Category, *, possible: bool = True, **of_drivers: Category
) -> Callable[[Scenario], Scenario]:
    """Register a fault for every driver; `of_drivers` is for those that drop what the server said."""

    def register(play: Scenario) -> Scenario:
        if possible:
            SCENARIOS[name] = expected, play, of_drivers
        return play

    return register


@scenario("row locked, NOWAIT", CONTENTION)
def _(scene: Scene) -> None:
    with scene.row_locked():
        scene.ours.run("SELECT * FROM t WHERE k = 1 FOR UPDATE NOWAIT")


@scenario("row locked for too long", CONTENTION)
def _(scene: Scene) -> None:
    scene.ours.run("SET lock_timeout = '20ms'")
    with scene.row_locked():
        scene.ours.run("UPDATE t SET v = 1 WHERE k = 1")


@scenario("serialization failure", CONTENTION)
def _(scene: Scene) -> None:
    scene.ours.run("BEGIN ISOLATION LEVEL REPEATABLE READ")
    scene.ours.run("SELECT count(*) FROM t")
    scene.admin.run("UPDATE t SET v = 7 WHERE k = 1")
    scene.ours.run("UPDATE t SET v = 8 WHERE k = 1")


@scenario("deadlock", CONTENTION)
def _(scene: Scene) -> None:
    scene.admin.run("SET deadlock_timeout = '10s'")  # so that ours finds it, and is the victim
    scene.ours.run("BEGIN")
    scene.ours.run("UPDATE t SET v = 1 WHERE k = 1")
    with scene.row_locked(2):
        waiting = threading.Thread(target=scene.admin.run, args=("UPDATE t SET v = 2 WHERE k = 1",))
        waiting.start()
        with closing(ByPsycopg(scene.server.port)) as watcher:
            eventually(lambda: watcher.run("SELECT count(*) FROM pg_locks WHERE NOT granted"))
        try:
            scene.ours.run("UPDATE t SET v = 1 WHERE k = 2")
        finally:
            with contextlib.suppress(Exception):
                scene.ours.run("ROLLBACK")
            waiting.join()


@scenario("object in use", CONTENTION)
def _(scene: Scene) -> None:
    scene.ours.run("BEGIN")
    scene.ours.run("DECLARE reading CURSOR FOR SELECT * FROM t")
    scene.ours.run("DROP TABLE t")


@scenario("idle in a transaction", CONTENTION, psycopg2=NETWORK, asyncpg=NETWORK)
def _(scene: Scene) -> None:
    pid = scene.pid
    scene.ours.run("SET idle_in_transaction_session_timeout = '20ms'")
    scene.ours.run("BEGIN")
    scene.wait_until_gone(pid)
    scene.ours.run("SELECT 1")


@scenario("statement takes too long", TIMEOUT)
def _(scene: Scene) -> None:
    scene.ours.run("SET statement_timeout = '20ms'")
    scene.ours.run("SELECT pg_sleep(5)")


@scenario("statement cancelled by an operator", TIMEOUT)
def _(scene: Scene) -> None:
    pid = scene.pid

    def cancel() -> None:
        asleep = f"SELECT count(*) FROM pg_stat_activity WHERE pid = {pid} AND wait_event = 'PgSleep'"
        eventually(lambda: scene.admin.run(asleep))
        scene.admin.run(f"SELECT pg_cancel_backend({pid})")

    canceller = threading.Thread(target=cancel)
    canceller.start()
    try:
        scene.ours.run("SELECT pg_sleep(5)")
    finally:
        canceller.join()


@scenario("session idle for too long", TIMEOUT, psycopg2=NETWORK, asyncpg=NETWORK)
def _(scene: Scene) -> None:
    pid = scene.pid
    scene.ours.run("SET idle_session_timeout = '20ms'")
    scene.wait_until_gone(pid)
    scene.ours.run("SELECT 1")


@scenario("terminated by an operator while idle", NETWORK)
def _(scene: Scene) -> None:
    pid = scene.pid
    scene.admin.run(f"SELECT pg_terminate_backend({pid}, 5000)")
    scene.ours.run("SELECT 1")


@scenario("terminated by an operator in a statement", NETWORK)
def _(scene: Scene) -> None:
    scene.ours.run("SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(5)")


@scenario("backend killed", NETWORK)
def _(scene: Scene) -> None:
    _kill_backend(scene, scene.pid, lambda: scene.ours.run("SELECT pg_sleep(5)"))


@scenario("another backend killed: crash recovery", NETWORK)
def _(scene: Scene) -> None:
    pid = int(scene.admin.run("SELECT pg_backend_pid()"))
    _kill_backend(scene, pid, lambda: scene.ours.run("SELECT pg_sleep(5)"))


def _kill_backend(scene: Scene, pid: int, meanwhile: Callable[[], object]) -> None:
    """As the out-of-memory killer does: every other backend is sent away then, too."""
    with closing(ByPsycopg(scene.server.port)) as watcher:

        def kill() -> None:
            eventually(lambda: watcher.run("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"))
            os.kill(pid, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        try:
            meanwhile()
        finally:
            killer.join()
            eventually(lambda: _answers(scene.server))


def _answers(server: PostgreSQL) -> bool:
    with contextlib.suppress(psycopg.Error), closing(ByPsycopg(server.port)) as probe:
        return bool(probe.run("SELECT 1"))
    return False


@scenario("used after it was closed", NETWORK)
def _(scene: Scene) -> None:
    if isinstance(scene.ours, ByAsyncpg):
        scene.ours._loop.run_until_complete(scene.ours._connection.close())
    else:
        scene.ours.close()
    scene.ours.run("SELECT 1")


@scenario("write to a replica", NETWORK)
def _(scene: Scene) -> None:
    scene.ours.run("SET default_transaction_read_only = on")
    scene.ours.run("INSERT INTO t VALUES (3, 3)")


@scenario("another server refuses", NETWORK)
def _(scene: Scene) -> None:
    scene.ours.run("CREATE EXTENSION IF NOT EXISTS dblink")
    scene.ours.run(f"SELECT dblink_connect('host={HOST} port={refusing()} user=postgres')")


@scenario("server's limit of clients", RESOURCE)
def _(scene: Scene) -> None:
    scene.admin.run("DROP ROLE IF EXISTS common")
    scene.admin.run("CREATE ROLE common LOGIN")
    _connect_all(scene, user="common")


@scenario("limit of a role's clients", RESOURCE)
def _(scene: Scene) -> None:
    scene.admin.run("DROP ROLE IF EXISTS limited")
    scene.admin.run("CREATE ROLE limited LOGIN CONNECTION LIMIT 1")
    _connect_all(scene, user="limited")


def _connect_all(scene: Scene, user: str) -> None:
    with contextlib.ExitStack() as held:
        for _ in range(scene.server.max_connections):
            held.enter_context(closing(scene.connect(scene.server.port, user=user)))


@scenario("server's memory for locks is full", RESOURCE)
def _(scene: Scene) -> None:
    scene.ours.run("SELECT count(pg_advisory_xact_lock(g)) FROM generate_series(1, 100000) g")


@scenario("limit of temporary files", RESOURCE)
def _(scene: Scene) -> None:
    scene.ours.run("SET temp_file_limit = '100kB'")
    scene.ours.run("SET work_mem = '64kB'")
    scene.ours.run("SELECT g FROM generate_series(1, 200000) g ORDER BY g DESC")


@scenario("server's file is not there", RESOURCE)
def _(scene: Scene) -> None:
    scene.ours.run("LOAD '/nowhere/library'")


@scenario("duplicate key", APPLICATION)
def _(scene: Scene) -> None:
    scene.ours.run("INSERT INTO t VALUES (1, 1)")


@scenario("no such table", APPLICATION)
def _(scene: Scene) -> None:
    scene.ours.run("SELECT * FROM nothing")


@scenario("division by zero", APPLICATION)
def _(scene: Scene) -> None:
    scene.ours.run("SELECT 1 / 0")


@scenario("raised in SQL", APPLICATION)
def _(scene: Scene) -> None:
    scene.ours.run("DO $$ BEGIN RAISE EXCEPTION 'no such order'; END $$")


@scenario("transaction already failed", APPLICATION)
def _(scene: Scene) -> None:
    scene.ours.run("BEGIN")
    with contextlib.suppress(Exception):
        scene.ours.run("SELECT * FROM nothing")
    scene.ours.run("SELECT 1")


@scenario("no such database", APPLICATION)
def _(scene: Scene) -> None:
    scene.connect(scene.server.port, dbname="nothing")


@scenario("no such role", APPLICATION)
def _(scene: Scene) -> None:
    scene.connect(scene.server.port, user="nobody")


@scenario("server shuts down", NETWORK)
def _(scene: Scene) -> None:
    stopping = threading.Thread(target=scene.server.stop)
    stopping.start()
    try:
        eventually(lambda: not scene.server.is_ready())
        scene.connect(scene.server.port)
    finally:
        scene.close()
        stopping.join()
        scene.server.start()


@scenario("server stopped", NETWORK)
def _(scene: Scene) -> None:
    scene.server.stop(signal.SIGINT)
    try:
        scene.ours.run("SELECT 1")
    finally:
        scene.server.start()


@scenario("disk full", RESOURCE, possible=HAS_SYSTEM_RIGHTS)
def _(scene: Scene) -> None:
    with small_tablespace(scene, scene.server.folder / "small"):
        scene.ours.run("INSERT INTO big SELECT g FROM generate_series(1, 100000) g")


@contextlib.contextmanager
def small_tablespace(scene: Scene, folder: Path) -> Iterator[None]:
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=True)
    try:
        (folder / "space").mkdir()
        shutil.chown(folder / "space", "postgres")
        scene.admin.run(f"CREATE TABLESPACE small LOCATION '{folder / 'space'}'")
        scene.admin.run("CREATE TABLE big (v int) TABLESPACE small")
        yield
    finally:
        scene.admin.run("DROP TABLE big")
        scene.admin.run("DROP TABLESPACE small")
        subprocess.run(["umount", "--lazy", folder], check=True)
        folder.rmdir()


def played(connect: Connect, play: Scenario) -> Callable[[PostgreSQL], None]:
    def provoke(postgresql: PostgreSQL) -> None:
        scene = Scene(postgresql, connect)
        try:
            play(scene)
        finally:
            scene.close()

    return provoke


for driver, connect in POSTGRESQL_DRIVERS.items():
    for name, (expected, play, of_drivers) in SCENARIOS.items():
        fault(f"{driver}: {name}", of_drivers.get(driver, expected), "postgresql")(played(connect, play))
