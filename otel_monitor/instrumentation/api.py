"""Instrumenting by hand: one call for classes, decorators for a class and for a function."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import FunctionType
from typing import Any, TypeVar, overload

from otel_monitor.errors import ConfigurationError, InstrumentationError, Problem
from otel_monitor.instrumentation.arguments import WORKER_NAMES
from otel_monitor.instrumentation.description import describe
from otel_monitor.instrumentation.methods import function_of, with_function
from otel_monitor.instrumentation.operation import Role, Side
from otel_monitor.instrumentation.overrides import Override, read_values
from otel_monitor.instrumentation.parameters import Parameters
from otel_monitor.instrumentation.patching import OWN
from otel_monitor.instrumentation.registry import registry
from otel_monitor.instrumentation.roles import sides_of, sides_of_name
from otel_monitor.instrumentation.wrapper import is_wrapper, wrap
from otel_monitor.settings_values import nearest

C = TypeVar("C", bound=type)
F = TypeVar("F", bound=Callable[..., Any])

_RECEIVERS = ("self", "cls")


def instrument(
    orchestrators: Iterable[type | str] = (),
    workers: Iterable[type | str] = (),
    operations: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Instrument these classes, or `"package.module:Class"` names, beside those that the environment names.

    Starts everything that `opentelemetry-instrument` would start. `operations` is the setting of that name.

    Raises:
        ConfigurationError: with everything that is wrong with `operations`.
        InstrumentationError: something is no class, or no class of a module that is imported already.
    """
    from otel_monitor.instrumentation.instrumentor import OtelMonitorInstrumentor

    instrumentor = OtelMonitorInstrumentor()
    by_hand = {"orchestrators": orchestrators, "workers": workers, "operations": operations}
    if instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.add(**by_hand)
    else:
        instrumentor.instrument(skip_dep_check=True, **by_hand)


def uninstrument() -> None:
    """Give every class back as it was, and record nothing more. Marked functions stay, and do nothing."""
    from otel_monitor.instrumentation.instrumentor import OtelMonitorInstrumentor

    instrumentor = OtelMonitorInstrumentor()
    if instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.uninstrument()
    else:
        registry.clear()  # classes that were decorated, and never recorded


def orchestrator(cls: C) -> C:
    """Mark a class as an orchestrator. It is recorded once `instrument()` or `opentelemetry-instrument` has started."""
    return _marked(cls, Side.ORCHESTRATOR)


def worker(cls: C) -> C:
    """Mark a class as a worker. It is recorded once `instrument()` or `opentelemetry-instrument` has started."""
    return _marked(cls, Side.WORKER)


@overload
def operation(function: F, /) -> F: ...
@overload
def operation(
    *,
    role: str | Role | None = None,
    side: str | Side | None = None,
    worker: str | None = None,
    task: str | None = None,
    task_id: str | None = None,
) -> Callable[[F], F]: ...
def operation(function: Any = None, /, *, side: str | Side | None = None, **says: str | None) -> Any:
    """Mark one function as an operation: a module's, a method, a coroutine function, a generator.

    `role` is one of the roles, and is otherwise recognised by the function's name. `worker`, `task` and
    `task_id` are dotted paths over its arguments. `side` is `orchestrator` or `worker`, where the role does
    not tell.

    Raises:
        ConfigurationError: with everything that is wrong with the arguments.
        InstrumentationError: what is marked is no plain function.
    """
    if function is not None:
        return _operation(function, side, says)
    return lambda marked: _operation(marked, side, says)


def _marked(cls: C, side: Side) -> C:
    if not issubclass(type(cls), type):
        raise InstrumentationError(f"{cls!r} is no class: mark a function with @otel_monitor.operation")
    registry.mark(cls, side)
    return cls


def _operation(marked: Any, side: str | Side | None, says: Mapping[str, str | None]) -> Any:
    function = function_of(marked)
    if function is None:
        hint = "a plain function, a class method or a static method can be marked"
        if issubclass(type(marked), type):
            hint = "mark a class with @otel_monitor.orchestrator or @otel_monitor.worker"
        raise InstrumentationError(f"{marked!r} cannot be marked as an operation: {hint}")
    if is_wrapper(function):
        return marked
    name = function.__qualname__.rpartition("<locals>.")[2]
    owner, _, method = name.rpartition(".")
    where = f"@otel_monitor.operation of {function.__module__}:{function.__qualname__}"
    values, problems = read_values({word: value for word, value in says.items() if value is not None}, where)
    if side is not None and side not in tuple(Side):
        problems.append(Problem(f"{where}.side", f"{side!r} is not one of {', '.join(Side)}{nearest(side, Side)}"))
    if problems:
        raise ConfigurationError(problems)
    override = Override(function.__module__, owner, method, **values, where=where)
    has_receiver = bool(owner) and next(iter(Parameters.of(function).arguments), None) in _RECEIVERS
    described, problems = describe(
        function,
        name=name,
        method=method,
        side=_side_of(function, method, override.role) if side is None else Side(side),
        override=override,
        has_receiver=has_receiver,
    )
    if problems:
        raise ConfigurationError(problems)
    return marked if described.role is Role.IGNORE else with_function(marked, wrap(function, described, OWN))


def _side_of(function: FunctionType, method: str, role: Role | None) -> Side:
    """The only side that has the role; else the orchestrator's when an argument says which worker it is about."""
    sides = sides_of_name(method) if role is None else sides_of(role)
    if len(sides) == 1:
        return next(iter(sides))
    is_about_a_worker = Parameters.of(function).first_of(WORKER_NAMES) is not None
    return Side.ORCHESTRATOR if is_about_a_worker else Side.WORKER
