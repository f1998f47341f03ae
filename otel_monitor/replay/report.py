"""What a replay has found, as the objects that it prints."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from otel_monitor.replay.intake import Confidence, Output
from otel_monitor.replay.ledger import Ledger, Signal
from otel_monitor_processors.alerts.alert import AlertTransition
from otel_monitor_processors.observation import TraceRef
from otel_monitor_processors.patterns.verdict import Verdict


def to_json(output: Output) -> dict[str, Any]:
    """One line of the output."""
    if isinstance(output, Confidence):
        return {"type": "confidence", "at": output.at, **{str(name): p for name, p in output.patterns.items()}}
    if isinstance(output, AlertTransition):
        return _alert(output)
    return _verdict(output.at, output.verdict)


def summary(ledger: Ledger, seconds: float) -> dict[str, Any]:
    """The last line: what was read, and how much time it covers."""
    return {
        "type": "summary",
        "spans": ledger.read[Signal.SPAN],
        "metrics": ledger.read[Signal.METRIC],
        "logs": ledger.read[Signal.LOG],
        "malformed": ledger.malformed,
        "late": ledger.late,
        "seconds": round(seconds, 6),
    }


def _verdict(at: float, verdict: Verdict) -> dict[str, Any]:
    return {
        "type": "verdict",
        "at": at,
        "pattern": str(verdict.pattern),
        "state": str(verdict.state),
        "confidence": verdict.confidence,
        "sources": list(verdict.sources),
        "evidence": _plain(verdict.evidence),
        "scope": verdict.scope,
        "root": verdict.root,
        "opened_at": verdict.opened_at,
        "window_s": verdict.window_s,
        "summary": verdict.summary,
        "trace_ids": _trace_ids(verdict.traces),
    }


def _alert(transition: AlertTransition) -> dict[str, Any]:
    alert = transition.alert
    found: dict[str, Any] = {
        "type": "alert",
        "at": transition.at,
        "rule": alert.rule,
        "state": str(alert.state),
        "severity": str(alert.severity),
        "labels": dict(alert.labels),
        "summary": alert.summary,
        "reason": transition.reason,
        "previous_state": str(transition.previous),
        "id": alert.id,
        "value": _plain(alert.value),
        "threshold": alert.threshold,
        "trace_ids": _trace_ids(alert.traces),
    }
    if alert.pattern:
        found |= {"pattern": alert.pattern, "confidence": alert.confidence, "evidence": _plain(alert.evidence)}
    return found


def _trace_ids(traces: tuple[TraceRef, ...]) -> list[str]:
    return list(dict.fromkeys(trace.hex_trace_id() for trace in traces))


def _plain(value: Any) -> Any:
    """The value as strict JSON has it: without NaN and infinities, and texts for what JSON does not know."""
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in (sorted(value, key=str) if isinstance(value, (set, frozenset)) else value)]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)
