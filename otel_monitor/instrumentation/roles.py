"""Roles: what a method does, recognised by its name."""

from __future__ import annotations

import re
from typing import NamedTuple

from opentelemetry.trace import SpanKind

from otel_monitor.instrumentation.operation import Role, Side

_BOTH = frozenset(Side)
_ORCHESTRATOR = frozenset({Side.ORCHESTRATOR})
_WORKER = frozenset({Side.WORKER})


class Pattern(NamedTuple):
    """The method names of one role, and the sides on which they have it."""

    role: Role
    sides: frozenset[Side]
    names: re.Pattern[str]


PATTERNS: tuple[Pattern, ...] = (
    Pattern(
        Role.HANDLE_FAILURE,
        _ORCHESTRATOR,
        re.compile(
            r"handle_(\w+_)?failure(s)?"
            r"|on_(\w+_)?(failed|lost|down)"
            # a heartbeat that did not come is no heartbeat
            r"|(handle|on)_(\w+_)?heartbeat(s)?_(timeout|lost|missed|expired)"
        ),
    ),
    Pattern(Role.HEARTBEAT, _BOTH, re.compile(r"(\w+_)?heartbeat(s)?(_\w+)?|ping|report_state")),
    Pattern(Role.REGISTER, _BOTH, re.compile(r"register(_\w+)?|add_(instance|worker|node|server)|join")),
    Pattern(Role.DEREGISTER, _BOTH, re.compile(r"(de|un)register(_\w+)?|remove_(instance|worker|node|server)|leave")),
    Pattern(Role.ASSIGN, _ORCHESTRATOR, re.compile(r"assign(_\w+)?|dispatch(_\w+)?|schedule(_\w+)?")),
    Pattern(Role.REBALANCE, _ORCHESTRATOR, re.compile(r"rebalance(_\w+)?|balance(_\w+)?|redistribute(_\w+)?")),
    Pattern(
        Role.PROCESS,
        _WORKER,
        re.compile(r"process(_\w+)?|handle_(task|job|message|stream)|run_(task|job)|execute(_\w+)?"),
    ),
)
"""In order of precedence: the more telling word of a name decides (`register_heartbeat` is a heartbeat)."""

_KINDS = {
    Role.ASSIGN: SpanKind.PRODUCER,
    Role.PROCESS: SpanKind.CONSUMER,
}
_SUBJECTS = {
    Role.REGISTER: "worker",
    Role.DEREGISTER: "worker",
    Role.HEARTBEAT: "worker",
    Role.HANDLE_FAILURE: "worker",
    Role.REBALANCE: "streams",
}
_CALLS_BETWEEN_THE_SIDES = frozenset({Role.REGISTER, Role.DEREGISTER, Role.HEARTBEAT})


def recognise(method: str, side: Side) -> Role:
    """The role of a method of this name, `operation` where the name tells none."""
    for pattern in PATTERNS:
        if side in pattern.sides and pattern.names.fullmatch(method):
            return pattern.role
    return Role.OPERATION


def sides_of(role: Role) -> frozenset[Side]:
    """The sides that have a role; both where it is no role of its own."""
    return next((pattern.sides for pattern in PATTERNS if pattern.role is role), _BOTH)


def sides_of_name(method: str) -> frozenset[Side]:
    """The sides on which a method of this name has a role of its own."""
    return frozenset(side for side in Side if recognise(method, side) is not Role.OPERATION)


def work_of(method: str) -> str | None:
    """The name of the work: the method's name without its verb, None where it is all verb."""
    _verb, _, work = method.strip("_").partition("_")
    return work or None


def kind_of(role: Role, side: Side) -> SpanKind:
    """The kind of the spans of a role: the orchestrator is called by the workers, not the other way round."""
    if role in _CALLS_BETWEEN_THE_SIDES:
        return SpanKind.SERVER if side is Side.ORCHESTRATOR else SpanKind.CLIENT
    return _KINDS.get(role, SpanKind.INTERNAL)


def span_name_of(role: Role, name: str, task: str | None) -> str:
    """The name of the spans of a role; `name` is the function's own."""
    if role is Role.OPERATION:
        return name
    return f"{role} {_SUBJECTS.get(role) or task or 'task'}"
