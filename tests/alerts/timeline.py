"""A dispatcher on virtual time: alerts fire and resolve, and what is told of them is written down."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from otel_monitor_processors.alerts.alert import Alert, AlertTransition, State, episode_id, fingerprint
from otel_monitor_processors.alerts.dispatcher import Dispatcher
from otel_monitor_processors.alerts.matcher import parse_matcher
from otel_monitor_processors.alerts.notification import Notification
from otel_monitor_processors.alerts.rule import Severity
from otel_monitor_processors.alerts.silence import Silence


def alert(rule: str = "r", state: State = State.FIRING, at: float = 0.0, **fields: Any) -> Alert:
    """An alert of `rule`; `labels` may be a mapping."""
    labels = tuple(sorted(dict(fields.pop("labels", {})).items()))
    identity = fingerprint(rule, labels)
    values: dict[str, Any] = {
        "id": episode_id(identity, at),
        "fingerprint": identity,
        "rule": rule,
        "labels": labels,
        "severity": Severity.WARNING,
        "state": state,
        "active_at": at,
        "fired_at": at if state in (State.FIRING, State.RESOLVED) else None,
        "value": 2.0,
        "threshold": 1.0,
    }
    return Alert(**(values | fields))


class Timeline:
    """Drives a dispatcher from its deadlines alone, as its owner does; `sent` is all that it gave out.
    At `last` all is over.

    With `restarts` another dispatcher of the same making takes up the state before whatever happens.
    """

    def __init__(self, make: Any, *, restarts: bool = False) -> None:
        self._make = make
        self._restarts = restarts
        self.dispatcher: Dispatcher = make()
        self.sent: list[Notification] = []
        self.now = 0.0
        self.last = math.inf
        self._asked = 0

    def until(self, now: float) -> list[Notification]:
        """Let time pass; what was told since it was asked the last time."""
        self._pass(math.nextafter(now, math.inf))
        self.now = now
        news, self._asked = self.sent[self._asked :], len(self.sent)
        return news

    def _pass(self, now: float) -> None:
        while (due := self.dispatcher.next_deadline()) is not None and due < now:
            self._restart()
            self.sent += self.dispatcher.advance(max(due, self.now))

    def _restart(self) -> None:
        if self._restarts:
            state = json.loads(json.dumps(self.dispatcher.dump()))
            self.dispatcher = self._make()
            self.dispatcher.load(state)

    def take(self, changed: Alert, previous: State = State.INACTIVE, at: float | None = None) -> bool:
        at = self.now if at is None else at
        self._pass(at)
        self.now = at
        self._restart()
        return self.dispatcher.take(AlertTransition(at, changed, previous, "the condition holds"))

    def fire(self, rule: str = "r", at: float | None = None, **fields: Any) -> Alert:
        at = self.now if at is None else at
        fired = alert(rule, at=fields.pop("since", at), **fields)
        self.take(fired, at=at)
        return fired

    def resolve(self, fired: Alert, at: float | None = None) -> Alert:
        at = self.now if at is None else at
        resolved = replace(fired, state=State.RESOLVED, resolved_at=at)
        self.take(resolved, State.FIRING, at)
        return resolved

    def silence(self, matcher: str, starts_at: float, ends_at: float) -> str:
        silence = Silence(
            matchers=(parse_matcher(matcher),), starts_at=starts_at, ends_at=ends_at, author="ann", comment="known"
        )
        return self.dispatcher.add_silence(silence, self.now)


def told(notification: Notification) -> tuple[float, str, list[str], list[str]]:
    """When, why, and which rules: firing and resolved ones."""
    return (
        notification.at,
        notification.reason,
        sorted(alert.rule for alert in notification.firing),
        sorted(alert.rule for alert in notification.resolved),
    )


def reasons(dispatcher: Dispatcher, alert_id: str) -> dict[str, str]:
    """The newest words of each stage about an alert."""
    return {str(decision.stage): decision.reason for decision in dispatcher.decisions(alert_id)}


def named(item: Alert) -> str:
    """An alert's rule and the values of its labels."""
    return " ".join([item.rule, *(value for _, value in item.labels)])


Case = Mapping[str, Any]
