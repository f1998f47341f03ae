"""promtool's notations: series, their values, and durations.

Source: Prometheus, "Unit testing for rules" (`a+bxn` and its relatives), its lexer of series and strings, and the data
model's durations. Names and labels may have dots, as OpenTelemetry's do.
"""

from __future__ import annotations

import math
import re
from enum import Enum

from otel_monitor_processors.alerts.rule import Labels


class Gap(Enum):
    """What a series may have in place of a value."""

    MISSING = "_"
    STALE = "stale"


Value = float | Gap

_FINITE = r"[+-]?(?:\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)"
_EXPANDED = re.compile(rf"({_FINITE})(?:([+-])({_FINITE}))?x(\d+)")
_PLAIN = re.compile(rf"{_FINITE}|[+-]?inf|[+-]?nan", re.IGNORECASE)
_MISSING = re.compile(r"_(?:x(\d+))?")
_SERIES = re.compile(r"\s*([^\s{}]*)\s*(?:\{(.*)\})?\s*", re.DOTALL)
_QUOTED = r'"(?:[^"\\]|\\.)*"' + r"|'(?:[^'\\]|\\.)*'|`[^`]*`"
_LABEL = re.compile(rf"\s*({_QUOTED}|[\w.]+)\s*=\s*({_QUOTED})\s*(,|$)", re.DOTALL)
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3}|.)", re.DOTALL)
_ESCAPED = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", '"': '"', "'": "'"}
_DURATION = re.compile(r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+)s)?(?:(\d+)ms)?")
_UNITS_S = (31_536_000.0, 604_800.0, 86_400.0, 3_600.0, 60.0, 1.0, 0.001)
_MOST = 1_000_000


def values_of(text: str) -> list[Value]:
    """`1 2x3 0+10x2 _ stale NaN`: every sample in order.

    Raises:
        ValueError: a word is none of the notation's, or there would be more than a million values.
    """
    values: list[Value] = []
    for word in text.split():
        values += _expand(word)
        if len(values) > _MOST:
            raise ValueError(f"more than {_MOST:,} values")
    return values


def _expand(word: str) -> list[Value]:
    if word == Gap.STALE.value:
        return [Gap.STALE]
    missing = _MISSING.fullmatch(word)
    if missing:
        return [Gap.MISSING] * _times(missing[1] or "1")
    if _PLAIN.fullmatch(word):
        return [float(word)]
    match = _EXPANDED.fullmatch(word)
    if match is None:
        raise ValueError(f"{word!r} is not a value: expected a number, a+bxn, a-bxn, axn, _, _xn or stale")
    first, step = float(match[1]), float(match[3] or 0.0)
    sign = -1.0 if match[2] == "-" else 1.0
    return [first + sign * step * number for number in range(_times(match[4]) + 1)]


def _times(text: str) -> int:
    times = int(text)
    if times > _MOST:
        raise ValueError(f"more than {_MOST:,} values")
    return times


def series_of(text: str) -> tuple[str, Labels]:
    """`name{label="value", …}`: the metric's name and its labels, sorted. The name may stand in `__name__`.

    A label with an empty value is none, as in Prometheus.

    Raises:
        ValueError: it is no series.
    """
    match = _SERIES.fullmatch(text)
    if match is None:
        raise ValueError(f'{text!r} is not a series: expected name{{label="value", …}}')
    labels: dict[str, str] = {"__name__": match[1]} if match[1] else {}
    rest = (match[2] or "").strip()
    while rest:
        label = _LABEL.match(rest)
        if label is None:
            raise ValueError(f'{rest!r} is not a label: expected label="value"')
        name = _unquoted(label[1])
        if name in labels:
            raise ValueError(f"{text!r} is not a series: label {name} is given twice")
        labels[name] = _unquoted(label[2])
        rest = rest[label.end() :].strip()
    name = labels.pop("__name__", "")
    if not name:
        raise ValueError(f"{text!r} names no metric")
    return name, tuple(sorted((label, value) for label, value in labels.items() if value))


def _unquoted(text: str) -> str:
    """A string of Go's: with escapes in double and single quotes, as it stands between backquotes; or a bare name."""
    if text[:1] not in ('"', "'", "`"):
        return text
    return text[1:-1] if text[0] == "`" else _ESCAPE.sub(lambda match: _unescaped(match[1]), text[1:-1])


def _unescaped(escape: str) -> str:
    if escape in _ESCAPED:
        return _ESCAPED[escape]
    try:
        return chr(int(escape[1:], 16) if escape[0] in "xuU" else int(escape, 8))
    except ValueError:
        raise ValueError(f"'\\{escape}' is not a label's: there is no such escape") from None


def seconds_of(raw: object) -> float:
    """`1m30s`, `500ms`, `0`, or a plain number of seconds.

    Raises:
        ValueError: it is no duration.
    """
    if isinstance(raw, (int, float)) and not isinstance(raw, bool) and math.isfinite(raw) and raw >= 0:
        return float(raw)
    text = str(raw).strip()
    match = _DURATION.fullmatch(text)
    if text == "0":
        return 0.0
    if match is None or not text:
        raise ValueError(f"{raw!r} is not a duration: expected something like 30s, 5m or 1h30m")
    return sum(int(part) * unit for part, unit in zip(match.groups(), _UNITS_S, strict=True) if part is not None)


def text_of(seconds: float) -> str:
    """A duration as the notation writes it."""
    if seconds == 0:
        return "0s"
    rest, parts = seconds, []
    for unit, name in zip(_UNITS_S[2:6], ("d", "h", "m", "s"), strict=True):
        count = math.floor(rest / unit + 1e-9)
        if count:
            parts.append(f"{count}{name}")
        rest -= count * unit
    if rest > 1e-6:
        parts.append(f"{round(rest * 1e3)}ms")
    return "".join(parts)
