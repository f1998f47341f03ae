"""Nesting: a method and the one it overrides, called through `super()`, are one operation.

The outermost level is recorded. A call on the same receiver, of the same name, inside it is another level of
it when it goes through another function, and true recursion when it goes through the same one.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar, Token
from typing import Any, Optional

from otel_monitor.instrumentation import recorder
from otel_monitor.instrumentation.sharing import SharedMethod
from otel_monitor_processors.guard import guard

_DEEPEST_SEARCH = 16
"""A level of the same operation is never far: between the two is what the overriding method calls on its way."""
_NOBODY = object()
_ENDED = object()


class Level:
    """One recorded call of an overridden or overriding method, and the one around it."""

    __slots__ = ("call", "method", "outer", "receiver", "token")

    def __init__(self, call: Any, method: SharedMethod, receiver: Any, outer: Level | None) -> None:
        self.call = call
        self.method = method
        self.receiver = receiver
        self.outer = outer
        self.token: Token[Level | None] | None = None


_innermost: ContextVar[Optional[Level]] = ContextVar("otel_monitor_innermost_level", default=None)  # noqa: UP045 - evaluated


@guard("nesting.begin")
def begin(method: SharedMethod, args: tuple[Any, ...], kwargs: Mapping[str, Any], attach: bool = True) -> Level | None:
    """Begin a call unless it is a further level of one that is being recorded."""
    receiver = args[0] if args else _NOBODY
    outer = _innermost.get()
    if _is_inner_level(outer, method, receiver):
        return None
    operation = method.operation_for(args)
    call = None if operation is None else recorder.begin(operation, args, kwargs, attach)
    if call is None:
        return None
    level = Level(call, method, receiver, outer)
    if attach:
        level.token = _innermost.set(level)
    return level


@guard("nesting.end")
def end(level: Level, error: BaseException | None) -> None:
    """End a call; a context that was copied during it must not take it for a running one."""
    _reset(level.token)
    level.receiver = _ENDED
    level.outer = level.token = None
    recorder.end(level.call, error)


@guard("nesting.enter")
def enter(level: Level) -> tuple[Any, Token[Level | None]]:
    """Run a piece of a generator inside the level."""
    level.outer = _innermost.get()
    return recorder.enter(level.call), _innermost.set(level)


@guard("nesting.leave")
def leave(level: Level, tokens: tuple[Any, Token[Level | None]] | None) -> None:
    """End what `enter` has begun."""
    if tokens is None:
        return
    _reset(tokens[1])
    recorder.leave(level.call, tokens[0])


def _is_inner_level(level: Level | None, method: SharedMethod, receiver: Any) -> bool:
    for _ in range(_DEEPEST_SEARCH):
        if level is None:
            return False
        if level.receiver is receiver and level.method.method == method.method:
            return level.method is not method
        level = level.outer
    return False


def _reset(token: Token[Level | None] | None) -> None:
    if token is None:
        return
    try:
        _innermost.reset(token)
    except ValueError:
        return  # a coroutine that is closed in another context than it ran in has nothing to reset there
