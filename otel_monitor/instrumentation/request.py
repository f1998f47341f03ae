"""A request to instrument: classes, names of classes and overrides, from the settings or by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from otel_monitor.errors import ConfigurationError, InstrumentationError, Problem
from otel_monitor.instrumentation.operation import Side
from otel_monitor.instrumentation.overrides import Override, read_overrides
from otel_monitor.instrumentation.registry import find_now, registry
from otel_monitor.instrumentation.targets import Target, read_targets
from otel_monitor.settings import CONFIG_VARIABLE, PREFIX, Settings

_KEYS = {Side.ORCHESTRATOR: "orchestrators", Side.WORKER: "workers"}


@dataclass(frozen=True, slots=True)
class Request:
    """What shall be instrumented, and what of it makes no sense."""

    classes: tuple[tuple[type, Side], ...] = ()
    targets: tuple[Target, ...] = ()
    overrides: tuple[Override, ...] = ()
    problems: tuple[Problem, ...] = ()

    @classmethod
    def of_settings(cls, settings: Settings, environ: Mapping[str, str]) -> Request:
        """What the environment and the file that it names ask for."""
        targets: list[Target] = []
        problems: list[Problem] = []
        for side, key in _KEYS.items():
            source = _source_of(key, environ)
            origin = source if source == _variable(key) else f"{source}: {key}"
            found, wrong = read_targets(getattr(settings, key), side, origin)
            targets += found
            problems += wrong
        overrides, wrong = read_overrides(settings.operations, _source_of("operations", environ))
        return cls((), tuple(targets), tuple(overrides), (*problems, *wrong))

    @classmethod
    def by_hand(
        cls,
        orchestrators: Iterable[type | str] = (),
        workers: Iterable[type | str] = (),
        operations: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> Request:
        """What a call asks for.

        Raises:
            ConfigurationError: with everything that is wrong with `operations`.
            InstrumentationError: something is no class, or no class of a module that is imported already.
        """
        overrides, problems = read_overrides(operations or {})
        if problems:
            raise ConfigurationError(problems)
        classes: list[tuple[type, Side]] = []
        targets: list[Target] = []
        for side, named in ((Side.ORCHESTRATOR, orchestrators), (Side.WORKER, workers)):
            for one in [named] if type(named) is str else named:
                if issubclass(type(one), type):
                    classes.append((one, side))  # type: ignore[arg-type]  # its type is a metaclass
                elif type(one) is str:
                    targets += _target(one, side)
                else:
                    raise InstrumentationError(f"{one!r} is neither a class nor a text like 'package.module:Class'")
        find_now(targets)
        return cls(tuple(classes), tuple(targets), tuple(overrides))

    def fulfil(self) -> None:
        """Wrap what is there, wait for the rest, and say what is wrong."""
        for problem in self.problems:
            registry.say(problem)
        registry.add_overrides(self.overrides)
        for cls, side in self.classes:
            registry.add_class(cls, side)
        registry.add_targets(self.targets)


def _target(name: str, side: Side) -> list[Target]:
    found, problems = read_targets([name], side, f"otel_monitor.instrument({_KEYS[side]}=...)")
    if problems:
        raise InstrumentationError(problems[0].message)
    return found


def _variable(key: str) -> str:
    return PREFIX + key.upper()


def _source_of(key: str, environ: Mapping[str, str]) -> str:
    """Where a setting comes from: its variable, else the file."""
    if environ.get(_variable(key), "").strip():
        return _variable(key)
    return environ.get(CONFIG_VARIABLE, "").strip() or _variable(key)
