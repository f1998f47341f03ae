"""Faults of SQLite, directly and through SQLAlchemy."""

from __future__ import annotations

import resource
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import sqlalchemy
import sqlalchemy.orm

from otel_monitor_processors.classification import Category
from tests.classification.children import HAS_SYSTEM_RIGHTS, limited, no_descriptors_left, raise_in_child
from tests.classification.faults import fault

CONTENTION, TIMEOUT = Category.CONTENTION, Category.TIMEOUT
RESOURCE, APPLICATION = Category.RESOURCE, Category.APPLICATION


def connect(database: Path | str, **options: object) -> closing[sqlite3.Connection]:
    return closing(sqlite3.connect(database, timeout=0, isolation_level=None, **options))  # type: ignore[call-overload]


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Somebody else writes, and does not end the transaction."""
    with connect(database) as other:
        other.execute("CREATE TABLE IF NOT EXISTS t (k INTEGER PRIMARY KEY, v)")
        other.execute("BEGIN EXCLUSIVE")
        yield


@fault("sqlite: write while another writes", CONTENTION, "tmp_path")
def _(tmp_path: Path) -> None:
    with locked(tmp_path / "db"), connect(tmp_path / "db") as ours:
        ours.execute("BEGIN IMMEDIATE")


@fault("sqlite: read while another writes exclusively", CONTENTION, "tmp_path")
def _(tmp_path: Path) -> None:
    with locked(tmp_path / "db"), connect(tmp_path / "db") as ours:
        ours.execute("SELECT * FROM t")


@fault("sqlite: snapshot is older than another's write", CONTENTION, "tmp_path")
def _(tmp_path: Path) -> None:
    with connect(tmp_path / "db") as ours, connect(tmp_path / "db") as theirs:
        ours.execute("PRAGMA journal_mode=WAL")
        ours.execute("CREATE TABLE t (v)")
        ours.execute("BEGIN")
        ours.execute("SELECT * FROM t").fetchall()
        theirs.execute("INSERT INTO t VALUES (1)")
        ours.execute("INSERT INTO t VALUES (2)")


@fault("sqlite: table locked in a shared cache", CONTENTION, "tmp_path")
def _(tmp_path: Path) -> None:
    name = f"file:{tmp_path / 'db'}?cache=shared"
    with connect(name, uri=True) as ours, connect(name, uri=True) as theirs:
        ours.execute("CREATE TABLE t (v)")
        theirs.execute("BEGIN")
        theirs.execute("INSERT INTO t VALUES (1)")
        ours.execute("SELECT * FROM t").fetchall()


@fault("sqlite: full", RESOURCE, "tmp_path")
def _(tmp_path: Path) -> None:
    with connect(tmp_path / "db") as ours:
        ours.execute("PRAGMA max_page_count=2")
        ours.execute("CREATE TABLE t (v)")
        ours.execute("INSERT INTO t VALUES (zeroblob(100000))")


@fault("sqlite: disk full", RESOURCE, "small_disk", possible=HAS_SYSTEM_RIGHTS)
def _(small_disk: Path) -> None:
    with connect(small_disk / "db") as ours:
        ours.execute("CREATE TABLE t (v)")
        ours.execute("INSERT INTO t VALUES (zeroblob(2000000))")


@fault("sqlite: over the limit of a file's size", RESOURCE, "tmp_path")
def _(tmp_path: Path) -> None:
    with connect(tmp_path / "db") as ours:
        ours.execute("CREATE TABLE t (v)")
        with limited(resource.RLIMIT_FSIZE, 20_000):
            ours.execute("INSERT INTO t VALUES (zeroblob(100000))")


@fault("sqlite: out of memory", RESOURCE)
def _() -> None:
    raise_in_child("""
        import sqlite3
        ours = sqlite3.connect(":memory:")
        ours.execute("PRAGMA hard_heap_limit=1000000")  # of the whole process, for the rest of its life
        ours.execute("SELECT length(zeroblob(100000000) || 'x')").fetchall()
    """)


@fault("sqlite: folder not there", RESOURCE)
def _() -> None:
    with connect("/nowhere/db") as ours:
        ours.execute("SELECT 1")


@fault("sqlite: no descriptors left", RESOURCE, "tmp_path")
def _(tmp_path: Path) -> None:
    with no_descriptors_left(), connect(tmp_path / "db") as ours:
        ours.execute("CREATE TABLE t (v)")


@fault("sqlite: interrupted", TIMEOUT, recorded=APPLICATION)
def _() -> None:
    with connect(":memory:", check_same_thread=False) as ours:
        threading.Timer(0.05, ours.interrupt).start()
        ours.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n").fetchall()


@fault("sqlite: duplicate key", APPLICATION)
def _() -> None:
    with connect(":memory:") as ours:
        ours.execute("CREATE TABLE t (k PRIMARY KEY)")
        ours.execute("INSERT INTO t VALUES ('database is locked')")
        ours.execute("INSERT INTO t VALUES ('database is locked')")


@fault("sqlite: no such table", APPLICATION)
def _() -> None:
    with connect(":memory:") as ours:
        ours.execute("SELECT * FROM t")


@fault("sqlite: read-only file", APPLICATION, "tmp_path")
def _(tmp_path: Path) -> None:
    with connect(tmp_path / "db") as ours:
        ours.execute("CREATE TABLE t (v)")
    with connect(f"file:{tmp_path / 'db'}?mode=ro", uri=True) as ours:
        ours.execute("INSERT INTO t VALUES (1)")


@fault("sqlite: no database", APPLICATION, "tmp_path")
def _(tmp_path: Path) -> None:
    (tmp_path / "db").write_bytes(b"x" * 10_000)
    with connect(tmp_path / "db") as ours:
        ours.execute("SELECT * FROM t")


@fault("sqlite: used after it was closed", APPLICATION)
def _() -> None:
    with connect(":memory:") as ours:
        pass
    ours.execute("SELECT 1")


@contextmanager
def engine(database: Path | str, **options: object) -> Iterator[sqlalchemy.Engine]:
    made = sqlalchemy.create_engine(f"sqlite:///{database}", connect_args={"timeout": 0}, **options)
    try:
        yield made
    finally:
        made.dispose()


@fault("sqlalchemy, sqlite: write while another writes", CONTENTION, "tmp_path")
def _(tmp_path: Path) -> None:
    with locked(tmp_path / "db"), engine(tmp_path / "db") as ours, ours.begin() as connection:
        connection.exec_driver_sql("INSERT INTO t (v) VALUES (1)")


@fault("sqlalchemy, sqlite: duplicate key", APPLICATION, "tmp_path")
def _(tmp_path: Path) -> None:
    with engine(tmp_path / "db") as ours, ours.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (k PRIMARY KEY)")
        connection.exec_driver_sql("INSERT INTO t VALUES (1), (1)")


@fault("sqlalchemy: all connections of the pool in use", RESOURCE, "tmp_path")
def _(tmp_path: Path) -> None:
    with engine(tmp_path / "db", pool_size=1, max_overflow=0, pool_timeout=0.05) as ours, ours.connect():
        ours.connect()


class Base(sqlalchemy.orm.DeclarativeBase):
    pass


class Row(Base):
    __tablename__ = "t"
    k: sqlalchemy.orm.Mapped[int] = sqlalchemy.orm.mapped_column(primary_key=True)
    v: sqlalchemy.orm.Mapped[int]


@fault("sqlalchemy: row gone that was loaded before", CONTENTION, "tmp_path")
def _(tmp_path: Path) -> None:
    with engine(tmp_path / "db") as ours, sqlalchemy.orm.Session(ours, expire_on_commit=False) as session:
        Base.metadata.create_all(ours)
        row = Row(k=1, v=1)
        session.add(row)
        session.commit()
        with connect(tmp_path / "db") as other:
            other.execute("DELETE FROM t")
        row.v = 2
        session.commit()
