"""Wrappers: a plain function of the same kind around each function that is recorded.

A wrapper is built from one of four templates, by the kind of the wrapped function. It takes over the name,
the globals, the defaults and the attributes of that function, and closes over picklable objects only. The
user's function is called once, with its own arguments, and what comes out of it comes out of the wrapper.

A generator's span lasts as long as the generator, but is the current one inside its body only, never in
its consumer between two items.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from types import CellType, CodeType, FunctionType
from typing import Any, NamedTuple

_MARK = "otel_monitor_operation"
"""The name of a wrapper's variable that nobody else's function closes over."""


class Hooks(NamedTuple):
    """What a wrapper calls around the user's function. Functions of modules, so that wrappers can be pickled."""

    begin: Callable[..., Any]
    """`(operation, args, kwargs, attach)`: a call to record, or None for one that is none."""
    end: Callable[[Any, BaseException | None], None]
    enter: Callable[[Any], Any]
    """Makes the call's span the current one until `leave(call, token)`: a generator runs from item to item."""
    leave: Callable[[Any, Any], None]


def wrap(function: FunctionType, operation: Any, hooks: Hooks) -> FunctionType:
    """A wrapper of `function` that calls `hooks`, passing `operation` to the first one."""
    code = function.__code__
    kind = code.co_flags & (inspect.CO_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR)
    template = _TEMPLATES[kind]
    flags = template.co_flags | (code.co_flags & inspect.CO_ITERABLE_COROUTINE)
    cells = {
        "function": CellType(function),
        _MARK: CellType(operation),
        **{name: CellType(hook) for name, hook in hooks._asdict().items()},
        # The user's own `__class__` cell, for decorators that rebuild a class (attrs does, for slots) and
        # look for it in each method, to point `super()` to the new one.
        "owner": _class_cell(function) or CellType(None),
        "first_step": CellType(start_unhooked),
    }
    wrapper = FunctionType(
        template.replace(co_name=code.co_name, co_qualname=code.co_qualname, co_flags=flags),
        function.__globals__,
        function.__name__,
        function.__defaults__,
        tuple(cells[name] for name in template.co_freevars),
    )
    wrapper.__kwdefaults__ = function.__kwdefaults__
    functools.update_wrapper(wrapper, function)
    with contextlib.suppress(NameError, TypeError, ValueError):  # then `inspect` goes by `__wrapped__`
        wrapper.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]  # what `inspect` reads
    return wrapper


def is_wrapper(function: FunctionType) -> bool:
    """Whether `function` is a wrapper of ours. A copied `__dict__` or a pickle changes nothing about that."""
    return _MARK in function.__code__.co_freevars


def _class_cell(function: FunctionType) -> CellType | None:
    names = function.__code__.co_freevars
    if "__class__" not in names or function.__closure__ is None:
        return None
    return function.__closure__[names.index("__class__")]


Function = Callable[..., Any]


def _function(function: Function, otel_monitor_operation: Any, begin: Function, end: Function, owner: Any) -> Function:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        nonlocal owner  # only to close over it
        call = begin(otel_monitor_operation, args, kwargs)
        if call is None:
            return function(*args, **kwargs)
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            end(call, error)
            raise
        end(call, None)
        return result

    return wrapper


def _coroutine(function: Function, otel_monitor_operation: Any, begin: Function, end: Function, owner: Any) -> Function:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        nonlocal owner  # only to close over it
        call = begin(otel_monitor_operation, args, kwargs)
        try:
            coroutine = function(*args, **kwargs)
            del args, kwargs  # the function may let go of them long before it ends
            result = await coroutine
        except BaseException as error:
            if call is not None:
                end(call, error)
            raise
        if call is not None:
            end(call, None)
        return result

    return wrapper


def _generator(
    function: Function,
    otel_monitor_operation: Any,
    begin: Function,
    end: Function,
    enter: Function,
    leave: Function,
    owner: Any,
) -> Function:
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        nonlocal owner  # only to close over it
        call = begin(otel_monitor_operation, args, kwargs, False)
        sent = thrown = token = result = None
        try:
            generator = function(*args, **kwargs)
            del args, kwargs
            while True:
                if call is not None:
                    token = enter(call)
                try:
                    # `throw` for GeneratorExit too, not `close`: the body may answer it with an item.
                    item = generator.send(sent) if thrown is None else generator.throw(thrown)
                except StopIteration as stop:
                    result = stop.value
                    break
                finally:
                    thrown = None  # its traceback holds this frame
                    if call is not None:
                        leave(call, token)
                try:
                    sent = yield item
                except BaseException as error:  # noqa: BLE001 - it goes into the user's generator
                    thrown = error
        except BaseException as error:
            if call is not None:
                end(call, error)
            raise
        if call is not None:
            end(call, None)
        return result

    return wrapper


def _async_generator(
    function: Function,
    otel_monitor_operation: Any,
    begin: Function,
    end: Function,
    enter: Function,
    leave: Function,
    owner: Any,
    first_step: Function,
) -> Function:
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        nonlocal owner  # only to close over it
        call = begin(otel_monitor_operation, args, kwargs, False)
        sent = thrown = token = None
        try:
            generator = function(*args, **kwargs)
            del args, kwargs
            step, is_managed = first_step(generator)
            while True:
                # A generator that no event loop closes is closed by the garbage collector, wherever that runs. If
                # its cleanup awaits, Python gives it up there, and would leave the span the current one.
                enters = call is not None and (is_managed or not isinstance(thrown, GeneratorExit))
                if enters:
                    token = enter(call)
                try:
                    item = await step
                except StopAsyncIteration:
                    break
                finally:
                    thrown = step = None  # their tracebacks hold this frame
                    if enters:
                        leave(call, token)
                try:
                    sent = yield item
                except BaseException as error:  # noqa: BLE001 - it goes into the user's generator
                    thrown = error
                step = generator.asend(sent) if thrown is None else generator.athrow(thrown)
        except BaseException as error:
            if call is not None:
                end(call, error)
            raise
        if call is not None:
            end(call, None)

    return wrapper


def start_unhooked(generator: AsyncGenerator[Any, Any]) -> tuple[Any, bool]:
    """The first step of an async generator that no event loop gets to know, and whether one knows its wrapper.

    It is the wrapper that the loop closes, and that the garbage collector may drop.
    """
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, leave_to_wrapper)
    try:
        return generator.asend(None), hooks.finalizer is not None  # tells the hooks, runs nothing yet
    finally:
        sys.set_asyncgen_hooks(*hooks)


def leave_to_wrapper(_generator: AsyncGenerator[Any, Any]) -> None:
    """Close nothing: as if the wrapper's frame were the generator's."""


def _code_of(template: Callable[..., Function]) -> CodeType:
    parameters = inspect.signature(template).parameters
    wrapper: Any = template(*(None for _ in parameters))
    code: CodeType = wrapper.__code__
    return code


_TEMPLATES = {
    0: _code_of(_function),
    inspect.CO_COROUTINE: _code_of(_coroutine),
    inspect.CO_GENERATOR: _code_of(_generator),
    inspect.CO_ASYNC_GENERATOR: _code_of(_async_generator),
}
