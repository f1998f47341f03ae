"""Alerts and messages to put into a store."""

from __future__ import annotations

from otel_monitor_processors.alerts.alert import Alert, AlertTransition, State, episode_id, fingerprint
from otel_monitor_processors.alerts.notification import Notification
from otel_monitor_processors.alerts.rule import Severity
from otel_monitor_processors.observation import TraceRef

START_S = 1_750_000_000.0


def alert(name: str, state: State = State.FIRING, active_at: float = START_S) -> Alert:
    labels = (("instance", name),)
    identity = fingerprint("slow", labels)
    return Alert(
        id=episode_id(identity, active_at),
        fingerprint=identity,
        rule="slow",
        labels=labels,
        severity=Severity.WARNING,
        state=state,
        active_at=active_at,
        fired_at=active_at if state is not State.PENDING else None,
        resolved_at=active_at + 60.0 if state is State.RESOLVED else None,
        value=6.5,
        threshold=5.0,
        summary=f"{name} is slow: ≥ 5 s",
        traces=(TraceRef(1, 2),),
        evidence={"numbers": [1, 2.5], "words": "because"},
    )


def step(name: str, state: State = State.FIRING, at: float = START_S) -> AlertTransition:
    previous = {State.PENDING: State.INACTIVE, State.FIRING: State.PENDING}.get(state, State.FIRING)
    return AlertTransition(at, alert(name, state), previous, "because of this")


def message(name: str, channel: str = "ops", number: int = 1, group: str = "") -> Notification:
    return Notification(
        channel=channel,
        group_key=group or name,
        group_labels=(("instance", name),),
        number=number,
        at=START_S,
        reason="first",
        alerts=(alert(name),),
    )
