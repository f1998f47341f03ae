"""Carries the trace, and the time of the assignment, with a task: W3C headers in a dictionary that travels anyway."""

from __future__ import annotations

import time
from collections.abc import Mapping, MutableMapping
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context, get_current
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

TRACEPARENT = "traceparent"
TRACESTATE = "tracestate"
ASSIGNED_AT = "otel-monitor-assigned-at"
"""When the task was given away, in unix milliseconds by the orchestrator's clock."""

_propagator = TraceContextTextMapPropagator()
_MAX_CLOCK_DIGITS = 15


def inject(carrier: MutableMapping[str, Any], context: Context | None = None) -> None:
    """Write the current trace, and the time, into `carrier`, which travels with a task.

    What an earlier call has written there is replaced.
    """
    span = trace.get_current_span(context).get_span_context()
    if not span.is_valid:
        return
    if TRACEPARENT in carrier:
        carrier.pop(TRACESTATE, None)
    carrier[TRACEPARENT] = f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}"
    if span.trace_state:
        carrier[TRACESTATE] = span.trace_state.to_header()
    carrier[ASSIGNED_AT] = str(time.time_ns() // 1_000_000)


def extract(carrier: Mapping[str, Any], context: Context | None = None) -> Context:
    """The context of the trace that `carrier` has brought, or `context` (the current one) when it brought none.

    `opentelemetry.context.attach(extract(headers))` continues that trace.
    """
    context = get_current() if context is None else context
    texts = {name: _text(carrier[name]) for name in (TRACEPARENT, TRACESTATE) if name in carrier}
    return _propagator.extract(texts, context) if TRACEPARENT in texts else context


def parent_of(carrier: Mapping[str, Any], context: Context) -> Context:
    """The parent of a task's processing: the carrier's span, unless a span of the same trace is current already."""
    extracted = extract(carrier, context)
    current = trace.get_current_span(context).get_span_context()
    brought = trace.get_current_span(extracted).get_span_context()
    return context if current.trace_id == brought.trace_id else extracted


def waited_s(carrier: Mapping[str, Any]) -> float | None:
    """How long ago the task was given away, by the clocks of both hosts; at least 0."""
    text = _text(carrier.get(ASSIGNED_AT))
    if not (text.isascii() and text.isdecimal()) or len(text) > _MAX_CLOCK_DIGITS:
        return None
    return max(0.0, time.time() - int(text) / 1e3)


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value) if isinstance(value, (str, int)) else ""
