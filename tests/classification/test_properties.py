"""What holds for every exception and every set of attributes."""

from __future__ import annotations

import asyncio
import errno
import queue
from collections.abc import Callable
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from otel_monitor_processors.classification import Category, classify, classify_attributes, reports_error
from otel_monitor_processors.classification.codes import ERRNO
from otel_monitor_processors.classification.type_names import TYPE_NAMES

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
SPECIFIC: st.SearchStrategy[tuple[Callable[[], BaseException], Category]] = st.sampled_from(
    [(lambda number=number: OSError(number, "text"), meaning) for number, meaning in ERRNO.items()]
    + [(MemoryError, Category.RESOURCE), (queue.Full, Category.RESOURCE), (TimeoutError, Category.TIMEOUT)]
)
CONTROL = st.sampled_from(
    [
        asyncio.CancelledError,
        queue.Empty,
        StopIteration,
        StopAsyncIteration,
        GeneratorExit,
        KeyboardInterrupt,
        SystemExit,
    ]
)
PLAIN = st.sampled_from([ValueError, KeyError, RuntimeError, AssertionError, LookupError, Exception])
ATTRIBUTES = [
    "errno",
    "sqlstate",
    "pgcode",
    "status",
    "status_code",
    "orig",
    "reason",
    "exc",
    "cause",
    "returncode",
    "code",
]


steady = settings(deadline=None)  # a busy machine is no finding


class OwnError(Exception):
    """An application's own."""


def raises(value: object) -> property:
    def read(_: object) -> object:
        raise ValueError(value)

    return property(read)


MODULES_AND_NAMES = [name.rpartition(".")[::2] for name in [*TYPE_NAMES, "shop.errors.OwnError"]]
VALUES = (
    None,
    True,
    0,
    -1,
    5,
    111,
    10**30,
    503,
    40001,
    1.5,
    "",
    "40001",
    "Connection refused",
    b"x",
    [1],
    {"C": "40P01"},
)


def any_exception(random: Random, depth: int = 3) -> BaseException:
    """An exception that claims to be of any library, with attributes of any kind, linked to others in any way.

    Drawn from a seed: drawn piece by piece, an example takes seconds.
    """
    module, name = random.choice(MODULES_AND_NAMES)
    base = random.choice([Exception, OSError, BaseException, RuntimeError])
    namespace = {attribute: raises(1) for attribute in ATTRIBUTES if random.random() < 0.1}
    made: Any = type(name, (base,), {"__module__": module, **namespace})
    error: BaseException = made(*random.choices(VALUES, k=random.randrange(4)))

    def another() -> BaseException:
        return any_exception(random, depth - 1)

    for attribute in ATTRIBUTES:
        if attribute not in namespace and random.random() < 0.2:
            setattr(error, attribute, another() if depth and random.random() < 0.5 else random.choice(VALUES))
    if depth and random.random() < 0.3:
        error.__cause__ = another()
    if depth and random.random() < 0.3:
        error.__context__ = another()
    if depth and random.random() < 0.2:
        error.args = (error, another())
    if depth and random.random() < 0.2:
        group = BaseExceptionGroup("group", [another() for _ in range(random.randrange(1, 4))])
        group.__context__ = error
        return group
    return error


@given(st.integers(0, 2**32))
@settings(max_examples=500, deadline=None)
def test_every_exception_has_a_category_or_is_control_flow_and_stays_so(seed: int) -> None:
    error = any_exception(Random(seed))
    first = classify(error)
    assert first is None or type(first) is Category
    assert classify(error) is first


def wrapped(error: BaseException, how: str) -> BaseException:
    wrapper = OwnError("wrapper")
    if how == "cause":
        wrapper.__cause__ = error
    elif how == "context":
        wrapper.__context__ = error
    elif how == "argument":
        wrapper.args = ("wrapper", error)
    elif how == "group":
        return BaseExceptionGroup("wrapper", [ValueError(), error])
    else:
        setattr(wrapper, how, error)
    return wrapper


HOW = st.sampled_from(["cause", "context", "argument", "group", "orig", "reason"])


@steady
@given(SPECIFIC, st.lists(HOW, max_size=10))
def test_what_wraps_a_specific_error_is_what_it_wraps(
    specific: tuple[Callable[[], BaseException], Category], how: list[str]
) -> None:
    make, expected = specific
    error = make()
    for one in how:
        error = wrapped(error, one)
    assert classify(error) is expected


@steady
@given(CONTROL, st.lists(HOW.filter(lambda how: how != "group"), min_size=1, max_size=5))
def test_what_wraps_control_flow_is_an_error_of_its_own(kind: type[BaseException], how: list[str]) -> None:
    error = kind()
    for one in how:
        error = wrapped(error, one)
    assert classify(error) is Category.APPLICATION


@steady
@given(st.lists(CONTROL, min_size=1, max_size=5))
def test_a_group_of_nothing_but_control_flow_is_control_flow(kinds: list[type[BaseException]]) -> None:
    assert classify(BaseExceptionGroup("group", [kind() for kind in kinds])) is None


@steady
@given(PLAIN, st.lists(ANYTHING, max_size=3))
def test_a_plain_error_is_the_applications_whatever_it_says(kind: type[Exception], arguments: list[object]) -> None:
    error = kind(*arguments)
    assert classify(error) is Category.APPLICATION or str(arguments[0]).startswith("can't start new thread")


@steady
@given(st.integers().filter(lambda number: number not in ERRNO))
def test_an_unknown_error_number_is_the_applications(number: int) -> None:
    assert classify(OSError(number, "text")) is Category.APPLICATION


NAMES = st.sampled_from(
    [
        *("error.type", "exception.type", "error.kind", "exception.message", "error.message", "exception.stacktrace"),
        *("db.system.name", "db.system", "db.response.status_code", "rpc.response.status_code", "rpc.grpc.status_code"),
        *("http.response.status_code", "http.status_code", "messaging.system", "otel.status_description", "error"),
    ]
)
WORDS = st.sampled_from(
    [
        *TYPE_NAMES,
        *errno.errorcode.values(),
        *map(str, range(-1, 20)),
        *("40001", "1213", "503", "mysql", "postgresql", "sqlite", "mongodb", "ORA-00060"),
    ]
)


@steady
@given(st.dictionaries(NAMES, ANYTHING | WORDS), st.none() | st.text() | WORDS)
def test_all_attributes_have_a_category_or_are_control_flow_and_stay_so(
    attributes: dict[str, object], description: str | None
) -> None:
    first = classify_attributes(attributes, status_description=description)
    assert first is None or type(first) is Category
    assert classify_attributes(attributes, status_description=description) is first
    assert type(reports_error(attributes, status_description=description)) is bool


@steady
@given(PLAIN | CONTROL | st.sampled_from([TimeoutError, MemoryError, ConnectionResetError]))
def test_an_exception_and_its_record_say_the_same(kind: type[BaseException]) -> None:
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    assert classify_attributes({"exception.type": name}) is classify(kind())
    assert classify_attributes({"error.type": kind.__qualname__}) is classify(kind())
