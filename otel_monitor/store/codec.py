"""Alerts, transitions and notifications as the text that is kept of them, and back."""

from __future__ import annotations

import json
import zlib
from typing import Any

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


def pack(document: dict[str, Any]) -> bytes:
    """A large document as a few bytes: a tenth of its text."""
    return zlib.compress(json.dumps(document, separators=(",", ":"), default=str).encode("utf-8", "surrogatepass"), 1)


def unpack(data: bytes) -> dict[str, Any]:
    """What `pack` was given.

    Raises:
        ValueError: it was not made by `pack`.
    """
    try:
        document = json.loads(zlib.decompress(data))
    except zlib.error as error:
        raise ValueError(str(error)) from None
    if not isinstance(document, dict):
        raise ValueError("not an object")  # noqa: TRY004 - the text is wrong, not its type
    return document
