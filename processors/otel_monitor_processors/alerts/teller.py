"""The teller: says to the channels of a group what is to be said of it, and remembers what it has said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from otel_monitor_processors.alerts.alert import Alert, State
from otel_monitor_processors.alerts.decision import Decisions, Stage
from otel_monitor_processors.alerts.grouping import Group
from otel_monitor_processors.alerts.held import instant
from otel_monitor_processors.alerts.notification import Notification
from otel_monitor_processors.alerts.overlays import Overlays
from otel_monitor_processors.alerts.rate_limit import RateLimit, RateLimits
from otel_monitor_processors.alerts.stages import Draft, Hold, HoldFlapping, LimitRate, StageCall, WhatIsNew
from otel_monitor_processors.alerts.told import Ledger, Told


class Teller:
    """Runs the stages for each channel; `ready` are the notifications that nobody has fetched yet."""

    def __init__(
        self, channels: Sequence[str], limits: Mapping[str, RateLimit], overlays: Overlays, decisions: Decisions
    ) -> None:
        self.ready: list[Notification] = []
        self.ledger = Ledger()
        self._channels = tuple(channels)
        self._limits = RateLimits(limits)
        self._decisions = decisions
        self._stages: tuple[StageCall, ...] = (
            *(Hold(stage, check, decisions) for stage, check in overlays.holds),
            HoldFlapping(overlays.flapping, decisions),
            WhatIsNew(decisions),
            LimitRate(self._limits, decisions),
        )

    def fetch(self) -> list[Notification]:
        """The notifications since the last call."""
        ready, self.ready = self.ready, []
        return ready

    def tell(self, group: Group, members: Iterable[Alert], at: float) -> list[Draft]:
        """Say to each channel of a group what is new to it; what became of that."""
        alerts = list(members)
        firing = [alert for alert in alerts if alert.state is State.FIRING]
        resolved = [alert for alert in alerts if alert.state is State.RESOLVED]
        channels = self._channels_of(group)
        for alert in firing:
            self._decisions.passed(alert.fingerprint, Stage.GROUPING, at, reason=f"its group was due at {instant(at)}")
            if not channels:
                self._decisions.note(alert.fingerprint, Stage.NOTIFICATION, "no channel of its route is enabled", at)
        return [self._tell(group, channel, at, firing, resolved) for channel in channels]

    def _channels_of(self, group: Group) -> tuple[str, ...]:
        wanted = group.route.channels
        return self._channels if wanted is None else tuple(name for name in wanted if name in self._channels)

    def _tell(self, group: Group, channel: str, at: float, firing: list[Alert], resolved: list[Alert]) -> Draft:
        told = self.ledger.of(group.key, channel)
        draft = Draft(group, channel, at, told, list(firing), list(resolved))
        for stage in self._stages:
            stage(draft)
        if draft.reason:
            said = {alert.fingerprint: str(alert.severity) for alert in draft.firing}
            told.at = at
            told.believed |= said
            told.current = {name: known for name, known in told.current.items() if name in told.flaps} | said
            told.flaps |= draft.flaps
            self._send(group, channel, told, at, draft.reason, [*draft.firing, *draft.resolved])
            for alert in draft.resolved:  # it may stay in its group for another channel's sake
                told.forget(alert.fingerprint)
        return draft

    def acknowledge(self, group: Group, alert: Alert, at: float) -> None:
        """Say to the channels that know of an alert that somebody is at work on it."""
        for channel in self._channels_of(group):
            told = self.ledger.of(group.key, channel)
            if alert.fingerprint in told.believed:
                self._send(group, channel, told, at, "acknowledged", [alert])

    def _send(self, group: Group, channel: str, told: Told, at: float, reason: str, alerts: Iterable[Alert]) -> None:
        told.number += 1
        ordered = tuple(sorted(alerts, key=lambda alert: (-alert.severity.number, alert.active_at, alert.fingerprint)))
        self.ready.append(
            Notification(
                channel=channel,
                group_key=group.key,
                group_labels=group.labels,
                number=told.number,
                at=at,
                reason=reason,
                alerts=ordered,
            )
        )
        for alert in ordered:
            words = f"sent to {channel} at {instant(at)}: {reason}"
            self._decisions.passed(alert.fingerprint, Stage.REPEAT, at, channel, f"told again: {reason}")
            self._decisions.note(alert.fingerprint, Stage.NOTIFICATION, words, at, held=False, channel=channel)

    def forget(self, group: Group, fingerprint: str) -> None:
        """An alert of a group is over, and nobody is owed a word of it."""
        for channel in self._channels_of(group):
            self.ledger.of(group.key, channel).forget(fingerprint)

    def dump(self) -> dict[str, Any]:
        return {
            "told": self.ledger.dump(),
            "rates": self._limits.dump(),
            "ready": [notification.dump() for notification in self.ready],
        }

    def load(self, state: Mapping[str, Any]) -> None:
        self.ledger.load(state["told"])
        self._limits.load(state["rates"])
        self.ready = list(map(Notification.load, state["ready"]))
