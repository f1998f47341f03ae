"""The registry: which classes this process instruments, which of them it still waits for, and why."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import wrapt

from otel_monitor.errors import InstrumentationError, Problem
from otel_monitor.instrumentation import program
from otel_monitor.instrumentation.lookup import classes_in, missing_module, namespace_of
from otel_monitor.instrumentation.methods import function_of
from otel_monitor.instrumentation.operation import Side
from otel_monitor.instrumentation.overrides import Override
from otel_monitor.instrumentation.patching import NamedClass, patches
from otel_monitor.instrumentation.targets import EVERY_CLASS, Pending, Target, loaded_module
from otel_monitor.settings_values import nearest
from otel_monitor.user_line import say
from otel_monitor_processors.guard import guard


class Registry:
    """Targets, from their being named to their classes' being wrapped. Its lock guards its lists and sets."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._pending: list[Pending] = []
        self._marked: list[tuple[type, Side]] = []
        self._is_active = False
        self._overrides: dict[Override, bool] = {}
        self._said: set[Problem] = set()
        self._watch = program.ClassWatch()
        self._was_checked = False
        self._pid = os.getpid()

    def add_overrides(self, overrides: Iterable[Override]) -> None:
        """They hold for the classes that are wrapped from now on."""
        with self._lock:
            for override in overrides:
                self._overrides.setdefault(override, False)

    def add_targets(self, targets: Sequence[Target]) -> None:
        """Wrap the classes of these targets: at once where their modules are imported, else when they are."""
        self._pid = os.getpid()
        for target in targets:
            pending = Pending(target)
            with self._lock:
                self._pending.append(pending)
            if program.may_be_program(target.module):
                self._find(pending, sys.modules["__main__"])
            with self._lock:
                if pending.waits_for_program():
                    self._watch.start(self._built)
            module = sys.modules.get(target.module)
            if module is not None:
                self._find(pending, module)
            else:
                wrapt.register_post_import_hook(_ImportHook(self, target.module), target.module)

    def add_class(self, cls: type, side: Side) -> None:
        """Wrap a class that is at hand."""
        self._wrap(NamedClass(cls, side, frozenset({cls.__module__})))

    def mark(self, cls: type, side: Side) -> None:
        """Wrap a class whenever this process instruments anything: now, or when it begins to."""
        with self._lock:
            self._marked.append((cls, side))
        if self._is_active:
            self.add_class(cls, side)

    def activate(self) -> None:
        """Wrap the classes that have been marked so far, and each one marked from now on."""
        self._is_active = True
        with self._lock:
            marked = list(self._marked)
        for cls, side in marked:
            self.add_class(cls, side)

    def imported(self, name: str, module: object) -> None:
        """A module that a target names has been imported."""
        for one in self._snapshot():
            if one.target.module == name:
                self._find(one, module)
                if self._was_checked and not one.is_found:
                    self._report(one, _no_class(one.target, module))
        self._settle()

    def check(self, *, final: bool = False) -> None:
        """Say of each target that has not been found why, once, unless its module may still be imported.

        `final`: the program is at its end, and what it has not defined by now it never will.
        """
        self._was_checked = True
        for one in self._snapshot():
            if not one.is_found and not one.is_reported:
                self._report(one, self._why_not_found(one, final=final))
        self._report_idle_overrides()
        self._settle()

    def clear(self) -> None:
        """Forget every target, though not the marks, and give every class back as it was."""
        self._is_active = False
        with self._lock:
            self._pending.clear()
            self._overrides.clear()
            self._said.clear()
            self._was_checked = False
        self._watch.stop()
        patches.restore()

    def reset_after_fork(self) -> None:
        """Another thread of the parent's may have held the lock."""
        self._lock = threading.RLock()

    def _snapshot(self) -> list[Pending]:
        with self._lock:
            return list(self._pending)

    def _built(self, cls: type, namespace: Mapping[str, Any]) -> None:
        for one in self._snapshot():
            if one.is_built(cls.__qualname__, namespace):
                self._wrap(NamedClass(cls, one.target.side, program.names_of(namespace)))
                one.is_found = True
        self._settle()

    def _settle(self) -> None:
        with self._lock:
            if not any(one.waits_for_program() for one in self._pending):
                self._watch.stop()

    @guard("registry.find")
    def _find(self, pending: Pending, module: object) -> None:
        target = pending.target
        namespace = namespace_of(module)
        names = frozenset({target.module, str(namespace.get("__name__"))})
        if program.is_program(target.module, namespace):
            names |= program.names_of(namespace)
        for cls in target.classes(module):
            self._wrap(NamedClass(cls, target.side, names | {cls.__module__}, target.path))
            pending.is_found = True

    @guard("registry.wrap")
    def _wrap(self, named: NamedClass) -> None:
        with self._lock:
            overrides = list(self._overrides)
            self._overrides.update({override: True for override in overrides if named.is_concerned_by(override)})
        for problem in patches.add(named, overrides):
            self.say(problem)

    def _report(self, pending: Pending, why: str | None) -> None:
        if why is not None and not pending.is_found:
            pending.is_reported = True
            self.say(Problem(pending.target.origin, f"{str(pending.target)!r} is not found: {why}"))

    @guard("registry.why_not_found")
    def _why_not_found(self, pending: Pending, *, final: bool) -> str | None:
        target = pending.target
        main = sys.modules["__main__"]
        if program.is_program(target.module, vars(main)):
            self._find(pending, main)
            in_source = program.classes_in_source(vars(main))
            if not final and (in_source is None or target.path in (EVERY_CLASS, *in_source)):
                return None
            if self._is_of_another_program(pending, in_source or ()):
                return None
            return _no_class(target, main, in_source or ())
        module = loaded_module(target.module)
        if module is None:
            return missing_module(target.module) if target.module not in sys.modules else None
        self._find(pending, module)
        return _no_class(target, module)

    def _is_of_another_program(self, pending: Pending, in_source: Iterable[str]) -> bool:
        """Whether `__main__` is meant in another program of a fleet that shares its variables.

        This program has a class that is named, and none that the missing name may be a slip for.
        """
        target = pending.target
        if target.module != "__main__" or nearest(target.path, in_source):
            return False
        siblings = [one for one in self._snapshot() if one is not pending and one.target.module == "__main__"]
        return any(one.is_found or one.target.path in in_source for one in siblings)

    def _report_idle_overrides(self) -> None:
        with self._lock:
            named = {(one.target.module, one.target.path) for one in self._pending}
            idle = [override for override, is_used in self._overrides.items() if not is_used]
        for override in idle:
            if not named & {(override.module, override.owner), (override.module, EVERY_CLASS)}:
                where = f"{override.module}:{override.owner}"
                self.say(Problem(override.where, f"{where} is named neither in orchestrators nor in workers"))

    def say(self, problem: Problem) -> None:
        """Warn of a problem: once, and in the parent alone where `multiprocessing` has started this process."""
        with self._lock:
            is_known = problem in self._said
            self._said.add(problem)
        if not is_known and os.getpid() == self._pid and not program.is_child_of_multiprocessing():
            say(f"{problem}; your code keeps running, without it")


