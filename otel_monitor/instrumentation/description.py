"""Describing a function: from its name, its signature and its override to an `Operation`."""

from __future__ import annotations

from types import FunctionType

from otel_monitor.errors import Problem
from otel_monitor.instrumentation.arguments import (
    ENUM_MEMBERS,
    REASON_NAMES,
    TASK_MEMBERS,
    TASK_NAMES,
    WORKER_MEMBERS,
    WORKER_NAMES,
    OwnIdentity,
)
from otel_monitor.instrumentation.operation import Extractor, Operation, Role, Side
from otel_monitor.instrumentation.overrides import Override
from otel_monitor.instrumentation.parameters import Parameters
from otel_monitor.instrumentation.roles import kind_of, recognise, span_name_of, work_of
from otel_monitor.settings_values import nearest

_WORKING = frozenset({Role.ASSIGN, Role.PROCESS})
_MEMBERS = {"worker": WORKER_MEMBERS, "task_id": TASK_MEMBERS, "task": ("name", "value", "kind")}


def describe(
    function: FunctionType,
    *,
    name: str,
    method: str,
    side: Side,
    override: Override | None = None,
    has_receiver: bool = True,
) -> tuple[Operation, list[Problem]]:
    """Everything that is known of `function` before a call; `name` is its own where its role has none.

    A path of the override that leads nowhere is a problem, and what it would have found is looked for by name.
    """
    parameters = Parameters.of(function, has_receiver=has_receiver)
    role = recognise(method, side) if override is None or override.role is None else override.role
    paths, problems = _paths(override, parameters, function)
    task_id = paths.get("task_id") or parameters.identifier(TASK_NAMES, TASK_MEMBERS)
    task_name = _task_name(method, parameters) if role in _WORKING else None
    operation = Operation(
        role=role,
        side=side,
        name=name if role is Role.OPERATION else str(role),
        span_name=span_name_of(role, name, task_name),
        kind=kind_of(role, side),
        task_name=task_name,
        worker=paths.get("worker") or parameters.identifier(WORKER_NAMES, WORKER_MEMBERS),
        own_worker=OwnIdentity() if side is Side.WORKER and has_receiver else None,
        task_id=task_id,
        task=paths.get("task"),
        reason=parameters.identifier(REASON_NAMES, ENUM_MEMBERS),
        attempt=parameters.attempt(),
        carrier=parameters.carrier(),
        id_is_stream=_is_stream(override, parameters),
    )
    return operation, problems


def _paths(
    override: Override | None, parameters: Parameters, function: FunctionType
) -> tuple[dict[str, Extractor], list[Problem]]:
    paths: dict[str, Extractor] = {}
    problems: list[Problem] = []
    for key, members in _MEMBERS.items():
        dotted = override.path_of(key) if override is not None else None
        if override is None or dotted is None:
            continue
        path = parameters.path(dotted, members)
        if path is not None:
            paths[key] = path
            continue
        word = dotted.partition(".")[0]
        message = f"{function.__qualname__} has no argument {word!r}{nearest(word, parameters.arguments)}"
        problems.append(Problem(f"{override.where}.{key}", message))
    return paths, problems


def _task_name(method: str, parameters: Parameters) -> str:
    """The method's name without its verb; where it is all verb, what its task argument is called, or `task`."""
    work = work_of(method)
    if work is not None:
        return work
    argument = parameters.first_of(TASK_NAMES)
    return "task" if argument is None else argument.keyword.removesuffix("_id")


def _is_stream(override: Override | None, parameters: Parameters) -> bool:
    if override is not None and override.task_id is not None:
        return "stream" in override.task_id
    argument = parameters.first_of(TASK_NAMES)
    return argument is not None and argument.keyword.startswith("stream")
