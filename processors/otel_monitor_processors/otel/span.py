"""Span processors: one that observes ended spans, one that marks offending spans on their way to the exporter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import StatusCode

from otel_monitor_processors import drops
from otel_monitor_processors.alerts.alert import Alert
from otel_monitor_processors.engine import Engine
from otel_monitor_processors.guard import guard
from otel_monitor_processors.observation import Operation, Outcome, TraceRef
from otel_monitor_processors.otel import attributes as names
from otel_monitor_processors.otel.driver import Driver, driver_of
from otel_monitor_processors.otel.mapping import LONGEST_SPAN_S, SpanRecord, source_of, span_observations
from otel_monitor_processors.otel.notify import notify

_MAX_RESOURCES = 16


class MonitorSpanProcessor(SpanProcessor):
    """Feeds ended spans to an engine. Add it before the exporting processors.

    Args:
        owner: the engine, or its driver; None for the process's own.
        console: whether the engine's alerts are also written to stderr.
    """

    def __init__(self, owner: Driver | Engine | None = None, *, console: bool = True) -> None:
        self._driver = driver_of(owner)
        notify(self._driver, console=console)
        self._sources: dict[int, tuple[str, str]] = {}

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing: a span says what it has to say when it ends."""

    @guard("span.on_end")
    def on_end(self, span: ReadableSpan) -> None:
        scope = span.instrumentation_scope
        if scope is not None and scope.name == names.INSTRUMENTATION_SCOPE:
            return  # observed at its source, sampled or not
        record = _record(span, self._source(span), self._driver.now())
        if record is None:
            return
        for observation in span_observations(record):
            urgent = type(observation) is not Operation or _urgent(observation, self._driver.slow_s)
            if urgent:
                self._driver.observe(observation)
            else:
                self._driver.offer(observation)

    def _source(self, span: ReadableSpan) -> tuple[str, str]:
        resource = span.resource
        known = self._sources.get(id(resource))
        if known is None:
            if len(self._sources) > _MAX_RESOURCES:
                self._sources.clear()
            known = self._sources[id(resource)] = source_of(resource.attributes)
        return known

    @guard("span.shutdown")
    def shutdown(self) -> None:
        self._driver.stop()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Nothing is held back here."""
        return True


class FlaggingSpanProcessor(SpanProcessor):
    """Wraps an exporting processor: a span that is evidence for an active alert reaches it marked.

    A finished span cannot be changed, so that the exporting processor is handed a copy; only the few marked
    ones are copied.
    """

    def __init__(self, inner: SpanProcessor, owner: Driver | Engine | None = None) -> None:
        self.inner = inner
        self._driver = driver_of(owner)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        self.inner.on_start(span, parent_context)

    def _on_ending(self, span: Span) -> None:
        self.inner._on_ending(span)  # noqa: SLF001 - the SDK's own hook, to be passed on

    def on_end(self, span: ReadableSpan) -> None:
        self.inner.on_end(self._marked(span) or span)

    @guard("span.mark")
    def _marked(self, span: ReadableSpan) -> ReadableSpan | None:
        context = span.context
        if context is None:
            return None
        offence = self._driver.offence(TraceRef(context.trace_id, context.span_id))
        return marked(span, offence.alert) if offence is not None else None

    def shutdown(self) -> None:
        self.inner.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self.inner.force_flush(timeout_millis)


def marked(span: ReadableSpan, alert: Alert) -> ReadableSpan:
    """A copy of `span` that carries the alert's id, rule, state and severity."""
    attributes: dict[str, Any] = {
        **(span.attributes or {}),
        f"{names.ALERT}id": alert.id,
        f"{names.ALERT}rule": alert.rule,
        f"{names.ALERT}state": str(alert.state),
        f"{names.ALERT}severity": str(alert.severity),
    }
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=attributes,
        events=span.events,
        links=span.links,
        kind=span.kind,
        status=span.status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _urgent(operation: Operation, slow_s: float) -> bool:
    return operation.outcome is Outcome.FAILED or operation.duration_s > slow_s


def _record(span: ReadableSpan, source: tuple[str, str], now: float) -> SpanRecord | None:
    """The span as the mapping reads it, if its times can be. Its end is `now`: a live span ends when it is seen to."""
    context, start, end = span.context, span.start_time, span.end_time
    if context is None or start is None or end is None:
        return None
    duration_s = (end - start) / 1e9
    if not 0.0 <= duration_s <= LONGEST_SPAN_S:
        drops.count("span", "malformed")  # both times may be the application's own
        return None
    return SpanRecord(
        name=span.name,
        kind=span.kind.name,
        local_root=span.parent is None or span.parent.is_remote,
        failed=span.status.status_code is StatusCode.ERROR,
        status_description=span.status.description,
        attributes=_with_exception(span),
        start_s=now - duration_s,
        end_s=now,
        trace=TraceRef(context.trace_id, context.span_id),
        source=source[0],
        service=source[1],
    )


def _with_exception(span: ReadableSpan) -> Mapping[str, Any]:
    """The attributes, and those of the last exception event, which is where older instrumentations put the error."""
    attributes = span.attributes or {}
    for event in reversed(span.events):
        if event.name == "exception" and event.attributes:
            return {**event.attributes, **attributes}
    return attributes
