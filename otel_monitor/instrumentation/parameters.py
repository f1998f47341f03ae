"""The parameters of a function: which of them a name or a dotted path means."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from types import FunctionType

from otel_monitor.instrumentation.arguments import (
    ATTEMPT_NAMES,
    CARRIER_NAMES,
    KEYWORD_ONLY,
    AnyKeyword,
    Argument,
    Carrier,
    Identifier,
    Number,
    Path,
)

_BY_POSITION = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_ANY_POSITION = inspect.Parameter.VAR_POSITIONAL
_ANY_KEYWORD = inspect.Parameter.VAR_KEYWORD


@dataclass(frozen=True, slots=True)
class Parameters:
    """A function's parameters in order, without `*args` and `**kwargs`."""

    arguments: Mapping[str, Argument]
    receiver: str | None = None
    takes_any_position: bool = True
    takes_any_keyword: bool = True

    @classmethod
    def of(cls, function: FunctionType, *, has_receiver: bool = False) -> Parameters:
        """Read them from the signature; with a receiver (`self`, `cls`), the first one is never an id."""
        try:
            parameters = _signature(function)
        except (TypeError, ValueError):  # a `__signature__` of the user's that is none
            return cls({})
        kinds = {parameter.kind for parameter in parameters}
        arguments = {}
        for index, parameter in enumerate(parameters):
            if parameter.kind in _BY_POSITION:
                arguments[parameter.name] = Argument(parameter.name, index, _constant(parameter.default))
            elif parameter.kind is inspect.Parameter.KEYWORD_ONLY:
                arguments[parameter.name] = Argument(parameter.name, KEYWORD_ONLY, _constant(parameter.default))
        receiver = parameters[0].name if has_receiver and parameters and parameters[0].kind in _BY_POSITION else None
        return cls(arguments, receiver, _ANY_POSITION in kinds, _ANY_KEYWORD in kinds)

    def first_of(self, names: tuple[str, ...]) -> Argument | None:
        """The parameter with the first of these names that there is one with."""
        for name in names:
            if name in self.arguments and name != self.receiver:
                return self.arguments[name]
        return None

    def identifier(self, names: tuple[str, ...], members: tuple[str, ...]) -> Identifier | AnyKeyword | None:
        """An extractor for the argument with the first of these names."""
        found = self.first_of(names)
        if found is not None:
            return Identifier(found.keyword, found.index, found.default, members)
        return AnyKeyword(names, members) if self.takes_any_keyword else None

    def attempt(self) -> Number | None:
        found = self.first_of(ATTEMPT_NAMES)
        return None if found is None else Number(found.keyword, found.index, found.default)

    def carrier(self) -> Carrier | None:
        """None where there is no argument that could be one."""
        is_closed = not self.takes_any_position and not self.takes_any_keyword
        if is_closed and all(name == self.receiver for name in self.arguments):
            return None
        return Carrier(self.first_of(CARRIER_NAMES))

    def path(self, dotted: str, members: tuple[str, ...]) -> Path | Identifier | None:
        """An extractor for a dotted path, None where its first word is no parameter."""
        word, *steps = dotted.split(".")
        root = self.arguments.get(word)
        if root is None and word == "self" and self.receiver is not None:
            root = self.arguments.get(self.receiver)
        if root is None and self.takes_any_keyword:
            root = Argument(word)
        if root is None:
            return None
        if steps:
            return Path(root, tuple(steps), members)
        return Identifier(root.keyword, root.index, root.default, members)


def _signature(function: FunctionType) -> list[inspect.Parameter]:
    own = list(inspect.signature(function, follow_wrapped=False).parameters.values())
    passes_on = any(parameter.kind in (_ANY_POSITION, _ANY_KEYWORD) for parameter in own)
    return list(inspect.signature(function).parameters.values()) if passes_on else own


def _constant(default: object) -> str | int | None:
    kind = type(default)
    return default if kind is str or kind is int else None  # type: ignore[return-value]  # narrowed by its exact type
