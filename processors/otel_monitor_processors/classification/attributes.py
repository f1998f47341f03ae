"""What the error means that a span or a log record reports."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Final

from otel_monitor_processors.classification.category import CONTROL, Category
from otel_monitor_processors.classification.codes import HTTP
from otel_monitor_processors.classification.words import (
    Evidence,
    database_meaning,
    grpc_meaning,
    name_evidence,
    text_evidence,
    word_evidence,
)
from otel_monitor_processors.guard import guard

# Each begins with the name that the semantic conventions give today; its predecessors follow.
_TYPES: Final = ("error.type", "exception.type", "error.kind")
_MESSAGES: Final = ("exception.message", "error.message", "error.msg", "otel.status_description")
_DATABASE_SYSTEMS: Final = ("db.system.name", "db.system")
_DATABASE_CODES: Final = ("db.response.status_code", "db.cosmosdb.status_code")
_RPC_CODES: Final = (
    "rpc.response.status_code",
    "rpc.grpc.status_code",
    "rpc.connect_rpc.error_code",
    "grpc.status_code",
)
_HTTP_CODES: Final = ("http.response.status_code", "http.status_code")
_STACKTRACE: Final = "exception.stacktrace"

_GOOD_CODES: Final = frozenset({"", "0", "00000", "OK", "ok"})
_LONGEST: Final = 65_536
_MOST_RAISED: Final = 32
_RAISED: Final = re.compile(r"(?: *\| )?(?:Caused by: )?((?:[A-Za-z_]\w*\.)*[A-Z_]\w*)(?:: (.*))?")
_DESCRIBED: Final = re.compile(r"(?:StatusCode\.)?((?:\w+\.)*\w+)(?::\s*(.*)|$)", re.DOTALL)
_ASYNCPG_WAITS: Final = re.compile(
    r'asyncpg/(?:pool\.py", line \d+, in (_acquire)|connection\.py", line \d+, in connect)\b'
)


@guard("classification.reports_error", default=True)
def reports_error(attributes: Mapping[str, object], *, status_description: str | None = None) -> bool:
    """Whether there is an error at all, control flow included: by the attributes, never by the span's status.

    A 4xx alone is none: the server did its work, and a client's span says by its own status that it minds.
    """
    words = (status_description, *_texts(attributes, _TYPES), *_texts(attributes, _MESSAGES))
    codes = (*_texts(attributes, _DATABASE_CODES), *_texts(attributes, _RPC_CODES))
    statuses = _texts(attributes, _HTTP_CODES)
    return (
        any(words)
        or attributes.get("error") is True
        or "ERROR" in _texts(attributes, ("otel.status_code",))
        or not all(map(_is_success, codes))
        or any(status.startswith("5") and len(status) == 3 for status in statuses)
    )


@guard("classification.classify_attributes", default=Category.APPLICATION)
def classify_attributes(attributes: Mapping[str, object], *, status_description: str | None = None) -> Category | None:
    """What an error means that a span, its exception event or a log record reports; None for control flow.

    The caller knows that there is an error, by the span's status, the log's severity or `reports_error`: where
    nothing specific is said, this answers APPLICATION, for attributes without any trace of an error, too.
    The attributes of the span and of its exception event belong together in one mapping.
    """
    supposed = None
    for meaning, is_supposed in _evidence(attributes, status_description or ""):
        if meaning is CONTROL:
            return None
        if meaning is not None and not is_supposed:
            return meaning
        supposed = supposed or meaning
    return supposed or Category.APPLICATION


def _evidence(attributes: Mapping[str, object], description: str) -> Iterator[Evidence]:
    """The most telling first: what a server answered, the classes, HTTP, texts, the stack trace."""
    database = next(_texts(attributes, _DATABASE_SYSTEMS), "")
    types = list(_texts(attributes, _TYPES))
    stacktrace = next(_texts(attributes, (_STACKTRACE,)), "")
    for code in _texts(attributes, _DATABASE_CODES):
        if not _is_success(code):
            yield Evidence(database_meaning(code, database))
    for code in _texts(attributes, _RPC_CODES):
        yield Evidence(grpc_meaning(code))
    if "TimeoutError" in stacktrace:
        yield _asyncpg_evidence(stacktrace)
    for word in types:
        meaning, is_supposed = word_evidence(word, database)
        yield Evidence(meaning, is_supposed or "." not in word)  # several libraries have a TimeoutError of their own
    for code in _texts(attributes, _HTTP_CODES):
        yield Evidence(HTTP.get(int(code)) if code.isdecimal() else None)
    class_name = next((word for word in types if "." in word), types[0] if types else "")
    for text in _texts(attributes, _MESSAGES):
        yield text_evidence(text, class_name)
    yield from _described(description, class_name)
    if stacktrace:
        yield from _raised(stacktrace)


def _described(description: str, class_name: str) -> Iterator[Evidence]:
    """A status description as OpenTelemetry's SDKs write it: "ConnectionError: Error 111 connecting to ..."."""
    described = _DESCRIBED.match(description)
    if described and not class_name:
        class_name = described[1]
        yield Evidence(word_evidence(class_name, "").meaning, is_supposed=True)
        yield text_evidence(described[2] or "", class_name)
    if description:
        yield text_evidence(description, class_name)


def _raised(stacktrace: str) -> Iterator[Evidence]:
    """The exceptions of a stack trace, the outermost first: Python prints it last, Java first."""
    lines = stacktrace[-_LONGEST:].splitlines()
    in_order = lines if "\nCaused by: " in stacktrace else reversed(lines)
    raised_at = dict.fromkeys(line for line in in_order if line[:1] not in " \t" or line.lstrip()[:1] == "|")
    for line in itertools.islice(raised_at, _MOST_RAISED):
        raised = _RAISED.fullmatch(line)
        if raised:
            found = name_evidence(raised[1])
            if found.meaning is not CONTROL:  # only the outermost can be control flow, and it stands in exception.type
                yield found
                yield text_evidence(raised[2] or "", raised[1])


def _asyncpg_evidence(stacktrace: str) -> Evidence:
    """asyncpg's pool, its connect and its queries all end in a bare TimeoutError: the innermost of its calls tells."""
    waits = _ASYNCPG_WAITS.findall(stacktrace)
    if not waits:
        return Evidence(None)
    return Evidence(Category.RESOURCE if waits[-1] else Category.NETWORK)


def _texts(attributes: Mapping[str, object], names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        value = attributes.get(name)
        if type(value) is str and value:
            yield value
        elif type(value) is int:
            yield str(value)


def _is_success(code: str) -> bool:
    """Whether a database's code is one of HTTP's good ones."""
    return code in _GOOD_CODES or (len(code) == 3 and code.startswith("2"))
