"""Shapes of nested settings: objects and lists whose problems are found all at once, each under its own path."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import voluptuous as v

from otel_monitor.settings_values import nearest, text


def fields(
    known: Mapping[str, Callable[[Any], Any]], required: tuple[str, ...] = ()
) -> Callable[[Any], dict[str, Any]]:
    """An object with these fields."""

    def check(raw: Any) -> dict[str, Any]:
        if not isinstance(raw, dict):
            raise v.Invalid(f"expected an object, got {raw!r}")
        values: dict[str, Any] = {}
        errors: list[v.Invalid] = []
        for key, item in raw.items():
            if key not in known:
                errors.append(v.Invalid(f"unknown key{nearest(str(key), known)}", path=[key]))
                continue
            try:
                values[key] = known[key](item)
            except v.Invalid as error:
                errors += below(error, key)
        errors += [v.Invalid("required", path=[key]) for key in required if key not in raw]
        if errors:
            raise v.MultipleInvalid(errors)
        return values

    return check


def by_name(check: Callable[[str, Any], Any], key: Callable[[Any], str] = text) -> Callable[[Any], dict[str, Any]]:
    """An object whose keys are names."""

    def check_all(raw: Any) -> dict[str, Any]:
        if not isinstance(raw, dict):
            raise v.Invalid(f"expected an object, got {raw!r}")
        pairs = _each(raw.items(), lambda name, item: (key(name), check(name, item)))
        return dict(pairs)

    return check_all


def listed(check: Callable[[Any], Any]) -> Callable[[Any], tuple[Any, ...]]:
    """A list."""

    def check_all(raw: Any) -> tuple[Any, ...]:
        if not isinstance(raw, (list, tuple)):
            raise v.Invalid(f"expected a list, got {raw!r}")
        return tuple(_each(enumerate(raw), lambda _index, item: check(item)))

    return check_all


def _each(items: Iterable[tuple[Any, Any]], check: Callable[[Any, Any], Any]) -> list[Any]:
    values: list[Any] = []
    errors: list[v.Invalid] = []
    for place, item in items:
        try:
            values.append(check(place, item))
        except v.Invalid as error:
            errors += below(error, place)
    if errors:
        raise v.MultipleInvalid(errors)
    return values


def below(error: v.Invalid, place: Any) -> list[v.Invalid]:
    """Every problem of `error`, as found below `place`."""
    errors = error.errors if isinstance(error, v.MultipleInvalid) else [error]
    return [v.Invalid(one.msg, path=[place, *one.path]) for one in errors]
