"""What the words and numbers mean that telemetry reports errors with: class names, codes, texts."""

from __future__ import annotations

import builtins
import re
from collections.abc import Callable
from typing import Final, NamedTuple

from otel_monitor_processors.classification.category import Category, Meaning
from otel_monitor_processors.classification.codes import (
    AMQP,
    AWS,
    ERRNO_BY_NAME,
    GRPC,
    GRPC_NUMBERS,
    HTTP,
    KAFKA,
    MONGODB,
    ORACLE,
    REDIS,
    SQL_SERVER,
    SQLITE_NAMES,
    SQLSTATE,
    http_meaning,
    mysql_meaning,
    sqlite_meaning,
    sqlstate_meaning,
)
from otel_monitor_processors.classification.messages import text_meaning
from otel_monitor_processors.classification.other_languages import OTHER_LANGUAGES
from otel_monitor_processors.classification.type_names import TYPE_NAMES, WRAPPERS

_NUMBER: Final = re.compile(r"-?\d{1,9}")
_SQLSTATE: Final = re.compile(r"[0-9A-Z]{5}")
_INNER_CLASS: Final = re.compile(r"\(((?:\w+\.)+\w+)\) ")
_GRPC_STATUS: Final = re.compile(r"\bStatusCode\.([A-Z_]+)")
_MYSQL_CODE: Final = re.compile(r"\(?(0|\d{4}),? \(?")


class Evidence(NamedTuple):
    """A meaning, and whether something closer to the cause may refine it."""

    meaning: Meaning | None
    is_supposed: bool = False


_MEANS_MORE: Final = frozenset({"OperationalError"})
"""Bare names that every library with a database has, too."""


def _by_last_part() -> dict[str, str]:
    """Full names by their last part, where all classes of that name mean the same."""
    full_names: dict[str, str] = {}
    for name, meaning in TYPE_NAMES.items():
        last = name.rpartition(".")[2]
        known = full_names.setdefault(last, name)
        if known and TYPE_NAMES[known] is not meaning:
            full_names[last] = ""
    return {last: name for last, name in full_names.items() if last not in _MEANS_MORE and not hasattr(builtins, last)}


_FULL_NAMES: Final = _by_last_part()


def name_evidence(name: str) -> Evidence:
    """What an exception class means by its name: qualified, or bare as many instrumentations write it."""
    name = name.removeprefix("builtins.").lstrip("*")
    meaning = OTHER_LANGUAGES.get(name)
    if meaning is not None:
        return Evidence(meaning)
    if name not in TYPE_NAMES and "." not in name:
        name = _FULL_NAMES.get(name, "")
    return Evidence(TYPE_NAMES.get(name), name in WRAPPERS)


def word_evidence(word: str, database: str) -> Evidence:
    """What an `error.type` means: a class, or a code of whatever kind."""
    found = name_evidence(word)
    if found.meaning is not None:
        return found
    if database:
        return Evidence(database_meaning(word, database))
    if _NUMBER.fullmatch(word):
        return Evidence(HTTP.get(int(word)))
    for table in (ERRNO_BY_NAME, GRPC, SQLSTATE, KAFKA, AMQP, AWS):
        if word in table:
            return Evidence(table[word])
    return Evidence(None)


def text_evidence(text: str, class_name: str) -> Evidence:
    """What the text of an error of the class `class_name` means."""
    inner = _INNER_CLASS.match(text)  # SQLAlchemy's: "(psycopg.errors.DeadlockDetected) deadlock detected"
    if inner:
        class_name, text = inner[1], text[inner.end() :]
        found = name_evidence(class_name)
        if found.meaning is not None:
            return found
    if class_name.startswith(("pymysql.", "MySQLdb.", "mysql.", "asyncmy.")):  # 0: used after it was closed
        code = _MYSQL_CODE.match(text)  # "(1205, 'Lock wait timeout exceeded...')" or "1205 (HY000): Lock ..."
        if code:
            return Evidence(mysql_meaning(int(code[1])) if code[1] != "0" else Category.NETWORK)
    if class_name.startswith("redis.") and text.partition(" ")[0] in REDIS:
        return Evidence(REDIS[text.partition(" ")[0]])
    status = _GRPC_STATUS.search(text)
    meaning = grpc_meaning(status[1]) if status else None
    return Evidence(meaning or text_meaning(text))


def grpc_meaning(code: str | int) -> Meaning | None:
    """What a gRPC status means, by name or number, in any spelling that instrumentations use."""
    if type(code) is int or (type(code) is str and _NUMBER.fullmatch(code)):
        return GRPC.get(GRPC_NUMBERS.get(int(code), ""))
    return GRPC.get(str(code).removeprefix("StatusCode.").upper())


def database_meaning(code: str, system: str) -> Meaning | None:
    """What the error code of a database means, given the system that `db.system.name` or `db.system` names."""
    return _SYSTEMS.get(system.lower(), _read_any_database)(code)


def _read_sqlstate(code: str) -> Meaning | None:
    return sqlstate_meaning(code) if _SQLSTATE.fullmatch(code) else None


def _read_mysql(code: str) -> Meaning | None:
    if _NUMBER.fullmatch(code) and len(code) < 5:
        return mysql_meaning(int(code))
    if code == "08004":  # its SQLSTATE for "too many connections"
        return Category.RESOURCE
    return _read_sqlstate(code)


def _read_sqlite(code: str) -> Meaning | None:
    if _NUMBER.fullmatch(code):
        return sqlite_meaning(int(code))
    for name, number in SQLITE_NAMES.items():
        if code.startswith(name):
            return sqlite_meaning(number)
    return None


def _read_oracle(code: str) -> Meaning | None:
    number = code.removeprefix("ORA-").partition(":")[0]
    return ORACLE.get(int(number)) if _NUMBER.fullmatch(number) else None


def _read_sql_server(code: str) -> Meaning | None:
    return SQL_SERVER.get(int(code)) if _NUMBER.fullmatch(code) else None


def _read_mongodb(code: str) -> Meaning | None:
    return MONGODB.get(int(code)) if _NUMBER.fullmatch(code) else None


def _read_redis(code: str) -> Meaning | None:
    return REDIS.get(code.partition(" ")[0])


def _read_over_http(code: str) -> Meaning | None:
    return http_meaning(int(code)) if _NUMBER.fullmatch(code) else AWS.get(code)


def _read_any_database(code: str) -> Meaning | None:
    """Codes that look like no other system's."""
    by_oracle = _read_oracle(code) if code.startswith("ORA-") else None
    return SQLSTATE.get(code) or REDIS.get(code) or AWS.get(code) or by_oracle


_SYSTEMS: Final[dict[str, Callable[[str], Meaning | None]]] = {
    **dict.fromkeys(("postgresql", "cockroachdb", "aws.redshift", "redshift", "edb"), _read_sqlstate),
    **dict.fromkeys(("mysql", "mariadb", "tidb"), _read_mysql),
    "sqlite": _read_sqlite,
    **dict.fromkeys(("oracle.db", "oracle"), _read_oracle),
    **dict.fromkeys(("microsoft.sql_server", "mssql", "mssqlcompact"), _read_sql_server),
    "mongodb": _read_mongodb,
    **dict.fromkeys(("redis", "valkey", "keydb"), _read_redis),
    **dict.fromkeys(("elasticsearch", "opensearch", "couchdb", "azure.cosmosdb", "cosmosdb"), _read_over_http),
    **dict.fromkeys(("aws.dynamodb", "dynamodb", "influxdb", "clickhouse"), _read_over_http),
}
"""Who reads the codes of which system: values of `db.system.name`, and older ones of `db.system`."""
