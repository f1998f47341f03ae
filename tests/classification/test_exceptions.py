"""Chains, groups and hostile objects: what decides, and that nothing of an exception can hurt."""

from __future__ import annotations

import asyncio
import queue
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import celery.local
import pytest

from otel_monitor_processors import guard
from otel_monitor_processors.classification import Category, classify
from otel_monitor_processors.classification.evidence import _KEPT_CLASSES, _kept

REFUSED = ConnectionRefusedError(111, "Connection refused")


class ShopError(Exception):
    """An application's own."""


def linked(
    error: BaseException, *, cause: BaseException | None = None, context: BaseException | None = None
) -> BaseException:
    if context is not None:
        error.__context__ = context
    if cause is not None:
        error.__cause__ = cause
    return error


def carrying(**attributes: object) -> BaseException:
    error = ShopError("carries something")
    for name, value in attributes.items():
        setattr(error, name, value)
    return error


def named(module: str, name: str, *bases: type, **namespace: object) -> type[Any]:
    """A class that looks as if it came from elsewhere."""
    return type(name, bases or (Exception,), {"__module__": module, **namespace})


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (linked(ShopError(), cause=REFUSED), Category.NETWORK),
        (linked(ShopError(), context=REFUSED), Category.NETWORK),
        (linked(ShopError(), cause=KeyError(), context=REFUSED), Category.APPLICATION),
        (linked(ShopError(), cause=linked(ShopError(), context=REFUSED)), Category.NETWORK),
        (linked(TimeoutError(), cause=REFUSED), Category.TIMEOUT),
        (linked(TimeoutError(), cause=asyncio.CancelledError()), Category.TIMEOUT),
        (linked(ShopError(), context=asyncio.CancelledError()), Category.APPLICATION),
        (linked(ShopError(), cause=queue.Empty()), Category.APPLICATION),
        (linked(asyncio.CancelledError(), context=REFUSED), None),
        (linked(queue.Empty(), context=REFUSED), None),
        (carrying(orig=REFUSED), Category.NETWORK),
        (carrying(reason=REFUSED), Category.NETWORK),
        (carrying(reason="out of stock"), Category.APPLICATION),
        (ShopError("first", REFUSED), Category.NETWORK),
        (ValueError(REFUSED), Category.NETWORK),
        (carrying(sqlstate="40001"), Category.CONTENTION),
        (carrying(pgcode="53300"), Category.RESOURCE),
        (carrying(sqlite_errorcode=261), Category.CONTENTION),
        (carrying(status_code=503), Category.RESOURCE),
        (carrying(status=504), Category.TIMEOUT),
        (carrying(status="active"), Category.APPLICATION),
        (named("shop", "GatewayError", RuntimeError, status_code=502)(), Category.NETWORK),
        (carrying(errno=111), Category.APPLICATION),
    ],
)
def test_the_first_specific_evidence_decides(error: BaseException, expected: Category | None) -> None:
    assert classify(error) == expected


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ([asyncio.CancelledError()], None),
        ([asyncio.CancelledError(), BaseExceptionGroup("inner", [KeyboardInterrupt()])], None),
        ([asyncio.CancelledError(), ValueError()], Category.APPLICATION),
        ([ValueError(), REFUSED], Category.NETWORK),
        ([ValueError(), linked(ShopError(), cause=REFUSED)], Category.NETWORK),
        ([TimeoutError(), REFUSED, carrying(sqlstate="40P01")], Category.CONTENTION),
        ([TimeoutError(), MemoryError()], Category.RESOURCE),
        ([ExceptionGroup("inner", [ExceptionGroup("innermost", [REFUSED])])], Category.NETWORK),
    ],
)
def test_a_group_is_what_explains_its_members(members: list[BaseException], expected: Category | None) -> None:
    assert classify(BaseExceptionGroup("group", members)) == expected


def test_a_group_behind_an_exception_counts_as_its_cause() -> None:
    group = ExceptionGroup("all attempts", [ValueError(), REFUSED])
    assert classify(linked(ShopError(), cause=group)) is Category.NETWORK


def test_what_a_group_came_from_counts_when_its_members_say_nothing() -> None:
    group = linked(ExceptionGroup("group", [ValueError()]), cause=REFUSED)
    assert classify(group) is Category.NETWORK


def test_a_class_counts_by_its_ancestors() -> None:
    lock = named("redis.exceptions", "LockError")
    assert classify(named("shop.locks", "BasketLocked", lock)()) is Category.CONTENTION


def test_a_class_of_the_same_name_elsewhere_is_another_one() -> None:
    assert classify(named("shop.locks", "LockError")()) is Category.APPLICATION


def test_the_cause_knows_better_than_a_wrapper_of_whatever_went_wrong() -> None:
    wrapper = named("kombu.exceptions", "OperationalError")
    assert classify(linked(wrapper(), cause=OSError(24, "Too many open files"))) is Category.RESOURCE
    assert classify(linked(wrapper(), cause=IndexError())) is Category.NETWORK


def test_an_error_number_of_the_tls_library_is_none_of_the_systems() -> None:
    ssl_error = named("ssl", "SSLError", OSError)
    assert classify(named("ssl", "SSLSyscallError", ssl_error)(5, "EIO has the same number")) is Category.NETWORK
    assert classify(ssl_error(5, "EIO has the same number")) is Category.APPLICATION


