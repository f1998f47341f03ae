"""Looking for what a name means without importing anything, and for what it may have been meant to be."""

from __future__ import annotations

import importlib.machinery
import pkgutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from otel_monitor.settings_values import nearest
from otel_monitor_processors.guard import guard


def namespace_of(module: object) -> dict[str, Any]:
    """A module's dict, without waking one that is loaded lazily; empty where somebody has put no module."""
    try:
        namespace: dict[str, Any] = object.__getattribute__(module, "__dict__")
    except AttributeError:
        return {}
    return namespace


def classes_in(module: object) -> dict[str, type]:
    """The classes that a module's dict holds by name. Nothing is asked of the values: one may be a lazy proxy."""
    return {name: value for name, value in list(namespace_of(module).items()) if issubclass(type(value), type)}


def classes_of(module: object) -> dict[str, type]:
    """The classes that a module defines itself."""
    home = namespace_of(module).get("__name__")
    return {name: cls for name, cls in classes_in(module).items() if cls.__module__ == home}


def class_at(module: object, path: str) -> type | None:
    """The class that a dotted path leads to, by the dicts of the module and of its classes alone."""
    found = None
    namespace: Mapping[str, Any] = namespace_of(module)
    for step in path.split("."):
        found = namespace.get(step)
        if not issubclass(type(found), type):
            return None
        namespace = vars(found)
    return found


@guard("lookup.missing_module")
def missing_module(name: str) -> str | None:
    """Why a module cannot be imported, and what it may have been meant to be; None when it can, for all we know."""
    locations: Sequence[str] | None = None
    known = ""
    for word in name.split("."):
        full = f"{known}.{word}" if known else word
        module = sys.modules.get(full)
        spec = getattr(module, "__spec__", None) if module is not None else _find(full, locations)
        if spec is None and module is None:
            where = f"{known} has no module {word}" if known else f"there is no module {word}"
            return where + nearest(word, _importable(locations))
        path = getattr(module, "__path__", None) or getattr(spec, "submodule_search_locations", None)
        locations = list(path) if path is not None else []
        known = full
    return None


def _find(name: str, locations: Sequence[str] | None) -> importlib.machinery.ModuleSpec | None:
    """Ask the finders as an import would, except those that import the parent package on their way."""
    for finder in list(sys.meta_path):
        kind = finder if issubclass(type(finder), type) else type(finder)
        find_spec = getattr(finder, "find_spec", None)
        if find_spec is None or getattr(kind, "__module__", "").partition(".")[0] == "wrapt":
            continue
        spec: importlib.machinery.ModuleSpec | None = find_spec(name, locations)
        if spec is not None:
            return spec
    return None


def _importable(locations: Sequence[str] | None) -> Iterable[str]:
    names = {module.name for module in pkgutil.iter_modules(locations)}
    if locations is None:
        names |= {name for name in sys.modules if "." not in name}
    return names
