"""The alert about the alert store itself: it fires while alerts are kept in memory against the settings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from otel_monitor_processors.alerts.alert import Alert, AlertTransition, State, episode_id, fingerprint
from otel_monitor_processors.alerts.rule import Severity

RULE = "alert_store_unavailable"


class StoreAlert:
    """Turns the store's trouble into an alert's life."""

    def __init__(self, owner: str) -> None:
        self._labels = (("instance", owner),)
        self._alert: Alert | None = None

    def adopt(self, alert: Alert) -> bool:
        """Take up an alert that the last process has left behind, if it is one of these; whether it is."""
        if alert.rule != RULE:
            return False
        self._alert = alert
        return True

    def forget(self) -> None:
        """In a forked child: the parent's alert is the parent's."""
        self._alert = None

    def transitions(self, trouble: str, now: float) -> Iterator[AlertTransition]:
        """What the state of things at `now` changes; `trouble` is empty while there is none."""
        alert = self._alert
        if trouble and alert is None:
            self._alert = self._new(trouble, now)
            yield AlertTransition(now, self._alert, State.INACTIVE, trouble)
        elif not trouble and alert is not None:
            self._alert = None
            resolved = replace(alert, state=State.RESOLVED, resolved_at=now)
            yield AlertTransition(now, resolved, State.FIRING, "the alert store is in use again")

    def _new(self, trouble: str, now: float) -> Alert:
        identity = fingerprint(RULE, self._labels)
        return Alert(
            id=episode_id(identity, now),
            fingerprint=identity,
            rule=RULE,
            labels=self._labels,
            severity=Severity.CRITICAL,
            state=State.FIRING,
            active_at=now,
            fired_at=now,
            value=1.0,
            threshold=0.0,
            summary=trouble,
        )
