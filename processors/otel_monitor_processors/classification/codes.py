"""Error codes and what they mean: databases, operating system, gRPC, HTTP.

A code that stands in no table is the application's own affair (a duplicate key, a missing file, a 404).
Rows marked "by the manual" were never provoked by a test: no such server was at hand.
"""

from __future__ import annotations

import errno
import signal
from typing import Final

from otel_monitor_processors.classification.category import CONTROL, Category, Meaning

_CONTENTION = Category.CONTENTION
_NETWORK = Category.NETWORK
_TIMEOUT = Category.TIMEOUT
_RESOURCE = Category.RESOURCE

SQLSTATE: Final[dict[str, Meaning]] = {
    "25006": _NETWORK,  # read_only_sql_transaction: a primary that has become a replica
    "25P03": _CONTENTION,  # idle_in_transaction_session_timeout: somebody held locks and did nothing
    "25P04": _TIMEOUT,  # transaction_timeout (PostgreSQL 17, by the manual)
    "40000": _CONTENTION,  # transaction_rollback
    "40001": _CONTENTION,  # serialization_failure
    "40002": _CONTENTION,  # transaction_integrity_constraint_violation
    "40003": _NETWORK,  # statement_completion_unknown
    "40P01": _CONTENTION,  # deadlock_detected
    "55006": _CONTENTION,  # object_in_use
    "55P03": _CONTENTION,  # lock_not_available: NOWAIT, lock_timeout
    "57014": _TIMEOUT,  # query_canceled: statement_timeout, or somebody's cancel request
    "57P01": _NETWORK,  # admin_shutdown: also pg_terminate_backend
    "57P02": _NETWORK,  # crash_shutdown
    "57P03": _NETWORK,  # cannot_connect_now
    "57P05": _TIMEOUT,  # idle_session_timeout
    "70100": _TIMEOUT,  # MySQL's "query execution was interrupted"
    "HYT00": _TIMEOUT,  # ODBC's timeout expired (by the manual)
    "HYT01": _NETWORK,  # ODBC's connection timeout expired (by the manual)
}
"""SQLSTATEs: appendix A of the PostgreSQL manual; two of ODBC and one of MySQL."""

SQLSTATE_CLASS: Final[dict[str, Meaning]] = {
    "08": _NETWORK,  # connection_exception
    "53": _RESOURCE,  # insufficient_resources: disk_full, out_of_memory, too_many_connections, a configured limit
    "58": _RESOURCE,  # system_error, external to PostgreSQL: io_error, undefined_file
}
"""The first two characters of a SQLSTATE, for those that the table of whole ones does not name."""

