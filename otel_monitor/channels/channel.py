"""What a channel is, and what can become of a notification that it is handed."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from otel_monitor_processors.alerts.alert import Alert
from otel_monitor_processors.alerts.notification import Notification


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver has taken it. `detail` says what it answered."""

    detail: str = ""


@dataclass(frozen=True, slots=True)
class Retry:
    """Not delivered, and may well be later: not before `after_s` seconds, where the receiver asked for that."""

    reason: str
    after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """Not delivered, and never will be as it is."""

    reason: str


Receipt = Delivered | Retry | Rejected


class Channel(Protocol):
    """Sends notifications to one place. Called by one thread at a time; each call is bounded in time."""

    name: str

    def send(self, notification: Notification) -> Receipt:
        """Send it, or say why not; no exception leaves it."""

    def close(self) -> None:
        """Let go of connections and files."""


@runtime_checkable
class Refreshing(Protocol):
    """A channel whose receiver forgets what it is not told again: while an alert fires, it is told so regularly.

    The thread that calls `send` calls `refresh` whenever `next_refresh` is due, between two sends.
    """

    def resume(self, firing: Iterable[Alert]) -> None:
        """After a restart: what had been delivered by this channel and still fires."""

    def next_refresh(self) -> float | None:
        """When to call `refresh`, in unix seconds by the system's clock; None while there is nothing to tell."""

    def refresh(self, now: float, active: Collection[str] | None = None) -> Receipt:
        """Tell the receiver again what fires; bounded in time, and no exception leaves it.

        `active` are the ids of all alerts that fire: what is not among them is no longer told. None means that
        what was delivered last is all that is known. What fails is told at the next refresh: no need to call again.
        """
