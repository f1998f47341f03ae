"""Kinds of setting values: how each is read from JSON, how from an environment variable."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import voluptuous as v

from otel_monitor.errors import Problem


@dataclass(frozen=True, slots=True)
class Value:
    """A kind of value: its name for people, its check, and how a variable's text becomes JSON-like."""

    type_name: str
    check: Callable[[Any], Any]
    from_text: Callable[[str], Any]

    def parse(self, raw: Any) -> Any:
        """Raises voluptuous.Invalid when `raw` is not such a value."""
        return v.Schema(self.check)(raw)

    def parse_text(self, text: str) -> Any:
        """The same for the text of an environment variable."""
        return self.parse(self.from_text(text))


def nearest(word: str, choices: Iterable[str]) -> str:
    """` (did you mean 'x'?)`, or nothing where no choice is near."""
    matches = difflib.get_close_matches(word, list(choices), n=1)
    return f" (did you mean '{matches[0]}'?)" if matches else ""


def choice(*values: str) -> Callable[[Any], str]:
    """One of `values`, and the nearest one named when it is not."""

    def check(raw: Any) -> str:
        if raw in values:
            return str(raw)
        near = nearest(raw, values) if isinstance(raw, str) else ""
        raise v.Invalid(f"{raw!r} is not one of {', '.join(values)}{near}")

    return check


def problems_of(error: v.Invalid, key: str, origin: str) -> list[Problem]:
    """Every problem that voluptuous has found under `key`, with its whole path."""
    errors = error.errors if isinstance(error, v.MultipleInvalid) else [error]
    return [Problem(".".join([key, *map(str, item.path)]), item.msg, origin) for item in errors]


def number(low: float | None = None, high: float | None = None, *, whole: bool = False) -> Callable[[Any], float]:
    """A finite number, not a bool, within `low` and `high`."""

    def check(raw: Any) -> float:
        expected = "a whole number" if whole else "a number"
        if isinstance(raw, bool) or not isinstance(raw, (int, float)) or not math.isfinite(raw):
            raise v.Invalid(f"expected {expected}, got {raw!r}")
        if whole and int(raw) != raw:
            raise v.Invalid(f"expected {expected}, got {raw!r}")
        if low is not None and raw < low:
            raise v.Invalid(f"{raw!r} is below {low:g}")
        if high is not None and raw > high:
            raise v.Invalid(f"{raw!r} is above {high:g}")
        return int(raw) if whole else float(raw)

    return check


def boolean(raw: Any) -> bool:
    """True or false, nothing that merely looks like it."""
    if isinstance(raw, bool):
        return raw
    raise v.Invalid(f"expected true or false, got {raw!r}")


def text(raw: Any) -> str:
    """A string that is not empty."""
    if isinstance(raw, str) and raw.strip():
        return raw
    raise v.Invalid(f"expected a text, got {raw!r}")


def names(raw: Any) -> tuple[str, ...]:
    """A list of texts."""
    if not isinstance(raw, (list, tuple)):
        raise v.Invalid(f"expected a list of texts, got {raw!r}")
    return tuple(text(item) for item in raw)


def _number_from(text_: str) -> Any:
    try:
        return float(text_)
    except ValueError:
        return text_


def _flag_from(text_: str) -> Any:
    return {
        "true": True,
        "1": True,
        "yes": True,
        "on": True,
        "false": False,
        "0": False,
        "no": False,
        "off": False,
    }.get(text_.lower(), text_)


def _names_from(text_: str) -> list[str]:
    return [part.strip() for part in text_.split(",") if part.strip()]


def json_from(text_: str) -> Any:
    """JSON in a variable."""
    try:
        return json.loads(text_)
    except ValueError as error:
        raise v.Invalid(f"expected JSON: {error}") from None


def path(raw: Any) -> Path:
    """A path; `~` is the user's home."""
    return Path(text(raw)).expanduser()


FLAG = Value("bool", boolean, _flag_from)
NUMBER = Value("number", number(0), _number_from)
WHOLE = Value("integer", number(1, whole=True), _number_from)
SHARE = Value("share", number(0, 1), _number_from)
PERCENT = Value("percent", number(0, 100), _number_from)
PORT = Value("port", number(0, 65535, whole=True), _number_from)
HOST = Value("text", text, str)
PATH = Value("path", path, str)
NAMES = Value("list", names, _names_from)
