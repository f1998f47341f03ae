"""A class and its twin: the same source, one of them wrapped. Whatever is done to both must come out the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from otel_monitor.instrumentation.methods import function_of
from otel_monitor.instrumentation.operation import Side
from otel_monitor.instrumentation.overrides import Override
from otel_monitor.instrumentation.patching import NamedClass, patches
from otel_monitor.instrumentation.wrapper import is_wrapper
from tests.telemetry.recording import Process

T = TypeVar("T")


@dataclass(frozen=True)
class Twins:
    plain: Any
    wrapped: Any
    process: Process

    def look_alike(self, look: Callable[[Any], T]) -> T:
        """Look at both, without calling them."""
        expected = look(self.plain)
        assert look(self.wrapped) == expected
        return expected

    def behave_alike(self, act: Callable[[Any], T]) -> T:
        """Act upon both; the wrapped one is recorded, or the check would mean nothing."""
        expected = act(self.plain)
        assert not self.process.spans
        assert act(self.wrapped) == expected
        assert self.process.spans
        return expected


Pair = Callable[[Callable[[], Any]], Twins]


def instrument(cls: Any, side: Side = Side.WORKER, *overrides: Override) -> Any:
    """Wrap a class as if the settings had named it."""
    assert patches.add(NamedClass(cls, side, frozenset({cls.__module__})), overrides) == []
    return cls


def outcome(call: Callable[[], Any]) -> tuple[Any, ...]:
    """What came of a call: its result, or all that its exception says."""
    try:
        return ("returned", call())
    except BaseException as error:  # noqa: BLE001 - a cancellation and an exit are outcomes too
        return ("raised", type(error), error.args, getattr(error, "__notes__", []), type(error.__cause__))


def is_wrapped(cls: Any, name: str) -> bool:
    function = function_of(vars(cls)[name])
    return function is not None and is_wrapper(function)