MYSQL: Final[dict[int, Meaning]] = {
    1020: _CONTENTION,  # ER_CHECKREAD: the record has changed since the snapshot
    1205: _CONTENTION,  # ER_LOCK_WAIT_TIMEOUT, on MariaDB NOWAIT too
    1213: _CONTENTION,  # ER_LOCK_DEADLOCK
    1613: _CONTENTION,  # ER_XA_RBTIMEOUT (by the manual)
    1614: _CONTENTION,  # ER_XA_RBDEADLOCK (by the manual)
    3058: _CONTENTION,  # ER_USER_LOCK_DEADLOCK (by the manual)
    3572: _CONTENTION,  # ER_LOCK_NOWAIT (MySQL 8, by the manual)
    1053: _NETWORK,  # ER_SERVER_SHUTDOWN (by the manual)
    1152: _NETWORK,  # ER_ABORTING_CONNECTION (by the manual)
    1158: _NETWORK,  # ER_NET_READ_ERROR (by the manual)
    1159: _NETWORK,  # ER_NET_READ_INTERRUPTED (by the manual)
    1160: _NETWORK,  # ER_NET_ERROR_ON_WRITE (by the manual)
    1161: _NETWORK,  # ER_NET_WRITE_INTERRUPTED (by the manual)
    1184: _NETWORK,  # ER_NEW_ABORTING_CONNECTION (by the manual)
    1290: _NETWORK,  # ER_OPTION_PREVENTS_STATEMENT: read-only, a primary that has become a replica
    1927: _NETWORK,  # ER_CONNECTION_KILLED
    2002: _NETWORK,  # CR_CONNECTION_ERROR
    2003: _NETWORK,  # CR_CONN_HOST_ERROR
    2005: _NETWORK,  # CR_UNKNOWN_HOST
    2006: _NETWORK,  # CR_SERVER_GONE_ERROR
    2013: _NETWORK,  # CR_SERVER_LOST
    2055: _NETWORK,  # CR_SERVER_LOST_EXTENDED
    1317: _TIMEOUT,  # ER_QUERY_INTERRUPTED
    1969: _TIMEOUT,  # ER_STATEMENT_TIMEOUT (MariaDB)
    3024: _TIMEOUT,  # ER_QUERY_TIMEOUT (MySQL, by the manual)
    4031: _TIMEOUT,  # ER_CLIENT_INTERACTION_TIMEOUT (MySQL 8, by the manual)
    1021: _RESOURCE,  # ER_DISK_FULL (by the manual)
    1037: _RESOURCE,  # ER_OUTOFMEMORY (by the manual)
    1038: _RESOURCE,  # ER_OUT_OF_SORTMEMORY (by the manual)
    1040: _RESOURCE,  # ER_CON_COUNT_ERROR
    1041: _RESOURCE,  # ER_OUT_OF_RESOURCES (by the manual)
    1114: _RESOURCE,  # ER_RECORD_FILE_FULL
    1135: _RESOURCE,  # ER_CANT_CREATE_THREAD (by the manual)
    1203: _RESOURCE,  # ER_TOO_MANY_USER_CONNECTIONS
    1206: _RESOURCE,  # ER_LOCK_TABLE_FULL (by the manual)
    1226: _RESOURCE,  # ER_USER_LIMIT_REACHED
}
"""Error numbers of MySQL and MariaDB, servers' (1000 and up) and clients' (2000 and up): their reference manuals."""

SQLITE: Final[dict[int, Meaning]] = {
    5: _CONTENTION,  # SQLITE_BUSY
    6: _CONTENTION,  # SQLITE_LOCKED
    15: _CONTENTION,  # SQLITE_PROTOCOL: the locking protocol of the write-ahead log
    7: _RESOURCE,  # SQLITE_NOMEM
    10: _RESOURCE,  # SQLITE_IOERR
    13: _RESOURCE,  # SQLITE_FULL
    14: _RESOURCE,  # SQLITE_CANTOPEN
    9: _TIMEOUT,  # SQLITE_INTERRUPT
}
"""The low byte of SQLite's result codes (extended ones put details above it): sqlite.org/rescode.html."""

SQLITE_NAMES: Final[dict[str, int]] = {
    "SQLITE_BUSY": 5,
    "SQLITE_LOCKED": 6,
    "SQLITE_NOMEM": 7,
    "SQLITE_INTERRUPT": 9,
    "SQLITE_IOERR": 10,
    "SQLITE_FULL": 13,
    "SQLITE_CANTOPEN": 14,
    "SQLITE_PROTOCOL": 15,
}
"""The same by name; an extended name begins with a primary one (SQLITE_BUSY_SNAPSHOT)."""

ORACLE: Final[dict[int, Meaning]] = {
    **dict.fromkeys((54, 60, 8177, 30006), _CONTENTION),
    **dict.fromkeys((1033, 1034, 1089, 1090, 3113, 3114, 3135), _NETWORK),  # starting, stopping, lost
    **dict.fromkeys((12170, 12514, 12528, 12537, 12541, 12543, 12545, 12547), _NETWORK),  # the listener
    **dict.fromkeys((1013,), _TIMEOUT),
    **dict.fromkeys((18, 20, 257, 1652, 1653, 1654, 4030, 4031, 12516, 12519, 12520), _RESOURCE),
}
"""ORA- numbers: Oracle's error messages reference (all by the manual)."""

