"""Notifications: what one channel is told about one group of alerts at one time."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from otel_monitor_processors.alerts.alert import Alert, State
from otel_monitor_processors.alerts.rule import Labels, Severity

REPEAT = "repeat interval"
"""The reason of a message that says nothing but that what fires is firing still."""


class Status(StrEnum):
    """What a group's notification says on the whole: firing while any of its alerts is."""

    FIRING = "firing"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """A message for `channel` about the alerts of one group, as they stood at `at` (unix seconds).

    `id` is the same whenever the same message is sent again: receivers can tell duplicates by it. `number`
    counts the messages of a group to a channel from 1: they are delivered in this order. `reason` is why it is
    sent now, in words (`first`, `new alerts`, `severity changed`, `alerts resolved`,
    `all resolved`, `repeat interval`, `flapping`, `acknowledged`, `test`).
    `alerts` are those firing and those resolved since the last message, the most severe first.
    """

    channel: str
    group_key: str
    group_labels: Labels
    number: int
    at: float
    reason: str
    alerts: tuple[Alert, ...]
    test: bool = False

    @property
    def id(self) -> str:
        identity = f"{self.channel}\n{self.group_key}\n{self.number}\n{self.at:.3f}"
        return hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:32]

    @property
    def repeats(self) -> bool:
        """Whether it only says again what the message before it has said."""
        return self.reason == REPEAT

    @property
    def status(self) -> Status:
        return Status.FIRING if self.firing else Status.RESOLVED

    @property
    def firing(self) -> tuple[Alert, ...]:
        return tuple(alert for alert in self.alerts if alert.state is State.FIRING)

    @property
    def resolved(self) -> tuple[Alert, ...]:
        return tuple(alert for alert in self.alerts if alert.state is State.RESOLVED)

    @property
    def severity(self) -> Severity:
        """The highest severity among its alerts."""
        return max((alert.severity for alert in self.alerts), key=lambda severity: severity.number)

    def dump(self) -> dict[str, Any]:
        """As JSON-compatible data."""
        return {
            "channel": self.channel,
            "group_key": self.group_key,
            "group_labels": [list(pair) for pair in self.group_labels],
            "number": self.number,
            "at": self.at,
            "reason": self.reason,
            "alerts": [alert.dump() for alert in self.alerts],
            "test": self.test,
        }

    @classmethod
    def load(cls, state: Mapping[str, Any]) -> Notification:
        """Take up what `dump` has given."""
        values = dict(state)
        values["group_labels"] = tuple((name, value) for name, value in state["group_labels"])
        values["alerts"] = tuple(map(Alert.load, state["alerts"]))
        return cls(**values)
