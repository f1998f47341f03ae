"""What leaves when an alert or a verdict changes: log events and metrics."""

from __future__ import annotations

import json
import os
import weakref
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry._logs import LoggerProvider, SeverityNumber, get_logger_provider
from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation, get_meter_provider

from otel_monitor_processors.alerts.alert import MAX_TRACES, Alert, AlertTransition, State
from otel_monitor_processors.engine import Transition
from otel_monitor_processors.guard import guard
from otel_monitor_processors.observation import TraceRef
from otel_monitor_processors.otel import attributes as names
from otel_monitor_processors.patterns.verdict import Verdict, VerdictState

_COUNTED = (State.PENDING, State.FIRING)


class AlertEmitter:
    """Hands every transition to OpenTelemetry: a log event with the offending trace's context, and metrics."""

    def __init__(
        self, logger_provider: LoggerProvider | None = None, meter_provider: MeterProvider | None = None
    ) -> None:
        self._logger = (logger_provider or get_logger_provider()).get_logger(names.SCOPE)
        meter = (meter_provider or get_meter_provider()).get_meter(names.SCOPE)
        self._confidence: dict[str, float] = {}
        self._active = meter.create_up_down_counter(
            "otel_monitor.alerts.active", unit="{alert}", description="Alerts that are pending or firing."
        )
        self._transitions = meter.create_counter(
            "otel_monitor.alerts.transitions", unit="{transition}", description="Changes of alerts' states."
        )
        meter.create_observable_gauge(
            "otel_monitor.pattern.confidence",
            [self._observe_confidence],
            unit="1",
            description="Probability that a failure pattern is there, while a verdict on it is open.",
        )
        _emitters.add(self)

    @guard("emitter.transition")
    def __call__(self, transition: Transition) -> None:
        if isinstance(transition, AlertTransition):
            self._count(transition)
            self._emit_alert(transition)
        else:
            verdict = transition.verdict
            self._confidence[verdict.pattern] = 0.0 if verdict.state is VerdictState.CLOSED else verdict.confidence
            self._emit_verdict(verdict)

    @guard("emitter.restored")
    def restored(self, alerts: Iterable[Alert]) -> None:
        """These were active before this process: they are counted, and nothing is said of them again."""
        for alert in alerts:
            self._active.add(1, {"rule": alert.rule, "severity": str(alert.severity), "state": str(alert.state)})

    def _count(self, transition: AlertTransition) -> None:
        alert, previous = transition.alert, transition.previous
        severity_before = transition.previous_severity or alert.severity
        if alert.state is previous and alert.severity is severity_before:
            return
        if previous in _COUNTED:
            self._active.add(-1, {"rule": alert.rule, "severity": str(severity_before), "state": str(previous)})
        if alert.state in _COUNTED:
            self._active.add(1, {"rule": alert.rule, "severity": str(alert.severity), "state": str(alert.state)})
        if alert.state is not previous:
            self._transitions.add(1, {"rule": alert.rule, "to": str(alert.state)})

    def _emit_alert(self, transition: AlertTransition) -> None:
        alert = transition.alert
        self._logger.emit(
            timestamp=int(transition.at * 1e9),
            context=_context_of(alert.traces),
            severity_number=SeverityNumber(alert.severity.number),
            severity_text=alert.severity.upper(),
            body=alert.summary,
            event_name=names.ALERT_EVENT,
            attributes=alert_attributes(alert, transition.previous, transition.reason),
        )

    def _emit_verdict(self, verdict: Verdict) -> None:
        self._logger.emit(
            timestamp=int(verdict.at * 1e9),
            context=_context_of(verdict.traces),
            severity_number=SeverityNumber.INFO,
            severity_text="INFO",
            body=verdict.summary,
            event_name=names.VERDICT_EVENT,
            attributes={
                "otel_monitor.pattern": str(verdict.pattern),
                "otel_monitor.pattern.scope": verdict.scope,
                "otel_monitor.pattern.state": str(verdict.state),
                "otel_monitor.pattern.confidence": verdict.confidence,
                "otel_monitor.pattern.sources": list(verdict.sources),
                "otel_monitor.pattern.root": verdict.root,
                "otel_monitor.pattern.window_s": verdict.window_s,
                "otel_monitor.pattern.evidence": _json(verdict.evidence),
            },
        )

    @guard("emitter.confidence", default=())
    def _observe_confidence(self, _options: CallbackOptions) -> list[Observation]:
        return [Observation(value, {"pattern": pattern}) for pattern, value in list(self._confidence.items())]


def alert_attributes(alert: Alert, previous: State, reason: str) -> dict[str, Any]:
    """The attributes of an alert's log event."""
    prefix = names.ALERT
    attributes: dict[str, Any] = {
        f"{prefix}id": alert.id,
        f"{prefix}fingerprint": alert.fingerprint,
        f"{prefix}rule": alert.rule,
        f"{prefix}state": str(alert.state),
        f"{prefix}previous_state": str(previous),
        f"{prefix}severity": str(alert.severity),
        f"{prefix}summary": alert.summary,
        f"{prefix}value": alert.value,
        f"{prefix}threshold": alert.threshold,
        f"{prefix}started_at": datetime.fromtimestamp(alert.active_at, UTC).isoformat(timespec="milliseconds"),
        f"{prefix}reason": reason,
        f"{prefix}window_s": alert.window_s,
    }
    attributes |= {f"{prefix}labels.{name}": value for name, value in alert.labels}
    if alert.traces:
        attributes[f"{prefix}trace_ids"] = [ref.hex_trace_id() for ref in alert.traces[:MAX_TRACES]]
    if alert.pattern:
        attributes[f"{prefix}pattern"] = alert.pattern
        attributes[f"{prefix}evidence"] = _json(alert.evidence)
        if alert.confidence is not None:
            attributes[f"{prefix}confidence"] = alert.confidence
    return attributes


def _json(evidence: Mapping[str, Any]) -> str:
    return json.dumps(evidence, default=str, separators=(",", ":"))


def _context_of(traces: tuple[TraceRef, ...]) -> otel_context.Context:
    if not traces:
        return otel_context.Context()
    span_context = trace.SpanContext(
        traces[0].trace_id, traces[0].span_id, is_remote=False, trace_flags=trace.TraceFlags(1)
    )
    return trace.set_span_in_context(trace.NonRecordingSpan(span_context), otel_context.Context())


_emitters: weakref.WeakSet[AlertEmitter] = weakref.WeakSet()


def _reset_in_child() -> None:
    for emitter in list(_emitters):
        emitter._confidence.clear()  # noqa: SLF001 - the module's own class


os.register_at_fork(after_in_child=_reset_in_child)
