"""Shared methods: one entry of a class's dict through which calls of several classes go.

A method that a named class inherits stays where it is defined, since a copy in the subclass would change
what `super()` finds. It is recorded for receivers of the named classes alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otel_monitor.instrumentation import recorder
from otel_monitor.instrumentation.by_class import ByClass
from otel_monitor.instrumentation.operation import Operation
from otel_monitor_processors.guard import guard

ClassName = tuple[str, str]
"""A class's module and qualified name: they also fit the copy of a class that a decorator has made."""


def name_of(cls: type) -> ClassName:
    return cls.__module__, cls.__qualname__


class SharedMethod:
    """Which operation a call is, by the class of its receiver."""

    __slots__ = ("_known", "by_class", "method", "of_all", "receiver_is_class")

    def __init__(self, method: str, *, receiver_is_class: bool) -> None:
        self.method = method
        self.receiver_is_class = receiver_is_class
        self.of_all: Operation | None = None
        self.by_class: dict[ClassName, Operation] = {}
        self._known = ByClass(self._search)

    def add(self, cls: ClassName, operation: Operation) -> None:
        """From now on calls with a receiver of this class, or of a subclass, are `operation`."""
        self.by_class.setdefault(cls, operation)
        self._known.forget()

    def operation_for(self, args: tuple[Any, ...]) -> Operation | None:
        """The operation that a call with these arguments is; None when it is nobody's whom we know."""
        if self.of_all is not None or not args:
            return self.of_all
        return self._known.of(args[0] if self.receiver_is_class else type(args[0]))

    def _search(self, cls: type) -> Operation | None:
        for base in cls.__mro__:
            operation = self.by_class.get(name_of(base))
            if operation is not None:
                return operation
        return None

    def __getstate__(self) -> tuple[str, bool, Operation | None, dict[ClassName, Operation]]:
        return self.method, self.receiver_is_class, self.of_all, self.by_class

    def __setstate__(self, state: tuple[str, bool, Operation | None, dict[ClassName, Operation]]) -> None:
        self.method, self.receiver_is_class, self.of_all, self.by_class = state
        self._known = ByClass(self._search)


@guard("sharing.begin")
def begin(method: SharedMethod, args: tuple[Any, ...], kwargs: Mapping[str, Any], attach: bool = True) -> Any:
    """Begin a call of an inherited method, if its receiver is one of a named class."""
    operation = method.operation_for(args)
    return None if operation is None else recorder.begin(operation, args, kwargs, attach)
