"""The JSON of a notification, the same wherever JSON is what a channel sends."""

from __future__ import annotations

import json
from typing import Any

from otel_monitor.channels.text import encodable, jsonable, rfc3339, shortened
from otel_monitor_processors.alerts.alert import MAX_TRACES, Alert
from otel_monitor_processors.alerts.notification import Notification
from otel_monitor_processors.alerts.rule import Labels

VERSION = 1
"""Counts up when a field changes its meaning or goes; further fields may come without that."""

MAX_ALERTS = 500
"""How many alerts a message carries; `omitted` counts the rest, the least severe."""

_MAX_TEXT = 4000
_MAX_LABEL = 1000
_MAX_LABELS = 64


def document(notification: Notification) -> dict[str, Any]:
    """A notification as JSON values: times RFC 3339 in UTC, numbers that are not finite null."""
    return {
        "version": VERSION,
        "id": notification.id,
        "channel": _text(notification.channel),
        "group_key": _text(notification.group_key),
        "group_labels": _labels(notification.group_labels),
        "number": notification.number,
        "at": rfc3339(notification.at),
        "reason": _text(notification.reason),
        "status": str(notification.status),
        "severity": str(notification.severity) if notification.alerts else None,
        "test": notification.test,
        "alerts": [alert_document(alert) for alert in notification.alerts[:MAX_ALERTS]],
        "omitted": max(0, len(notification.alerts) - MAX_ALERTS),
    }


def alert_document(alert: Alert) -> dict[str, Any]:
    """An alert as JSON values."""
    return {
        "id": alert.id,
        "fingerprint": alert.fingerprint,
        "rule": _text(alert.rule),
        "labels": _labels(alert.labels),
        "severity": str(alert.severity),
        "state": str(alert.state),
        "active_at": rfc3339(alert.active_at),
        "fired_at": rfc3339(alert.fired_at),
        "resolved_at": rfc3339(alert.resolved_at),
        "value": jsonable(float(alert.value)),
        "threshold": jsonable(float(alert.threshold)),
        "window_s": jsonable(float(alert.window_s)),
        "summary": _text(alert.summary),
        "pattern": _text(alert.pattern) or None,
        "confidence": jsonable(alert.confidence),
        "evidence": jsonable(alert.evidence),
        "traces": [
            {"trace_id": trace.hex_trace_id(), "span_id": trace.hex_span_id()} for trace in alert.traces[:MAX_TRACES]
        ],
    }


def encoded(value: Any) -> bytes:
    """Compact JSON in ASCII, which is one line to whatever reads lines."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode("ascii")


def _text(text: str, limit: int = _MAX_TEXT) -> str:
    return shortened(encodable(text), limit)


def _labels(labels: Labels) -> dict[str, str]:
    return {_text(name, _MAX_LABEL): _text(value, _MAX_LABEL) for name, value in labels[:_MAX_LABELS]}
