"""Records every call of a wrapped function: the hot path.

Heartbeats have metrics only, and a span made afterwards when they failed or were slow. All else has a span.
What has been observed reaches the driver before the span ends, so that the exporting processor can mark it.
"""

from __future__ import annotations

from asyncio import _get_running_loop
from collections.abc import Mapping
from contextvars import Token
from itertools import count
from time import perf_counter, time_ns
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry.context import Context, detach, get_current
from opentelemetry.context import attach as attach_context
from opentelemetry.trace import Span, Status, StatusCode, TraceFlags, set_span_in_context

from otel_monitor.instrumentation.operation import Operation as WrappedOperation
from otel_monitor.instrumentation.operation import Role
from otel_monitor.telemetry.activity import Activity
from otel_monitor.telemetry.calls import Call
from otel_monitor.telemetry.telemetry import Telemetry
from otel_monitor_processors.classification import classify
from otel_monitor_processors.guard import guard
from otel_monitor_processors.observation import Operation, Outcome, TraceRef

ERROR_CATEGORY = "otel_monitor.error.category"
ERROR_TYPE = "error.type"

_SAMPLED = TraceFlags.SAMPLED
_OVERHEAD = ("recorder",)
_OVERHEAD_EVERY = 16
_NAMED_BY_TASK = (Role.ASSIGN, Role.PROCESS)
_calls = count()  # one call in sixteen stands for the others: measuring each would be an overhead of its own
_NORMAL_ENDS = (StopIteration, StopAsyncIteration, GeneratorExit)
_MAX_DESCRIPTION = 1_000
_SUPPRESS = getattr(otel_context, "_SUPPRESS_INSTRUMENTATION_KEY", "suppress_instrumentation")

_telemetry: Telemetry | None = None


def install(telemetry: Telemetry) -> None:
    """Record with `telemetry` from now on."""
    global _telemetry
    uninstall()
    telemetry.start()
    _telemetry = telemetry


def uninstall() -> None:
    """Record nothing more. Calls under way are still recorded."""
    global _telemetry
    telemetry, _telemetry = _telemetry, None
    if telemetry is not None:
        telemetry.stop()


@guard("recorder.begin")
def begin(
    operation: WrappedOperation, args: tuple[Any, ...], kwargs: Mapping[str, Any], attach: bool = True
) -> Call | None:
    """A wrapped function is about to be called. None: record nothing of it."""
    telemetry = _telemetry
    if telemetry is None:
        return None
    entered = perf_counter()
    context = get_current()
    if context.get(_SUPPRESS):
        return None
    loop = _get_running_loop()
    if loop is not None:
        telemetry.loops.see(loop)
    call = Call(telemetry, operation, context)
    call.entered = entered
    call.began_at = telemetry.driver.now()
    role = operation.role
    activity = telemetry.activities.get(role, telemetry.plain)
    call.activity = activity
    activity.begin(call, args, kwargs)
    if activity.traced:
        _start_span(call, activity)
        activity.started(call)
        if attach and call.attached is not None:
            call.token = attach_context(call.attached)
    call.started = perf_counter()
    return call


@guard("recorder.end")
def end(call: Call, error: BaseException | None) -> None:
    """The function has returned or raised."""
    ended = perf_counter()
    call.duration_s = ended - call.started
    token = call.token
    if token is not None:
        _detach(call, token)
    try:
        _record(call, error)
    finally:
        if call.span is not None:
            call.span.end()
    if next(_calls) % _OVERHEAD_EVERY == 0:
        spent_s = call.started - call.entered + perf_counter() - ended
        call.telemetry.metrics.overhead.add(spent_s * _OVERHEAD_EVERY, _OVERHEAD)


@guard("recorder.enter")
def enter(call: Call) -> Token[Context] | None:
    """A generator's body runs on: its span is the current one."""
    return attach_context(call.attached) if call.attached is not None else None


@guard("recorder.leave")
def leave(call: Call, token: Token[Context] | None) -> None:
    """A generator's body has yielded: its consumer's span is the current one again."""
    if token is not None:
        _detach(call, token)


def _detach(call: Call, token: Token[Context]) -> None:
    # A coroutine closed by the garbage collector or a dying loop ends in another context than it began in:
    # there is nothing to restore there, and the SDK would log an error.
    if get_current() is call.attached:
        detach(token)


def _start_span(call: Call, activity: Activity) -> None:
    operation = call.operation
    name = operation.span_name
    if operation.task is not None and operation.role in _NAMED_BY_TASK:
        name = f"{operation.role} {call.task_name}"
    span = call.telemetry.spans.start(name, operation.kind, call.context, activity.attributes(call))
    call.span = span
    call.attached = set_span_in_context(span, call.context)
    _trace(call, span)


def _trace(call: Call, span: Span) -> None:
    context = span.get_span_context()
    if context.trace_flags & _SAMPLED:
        call.trace_context = context
        call.trace = TraceRef(context.trace_id, context.span_id)


def _record(call: Call, error: BaseException | None) -> None:
    telemetry, operation, duration_s = call.telemetry, call.operation, call.duration_s
    if error is None:
        call.outcome, call.category, call.error_type = Outcome.OK, None, None
        failed = False
    else:
        failed = _judge(call, error)
    slow = duration_s > (telemetry.slow_s if call.activity.traced else telemetry.slow_heartbeat_s)
    if call.span is None and (failed or slow):
        _span_afterwards(call)
    if failed and error is not None:
        _record_failure(call, error)
    telemetry.metrics.operation_duration.record(duration_s, (operation.name, call.error_type), call.trace_context)
    call.activity.end(call)
    observation = Operation(
        call.began_at + duration_s,
        telemetry.source,
        operation.name,
        call.outcome,
        duration_s,
        call.category,
        call.trace,
        telemetry.service,
        call.task_id,
    )
    if failed or slow:
        telemetry.driver.observe(observation)
    else:
        telemetry.driver.offer(observation)


def _judge(call: Call, error: BaseException) -> bool:
    """Whether `error` is a failure, and of which kind. Control flow (cancellation, retry signals) is none."""
    call.category = category = classify(error)
    if category is None:
        call.outcome = Outcome.OK if isinstance(error, _NORMAL_ENDS) else Outcome.CANCELLED
        call.error_type = None
        return False
    call.outcome = Outcome.FAILED
    call.error_type = _qualified(type(error))
    return True


def _record_failure(call: Call, error: BaseException) -> None:
    category = str(call.category)
    call.telemetry.metrics.errors.add(1, (category,), call.trace_context)
    span = call.span
    if span is None or not span.is_recording():
        return
    span.set_attribute(ERROR_CATEGORY, category)
    span.set_attribute(ERROR_TYPE, call.error_type or "")
    span.set_status(Status(StatusCode.ERROR, _description(error)))
    _record_exception(span, error)


def _span_afterwards(call: Call) -> None:
    operation, telemetry = call.operation, call.telemetry
    start_ns = time_ns() - int(call.duration_s * 1e9)
    attributes = call.activity.attributes(call)
    call.span = telemetry.spans.start(operation.span_name, operation.kind, call.context, attributes, start_ns)
    _trace(call, call.span)


@guard("recorder.description", default="")
def _description(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:_MAX_DESCRIPTION]


@guard("recorder.exception")
def _record_exception(span: Span, error: BaseException) -> None:
    span.record_exception(error)


def _qualified(kind: type) -> str:
    """As the semantic conventions want `error.type`, and as the SDK names exceptions."""
    module, name = kind.__module__, kind.__qualname__
    return name if module == "builtins" else f"{module}.{name}"
