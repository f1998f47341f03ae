"""Patching: the entries of users' classes that are ours for now, and the way back."""

from __future__ import annotations

import os
import sys
import threading
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from otel_monitor.errors import Problem
from otel_monitor.instrumentation import nesting, recorder, sharing
from otel_monitor.instrumentation.description import describe
from otel_monitor.instrumentation.lookup import class_at
from otel_monitor.instrumentation.methods import Entry, entries_of, function_of, with_function
from otel_monitor.instrumentation.operation import Role, Side
from otel_monitor.instrumentation.overrides import Override
from otel_monitor.instrumentation.sharing import SharedMethod, name_of
from otel_monitor.instrumentation.wrapper import Hooks, is_wrapper, wrap
from otel_monitor.settings_values import nearest
from otel_monitor_processors.guard import guard

OWN = Hooks(recorder.begin, recorder.end, recorder.enter, recorder.leave)
INHERITED = Hooks(sharing.begin, recorder.end, recorder.enter, recorder.leave)
OVERRIDDEN = Hooks(nesting.begin, nesting.end, nesting.enter, nesting.leave)


class Patch:
    """One function of a class under one or more names, and the wrapper that stands in its place."""

    def __init__(self, owner: type, names: tuple[str, ...], raw: object, method: str) -> None:
        self.owner = owner
        self.names = names
        self.raw = raw
        self.entry = raw
        self.shared = SharedMethod(method, receiver_is_class=type(raw) is classmethod)
        self.is_overridden = False
        self._applied: tuple[Hooks, object] | None = None

    def apply(self) -> None:
        """Put the wrapper that fits what is known by now in place of what we have put there before."""
        function = function_of(self.raw)
        if function is None:
            return
        own = self.shared.of_all
        wanted: tuple[Hooks, object] = (INHERITED, self.shared) if own is None else (OWN, own)
        if self.is_overridden:
            wanted = (OVERRIDDEN, self.shared)
        if wanted == self._applied:
            return
        self._replace(with_function(self.raw, wrap(function, wanted[1], wanted[0])))
        self._applied = wanted

    def restore(self) -> None:
        """Put the very object back that stood there, unless somebody has replaced ours since."""
        module = sys.modules.get(self.owner.__module__)
        rebuilt = None if module is None else class_at(module, self.owner.__qualname__)
        if rebuilt is not None and rebuilt is not self.owner:  # by a decorator that found ours in its dict
            self._set(rebuilt, self.raw)
        self._replace(self.raw)

    def _replace(self, entry: object) -> None:
        self._set(self.owner, entry)
        self.entry = entry

    def _set(self, owner: type, entry: object) -> None:
        for name in self.names:
            if vars(owner).get(name) is self.entry:
                type.__setattr__(owner, name, entry)


class NamedClass(NamedTuple):
    """A class that the user has named, and the modules and the name under which the configuration may know it."""

    cls: type
    side: Side
    modules: frozenset[str]
    path: str = ""

    def is_meant_by(self, override: Override) -> bool:
        return override.owner in (self.path, self.cls.__qualname__) and override.module in self.modules

    def is_concerned_by(self, override: Override) -> bool:
        """Whether an override is about this class or one that it inherits from."""
        bases = {name_of(base) for base in self.cls.__mro__}
        return self.is_meant_by(override) or (override.module, override.owner) in bases


