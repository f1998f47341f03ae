"""Reading objects that others made: no attribute is of the type its name promises, and every property may raise.

Nothing here asks for an object's `__class__` (a lazy proxy would wake up), or hashes or compares objects or classes.
"""

from __future__ import annotations

from typing import Any, Final

from otel_monitor_processors.guard import raised_by_signal_handler

ancestors_of: Final = type.__dict__["__mro__"].__get__
arguments_of: Final = BaseException.__dict__["args"].__get__
cause_of: Final = BaseException.__dict__["__cause__"].__get__
context_of: Final = BaseException.__dict__["__context__"].__get__
is_context_suppressed: Final = BaseException.__dict__["__suppress_context__"].__get__
traceback_of: Final = BaseException.__dict__["__traceback__"].__get__
members_of: Final = BaseExceptionGroup.__dict__["exceptions"].__get__
namespace_of: Final = type.__dict__["__dict__"].__get__
own_attributes_of: Final = BaseException.__dict__["__dict__"].__get__
_module_of: Final = type.__dict__["__module__"].__get__
_qualname_of: Final = type.__dict__["__qualname__"].__get__


def attribute(owner: object, name: str) -> Any:
    """An attribute, or None, whatever its property does."""
    try:
        return getattr(owner, name, None)
    except Exception as failure:  # a foreign property may raise anything
        if raised_by_signal_handler(failure):
            raise
        return None


def answer_of(owner: object, method: str) -> Any:
    """What a method without arguments returns, or None, whatever it does."""
    try:
        return getattr(owner, method)()
    except Exception as failure:  # a foreign method may raise anything, and may not be there
        if raised_by_signal_handler(failure):
            raise
        return None


def text_of(error: BaseException) -> str:
    """What `str(error)` says, or nothing where it raises."""
    try:
        return str.__str__(str(error))
    except Exception as failure:  # a foreign __str__ may raise anything
        if raised_by_signal_handler(failure):
            raise
        return ""


def first_argument(error: BaseException) -> object:
    """What stands first in `error.args`, or None."""
    arguments = arguments_of(error)
    return arguments[0] if arguments else None


def whole_number(value: object) -> int | None:
    """`value` as a plain int if it is one, a member of an IntEnum for instance; a bool is none."""
    kind = type(value)
    if kind is int:
        return value  # type: ignore[return-value]  # mypy does not narrow by `is`
    if kind is bool or not issubclass(kind, int):
        return None
    return int.__pos__(value)  # type: ignore[arg-type]  # likewise


def is_exception(value: object) -> bool:
    """Whether `value` is an exception by its real type."""
    return issubclass(type(value), BaseException)


def qualified_name(kind: type) -> str:
    """The class's module and name; the name alone for a built-in one, nothing where a class hides its module."""
    module = _module_of(kind)
    if type(module) is not str:
        return ""
    name: str = _qualname_of(kind)
    return name if module == "builtins" else f"{module}.{name}"
