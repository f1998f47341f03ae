"""The codes that exceptions of each library carry, and where.

A reader answers None where there is no code, and APPLICATION for a code that is in no table: then the text is
not worth reading, it may quote somebody's data.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Final

from otel_monitor_processors.classification.category import Category, Meaning
from otel_monitor_processors.classification.codes import (
    AWS,
    ERRNO,
    GRPC,
    GRPC_NUMBERS,
    HTTP,
    LOST_EXIT_CODES,
    MONGODB,
    ORACLE,
    REDIS,
    http_meaning,
    mysql_meaning,
    sqlite_meaning,
    sqlstate_meaning,
)
from otel_monitor_processors.classification.foreign import (
    answer_of,
    attribute,
    first_argument,
    text_of,
    traceback_of,
    whole_number,
)

_SQLSTATE_NAMES: Final = ("sqlstate", "pgcode")
_HTTP_NAMES: Final = ("status_code", "status", "http_status")
COMMON_NAMES: Final = (*_SQLSTATE_NAMES, "sqlite_errorcode", *_HTTP_NAMES)
"""Attributes that mean the same on every class that has them."""

Reader = Callable[[BaseException], Meaning | None]

_LONGEST_TRACEBACK: Final = 256
_ERRNO_IN_TEXT: Final = re.compile(r"\[Errno (\d{1,5})\]")

_ASYNCPG_WAITS: Final[dict[tuple[object, str], Category]] = {
    ("asyncpg.pool", "_acquire"): Category.RESOURCE,
    ("asyncpg.connection", "connect"): Category.NETWORK,
}


def read_errno(error: BaseException) -> Meaning | None:
    number = whole_number(attribute(error, "errno"))
    if number is not None:
        return ERRNO.get(number)
    if type(error) is OSError:
        return _several_errnos(text_of(error))
    return None


def _several_errnos(text: str) -> Meaning | None:
    """asyncio's error for a name of which every address failed has no errno, and theirs in its text."""
    if not text.startswith("Multiple exceptions: "):
        return None
    found = (ERRNO.get(int(number)) for number in _ERRNO_IN_TEXT.findall(text))
    return next((meaning for meaning in found if meaning), None)


def read_traceback(error: BaseException) -> Meaning | None:
    """asyncpg's pool, its connect and its queries all end in a bare TimeoutError: only where it came from tells."""
    if "asyncpg" not in sys.modules:
        return None
    meaning = None
    traceback = traceback_of(error)
    for _ in range(_LONGEST_TRACEBACK):
        if traceback is None:
            break
        frame = traceback.tb_frame
        meaning = _ASYNCPG_WAITS.get((frame.f_globals.get("__name__"), frame.f_code.co_name), meaning)
        traceback = traceback.tb_next
    return meaning


def read_thread_start(error: BaseException) -> Meaning | None:
    said = first_argument(error)
    return Category.RESOURCE if type(said) is str and said.startswith("can't start new thread") else None


def read_exit_code(error: BaseException) -> Meaning | None:
    code = whole_number(attribute(error, "returncode"))
    return Category.WORKER_LOST if code in LOST_EXIT_CODES else None


def read_sqlite(error: BaseException) -> Meaning | None:
    code = whole_number(attribute(error, "sqlite_errorcode"))
    return None if code is None else sqlite_meaning(code)


def read_sqlstate(error: BaseException) -> Meaning | None:
    for name in _SQLSTATE_NAMES:
        code = attribute(error, name)
        if type(code) is str and len(code) == 5:
            return sqlstate_meaning(code)
    return None


def read_pg8000(error: BaseException) -> Meaning | None:
    fields = first_argument(error)
    code = fields.get("C") if type(fields) is dict else None
    return sqlstate_meaning(code) if type(code) is str else None


def read_odbc(error: BaseException) -> Meaning | None:
    code = first_argument(error)
    return sqlstate_meaning(code) if type(code) is str and len(code) == 5 else None


def read_mysql_argument(error: BaseException) -> Meaning | None:
    code = whole_number(first_argument(error))
    if code == 0:  # InterfaceError(0, ""): the connection was closed before
        return Category.NETWORK
    return None if code is None else mysql_meaning(code)


def read_mysql_errno(error: BaseException) -> Meaning | None:
    code = whole_number(attribute(error, "errno"))
    return None if code is None else mysql_meaning(code)


def read_connect_timeout(_: BaseException) -> Meaning | None:
    """MySQL's connector gives it the number of a query's timeout."""
    return Category.NETWORK


def read_oracle(error: BaseException) -> Meaning | None:
    code = whole_number(attribute(first_argument(error), "code"))
    return ORACLE.get(code, Category.APPLICATION) if code else None


