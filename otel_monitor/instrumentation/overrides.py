"""Overrides: what the configuration says of a single method, where its name does not tell."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from otel_monitor.errors import Problem
from otel_monitor.instrumentation.operation import Role
from otel_monitor.settings_values import nearest

_KEYS = ("role", "worker", "task", "task_id")
_METHOD = re.compile(r"(?P<module>[\w.]+):(?P<owner>[\w.]+)\.(?P<method>\w+)")
_PATH = re.compile(r"\w+(\.[^.\s]+)*")


@dataclass(frozen=True, slots=True)
class Override:
    """The role of one method, and the dotted paths over its arguments that lead to ids and names."""

    module: str
    owner: str
    method: str
    role: Role | None = None
    worker: str | None = None
    task: str | None = None
    task_id: str | None = None
    where: str = ""
    """The place in the configuration, for messages."""

    def path_of(self, key: str) -> str | None:
        """The dotted path under `worker`, `task` or `task_id`."""
        value: str | None = getattr(self, key)
        return value


def read_overrides(operations: Mapping[str, Any], origin: str = "") -> tuple[list[Override], list[Problem]]:
    """Read the setting `operations`: what is right of it, and every problem of the rest at once."""
    overrides: list[Override] = []
    problems: list[Problem] = []
    for key, raw in operations.items():
        override, found = read_override(key, raw, origin)
        problems += found
        if override is not None:
            overrides.append(override)
    return overrides, problems


def read_override(key: str, raw: Any, origin: str = "") -> tuple[Override | None, list[Problem]]:
    """Read one entry of the setting `operations`."""
    where = f"operations.{key}"
    named = _METHOD.fullmatch(key)
    problems: list[Problem] = []
    if named is None:
        problems.append(Problem(where, f"{key!r} is not package.module:Class.method", origin))
    values, found = read_values(raw, where, origin)
    problems += found
    if problems or named is None:
        return None, problems
    place = f"{origin}: {where}" if origin else where
    return Override(named["module"], named["owner"], named["method"], **values, where=place), []


def read_values(raw: Any, where: str, origin: str = "") -> tuple[dict[str, Any], list[Problem]]:
    """Read what is said of one method: the fields of an override, and every problem at once."""
    if not isinstance(raw, Mapping):
        return {}, [Problem(where, f"expected an object with {', '.join(_KEYS)}, got {raw!r}", origin)]
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, value in raw.items():
        try:
            values[name] = _value(name, value)
        except ValueError as error:
            problems.append(Problem(f"{where}.{name}", str(error), origin))
    return values, problems


def _value(name: str, value: Any) -> Any:
    if name not in _KEYS:
        raise ValueError(f"unknown key, expected {', '.join(_KEYS)}{nearest(name, _KEYS)}")
    if name == "role":
        return _role(value)
    if not isinstance(value, str) or _PATH.fullmatch(value) is None:
        raise ValueError(f"{value!r} is not a dotted path over the method's arguments, such as 'order.id'")
    return value


def _role(value: Any) -> Role:
    try:
        return Role(value)
    except ValueError:
        near = nearest(value, Role) if isinstance(value, str) else ""
        raise ValueError(f"{value!r} is not one of {', '.join(Role)}{near}") from None
