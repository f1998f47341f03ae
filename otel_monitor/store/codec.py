"""Alerts, transitions and notifications as the text that is kept of them, and back."""

from __future__ import annotations

import json

from otel_monitor_processors.alerts.alert import Alert, AlertTransition, State
from otel_monitor_processors.alerts.notification import Notification


def dump_alert(alert: Alert) -> str:
    return json.dumps(alert.dump(), separators=(",", ":"), default=str)


def load_transition(at: float, previous: str, reason: str, alert: str) -> AlertTransition:
    return AlertTransition(at, Alert.load(json.loads(alert)), State(previous), reason)


def dump_notification(notification: Notification) -> str:
    return json.dumps(notification.dump(), separators=(",", ":"), default=str)


def load_notification(text: str) -> Notification:
    return Notification.load(json.loads(text))