def read_mongodb(error: BaseException) -> Meaning | None:
    code = whole_number(attribute(error, "code"))
    return None if code is None else MONGODB.get(code, Category.APPLICATION)


def read_redis(error: BaseException) -> Meaning | None:
    said = first_argument(error)
    return REDIS.get(said.partition(" ")[0]) if type(said) is str else None


def read_grpc(error: BaseException) -> Meaning | None:
    if answer_of(error, "done") is False:  # a stream's error is the stream: asked before its end, it would wait
        return None
    name = attribute(answer_of(error, "code"), "name")
    return GRPC.get(name) if type(name) is str else None


def read_grpclib(error: BaseException) -> Meaning | None:
    number = whole_number(attribute(attribute(error, "status"), "value"))
    return None if number is None else GRPC.get(GRPC_NUMBERS.get(number, ""))


def read_response(error: BaseException) -> Meaning | None:
    number = whole_number(attribute(attribute(error, "response"), "status_code"))
    return None if number is None else http_meaning(number)


def read_status(error: BaseException) -> Meaning | None:
    number = whole_number(attribute(error, "status"))
    return None if number is None else http_meaning(number)


def read_http_code(error: BaseException) -> Meaning | None:
    number = whole_number(attribute(error, "code"))
    return None if number is None else http_meaning(number)


def read_aws(error: BaseException) -> Meaning | None:
    response = attribute(error, "response")
    if type(response) is not dict:
        return None
    said, metadata = response.get("Error"), response.get("ResponseMetadata")
    code = said.get("Code") if type(said) is dict else None
    if type(code) is str and code in AWS:
        return AWS[code]
    status = whole_number(metadata.get("HTTPStatusCode")) if type(metadata) is dict else None
    return None if status is None else http_meaning(status)


def read_common_names(error: BaseException) -> Meaning | None:
    """The codes of a class that no table knows, under the names that mean the same everywhere."""
    meaning = read_sqlstate(error) or read_sqlite(error)
    for name in _HTTP_NAMES:
        if meaning is not None:
            break
        number = whole_number(attribute(error, name))
        meaning = None if number is None else HTTP.get(number)
    return meaning


READERS: Final[dict[str, Reader]] = {
    "OSError": read_errno,
    "TimeoutError": read_traceback,
    "RuntimeError": read_thread_start,
    "subprocess.CalledProcessError": read_exit_code,
    "sqlite3.Error": read_sqlite,
    "psycopg.Error": read_sqlstate,
    "psycopg2.Error": read_sqlstate,
    "asyncpg.exceptions._base.PostgresError": read_sqlstate,
    "pg8000.exceptions.Error": read_pg8000,
    "pyodbc.Error": read_odbc,
    "pymysql.err.MySQLError": read_mysql_argument,
    "MySQLdb._exceptions.MySQLError": read_mysql_argument,
    "asyncmy.errors.MySQLError": read_mysql_argument,
    "mysql.connector.errors.ConnectionTimeoutError": read_connect_timeout,
    "mysql.connector.errors.Error": read_mysql_errno,
    "mariadb.Error": read_mysql_errno,
    "oracledb.exceptions.Error": read_oracle,
    "cx_Oracle.Error": read_oracle,
    "pymongo.errors.OperationFailure": read_mongodb,
    "redis.exceptions.RedisError": read_redis,
    "grpc.RpcError": read_grpc,
    "grpclib.exceptions.GRPCError": read_grpclib,
    "requests.exceptions.RequestException": read_response,
    "httpx.HTTPStatusError": read_response,
    "aiohttp.client_exceptions.ClientResponseError": read_status,
    "urllib.error.HTTPError": read_http_code,
    "botocore.exceptions.ClientError": read_aws,
}
"""By the class that introduces the code."""

OTHER_ERRNOS: Final = frozenset(
    {"socket.gaierror", "socket.herror", "ssl.SSLError", "aiohttp.client_exceptions.ClientSSLError"}
)
"""Descendants of OSError whose `errno` counts something else: SSL_ERROR_SYSCALL is 5, and so is EIO."""

TELL_BY_TEXT: Final = frozenset(
    {
        "sqlite3.Error",
        "psycopg.Error",
        "psycopg2.Error",
        "asyncpg.exceptions._base.InterfaceMessage",
        "asyncpg.exceptions._base.InternalClientError",
        "pg8000.exceptions.Error",
        "mysql.connector.errors.Error",
        "pymysql.err.MySQLError",
        "redis.exceptions.RedisError",
        "ssl.SSLError",
        "urllib3.exceptions.ResponseError",
    }
)
"""Classes whose texts are worth reading where there is no code: some say only there what happened."""
