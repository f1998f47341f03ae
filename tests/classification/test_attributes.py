"""What spans and log records say of an error, in the names of today's semantic conventions and of older ones."""

from __future__ import annotations

import pytest

from otel_monitor_processors.classification import Category, classify_attributes, reports_error
from otel_monitor_processors.classification.category import CONTROL
from otel_monitor_processors.classification.codes import GRPC, HTTP, MYSQL, SQLSTATE

CONTENTION, NETWORK, TIMEOUT = Category.CONTENTION, Category.NETWORK, Category.TIMEOUT
RESOURCE, WORKER_LOST, APPLICATION = Category.RESOURCE, Category.WORKER_LOST, Category.APPLICATION

Attributes = dict[str, object]

STACKTRACE = """Traceback (most recent call last):
  File "shop/fleet.py", line 7, in register
    redis.ping()
redis.exceptions.ConnectionError: max number of clients reached

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "shop/fleet.py", line 9, in register
    raise FleetError("not registered") from error
shop.fleet.FleetError: not registered
"""

JAVA = """java.lang.IllegalStateException: order failed
\tat shop.Orders.place(Orders.java:42)
Caused by: java.net.ConnectException: Connection refused
\tat java.base/sun.nio.ch.Net.pollConnect(Native Method)
"""


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        # error.type is a class, qualified or bare, ...
        ({"error.type": "redis.exceptions.LockError"}, CONTENTION),
        ({"error.type": "builtins.ConnectionResetError"}, NETWORK),
        ({"error.type": "ConnectionResetError"}, NETWORK),
        ({"error.type": "DeadlockDetected"}, CONTENTION),
        ({"error.type": "asyncio.exceptions.TimeoutError"}, TIMEOUT),
        ({"error.type": "TimeoutError"}, TIMEOUT),
        ({"error.type": "BrokenProcessPool"}, WORKER_LOST),
        ({"error.type": "shop.errors.OutOfStock"}, APPLICATION),
        ({"error.type": "OperationalError"}, APPLICATION),
        ({"error.type": "SystemError"}, APPLICATION),
        ({"error.type": "java.net.SocketTimeoutException"}, TIMEOUT),
        ({"error.type": "*net.OpError"}, NETWORK),
        # ... or a code
        ({"error.type": "503"}, RESOURCE),
        ({"error.type": "500"}, APPLICATION),
        ({"error.type": "UNAVAILABLE"}, NETWORK),
        ({"error.type": "ECONNREFUSED"}, NETWORK),
        ({"error.type": "40P01"}, CONTENTION),
        ({"error.type": "timeout"}, TIMEOUT),
        ({"error.type": "_OTHER"}, APPLICATION),
        ({"error.type": "1213", "db.system.name": "mysql"}, CONTENTION),
        ({"error.type": "REQUEST_TIMED_OUT", "messaging.system": "kafka"}, TIMEOUT),
        ({"error.type": "amqp:resource-limit-exceeded", "messaging.system": "servicebus"}, RESOURCE),
        # control flow
        ({"error.type": "asyncio.exceptions.CancelledError"}, None),
        ({"exception.type": "celery.exceptions.Retry"}, None),
        ({"exception.type": "queue.Empty"}, None),
        ({"error.type": "cancelled"}, None),
        ({"rpc.grpc.status_code": 1}, None),
        # databases
        ({"db.response.status_code": "40001", "db.system.name": "postgresql"}, CONTENTION),
        ({"db.response.status_code": "53100", "db.system": "postgresql"}, RESOURCE),
        ({"db.response.status_code": "23505", "db.system.name": "postgresql"}, APPLICATION),
        ({"db.response.status_code": "1205", "db.system.name": "mariadb"}, CONTENTION),
        ({"db.response.status_code": 1040, "db.system": "mysql"}, RESOURCE),
        ({"db.response.status_code": "08004", "db.system": "mysql"}, RESOURCE),
        ({"db.response.status_code": "08004", "db.system.name": "postgresql"}, NETWORK),
        ({"db.response.status_code": "517", "db.system.name": "sqlite"}, CONTENTION),
        ({"db.response.status_code": "SQLITE_BUSY_SNAPSHOT", "db.system.name": "sqlite"}, CONTENTION),
        ({"db.response.status_code": "ORA-00060", "db.system.name": "oracle.db"}, CONTENTION),
        ({"db.response.status_code": "1222", "db.system.name": "microsoft.sql_server"}, CONTENTION),
        ({"db.response.status_code": "112", "db.system.name": "mongodb"}, CONTENTION),
        ({"db.response.status_code": "LOADING", "db.system.name": "redis"}, RESOURCE),
        ({"db.response.status_code": "429", "db.system.name": "elasticsearch"}, RESOURCE),
        ({"db.cosmosdb.status_code": 503, "db.system": "cosmosdb"}, RESOURCE),
        ({"db.response.status_code": "ThrottlingException", "db.system.name": "aws.dynamodb"}, RESOURCE),
        ({"db.response.status_code": "40001", "db.system.name": "a.new.one"}, CONTENTION),
        ({"db.response.status_code": "1205"}, APPLICATION),
        (
            {"db.response.status_code": "23505", "db.system.name": "postgresql", "error.type": "TimeoutError"},
            APPLICATION,
        ),
        ({"db.response.status_code": "0", "db.system.name": "mysql", "error.type": "TimeoutError"}, TIMEOUT),
        # a class is no code
        (
            {
                "error.type": "psycopg.OperationalError",
                "db.system.name": "postgresql",
                "exception.message": "FATAL:  sorry, too many clients already",
            },
            RESOURCE,
        ),
        ({"error.type": "OperationalError", "db.system": "mysql", "error.message": "server has gone away"}, NETWORK),
        # remote procedure calls
        ({"rpc.response.status_code": "DEADLINE_EXCEEDED"}, TIMEOUT),
        ({"rpc.grpc.status_code": 14}, NETWORK),
        ({"rpc.grpc.status_code": "8"}, RESOURCE),
        ({"rpc.connect_rpc.error_code": "unavailable"}, NETWORK),
        ({"rpc.grpc.status_code": 13, "exception.type": "MemoryError"}, RESOURCE),
        # HTTP
        ({"http.response.status_code": 502}, NETWORK),
        ({"http.status_code": 504}, TIMEOUT),
        ({"http.response.status_code": 404}, APPLICATION),
        ({"http.response.status_code": 500, "exception.type": "sqlalchemy.exc.TimeoutError"}, RESOURCE),
        ({"http.response.status_code": 503, "exception.type": "redis.exceptions.LockError"}, CONTENTION),
        # texts
        (
            {
                "exception.type": "psycopg.OperationalError",
                "exception.message": "FATAL:  sorry, too many clients already",
            },
            RESOURCE,
        ),
        ({"exception.type": "psycopg2.OperationalError", "exception.message": "Connection refused"}, NETWORK),
        ({"exception.type": "sqlite3.OperationalError", "exception.message": "database is locked"}, CONTENTION),
        (
            {"exception.type": "pymysql.err.OperationalError", "exception.message": "(1213, 'Wegen Verklemmung')"},
            CONTENTION,
        ),
        (
            {"exception.type": "mysql.connector.errors.DatabaseError", "exception.message": "1205 (HY000): Zu spät"},
            CONTENTION,
        ),
        (
            {
                "exception.type": "sqlalchemy.exc.OperationalError",
                "exception.message": "(psycopg.errors.LockNotAvailable) could not ...",
            },
            CONTENTION,
        ),
        (
            {
                "exception.type": "sqlalchemy.exc.OperationalError",
                "exception.message": "(pymysql.err.OperationalError) (1040, 'Zu viele')",
            },
            RESOURCE,
        ),
        (
            {
                "exception.type": "redis.exceptions.ConnectionError",
                "exception.message": "Error 24 connecting: Too many open files",
            },
            RESOURCE,
        ),
        ({"exception.type": "redis.exceptions.ConnectionError", "exception.message": "who knows"}, NETWORK),
        ({"error.message": "context deadline exceeded"}, TIMEOUT),
        ({"error.message": "context canceled"}, None),
        ({"error.kind": "OSError", "error.msg": "[Errno 28] No space left on device"}, RESOURCE),
        # stack traces
        ({"exception.type": "shop.fleet.FleetError", "exception.stacktrace": STACKTRACE}, RESOURCE),
        ({"exception.type": "java.lang.IllegalStateException", "exception.stacktrace": JAVA}, NETWORK),
        # nothing specific
        ({}, APPLICATION),
        ({"error.type": None, "http.status_code": [500], "db.response.status_code": b"40001"}, APPLICATION),
    ],
)
def test_an_error_is_read_from_its_attributes(attributes: Attributes, expected: Category | None) -> None:
    assert classify_attributes(attributes) == expected


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ("ConnectionRefusedError: [Errno 111] Connection refused", NETWORK),
        ("ConnectionError: max number of clients reached", RESOURCE),
        ("OperationalError: database is locked", CONTENTION),
        ("StatusCode.UNAVAILABLE:failed to connect", NETWORK),
        ("CancelledError: ", None),
        ("CancelledError", None),
        ("could not obtain lock on row in relation", CONTENTION),
        ("OutOfStock: none left", APPLICATION),
        ("something failed", APPLICATION),
        ("", APPLICATION),
        (None, APPLICATION),
    ],
)
def test_an_error_is_read_from_the_description_of_a_status(description: str | None, expected: Category | None) -> None:
    assert classify_attributes({}, status_description=description) == expected


