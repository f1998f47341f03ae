"""How a piece of work fails, as a program would see it: an exception with its message, and codes if there are any."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Failure:
    """An exception, not what it means: that is for others to find out."""

    type: str
    message: str
    database_code: str | None = None
    http_code: int | None = None
    locked: bool = False
    """Whether other transactions' locks are behind it: ground truth, which no telemetry tells."""
    unreached: bool = False
    """Whether the network or a dead peer is behind it: ground truth likewise."""


REFUSED = Failure("ConnectionRefusedError", "[Errno 111] Connection refused", unreached=True)
RESET = Failure("ConnectionResetError", "[Errno 104] Connection reset by peer", unreached=True)
NO_ANSWER = Failure("TimeoutError", "timed out", unreached=True)
CONNECT_TIMEOUT = Failure("httpx.ConnectTimeout", "timed out", unreached=True)
SLOW_ANSWER = Failure("httpx.ReadTimeout", "The read operation timed out")
TOO_MANY_FILES = Failure("OSError", "[Errno 24] Too many open files")
DISK_FULL = Failure("OSError", "[Errno 28] No space left on device")
NO_THREAD = Failure("RuntimeError", "can't start new thread")
QUEUE_FULL = Failure("queue.Full", "the local queue is full")
UNAVAILABLE = Failure("503", "Service Unavailable", http_code=503)
SERVER_ERROR = Failure("500", "Internal Server Error", http_code=500)
BAD_GATEWAY = Failure("502", "Bad Gateway", http_code=502)

MISTAKES = (
    Failure("ValueError", "invalid literal for int() with base 10: 'n/a'"),
    Failure("KeyError", "'customer_id'"),
    Failure("json.decoder.JSONDecodeError", "Expecting value: line 1 column 1 (char 0)"),
    Failure("decimal.InvalidOperation", "[<class 'decimal.ConversionSyntax'>]"),
    Failure("AssertionError", "checksum mismatch"),
)
"""What goes wrong in a program's own right."""


@dataclass(frozen=True, slots=True)
class DatabaseErrors:
    """The words of one database's drivers."""

    lock_timeout: Failure
    deadlock: Failure
    conflict: Failure
    cancelled: Failure
    too_many: Failure
    disk_full: Failure
    lost: Failure
    pool: Failure


DATABASE_ERRORS = {
    "postgresql": DatabaseErrors(
        lock_timeout=Failure(
            "psycopg.errors.LockNotAvailable", "canceling statement due to lock timeout", "55P03", locked=True
        ),
        deadlock=Failure("psycopg.errors.DeadlockDetected", "deadlock detected", "40P01", locked=True),
        conflict=Failure(
            "psycopg.errors.SerializationFailure",
            "could not serialize access due to concurrent update",
            "40001",
            locked=True,
        ),
        cancelled=Failure("psycopg.errors.QueryCanceled", "canceling statement due to statement timeout", "57014"),
        too_many=Failure("psycopg.OperationalError", "FATAL:  sorry, too many clients already"),
        disk_full=Failure("psycopg.errors.DiskFull", "could not extend file: No space left on device", "53100"),
        lost=Failure("psycopg.OperationalError", "server closed the connection unexpectedly", "08006", unreached=True),
        pool=Failure("psycopg_pool.PoolTimeout", "couldn't get a connection after 5.00 sec"),
    ),
    "mysql": DatabaseErrors(
        lock_timeout=Failure(
            "pymysql.err.OperationalError",
            "(1205, 'Lock wait timeout exceeded; try restarting transaction')",
            "1205",
            locked=True,
        ),
        deadlock=Failure(
            "pymysql.err.OperationalError",
            "(1213, 'Deadlock found when trying to get lock; try restarting transaction')",
            "1213",
            locked=True,
        ),
        conflict=Failure(
            "pymysql.err.OperationalError", "(1020, 'Record has changed since last read')", "1020", locked=True
        ),
        cancelled=Failure(
            "pymysql.err.OperationalError", "(3024, 'Query execution was interrupted, maximum time exceeded')", "3024"
        ),
        too_many=Failure("pymysql.err.OperationalError", "(1040, 'Too many connections')", "1040"),
        disk_full=Failure("pymysql.err.OperationalError", '(1114, "The table is full")', "1114"),
        lost=Failure(
            "pymysql.err.OperationalError",
            "(2013, 'Lost connection to MySQL server during query')",
            "2013",
            unreached=True,
        ),
        pool=Failure(
            "sqlalchemy.exc.TimeoutError", "QueuePool limit of size 5 overflow 0 reached, connection timed out"
        ),
    ),
    "sqlite": DatabaseErrors(
        lock_timeout=Failure("sqlite3.OperationalError", "database is locked", "SQLITE_BUSY", locked=True),
        deadlock=Failure("sqlite3.OperationalError", "database table is locked", "SQLITE_LOCKED", locked=True),
        conflict=Failure("sqlite3.OperationalError", "database is locked", "SQLITE_BUSY_SNAPSHOT", locked=True),
        cancelled=Failure("sqlite3.OperationalError", "interrupted", "SQLITE_INTERRUPT"),
        too_many=Failure("sqlite3.OperationalError", "unable to open database file", "SQLITE_CANTOPEN"),
        disk_full=Failure("sqlite3.OperationalError", "database or disk is full", "SQLITE_FULL"),
        lost=Failure("sqlite3.OperationalError", "disk I/O error", "SQLITE_IOERR"),
        pool=Failure(
            "sqlalchemy.exc.TimeoutError", "QueuePool limit of size 5 overflow 0 reached, connection timed out"
        ),
    ),
}
