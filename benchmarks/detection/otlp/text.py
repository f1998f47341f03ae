"""Pieces of OTLP JSON, written as text: building dictionaries for each span would cost five times as much."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import lru_cache

Value = str | int | float | bool


@lru_cache(maxsize=50_000, typed=True)
def attribute(name: str, value: Value) -> str:
    """One attribute."""
    if type(value) is str:
        text = f'"stringValue":{json.dumps(value, ensure_ascii=False)}'
    elif type(value) is bool:
        text = f'"boolValue":{"true" if value else "false"}'
    elif type(value) is int:
        text = f'"intValue":"{value}"'
    else:
        text = f'"doubleValue":{value!r}'
    return f'{{"key":"{name}","value":{{{text}}}}}'


def attributes(*pairs: tuple[str, Value | None]) -> str:
    """Several attributes; what has no value is left out."""
    return ",".join(attribute(name, value) for name, value in pairs if value is not None)


def joined(*parts: str) -> str:
    return ",".join(part for part in parts if part)


def nanoseconds(seconds: float) -> str:
    """A time as OTLP writes it: 64 bits, hence a string."""
    return f'"{int(seconds * 1e9)}"'


def event(name: str, at: str, fragment: str) -> str:
    return f'{{"timeUnixNano":{at},"name":"{name}","attributes":[{fragment}]}}'


def resource_line(signal: str, entries: Iterable[str]) -> str:
    """One line of the file: an export request with one signal."""
    return f'{{"{signal}":[{",".join(entries)}]}}'


SCHEMA = "https://opentelemetry.io/schemas/1.38.0"
