"""Methods: which entries of which dicts are the operations of a class."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Collection, Iterator
from pathlib import Path
from types import FunctionType
from typing import NamedTuple

_LIBRARIES = ("site-packages", "dist-packages")
_PROGRAM = ("__main__", "__mp_main__")


class Entry(NamedTuple):
    """A name in the dict of the class that defines it, and what stands there."""

    definer: type
    name: str
    raw: object


def entries_of(cls: type, named: Collection[str]) -> Iterator[Entry]:
    """The public methods that a class has, its own and those of the user's base classes; private ones if `named`."""
    seen = set()
    for base in cls.__mro__:
        is_looked_at = base is cls or is_users_code(base, cls)
        for name, raw in list(vars(base).items()):
            if name in seen:
                continue
            seen.add(name)
            is_wanted = not name.startswith("_") or name in named
            is_inherited_static = base is not cls and type(raw) is staticmethod  # no receiver says whose call it is
            if is_looked_at and is_wanted and not is_inherited_static and function_of(raw) is not None:
                yield Entry(base, name, raw)


def function_of(raw: object) -> FunctionType | None:
    """The plain function that an entry is, or that a class or static method holds; None for everything else."""
    if type(raw) in (classmethod, staticmethod):
        raw = raw.__func__  # type: ignore[attr-defined]  # what its exact type says mypy does not see
    return raw if type(raw) is FunctionType else None


def with_function(raw: object, function: FunctionType) -> object:
    """An entry of the same kind as `raw` around another function."""
    if type(raw) is FunctionType:
        return function
    copy = type(raw)(function)  # type: ignore[call-arg]  # a class or static method
    vars(copy).update({name: value for name, value in vars(raw).items() if name not in vars(copy)})
    return copy


def is_users_code(base: type, cls: type) -> bool:
    """Whether a base class belongs to the same program as the class that inherits from it.

    That is the same top-level package. A module outside any package has none: there it is every module that
    belongs neither to Python nor to an installed package.
    """
    home = base.__module__.partition(".")[0]
    if home in _packages_of(cls):
        return True
    return "." not in cls.__module__ and _is_outside_libraries(base.__module__)


def _packages_of(cls: type) -> set[str]:
    packages = {cls.__module__.partition(".")[0]}
    if cls.__module__ in _PROGRAM:
        spec = getattr(sys.modules.get(cls.__module__), "__spec__", None)
        packages |= {*_PROGRAM, *([spec.name.partition(".")[0]] if spec is not None else [])}
    return packages


def _is_outside_libraries(module: str) -> bool:
    file = getattr(sys.modules.get(module), "__file__", None)
    if type(file) is not str:
        return False
    path = Path(file).resolve()
    if any(part in _LIBRARIES for part in path.parts):
        return False
    paths = sysconfig.get_paths()
    return not any(path.is_relative_to(Path(paths[name]).resolve()) for name in ("stdlib", "platstdlib"))