def test_cycles_end() -> None:
    first, second = ShopError(), ShopError()
    first.__cause__, second.__cause__ = second, first
    first.args = (first, second)
    assert classify(first) is Category.APPLICATION


def test_a_chain_without_end_is_followed_only_so_far() -> None:
    error: BaseException = REFUSED
    for _ in range(10_000):
        error = linked(ShopError(), cause=error)
    assert classify(error) is Category.APPLICATION


def test_a_wide_group_is_looked_through_only_so_far() -> None:
    assert classify(ExceptionGroup("wide", [ValueError(number) for number in range(100_000)])) is Category.APPLICATION


def raising(*_: object) -> Any:
    raise RuntimeError("do not touch me")


HOSTILE: dict[str, Callable[[], BaseException]] = {
    "every attribute raises": named("m", "E", __getattribute__=raising),
    "unknown attributes raise": named("m", "E", __getattr__=raising),
    "its properties raise": named(
        "m", "E", **dict.fromkeys(("sqlstate", "status", "orig", "args", "__cause__", "__dict__"), property(raising))
    ),
    "its class raises": named("m", "E", __class__=property(raising)),
    "its class lies": named("m", "E", __class__=property(lambda _: ConnectionError)),
    "its text raises": named("redis.exceptions", "ConnectionError", __str__=raising),
    "its text is no text": named("redis.exceptions", "ConnectionError", __str__=lambda _: 5),
    "its error number raises": named("m", "E", OSError, errno=property(raising)),
    "its error number is a text": named("m", "E", OSError, errno="111"),
    "its error number is true": named("m", "E", OSError, errno=True),
    "its error number is huge": named("m", "E", OSError, errno=10**100),
    "its SQLSTATE is a number": named("psycopg", "Error", sqlstate=40001),
    "its response is a text": named("requests.exceptions", "RequestException", response="503"),
    "its gRPC code raises": named("grpc", "RpcError", code=raising),
    "its gRPC code is no method": named("grpc", "RpcError", code=14),
    "its module is no text": named("m", "E", __module__=None),
    "it cannot be hashed": named("m", "E", __hash__=None, __eq__=raising),
}


@pytest.mark.parametrize("make", [pytest.param(make, id=name) for name, make in HOSTILE.items()])
def test_nothing_that_an_exception_does_is_raised_here(make: Callable[[], BaseException]) -> None:
    error = make()
    assert classify(error) in {Category.APPLICATION, Category.NETWORK}
    assert classify(linked(ShopError(error), cause=error)) in {Category.APPLICATION, Category.NETWORK}


def test_a_class_that_lies_about_itself_is_what_it_is() -> None:
    assert classify(HOSTILE["its class lies"]()) is Category.APPLICATION


def test_a_metaclass_may_forbid_hashing_and_comparing() -> None:
    meta = type("Meta", (type,), {"__hash__": None, "__eq__": raising, "__module__": property(raising)})
    assert classify(meta("E", (ConnectionResetError,), {})()) is Category.NETWORK


def test_a_lazy_proxy_stays_asleep() -> None:
    woken: list[str] = []

    def wake() -> BaseException:
        woken.append("woken")
        return REFUSED

    proxy: Any = celery.local.Proxy(wake)
    error = ShopError(proxy)
    for name in ("orig", "reason", "sqlstate", "status_code", "status", "response"):
        setattr(error, name, proxy)
    assert classify(error) is Category.APPLICATION
    assert classify(proxy) is Category.APPLICATION
    assert not woken


def test_what_is_no_exception_is_not_looked_into() -> None:
    assert classify("ConnectionError") is Category.APPLICATION  # type: ignore[arg-type]  # a caller's mistake


def test_what_a_signal_handler_of_the_application_raises_meanwhile_is_the_applications() -> None:
    class TimeLimitError(Exception):
        pass

    def over(*_: object) -> None:
        raise TimeLimitError

    def slow(_: object) -> object:
        signal.raise_signal(signal.SIGALRM)
        return None

    guard.reraise_errors(enabled=False)
    previous = signal.signal(signal.SIGALRM, over)
    try:
        with pytest.raises(TimeLimitError):
            classify(named("shop", "SlowError", sqlstate=property(slow))())
    finally:
        signal.signal(signal.SIGALRM, previous)


def test_classes_made_per_error_are_not_all_kept() -> None:
    for number in range(3 * _KEPT_CLASSES):
        assert classify(named("ray", f"RayTaskError({number})", ConnectionError)()) is Category.NETWORK
    assert len(_kept) <= _KEPT_CLASSES


def test_an_error_near_the_end_of_the_stack_is_classified() -> None:
    seen: list[Category | None] = []

    def deeper() -> None:
        try:
            deeper()
        except RecursionError as error:
            seen.append(classify(error))
            raise

    with pytest.raises(RecursionError):
        deeper()
    assert seen[-1] is Category.RESOURCE


def test_the_classification_imports_no_library() -> None:
    code = (
        "import sys, otel_monitor_processors.classification; "
        "print(*{name.partition('.')[0] for name in sys.modules} - sys.stdlib_module_names)"
    )
    printed = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True).stdout
    bare = subprocess.run(
        [sys.executable, "-I", "-c", code.replace(", otel_monitor_processors.classification", "")],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert set(printed.split()) - set(bare.split()) == {"otel_monitor_processors"}
