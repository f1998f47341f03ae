"""Targets: the classes that a user has named, found when their modules are imported, never earlier."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from otel_monitor.errors import Problem
from otel_monitor.instrumentation.lookup import class_at, classes_of, namespace_of
from otel_monitor.instrumentation.operation import Side
from otel_monitor.instrumentation.program import classes_in_source, is_program, may_be_program

EVERY_CLASS = "*"
_TARGET = re.compile(r"(?P<module>\w+(\.\w+)*):(?P<path>\*|\w+(\.\w+)*)")
_DOTTED = re.compile(r"(\w+\.)*\w+\.\w+")


@dataclass(frozen=True, slots=True)
class Target:
    """A class of a module by its name, or every class that the module defines."""

    module: str
    path: str
    side: Side
    origin: str

    def __str__(self) -> str:
        return f"{self.module}:{self.path}"

    def classes(self, module: object) -> list[type]:
        """What it means in the module, by what the module holds by now."""
        if self.path == EVERY_CLASS:
            return list(classes_of(module).values())
        found = class_at(module, self.path)
        return [] if found is None else [found]


@dataclass(slots=True)
class Pending:
    """A target on its way to its classes."""

    target: Target
    is_found: bool = False
    is_reported: bool = False
    to_come: set[str] | None = None
    """Of every class of the program: those that its source has and that have not been built yet."""

    def waits_for_program(self) -> bool:
        """Whether the program may still define what is meant."""
        if self.is_reported or not may_be_program(self.target.module):
            return False
        if self.target.path != EVERY_CLASS:
            return not self.is_found
        namespace = vars(sys.modules["__main__"])
        still_to_come = self._names_to_come(namespace)
        return still_to_come is None or not still_to_come <= namespace.keys()

    def is_built(self, name: str, namespace: Mapping[str, Any]) -> bool:
        """Whether the program's class of this name, which has just been built, is meant."""
        if not is_program(self.target.module, namespace):
            return False
        if self.target.path != EVERY_CLASS:
            return name == self.target.path
        still_to_come = self._names_to_come(namespace)
        if still_to_come is not None:
            still_to_come.discard(name)
        return "." not in name

    def _names_to_come(self, namespace: Mapping[str, Any]) -> set[str] | None:
        if self.to_come is None:
            in_source = classes_in_source(namespace)
            self.to_come = None if in_source is None else {name for name in in_source if "." not in name}
        return self.to_come


def read_targets(names: Iterable[str], side: Side, origin: str) -> tuple[list[Target], list[Problem]]:
    """Read names like `package.module:Class`: those that are well-formed, and what is wrong with the others."""
    targets: list[Target] = []
    problems: list[Problem] = []
    for name in names:
        matched = _TARGET.fullmatch(name.strip())
        if matched is not None:
            targets.append(Target(matched["module"], matched["path"], side, origin))
            continue
        dotted = _DOTTED.fullmatch(name.strip())
        meant = f" (did you mean {':'.join(name.strip().rsplit('.', 1))!r}?)" if dotted else ""
        problems.append(Problem(origin, f"{name!r} is not package.module:Class or package.module:*{meant}"))
    return targets, problems


def loaded_module(name: str) -> object | None:
    """The module of this name, if its import is over, and not put off by `importlib.util.LazyLoader`."""
    module = sys.modules.get(name)
    if module is None or type(module).__name__ == "_LazyModule":
        return None
    is_importing = getattr(namespace_of(module).get("__spec__"), "_initializing", False)
    return None if is_importing else module