@pytest.mark.parametrize(
    ("attributes", "description", "expected"),
    [
        ({}, None, False),
        ({"http.response.status_code": 200, "db.system.name": "postgresql", "rpc.system": "grpc"}, None, False),
        ({"http.response.status_code": 404}, None, False),
        ({"http.response.status_code": 500}, None, True),
        ({"http.status_code": 503}, None, True),
        ({"rpc.grpc.status_code": 0}, None, False),
        ({"rpc.response.status_code": "OK"}, None, False),
        ({"rpc.grpc.status_code": 1}, None, True),
        ({"db.response.status_code": "00000"}, None, False),
        ({"db.response.status_code": "201", "db.system.name": "elasticsearch"}, None, False),
        ({"db.response.status_code": "40001"}, None, True),
        ({"error.type": "asyncio.exceptions.CancelledError"}, None, True),
        ({"error.type": ""}, None, False),
        ({"exception.message": "boom"}, None, True),
        ({}, "boom", True),
        ({"error": True}, None, True),
        ({"error": False}, None, False),
        ({"otel.status_code": "ERROR"}, None, True),
    ],
)
def test_no_error_at_all_is_told_apart(attributes: Attributes, description: str | None, expected: bool) -> None:
    assert reports_error(attributes, status_description=description) is expected