SQL_SERVER: Final[dict[int, Meaning]] = {
    **dict.fromkeys((1205, 1222, 3960), _CONTENTION),
    **dict.fromkeys((233, 10053, 10054, 10060, 10061, 40197, 40613), _NETWORK),
    **dict.fromkeys((-2,), _TIMEOUT),
    **dict.fromkeys((701, 802, 1105, 9002, 10928, 10929, 40501), _RESOURCE),
}
"""Error numbers of SQL Server and its clients: Microsoft's database engine errors (all by the manual)."""

MONGODB: Final[dict[int, Meaning]] = {
    **dict.fromkeys((24, 112), _CONTENTION),  # LockTimeout, WriteConflict
    **dict.fromkeys((6, 7, 89, 91, 189, 9001, 10107, 11600, 11602, 13435, 13436), _NETWORK),  # also a stepdown
    **dict.fromkeys((50, 262), _TIMEOUT),  # MaxTimeMSExpired, ExceededTimeLimit
    **dict.fromkeys((146, 14031), _RESOURCE),  # ExceededMemoryLimit, OutOfDiskSpace
}
"""Server error codes of MongoDB: its error_codes.yml (all by the manual)."""

REDIS: Final[dict[str, Meaning]] = {
    "BUSY": _CONTENTION,  # a script holds the server
    "TRYAGAIN": _CONTENTION,  # by the manual
    "CLUSTERDOWN": _NETWORK,  # by the manual
    "MASTERDOWN": _NETWORK,
    "NOREPLICAS": _NETWORK,
    "READONLY": _NETWORK,  # a primary that has become a replica
    "LOADING": _RESOURCE,
    "MISCONF": _RESOURCE,  # snapshots fail: mostly a full disk
    "OOM": _RESOURCE,
}
"""The first word of a Redis error reply: redis.io and the server's source."""

GRPC: Final[dict[str, Meaning]] = {
    "ABORTED": _CONTENTION,
    "CANCELLED": CONTROL,
    "DEADLINE_EXCEEDED": _TIMEOUT,
    "RESOURCE_EXHAUSTED": _RESOURCE,
    "UNAVAILABLE": _NETWORK,
}
"""gRPC status codes by name: grpc.io/docs/guides/status-codes."""

GRPC_NUMBERS: Final[dict[int, str]] = {
    1: "CANCELLED",
    4: "DEADLINE_EXCEEDED",
    8: "RESOURCE_EXHAUSTED",
    10: "ABORTED",
    14: "UNAVAILABLE",
}
"""The same by number, as `rpc.grpc.status_code` holds them."""

HTTP: Final[dict[int, Meaning]] = {
    408: _TIMEOUT,
    429: _RESOURCE,
    502: _NETWORK,
    503: _RESOURCE,
    504: _TIMEOUT,
}
"""HTTP status codes: RFC 9110 and RFC 6585."""

AWS: Final[dict[str, Meaning]] = {
    "TransactionConflictException": _CONTENTION,
    "RequestTimeout": _TIMEOUT,
    "ProvisionedThroughputExceededException": _RESOURCE,
    "RequestLimitExceeded": _RESOURCE,
    "SlowDown": _RESOURCE,
    "Throttling": _RESOURCE,
    "ThrottlingException": _RESOURCE,
    "TooManyRequestsException": _RESOURCE,
}
"""Error codes of AWS's services: their API references (all by the manual)."""

