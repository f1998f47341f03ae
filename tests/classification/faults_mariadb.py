"""Faults of MariaDB, each in PyMySQL and in MySQL's own connector: codes agree, classes do not."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

import mysql.connector.pooling
import sqlalchemy

from otel_monitor_processors.classification import Category
from tests.classification.children import no_descriptors_left
from tests.classification.drivers import MARIADB_DRIVERS, ByPymysql, Connect, closing
from tests.classification.faults import fault
from tests.classification.peers import HOST, UNRESOLVABLE, close, peer, refusing, silent, unreachable
from tests.polling import eventually
from tests.servers import MariaDB

CONTENTION, NETWORK, TIMEOUT = Category.CONTENTION, Category.NETWORK, Category.TIMEOUT
RESOURCE, APPLICATION = Category.RESOURCE, Category.APPLICATION
SHORT_S = 0.2


class Scene:
    """A driver's connection under test, an administrator's beside it, and a table with two rows."""

    def __init__(self, server: MariaDB, connect: Connect) -> None:
        self.server = server
        self.connect = connect
        self.admin = ByPymysql(server.port)
        self.admin.run("CREATE DATABASE IF NOT EXISTS d")
        self.admin.run("CREATE TABLE IF NOT EXISTS d.t (k INT PRIMARY KEY, v INT) ENGINE=InnoDB")
        self.admin.run("DELETE FROM d.t")
        self.admin.run("INSERT INTO d.t VALUES (1, 1), (2, 2)")
        self.ours = connect(server.port, database="d")

    def close(self) -> None:
        for connection in (self.ours, self.admin):
            with contextlib.suppress(Exception):
                connection.close()

    @contextlib.contextmanager
    def row_locked(self, row: int = 1) -> Iterator[None]:
        self.admin.run("BEGIN")
        self.admin.run(f"UPDATE d.t SET v = 0 WHERE k = {row}")
        try:
            yield
        finally:
            self.admin.run("ROLLBACK")

    @contextlib.contextmanager
    def asleep(self, then: str) -> Iterator[None]:
        """While ours sleeps, do `then` to it."""
        number = self.ours.run("SELECT connection_id()")
        state = f"SELECT state FROM information_schema.processlist WHERE id = {number}"

        def act() -> None:
            with closing(ByPymysql(self.server.port)) as other:
                eventually(lambda: other.run(state) == "User sleep")
                other.run(then.format(number))

        acting = threading.Thread(target=act)
        acting.start()
        try:
            yield
        finally:
            acting.join()


Scenario = Callable[[Scene], object]
SCENARIOS: dict[str, tuple[Category, Scenario]] = {}


def scenario(name: str, expected: Category) -> Callable[[Scenario], Scenario]:
    """Register a fault for every driver."""

    def register(play: Scenario) -> Scenario:
        SCENARIOS[name] = expected, play
        return play

    return register


@scenario("row locked for too long", CONTENTION)
def _(scene: Scene) -> None:
    scene.ours.run("SET innodb_lock_wait_timeout = 0")
    with scene.row_locked():
        scene.ours.run("UPDATE t SET v = 1 WHERE k = 1")


@scenario("row locked, NOWAIT", CONTENTION)
def _(scene: Scene) -> None:
    with scene.row_locked():
        scene.ours.run("SELECT * FROM t WHERE k = 1 FOR UPDATE NOWAIT")


@scenario("deadlock", CONTENTION)
def _(scene: Scene) -> None:
    scene.ours.run("BEGIN")
    scene.ours.run("UPDATE t SET v = 1 WHERE k = 1")
    with scene.row_locked(2):
        scene.admin.run("INSERT INTO d.t VALUES (10, 1), (11, 1), (12, 1)")  # the one who did less is the victim
        waiting = threading.Thread(target=scene.admin.run, args=("UPDATE d.t SET v = 2 WHERE k = 1",))
        waiting.start()
        with closing(ByPymysql(scene.server.port)) as watcher:
            eventually(lambda: watcher.run("SELECT count(*) FROM information_schema.innodb_lock_waits"))
        try:
            scene.ours.run("UPDATE t SET v = 1 WHERE k = 2")
        finally:
            waiting.join()


@scenario("row changed since the snapshot", CONTENTION)
def _(scene: Scene) -> None:
    scene.ours.run("SET innodb_snapshot_isolation = on")
    scene.ours.run("BEGIN")
    scene.ours.run("SELECT count(*) FROM t")
    scene.admin.run("UPDATE d.t SET v = 7 WHERE k = 1")
    scene.ours.run("UPDATE t SET v = 8 WHERE k = 1")


@scenario("statement takes too long", TIMEOUT)
def _(scene: Scene) -> None:
    scene.ours.run("SET max_statement_time = 0.05")
    scene.ours.run("SELECT sleep(0.1) FROM seq_1_to_1000")


@scenario("statement killed by an operator", TIMEOUT)
def _(scene: Scene) -> None:
    with scene.asleep("KILL QUERY {}"):
        scene.ours.run("SELECT count(*), sleep(5) FROM t")


@scenario("killed by an operator in a statement", NETWORK)
def _(scene: Scene) -> None:
    with scene.asleep("KILL CONNECTION {}"):
        scene.ours.run("SELECT sleep(5)")


@scenario("killed by an operator while idle", NETWORK)
def _(scene: Scene) -> None:
    number = scene.ours.run("SELECT connection_id()")
    scene.admin.run(f"KILL CONNECTION {number}")
    gone = f"SELECT count(*) = 0 FROM information_schema.processlist WHERE id = {number}"
    eventually(lambda: scene.admin.run(gone))
    scene.ours.run("SELECT 1")


@scenario("kills itself", NETWORK)
def _(scene: Scene) -> None:
    scene.ours.run("KILL CONNECTION connection_id()")


@scenario("used after it was closed", NETWORK)
def _(scene: Scene) -> None:
    scene.ours.close()
    scene.ours.run("SELECT 1")


@scenario("write to a replica", NETWORK)
def _(scene: Scene) -> None:
    scene.admin.run("CREATE OR REPLACE USER common@'%'")
    scene.admin.run("GRANT ALL ON d.* TO common@'%'")
    scene.admin.run("SET GLOBAL read_only = on")
    try:
        with closing(scene.connect(scene.server.port, user="common", database="d")) as common:
            common.run("INSERT INTO t VALUES (3, 3)")
    finally:
        scene.admin.run("SET GLOBAL read_only = off")


@scenario("server's limit of clients", RESOURCE)
def _(scene: Scene) -> None:
    with contextlib.ExitStack() as held:
        for _ in range(scene.server.max_connections + 2):
            held.enter_context(closing(scene.connect(scene.server.port)))


@scenario("limit of a user's clients", RESOURCE)
def _(scene: Scene) -> None:
    scene.admin.run("CREATE OR REPLACE USER limited@'%' WITH MAX_USER_CONNECTIONS 1")
    with closing(scene.connect(scene.server.port, user="limited")):
        scene.connect(scene.server.port, user="limited")


@scenario("limit of a user's queries", RESOURCE)
def _(scene: Scene) -> None:
    scene.admin.run("CREATE OR REPLACE USER rationed@'%' WITH MAX_QUERIES_PER_HOUR 5")
    with closing(scene.connect(scene.server.port, user="rationed")) as rationed:
        for _ in range(6):
            rationed.run("SELECT 1")


@scenario("table full", RESOURCE)
def _(scene: Scene) -> None:
    scene.ours.run("SET max_heap_table_size = 16384")
    scene.ours.run("CREATE TEMPORARY TABLE small (v CHAR(200)) ENGINE=MEMORY")
    scene.ours.run("INSERT INTO small SELECT seq FROM seq_1_to_10000")


@scenario("duplicate key", APPLICATION)
def _(scene: Scene) -> None:
    scene.ours.run("INSERT INTO t VALUES (1, 1)")


@scenario("no such table", APPLICATION)
def _(scene: Scene) -> None:
    scene.ours.run("SELECT * FROM nothing")


@scenario("bad syntax", APPLICATION)
def _(scene: Scene) -> None:
    scene.ours.run("SELEKT 1")


@scenario("wrong password", APPLICATION)
def _(scene: Scene) -> None:
    scene.connect(scene.server.port, password="wrong")


@scenario("no such database", APPLICATION)
def _(scene: Scene) -> None:
    scene.connect(scene.server.port, database="nothing")


@scenario("server stopped", NETWORK)
def _(scene: Scene) -> None:
    scene.server.stop()
    try:
        scene.ours.run("SELECT 1")
    finally:
        scene.server.start()


def played(connect: Connect, play: Scenario) -> Callable[[MariaDB], None]:
    def provoke(mariadb: MariaDB) -> None:
        scene = Scene(mariadb, connect)
        try:
            play(scene)
        finally:
            scene.close()

    return provoke


for driver, connect in MARIADB_DRIVERS.items():
    for name, (expected, play) in SCENARIOS.items():
        fault(f"{driver}: {name}", expected, "mariadb")(played(connect, play))


def on_the_way(connect: Connect) -> dict[str, Callable[[], object]]:
    """Everything that keeps a driver from reaching a server."""

    def hung_up() -> None:
        with peer(close) as port:
            connect(port, timeout_s=SHORT_S)

    def not_accepted() -> None:
        with unreachable() as port:
            connect(port, timeout_s=SHORT_S)

    def never_answered() -> None:
        with silent() as port:
            connect(port, timeout_s=SHORT_S)

    return {
        "refused": lambda: connect(refusing()),
        "name does not resolve": lambda: connect(3306, host=UNRESOLVABLE),
        "hung up": hung_up,
        "connect timed out": not_accepted,
        "connected, and silent": never_answered,
    }


for driver, connect in MARIADB_DRIVERS.items():
    for name, provoke in on_the_way(connect).items():
        fault(f"{driver}: {name}", NETWORK)(provoke)


@fault("pymysql: query takes too long, by the client", NETWORK, "mariadb")
def _(mariadb: MariaDB) -> None:
    with closing(ByPymysql(mariadb.port, read_timeout=SHORT_S)) as ours:
        ours.run("SELECT sleep(5)")


@fault("pymysql: no descriptors left", NETWORK)
def _() -> None:
    with no_descriptors_left():
        ByPymysql(1)


@fault("mysql.connector: all connections of the pool in use", RESOURCE, "mariadb")
def _(mariadb: MariaDB) -> None:
    pool = mysql.connector.pooling.MySQLConnectionPool(
        pool_size=1, host=HOST, port=mariadb.port, user="root", use_pure=True
    )
    pool.get_connection()
    pool.get_connection()


@fault("sqlalchemy, pymysql: row locked for too long", CONTENTION, "mariadb")
def _(mariadb: MariaDB) -> None:
    scene = Scene(mariadb, ByPymysql)
    engine = sqlalchemy.create_engine(f"mysql+pymysql://root@{HOST}:{mariadb.port}/d")
    try:
        with scene.row_locked(), engine.begin() as connection:
            connection.exec_driver_sql("SELECT * FROM t WHERE k = 1 FOR UPDATE NOWAIT")
    finally:
        engine.dispose()
        scene.close()


@fault("sqlalchemy, pymysql: refused", NETWORK)
def _() -> None:
    engine = sqlalchemy.create_engine(f"mysql+pymysql://root@{HOST}:{refusing()}/d")
    engine.connect()
