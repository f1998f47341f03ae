"""Texts of errors that carry no code: libpq's above all, for which psycopg raises a bare OperationalError.

Substrings, in lower case. Servers and libpq translate their texts with `lc_messages`: these are the English ones.
"""

from __future__ import annotations

from typing import Final

from otel_monitor_processors.classification.category import CONTROL, Category, Meaning
from otel_monitor_processors.classification.codes import HTTP

_LONGEST: Final = 4096

_CONTENTION = (
    "deadlock detected",  # PostgreSQL
    "could not serialize access",
    "could not obtain lock",
    "canceling statement due to lock timeout",
    "terminating connection due to idle-in-transaction timeout",
    "lock wait timeout exceeded",  # MySQL
    "deadlock found when trying to get lock",
    "record has changed since last read",
    "database is locked",  # SQLite
    "database table is locked",
    "database schema is locked",
    "busy redis is busy running a script",  # Redis
    "unable to acquire lock within the time specified",
    "resource deadlock avoided",  # EDEADLK
    "no locks available",  # ENOLCK
)

_RESOURCE = (
    "too many clients already",  # PostgreSQL
    "too many connections for",
    "remaining connection slots are reserved",
    "out of shared memory",
    "temporary file size exceeds temp_file_limit",
    "could not extend file",
    "too many connections",  # MySQL, redis-py's pool
    "max_user_connections",
    "database or disk is full",  # SQLite
    "disk i/o error",
    "unable to open database file",
    "max number of clients reached",  # Redis
    "no connection available",  # redis-py's blocking pool
    "oom command not allowed",
    "misconf redis",
    "loading redis is loading",
    "redis is loading the dataset",
    "queuepool limit of size",  # SQLAlchemy
    "too many open files",  # EMFILE, ENFILE
    "no space left on device",  # ENOSPC
    "disk quota exceeded",  # EDQUOT
    "cannot allocate memory",  # ENOMEM
    "no buffer space available",  # ENOBUFS
    "input/output error",  # EIO
    "resource temporarily unavailable",  # EAGAIN
    "can't start new thread",  # CPython
)

_NETWORK = (
    "could not translate host name",  # libpq
    "could not connect to server",
    "is the server running",
    "server closed the connection unexpectedly",
    "terminating connection due to administrator command",
    "terminating connection because of crash of another server process",
    "ssl connection has been closed unexpectedly",
    "ssl syscall error",
    "could not receive data from server",
    "could not send data to server",
    "no connection to the server",
    "lost synchronization with server",
    "timeout expired",  # its connect_timeout
    "connection timeout expired",  # psycopg 3
    "connection is bad",
    "failed to resolve host",
    "the connection is lost",
    "connection already closed",  # psycopg2
    "connection is closed",  # psycopg 3, asyncpg
    "connection was closed in the middle of operation",
    "the database system is starting up",
    "the database system is shutting down",
    "the database system is in recovery mode",
    "cannot execute insert in a read-only transaction",
    "can't connect to mysql server",  # MySQL
    "can't connect to server on",
    "server has gone away",
    "lost connection to mysql server",
    "lost connection to server",
    "mysql connection not available",
    "unknown mysql server host",
    "can't write against a read only replica",  # Redis
    "connection closed by server",
    "connect call failed",  # asyncio
    "connection refused",  # ECONNREFUSED
    "connection reset by peer",  # ECONNRESET
    "broken pipe",  # EPIPE
    "software caused connection abort",  # ECONNABORTED
    "transport endpoint is not connected",  # ENOTCONN
    "no route to host",  # EHOSTUNREACH
    "network is unreachable",  # ENETUNREACH
    "network is down",  # ENETDOWN
    "connection timed out",  # ETIMEDOUT
    "cannot assign requested address",  # EADDRNOTAVAIL
    "name or service not known",  # getaddrinfo
    "temporary failure in name resolution",
    "nodename nor servname provided",
    "no address associated with hostname",
    "unexpected_eof_while_reading",  # OpenSSL
    "remote end closed connection without response",  # http.client
    "server disconnected",  # aiohttp, httpx
    "(connect timeout=",  # urllib3
    "no such host",  # Go
    "failed to connect to all addresses",  # gRPC
)

_TIMEOUT = (
    "canceling statement due to statement timeout",  # PostgreSQL
    "canceling statement due to user request",
    "terminating connection due to idle-session timeout",
    "query execution was interrupted",  # MySQL
    "max_statement_time exceeded",
    "maximum statement execution time exceeded",
    "read timed out",  # urllib3
    "timeout reading from",  # redis-py
    "timeout on reading data from socket",  # aiohttp
    "context deadline exceeded",  # Go
    "deadline exceeded",  # gRPC
    "i/o timeout",
)

_WORKER_LOST = (
    "worker exited prematurely",  # billiard
    "a process in the process pool was terminated abruptly",  # concurrent.futures
    "work-horse terminated unexpectedly",  # RQ
    "died with <signals.sigkill",  # subprocess
    "died with <signals.sigsegv",
    "died with <signals.sigbus",
    "died with <signals.sigabrt",
    "non-zero exit status 137",
    "non-zero exit status 139",
)

_APPLICATION = (
    "certificate verify failed",  # OpenSSL
    "[ssl: wrong_version_number]",
)

_CONTROL = ("context canceled",)  # Go


_HTTP = (
    "http error {}:",  # urllib
    "{} server error:",  # requests
    "{} client error:",
    "error '{} ",  # httpx
    "{}, message=",  # aiohttp
    "too many {} error responses",  # urllib3's retries
)


def _http(meaning: Meaning) -> tuple[str, ...]:
    return tuple(phrase.format(code) for code, meant in HTTP.items() if meant is meaning for phrase in _HTTP)


_PHRASES: Final[tuple[tuple[Meaning, tuple[str, ...]], ...]] = (
    (Category.WORKER_LOST, _WORKER_LOST),
    (Category.CONTENTION, _CONTENTION),
    (Category.RESOURCE, _RESOURCE + _http(Category.RESOURCE)),
    (Category.TIMEOUT, _TIMEOUT + _http(Category.TIMEOUT)),
    (Category.NETWORK, _NETWORK + _http(Category.NETWORK)),
    (Category.APPLICATION, _APPLICATION),
    (CONTROL, _CONTROL),
)


def text_meaning(text: str) -> Meaning | None:
    """What the text of an error says; of several phrases in it, the one that explains the others."""
    if not text:
        return None
    text = text[:_LONGEST].lower()
    for meaning, phrases in _PHRASES:
        for phrase in phrases:
            if phrase in text:  # 130 times this costs less than one regular expression of 130 branches
                return meaning
    return None
