"""The table of provoked faults: each raises what a library or the system really raises, never an error made by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from otel_monitor_processors.classification import Category

Provoke = Callable[..., object]


class Fault(NamedTuple):
    """One fault: what it is called, what it must be classified as, how it comes about, and the fixtures that takes."""

    name: str
    expected: Category | None
    provoke: Provoke
    needs: tuple[str, ...]
    recorded: Category | None


FAULTS: dict[str, Fault] = {}

_SAME: Any = object()


def fault(
    name: str, expected: Category | None, *needs: str, recorded: Category | None = _SAME, possible: bool = True
) -> Callable[[Provoke], Provoke]:
    """Register a function that raises; it is called with the values of the fixtures it needs.

    `recorded` is for the few whose recorded class, message and stack trace tell less than the exception;
    `possible` says whether this process has the rights that it takes.
    """

    def register(provoke: Provoke) -> Provoke:
        assert name not in FAULTS, f"two faults are called {name!r}"
        if possible:
            FAULTS[name] = Fault(name, expected, provoke, needs, expected if recorded is _SAME else recorded)
        return provoke

    return register


def provoked(provoke: Callable[[], object]) -> BaseException:
    """The exception that `provoke` ends in."""
    try:
        provoke()
    except BaseException as error:  # noqa: BLE001 - control flow is a BaseException, and among the faults
        return error
    raise AssertionError(f"{provoke} raised nothing")
