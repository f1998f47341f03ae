"""Extractors: the values in a call's arguments that say which worker and which task it is about.

Which argument it is gets decided once, from the function's signature; a call then costs an index into its
arguments. The arguments are the user's: reading an attribute of theirs may run code and raise.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from otel_monitor.instrumentation.by_class import ByClass
from otel_monitor_processors.guard import guard

Args = tuple[Any, ...]
Kwargs = Mapping[str, Any]

LONGEST_TEXT = 128
"""An id that is longer is cut: somebody's argument `message` may be the whole message."""
KEYWORD_ONLY = sys.maxsize
"""The index of an argument that cannot be passed by position."""

WORKER_NAMES = ("worker_id", "server_id", "instance_id", "node_id", "worker", "instance", "node", "server")
TASK_NAMES = ("stream_id", "task_id", "job_id", "message_id", "stream", "task", "job", "message")
REASON_NAMES = ("reason",)
ATTEMPT_NAMES = ("attempt", "retry", "retries")
CARRIER_NAMES = ("headers", "carrier", "trace_context", "trace_headers", "trace_carrier")

WORKER_MEMBERS = ("id", *(name for name in WORKER_NAMES if name.endswith("_id")))
"""Where an object or a mapping that stands for a worker has its id."""
TASK_MEMBERS = ("id", *(name for name in TASK_NAMES if name.endswith("_id")))
ENUM_MEMBERS = ("value", "name")


@dataclass(frozen=True, slots=True)
class Argument:
    """The argument itself."""

    keyword: str
    index: int = KEYWORD_ONLY
    default: str | int | None = None

    def __call__(self, args: Args, kwargs: Kwargs) -> Any:
        return args[self.index] if self.index < len(args) else kwargs.get(self.keyword, self.default)


@dataclass(frozen=True, slots=True)
class Identifier:
    """An argument as text: a scalar itself, else the first of its members that is one."""

    keyword: str
    index: int = KEYWORD_ONLY
    default: str | int | None = None
    members: tuple[str, ...] = ("id",)

    def __call__(self, args: Args, kwargs: Kwargs) -> str | None:
        value = args[self.index] if self.index < len(args) else kwargs.get(self.keyword, self.default)
        if type(value) is str and len(value) <= LONGEST_TEXT:
            return value
        return None if value is None else identity(value, self.members)


@dataclass(frozen=True, slots=True)
class AnyKeyword:
    """The first of several keywords that a call passes to a function which takes any."""

    keywords: tuple[str, ...]
    members: tuple[str, ...] = ("id",)

    def __call__(self, args: Args, kwargs: Kwargs) -> str | None:
        for keyword in self.keywords:
            if keyword in kwargs:
                return identity(kwargs[keyword], self.members)
        return None


@dataclass(frozen=True, slots=True)
class Path:
    """What a dotted path leads to: attributes and mapping keys, starting from an argument."""

    root: Argument
    steps: tuple[str, ...]
    members: tuple[str, ...] = ("id",)

    def __call__(self, args: Args, kwargs: Kwargs) -> str | None:
        return follow(self.root(args, kwargs), self.steps, self.members)


@dataclass(frozen=True, slots=True)
class Number:
    """An argument that is a whole number."""

    keyword: str
    index: int = KEYWORD_ONLY
    default: str | int | None = None

    def __call__(self, args: Args, kwargs: Kwargs) -> int | None:
        value = args[self.index] if self.index < len(args) else kwargs.get(self.keyword, self.default)
        return value if type(value) is int else None


@dataclass(frozen=True, slots=True)
class Carrier:
    """The mapping in which trace headers travel: the argument named for it, else a dict that holds some."""

    named: Argument | None = None

    def __call__(self, args: Args, kwargs: Kwargs) -> Mapping[str, Any] | None:
        if self.named is not None:
            value = self.named(args, kwargs)
            if type(value) is dict:
                return value
            if value is not None and issubclass(type(value), Mapping):
                return value  # type: ignore[no-any-return]  # issubclass of its type says so, without waking a lazy proxy
        for value in (*args, *kwargs.values()):
            if type(value) is dict:
                headers = _headers_in(value)
                if headers is not None:
                    return headers
        return None


@dataclass(frozen=True, slots=True)
class OwnIdentity:
    """The id that the receiver of a call gives itself, in an attribute named like a worker's id."""

    def __call__(self, args: Args, kwargs: Kwargs) -> str | None:
        if not args:
            return None
        attributes = getattr(args[0], "__dict__", {})
        for name in WORKER_NAMES:
            value = attributes.get(name)
            if type(value) is str and len(value) <= LONGEST_TEXT:
                return value
        return own_identity(args[0], attributes)


@guard("arguments.identity")
def identity(value: Any, members: tuple[str, ...]) -> str | None:
    """`value` as an id: itself when it is a scalar, else its first member that is one."""
    return _identity(value, members)


def _identity(value: Any, members: tuple[str, ...]) -> str | None:
    text = _scalar(value)
    if text is not None:
        return text
    kind = type(value)
    is_mapping = issubclass(kind, Mapping)
    for member in members:
        text = _scalar(value.get(member) if is_mapping else getattr(value, member, None))
        if text is not None:
            return text
    return None


@guard("arguments.path")
def follow(value: Any, steps: tuple[str, ...], members: tuple[str, ...]) -> str | None:
    """The id at the end of `steps`."""
    for step in steps:
        if value is None:
            return None
        value = value.get(step) if issubclass(type(value), Mapping) else getattr(value, step, None)
    return None if value is None else _identity(value, members)


@guard("arguments.own_identity")
def own_identity(receiver: Any, attributes: Mapping[str, Any]) -> str | None:
    """The receiver's own id, never by way of its `__getattr__`: that may do anything, even call a server."""
    for name in WORKER_NAMES:
        if name in attributes:
            return _identity(attributes[name], WORKER_MEMBERS)
    of_class = _identifying.of(type(receiver))
    return None if of_class is None else _identity(getattr(receiver, of_class, None), WORKER_MEMBERS)


def _identifying_name(cls: type) -> str | None:
    return next((name for name in WORKER_NAMES for base in cls.__mro__ if name in vars(base)), None)


_identifying = ByClass(_identifying_name)
"""The property or slot in which the instances of a class have their id."""


def _scalar(value: Any) -> str | None:
    kind = type(value)
    if kind is str:
        text: str = value
    elif issubclass(kind, str):
        text = str.__str__(value)
    elif issubclass(kind, bytes):
        text = bytes(value[:LONGEST_TEXT]).decode("ascii", "replace")
    elif kind is not bool and (issubclass(kind, int) or (kind.__module__, kind.__qualname__) == ("uuid", "UUID")):
        text = str(value)
    else:
        return None
    return text[:LONGEST_TEXT]


def _headers_in(value: dict[Any, Any]) -> dict[Any, Any] | None:
    if "traceparent" in value:
        return value
    for name in CARRIER_NAMES:
        nested = value.get(name)
        if type(nested) is dict and "traceparent" in nested:
            return nested
    return None
