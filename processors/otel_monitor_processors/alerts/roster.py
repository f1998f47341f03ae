"""The roster: every alert that there is something to say about, or may be soon."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from otel_monitor_processors.alerts.alert import Alert, State
from otel_monitor_processors.alerts.matcher import label_view
from otel_monitor_processors.alerts.merging import merged

_MAX_ALERTS = 20_000


class UnknownAlertError(LookupError):
    """There is no alert of this id."""


class ConflictError(ValueError):
    """The alert is in a state in which that cannot be done."""


@dataclass(slots=True)
class Tracked:
    """An alert that has fired, what matchers see of it, and the keys of the groups that hold it."""

    alert: Alert
    labels: Mapping[str, str]
    groups: set[str] = field(default_factory=set)


class Roster:
    """The pending alerts, and those that have fired until all channels know of their end; at most 20,000 of each.

    `lost` counts what there was no room for.
    """

    def __init__(self) -> None:
        self._pending: dict[str, Alert] = {}
        self._tracked: dict[str, Tracked] = {}
        self.lost = 0

    def wait(self, alert: Alert) -> bool:
        """An alert is pending; whether there is room for it."""
        if alert.fingerprint not in self._pending and len(self._pending) >= _MAX_ALERTS:
            self.lost += 1
            return False
        self._pending[alert.fingerprint] = alert
        return True

    def no_longer_waits(self, fingerprint: str) -> None:
        self._pending.pop(fingerprint, None)

    def track(self, alert: Alert) -> Tracked | None:
        """An alert that has fired is as it is now. None: it was not known, and is over already, or there is no room."""
        known = self._tracked.get(alert.fingerprint)
        if known is None and (alert.state is State.RESOLVED or len(self._tracked) >= _MAX_ALERTS):
            self.lost += alert.state is State.FIRING
            return None
        if known is not None:
            alert = merged(known.alert, alert)
        tracked = Tracked(alert, label_view(alert), known.groups if known is not None else set())
        self._tracked[alert.fingerprint] = tracked
        return tracked

    def drop(self, fingerprint: str) -> None:
        """Nobody is owed a word of this alert any more."""
        del self._tracked[fingerprint]

    def get(self, fingerprint: str) -> Tracked | None:
        """The alert of this identity, if it has fired."""
        return self._tracked.get(fingerprint)

    def __getitem__(self, fingerprint: str) -> Tracked:
        return self._tracked[fingerprint]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tracked)

    def tracked(self) -> list[Tracked]:
        """Every alert that has fired."""
        return list(self._tracked.values())

    def all(self) -> list[Alert]:
        """Every alert, pending ones first."""
        return [*self._pending.values(), *(tracked.alert for tracked in self._tracked.values())]

    def find(self, alert_id: str, besides: Iterable[Alert] = ()) -> Alert:
        """The alert of this id or fingerprint: one that has fired, else one of `besides`, else a pending one.

        Raises:
            UnknownAlertError: there is no such alert.
        """
        tracked = self._tracked.get(alert_id)
        if tracked is not None:
            return tracked.alert
        for alert in (*(item.alert for item in self._tracked.values()), *besides, *self._pending.values()):
            if alert_id in (alert.id, alert.fingerprint):
                return alert
        raise UnknownAlertError(f"no alert {alert_id!r}")

    def firing(self, alert: Alert, done: str) -> Tracked:
        """A firing alert that something is to be `done` with.

        Raises:
            ConflictError: it is not firing.
        """
        tracked = self._tracked.get(alert.fingerprint)
        if tracked is None or tracked.alert.state is not State.FIRING:
            state = alert.state if tracked is None else tracked.alert.state
            raise ConflictError(f"alert {alert.id} is {state}, not firing: it cannot be {done}")
        return tracked

    def dump(self) -> dict[str, Any]:
        return {
            "alerts": [tracked.alert.dump() for tracked in self._tracked.values()],
            "pending": [alert.dump() for alert in self._pending.values()],
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Take up what `dump` has given; of the groups nothing is known yet."""
        alerts = [Alert.load(item) for item in state["alerts"]]
        self._tracked = {alert.fingerprint: Tracked(alert, label_view(alert)) for alert in alerts}
        self._pending = {alert.fingerprint: alert for alert in map(Alert.load, state["pending"])}
