"""Matchers: which alerts a route, a silence, an inhibition or a maintenance window is about.

Syntax and meaning are Alertmanager's: `name=value`, `!=`, `=~` and `!~` with a regular expression that has to
match the whole value; a label that an alert does not have is as good as an empty one.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from otel_monitor_processors.alerts.alert import Alert
from otel_monitor_processors.alerts.safe_pattern import UnsafePatternError, reject_unsafe

MAX_VALUE = 1_000
"""Regular expressions are not tried on longer values: they do not match."""
_MAX_PATTERN = 1_000
_MATCHER = re.compile(
    r"""\s*(?P<name>[^\s=!~,{}"'\\]+|"(?:[^"\\]|\\.)*")\s*(?P<operator>=~|!~|!=|=)\s*"""
    r"""(?P<value>"(?:[^"\\]|\\.)*"|(?![=~])[^,{}"']*)\s*"""
)
_PLAIN_NAME = re.compile(r"""[^\s=!~,{}"'\\]+""")
_ESCAPE = re.compile(r"\\(.)")


class MatcherError(ValueError):
    """What is written is no matcher; the message says what is wrong with it."""


class Operator(StrEnum):
    """How a label's value is held against the matcher's."""

    EQUAL = "="
    UNEQUAL = "!="
    MATCH = "=~"
    NO_MATCH = "!~"


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on one label.

    Raises:
        MatcherError: the regular expression is none, or one that may take for ever.
    """

    name: str
    operator: Operator
    value: str
    _pattern: re.Pattern[str] | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.operator in (Operator.MATCH, Operator.NO_MATCH):
            object.__setattr__(self, "_pattern", _compiled(self.value))

    def matches(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.name, "")
        if self._pattern is None:
            return (value == self.value) is (self.operator is Operator.EQUAL)
        matched = len(value) <= MAX_VALUE and self._pattern.fullmatch(value) is not None
        return matched is (self.operator is Operator.MATCH)

    def __str__(self) -> str:
        name = self.name if _PLAIN_NAME.fullmatch(self.name) else _quoted(self.name)
        return f"{name}{self.operator}{_quoted(self.value)}"


Matchers = tuple[Matcher, ...]
"""All of them have to match; none at all match everything."""


def label_view(alert: Alert) -> dict[str, str]:
    """What matchers and grouping see of an alert: its labels, and its fields under names of labels.

    `rule` (as `alertname` too), `severity`, and `metric` or `pattern` where it has one; they beat labels of the
    same names.
    """
    view = dict(alert.labels)
    view |= {"alertname": alert.rule, "rule": alert.rule, "severity": str(alert.severity)}
    if alert.metric:
        view["metric"] = alert.metric
    if alert.pattern:
        view["pattern"] = alert.pattern
    return view


def all_match(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    for matcher in matchers:  # noqa: SIM110 - `all` with a generator takes twice as long, for every alert and inhibition
        if not matcher.matches(labels):
            return False
    return True


def parse_matcher(text: str) -> Matcher:
    """One matcher, such as `severity=critical` or `service=~"shop-.*"`.

    Raises:
        MatcherError: it is none.
    """
    found = _MATCHER.fullmatch(text)
    if found is None or found["name"] == '""':
        raise MatcherError(f"{text!r} is no matcher: expected a name, one of = != =~ !~, and a value")
    return Matcher(_unquoted(found["name"]), Operator(found["operator"]), _unquoted(found["value"].strip()))


def parse_matchers(text: str) -> Matchers:
    """Several matchers with commas between them, in braces or not.

    Raises:
        MatcherError: one of them is none.
    """
    inner = text.strip()
    if inner.startswith("{") and inner.endswith("}"):
        inner = inner[1:-1]
    return tuple(parse_matcher(part) for part in _split(inner) if part.strip())


def _split(text: str) -> Iterator[str]:
    start, quoted, escaped = 0, False, False
    for position, character in enumerate(text):
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == '"':
            quoted = not quoted
        elif character == "," and not quoted:
            yield text[start:position]
            start = position + 1
    yield text[start:]


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _unquoted(text: str) -> str:
    if not text.startswith('"'):
        return text
    return _ESCAPE.sub(lambda found: {"n": "\n"}.get(found[1], found[1]), text[1:-1])


def _compiled(pattern: str) -> re.Pattern[str]:
    if len(pattern) > _MAX_PATTERN:
        raise MatcherError(f"the regular expression {pattern[:40]!r}... is longer than {_MAX_PATTERN} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", FutureWarning)  # character classes of other dialects, such as [[:alpha:]]
            compiled = re.compile(pattern, re.DOTALL)
        reject_unsafe(pattern)
    except UnsafePatternError as error:
        raise MatcherError(f"the regular expression {pattern!r} {error}") from None
    except (re.error, FutureWarning, OverflowError, RecursionError) as error:
        raise MatcherError(f"{pattern!r} is no regular expression: {error}") from None
    return compiled
