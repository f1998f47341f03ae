"""Notifications to send: ordinary ones, and ones whose every text wants to do harm."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from otel_monitor_processors.alerts.alert import Alert, State, episode_id, fingerprint
from otel_monitor_processors.alerts.notification import Notification
from otel_monitor_processors.alerts.rule import Labels, Severity
from otel_monitor_processors.observation import TraceRef

AT = 1_764_000_000.0
HOSTILE = (
    "x\r\nBcc: all@example.com\r\n\r\n<script>alert(1)</script> <!channel> @everyone *b* `c` [l](http://evil.test) "
    "\x00\x1b[2J\x1b]0;t\x07\u202e\ud800\u2028 & {0.__class__} %s ${x}"
)


def alert(
    rule: str = "worker_lost",
    labels: Labels = (("service", "shop"), ("worker", "w3")),
    *,
    at: float = AT,
    **changes: Any,
) -> Alert:
    identity = fingerprint(rule, labels)
    values: dict[str, Any] = {
        "id": episode_id(identity, at),
        "fingerprint": identity,
        "rule": rule,
        "labels": labels,
        "severity": Severity.CRITICAL,
        "state": State.FIRING,
        "active_at": at,
        "fired_at": at,
        "value": 2.1,
        "threshold": 0.5,
        "window_s": 60.0,
        "summary": "no heartbeat for 2.1 s",
        "pattern": "heartbeat_degradation",
        "confidence": 0.97,
        "evidence": {"intervals_s": [0.5, 0.6], "missing": float("nan")},
        "traces": (TraceRef(0x4BF92F3577B34DA6A3CE929D0E0E4736, 0x00F067AA0BA902B7),),
    }
    return Alert(**{**values, **changes})


def resolved(fired: Alert, after_s: float = 90.0) -> Alert:
    return replace(fired, state=State.RESOLVED, resolved_at=(fired.fired_at or fired.active_at) + after_s)


def notification(*alerts: Alert, number: int = 1, at: float = AT, channel: str = "it", **changes: Any) -> Notification:
    values: dict[str, Any] = {
        "channel": channel,
        "group_key": "{service=shop}",
        "group_labels": (("service", "shop"),),
        "number": number,
        "at": at,
        "reason": "first",
        "alerts": alerts or (alert(),),
    }
    return Notification(**{**values, **changes})


def fresh(rule: str = "worker_lost", **changes: Any) -> Alert:
    """An alert that fires now, by the system's clock, as a real receiver needs it."""
    return alert(rule, at=time.time(), **changes)


def hostile() -> Notification:
    one = alert(
        HOSTILE,
        ((HOSTILE, HOSTILE), ("long", "ä" * 100_000), ("zero\x00", "")),
        summary=HOSTILE,
        pattern=HOSTILE,
        value=float("inf"),
        threshold=float("nan"),
        evidence={HOSTILE: [HOSTILE, {"deep": [[[[[[["x"]]]]]]]}], "wide": list(range(100_000)), "odd": object},
    )
    return notification(
        one,
        resolved(one),
        group_key=HOSTILE,
        group_labels=((HOSTILE, HOSTILE),),
        reason=HOSTILE,
        channel=HOSTILE,
    )