@pytest.mark.parametrize("name", ["rpc.response.status_code", "rpc.grpc.status_code", "grpc.status_code"])
@pytest.mark.parametrize("status", GRPC)
def test_every_grpc_status_is_read(name: str, status: str) -> None:
    expected = None if GRPC[status] is CONTROL else GRPC[status]
    assert classify_attributes({name: status}) == expected
    assert classify_attributes({name: f"StatusCode.{status}"}) == expected


@pytest.mark.parametrize(
    ("code", "expected"), [*SQLSTATE.items(), ("08006", NETWORK), ("53200", RESOURCE), ("42601", APPLICATION)]
)
def test_every_sqlstate_is_read(code: str, expected: Category) -> None:
    assert classify_attributes({"db.response.status_code": code, "db.system.name": "postgresql"}) == expected


@pytest.mark.parametrize(("code", "expected"), MYSQL.items())
def test_every_error_number_of_mysql_is_read(code: int, expected: Category) -> None:
    assert classify_attributes({"db.response.status_code": str(code), "db.system": "mysql"}) == expected


@pytest.mark.parametrize(("code", "expected"), HTTP.items())
def test_every_http_status_is_read(code: int, expected: Category) -> None:
    assert classify_attributes({"http.response.status_code": code}) == expected
    assert classify_attributes({"error.type": str(code)}) == expected
