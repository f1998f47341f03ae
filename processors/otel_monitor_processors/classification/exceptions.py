"""What an exception means, with everything that it came from."""

from __future__ import annotations

from typing import Final

from otel_monitor_processors.classification.category import CONTROL, PRECEDENCE, Category, Meaning
from otel_monitor_processors.classification.evidence import (
    WRAPPED_IN,
    ClassEvidence,
    class_evidence,
    may_carry,
    own_meaning,
)
from otel_monitor_processors.classification.foreign import (
    arguments_of,
    attribute,
    cause_of,
    context_of,
    is_context_suppressed,
    is_exception,
    members_of,
)
from otel_monitor_processors.guard import guard

_MOST_EXCEPTIONS: Final = 64
_MOST_ARGUMENTS: Final = 8


@guard("classification.classify", default=Category.APPLICATION)
def classify(error: BaseException) -> Category | None:
    """What `error` means for the health of a system; None for control flow, which is never an error.

    The first specific evidence decides: the exception's own codes and class, then what it wraps, its
    `__cause__`, and its `__context__` unless that is suppressed. Only the outermost exception can be control
    flow. A group is control flow when all its members are; else the member decides that explains the others.
    """
    if not is_exception(error):
        return Category.APPLICATION
    meaning = _meaning(error, set())
    if meaning is CONTROL:
        return None
    return meaning or Category.APPLICATION


def _meaning(outermost: BaseException, visited: set[int]) -> Meaning | None:
    supposed: Meaning | None = None
    pending = [outermost]
    while pending and len(visited) < _MOST_EXCEPTIONS:
        error = pending.pop()
        if id(error) in visited:
            continue
        visited.add(id(error))
        evidence = class_evidence(type(error))
        meaning, is_supposed = own_meaning(error, evidence)
        if meaning is None and evidence.is_group:
            meaning = _meaning_of_members(error, visited)
        if meaning is CONTROL:
            if error is outermost:
                return CONTROL
        elif is_supposed:
            supposed = supposed or meaning
        elif meaning is not None:
            return meaning
        came_from = _came_from(error, evidence)
        if came_from:
            pending += came_from[::-1]
    return supposed


def _meaning_of_members(group: BaseException, visited: set[int]) -> Meaning | None:
    meanings = [_meaning(member, visited) for member in members_of(group)[:_MOST_EXCEPTIONS]]
    if all(meaning is CONTROL for meaning in meanings):
        return CONTROL
    return next((category for category in PRECEDENCE if category in meanings), None)


def _came_from(error: BaseException, evidence: ClassEvidence) -> list[BaseException]:
    """The exceptions behind this one, the nearest first."""
    found = []
    if may_carry(error, evidence):
        wrapped = (attribute(error, name) for name in WRAPPED_IN)
        found = [candidate for candidate in wrapped if is_exception(candidate)]
    for argument in arguments_of(error)[:_MOST_ARGUMENTS]:
        if type(argument) is not str and is_exception(argument):
            found.append(argument)
    cause = cause_of(error)
    if cause is not None:
        found.append(cause)
    elif not is_context_suppressed(error):
        context = context_of(error)
        if context is not None:
            found.append(context)
    return found
