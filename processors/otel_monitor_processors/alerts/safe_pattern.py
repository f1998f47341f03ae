"""Regular expressions that cannot take for ever: those of RE2, less what a backtracking matcher is slow at.

RE2, which Alertmanager uses, knows no references back and no look-around, and runs in linear time. Python's `re`
tries every way to match: a repetition that can split the same text in several ways takes exponential time on
some text. Such patterns are refused, with the reason.
"""

from __future__ import annotations

import re._constants as sre  # type: ignore[import-not-found]  # the standard library's own parser, not in the stubs
import re._parser as sre_parser  # type: ignore[import-not-found]  # likewise
from collections.abc import Iterable
from typing import Any

_MANY = 10
"""From this bound on a bounded repetition counts as an unbounded one."""
_MAX_REPEAT = 1_000
_MAX_UNBOUNDED = 4
_REPEATS = (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT)
_REFUSED = {
    sre.GROUPREF: "refers back to a group, which is not supported",
    sre.GROUPREF_EXISTS: "refers back to a group, which is not supported",
    sre.ASSERT: "looks ahead or behind, which is not supported",
    sre.ASSERT_NOT: "looks ahead or behind, which is not supported: use != or !~ instead",
}
_ANYTHING = None
_First = frozenset[int] | None
"""The characters that something may begin with; None: any."""


class UnsafePatternError(ValueError):
    """The pattern may take for ever, or uses what RE2 does not have."""


def reject_unsafe(pattern: str) -> None:
    """Refuse what may take for ever.

    Raises:
        UnsafePatternError: with the reason, as the end of a sentence about the pattern.
    """
    unbounded = _check(sre_parser.parse(pattern), repeated=False)
    if unbounded > _MAX_UNBOUNDED:
        raise UnsafePatternError(f"has {unbounded} unbounded repetitions: at most {_MAX_UNBOUNDED} are supported")


def _check(tokens: Iterable[tuple[Any, Any]], *, repeated: bool) -> int:
    """How many unbounded repetitions there are; `repeated` says whether all of this is inside one."""
    unbounded = 0
    for operator, argument in tokens:
        if operator in _REFUSED:
            raise UnsafePatternError(_REFUSED[operator])
        if operator in _REPEATS:
            unbounded += _check_repeat(argument, repeated=repeated)
        elif operator is sre.BRANCH:
            branches = argument[1]
            if repeated and _overlap(branches):
                raise UnsafePatternError("repeats alternatives that begin alike, which may take for ever")
            unbounded += sum(_check(branch, repeated=repeated) for branch in branches)
        elif operator is sre.SUBPATTERN:
            unbounded += _check(argument[3], repeated=repeated)
        elif operator is sre.ATOMIC_GROUP:
            unbounded += _check(argument, repeated=repeated)
    return unbounded


def _check_repeat(argument: tuple[int, Any, Any], *, repeated: bool) -> int:
    least, most, body = int(argument[0]), argument[1], argument[2]
    endless = most is sre.MAXREPEAT
    if not endless and int(most) > _MAX_REPEAT:
        raise UnsafePatternError(f"repeats more than {_MAX_REPEAT} times")
    varies = endless or int(most) != least
    if repeated and varies:
        raise UnsafePatternError("repeats a repetition, which may take for ever: leave out the inner or the outer one")
    many = endless or int(most) >= _MANY
    return int(endless) + _check(body, repeated=repeated or many)


def _overlap(branches: Iterable[Any]) -> bool:
    seen: set[int] = set()
    for branch in branches:
        first = _first(branch)
        if first is _ANYTHING or seen & first:
            return True
        seen |= first
    return False


def _first(tokens: Any) -> _First:
    """What a sequence may begin with. One that may be empty may be followed by anything."""
    if not len(tokens):
        return _ANYTHING
    operator, argument = tokens[0]
    if operator is sre.LITERAL:
        return frozenset([argument])
    if operator is sre.IN:
        return _members(argument)
    if operator is sre.SUBPATTERN:
        return _first(argument[3])
    if operator in _REPEATS and argument[0] > 0:
        return _first(argument[2])
    return _ANYTHING


def _members(items: Iterable[tuple[Any, Any]]) -> _First:
    members: set[int] = set()
    for operator, argument in items:
        if operator is sre.LITERAL:
            members.add(argument)
        elif operator is sre.RANGE and argument[1] < 0x250:
            members.update(range(argument[0], argument[1] + 1))
        else:
            return _ANYTHING
    return frozenset(members)