KAFKA: Final[dict[str, Meaning]] = {
    "CONCURRENT_TRANSACTIONS": _CONTENTION,
    **dict.fromkeys(("BROKER_NOT_AVAILABLE", "COORDINATOR_NOT_AVAILABLE", "LEADER_NOT_AVAILABLE"), _NETWORK),
    **dict.fromkeys(("NETWORK_EXCEPTION", "NOT_ENOUGH_REPLICAS", "NOT_LEADER_OR_FOLLOWER"), _NETWORK),
    **dict.fromkeys(("_ALL_BROKERS_DOWN", "_RESOLVE", "_TRANSPORT"), _NETWORK),
    **dict.fromkeys(("REQUEST_TIMED_OUT", "_MSG_TIMED_OUT", "_TIMED_OUT"), _TIMEOUT),
    **dict.fromkeys(("KAFKA_STORAGE_ERROR", "THROTTLING_QUOTA_EXCEEDED", "_QUEUE_FULL"), _RESOURCE),
}
"""Error names of Kafka's protocol, and with an underscore of librdkafka (all by the manual)."""

AMQP: Final[dict[str, Meaning]] = {
    "amqp:resource-locked": _CONTENTION,
    "amqp:connection:forced": _NETWORK,
    "com.microsoft:timeout": _TIMEOUT,
    "amqp:resource-limit-exceeded": _RESOURCE,
    "com.microsoft:server-busy": _RESOURCE,
}
"""Error conditions of AMQP 1.0, and of Azure Service Bus over it (all by the manual)."""

_ERRNO_NAMES: Final[dict[Meaning, str]] = {
    _CONTENTION: "EDEADLK ENOLCK",
    _NETWORK: "ECONNREFUSED ECONNRESET EPIPE ECONNABORTED ESHUTDOWN ENOTCONN EHOSTUNREACH EHOSTDOWN"
    " ENETUNREACH ENETDOWN ENETRESET ETIMEDOUT EADDRNOTAVAIL",
    # EAGAIN: fork() at the limit of processes, a full socket buffer
    _RESOURCE: "EMFILE ENFILE ENOMEM ENOSPC EDQUOT ENOBUFS EAGAIN EIO",
}

ERRNO_BY_NAME: Final[dict[str, Meaning]] = {
    name: meaning for meaning, names in _ERRNO_NAMES.items() for name in names.split()
}
"""Error numbers of the operating system by name: POSIX `errno.h`. Node.js reports them by name, too."""

ERRNO: Final[dict[int, Meaning]] = {
    getattr(errno, name): meaning for name, meaning in ERRNO_BY_NAME.items() if hasattr(errno, name)
}
"""The same by this system's numbers. They differ between systems: never read another machine's by them."""

KILLED: Final = (signal.SIGKILL, signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT)
"""Signals that no process ends by in good order: the out-of-memory killer, and crashes."""

LOST_EXIT_CODES: Final = frozenset(code for number in KILLED for code in (-number, 128 + number))
"""Exit codes of a killed process, as Python (-9) and as shells and containers (137) tell them."""


_SAYS_NOTHING: Final = frozenset({"00000", "25P02", "HY000", "P0001", "XX000"})
"""SQLSTATEs of an error that has another cause: a transaction already broken, a raise in SQL, any error at all."""


def sqlstate_meaning(code: str) -> Meaning | None:
    """What a five-character SQLSTATE means; None for one that says nothing."""
    if code in _SAYS_NOTHING:
        return None
    return SQLSTATE.get(code) or SQLSTATE_CLASS.get(code[:2]) or Category.APPLICATION


def mysql_meaning(code: int) -> Meaning | None:
    """What an error number of MySQL or MariaDB means; None for one that is none."""
    return MYSQL.get(code, Category.APPLICATION) if code >= 1000 and code != 1105 else None


def sqlite_meaning(code: int) -> Meaning | None:
    """What a result code of SQLite means, primary or extended; None for a general error."""
    primary = code & 0xFF
    return SQLITE.get(primary, Category.APPLICATION) if primary > 1 else None


def http_meaning(code: int) -> Meaning | None:
    """What an HTTP status says, as the answer to a request; None for a good one."""
    return HTTP.get(code, Category.APPLICATION) if 400 <= code < 600 else None