class Patches:
    """Every patch of this process. Its lock guards them; no code of the user's runs under it."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._by_entry: dict[tuple[int, str], Patch] = {}
        self._by_name: defaultdict[str, list[Patch]] = defaultdict(list)

    def add(self, named: NamedClass, overrides: Sequence[Override] = ()) -> list[Problem]:
        """Wrap the operations of a class; what its overrides say in vain is returned."""
        with self._lock:
            own = {override.method: override for override in overrides if named.is_meant_by(override)}
            inherited = {(override.module, override.owner, override.method): override for override in overrides}
            methods: dict[tuple[int, int, Override | None], list[Entry]] = {}
            for entry in entries_of(named.cls, own):
                definer = entry.definer
                by_definer = inherited.get((definer.__module__, definer.__qualname__, entry.name))
                override = own.get(entry.name, by_definer)
                methods.setdefault((id(definer), id(entry.raw), override), []).append(entry)
            problems = [problem for method in own.values() for problem in _problems_of(method, named.cls)]
            for (_, _, override), aliases in methods.items():
                if override is None or override.role is not Role.IGNORE:
                    problems += self._add_method(named, aliases, override)
            return problems

    def restore(self) -> None:
        """Give every class back as it was."""
        with self._lock:
            for patch in {id(patch): patch for patch in self._by_entry.values()}.values():
                patch.restore()
            self._by_entry.clear()
            self._by_name.clear()

    def reset_after_fork(self) -> None:
        """Another thread of the parent's may have held the lock."""
        self._lock = threading.RLock()

    @guard("patching.method", default=[])
    def _add_method(self, named: NamedClass, aliases: list[Entry], override: Override | None) -> list[Problem]:
        patch = self._patch_of(aliases)
        function = None if patch is None else function_of(patch.raw)
        if patch is None or function is None:
            return []
        operation, problems = describe(
            function,
            name=f"{named.cls.__name__}.{patch.shared.method}",
            method=patch.shared.method,
            side=named.side,
            override=override,
            has_receiver=type(patch.raw) is not staticmethod,
        )
        if patch.owner is not named.cls:
            patch.shared.add(name_of(named.cls), operation)
        elif patch.shared.of_all is None:
            patch.shared.of_all = operation
        for other in {id(other): other for name in patch.names for other in self._by_name[name]}.values():
            if other is not patch and _meet(patch.owner, other.owner, named.cls):
                patch.is_overridden = other.is_overridden = True
                other.apply()
        patch.apply()
        return problems

    def _patch_of(self, aliases: list[Entry]) -> Patch | None:
        """The patch of a function under all its names; None where a wrapper stands that is not this class's."""
        definer, name, raw = aliases[0]
        known = self._by_entry.get((id(definer), name))
        if known is not None and known.entry is raw:
            return known
        function = function_of(raw)
        if function is None or is_wrapper(function):
            return None  # marked by hand, or taken from another class: one span is enough
        names = tuple(entry.name for entry in aliases)
        patch = Patch(definer, names, raw, function.__name__ if function.__name__ in names else name)
        for name in names:
            self._by_entry[id(definer), name] = patch
            self._by_name[name].append(patch)
        return patch


def _meet(one: type, other: type, cls: type) -> bool:
    """Whether a receiver can reach the methods of both classes through `super()`."""
    return _is_in(one, other.__mro__) or _is_in(other, one.__mro__) or _is_in(other, cls.__mro__)


def _is_in(cls: type, mro: Iterable[type]) -> bool:
    return any(base is cls for base in mro)  # by identity: a metaclass may define its own equality


def _problems_of(override: Override, cls: type) -> list[Problem]:
    """What an override says in vain, since the class has no such method or it is none that can be wrapped."""
    where = f"{cls.__module__}:{cls.__qualname__}"
    for base in cls.__mro__:
        if override.method not in vars(base):
            continue
        if override.method in (entry.name for entry in entries_of(cls, [override.method])):
            return []
        what = f"a {type(vars(base)[override.method]).__name__} of {base.__module__}.{base.__qualname__}"
        return [Problem(override.where, f"{where}.{override.method} is {what}, which is left alone")]
    names = {name for base in cls.__mro__ for name, raw in vars(base).items() if function_of(raw) is not None}
    return [Problem(override.where, f"{where} has no method {override.method!r}{nearest(override.method, names)}")]


patches = Patches()
"""The patches of this process."""

os.register_at_fork(after_in_child=patches.reset_after_fork)
