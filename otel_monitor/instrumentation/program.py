"""The program: the module that runs as `__main__`, under the names that a user may know it by.

No import hook sees it, and at start-up it has not run yet. While one of its classes is waited for, the
builtin that every `class` statement calls is ours; it is given back when the last one has come.
"""

from __future__ import annotations

import ast
import builtins
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FunctionType
from typing import Any

from otel_monitor_processors.guard import guard

_NAMES = ("__main__", "__mp_main__")
"""The second is what `multiprocessing` calls the program's module in its children."""
_NOT_FILES = ("", "-", "-c", "-m")
_DEEPEST_PACKAGE = 8


def is_program(module: str, namespace: Mapping[str, Any]) -> bool:
    """Whether `namespace` is that of the program, and `module` a name for it."""
    return namespace.get("__name__") in _NAMES and module in names_of(namespace)


def may_be_program(module: str) -> bool:
    """Whether the program is the module of this name, asked before it has begun or later."""
    namespace = vars(sys.modules["__main__"])
    has_begun = namespace.get("__file__") or namespace.get("__spec__")
    return module in names_of(namespace) or (not has_begun and is_child_of_multiprocessing())


def names_of(namespace: Mapping[str, Any]) -> frozenset[str]:
    """The names of the program's module: `__main__`, that of `python -m`, those that its file could be imported by."""
    name = getattr(namespace.get("__spec__"), "name", None)
    file = _file_of(namespace)
    if type(name) is not str and file is None and sys.argv[:1] == ["-m"]:
        # The interpreter leaves its own options out of `argv`, and the module's name with them.
        name = sys.orig_argv[-len(sys.argv)].rpartition("-m")[2]
    if type(name) is str:
        return frozenset({*_NAMES, name, f"{name}.__main__", name.removesuffix(".__main__")})
    return frozenset(_NAMES) | (frozenset() if file is None else _names_of_file(file))


def is_child_of_multiprocessing() -> bool:
    """Whether this interpreter was started by `multiprocessing`, and gets its program later."""
    return any(word.startswith("from multiprocessing.") for word in sys.orig_argv)


def classes_in_source(namespace: Mapping[str, Any]) -> frozenset[str] | None:
    """The dotted names of the classes in the source of a module; None when that cannot be read."""
    file = _file_of(namespace)
    if file is None:
        return None
    try:
        tree = ast.parse(Path(file).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None
    return frozenset(_classes(tree, ""))


def _classes(node: ast.AST, prefix: str) -> list[str]:
    found = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            name = prefix + child.name
            found += [name, *_classes(child, f"{name}.")]
        elif not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            found += _classes(child, prefix)
    return found


def _file_of(namespace: Mapping[str, Any]) -> str | None:
    """The module's file. The interpreter sets it when it begins a script, and takes it away at its end."""
    file = namespace.get("__file__")
    if type(file) is str:
        return file
    first = sys.argv[0] if sys.argv else ""
    return None if first in _NOT_FILES else first


def _names_of_file(file: str) -> frozenset[str]:
    parts = Path(file).resolve().with_suffix("").parts[-_DEEPEST_PACKAGE:]
    return frozenset(".".join(parts[start:]) for start in range(len(parts)))


class ClassWatch:
    """Sees the program's classes as they are built, before their decorators do."""

    def __init__(self) -> None:
        self._original: Callable[..., Any] | None = None
        self._ours: Callable[..., Any] | None = None

    def start(self, on_class: Callable[[type, Mapping[str, Any]], None]) -> None:
        """Call `on_class` with each of them, and with the namespace of the module; a second start changes nothing."""
        if self._ours is not None:
            return
        original = builtins.__build_class__

        def build_class(body: FunctionType, name: str, /, *bases: Any, **keywords: Any) -> Any:
            cls = original(body, name, *bases, **keywords)
            _notice(cls, body, on_class)
            return cls

        self._original, self._ours = original, build_class
        builtins.__build_class__ = build_class  # type: ignore[assignment]  # typeshed spells its arguments out

    def stop(self) -> None:
        """Give the builtin back. Where somebody has wrapped ours since, it stays below theirs and does nothing."""
        if self._ours is not None and builtins.__build_class__ is self._ours and self._original is not None:
            builtins.__build_class__ = self._original
            self._original = self._ours = None


@guard("program.notice")
def _notice(cls: Any, body: FunctionType, on_class: Callable[[type, Mapping[str, Any]], None]) -> None:
    namespace = body.__globals__
    if namespace.get("__name__") in _NAMES and issubclass(type(cls), type):  # a metaclass may make anything
        on_class(cls, namespace)