class _ImportHook:
    """Tells a registry of one module's import."""

    def __init__(self, registry: Registry, name: str) -> None:
        self._registry = registry
        self._name = name

    def __call__(self, module: object) -> None:
        _imported(self._registry, self._name, module)


@guard("registry.imported")
def _imported(registry: Registry, name: str, module: object) -> None:
    registry.imported(name, module)


def _no_class(target: Target, module: object, more_names: Iterable[str] = ()) -> str:
    namespace = namespace_of(module)
    name = namespace.get("__name__", target.module)
    if target.path == EVERY_CLASS:
        return f"{name} defines no class"
    if function_of(namespace.get(target.path)) is not None:
        return f"{name}.{target.path} is a function; mark it with @otel_monitor.operation"
    return f"{name} has no class {target.path}{nearest(target.path, {*classes_in(module), *more_names})}"


def find_now(targets: Iterable[Target]) -> None:
    """Check that the targets whose modules are imported already are there.

    Raises:
        InstrumentationError: some are not, each with its nearest match.
    """
    wrong = []
    for target in targets:
        module = loaded_module(target.module)
        if module is None or target.classes(module):
            continue
        namespace = namespace_of(module)
        in_source = program.classes_in_source(namespace) if program.is_program(target.module, namespace) else None
        if not in_source or (target.path != EVERY_CLASS and target.path not in in_source):  # a program may ask early
            wrong.append(f"{target}: {_no_class(target, module, in_source or ())}")
    if wrong:
        raise InstrumentationError("\n".join(wrong))


registry = Registry()
"""The registry of this process."""

os.register_at_fork(after_in_child=registry.reset_after_fork)


@guard("registry.check_unresolved")
def check_unresolved(final: bool = False) -> None:
    """Say once of each named class that has not been found where its name comes from and what may be meant."""
    registry.check(final=final)
