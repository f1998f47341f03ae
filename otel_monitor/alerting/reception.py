"""Where people come to see the alerts of a store, and to ask something of whoever dispatches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from otel_monitor.alerting.assembly import dispatcher_of, service_of
from otel_monitor.alerting.keeper import Shelf
from otel_monitor.alerting.recall import read
from otel_monitor.alerting.service import AlertService
from otel_monitor.errors import OtelMonitorError
from otel_monitor.settings import Settings
from otel_monitor.store.alerts import Abandoned, Step
from otel_monitor.store.outbox import Message, Place
from otel_monitor_processors.alerts.alert import Alert, State
from otel_monitor_processors.alerts.book import ABANDONED_AFTER_S
from otel_monitor_processors.alerts.decision import Decision, Stage
from otel_monitor_processors.alerts.dispatcher import Dispatcher
from otel_monitor_processors.alerts.held import Held
from otel_monitor_processors.alerts.roster import UnknownAlertError
from otel_monitor_processors.alerts.silence import Silence

NAME = "command-line"
ANSWER_S = 15.0
"""Longer than a leader may be silent: by then it has answered, or another one leads."""

_LOOK_S = 0.05
_DELIVER_S = 10.0


class AlertsError(OtelMonitorError):
    """What was asked cannot be done; the text says why. `kind` is `unknown`, `conflict`, `invalid` or `unavailable`."""

    def __init__(self, message: str, kind: str = "unavailable") -> None:
        super().__init__(message)
        self.kind = kind


class Listed(NamedTuple):
    """An alert, and what lies over it at the moment.

    `abandoned` where nothing has been heard of its engine for so long that it is not known how it stands.
    """

    alert: Alert
    held_by: dict[Stage, Held]
    abandoned: Abandoned | None = None


@dataclass(frozen=True, slots=True)
class Story:
    """Everything that is known of one alert: its steps, what was decided on it, and the messages about it."""

    listed: Listed
    history: list[Step]
    decisions: tuple[Decision, ...]
    messages: list[Message]


class Reception:
    """A store seen from outside the process that raises the alerts; close it in the end.

    Raises:
        AlertsError: there is no such store, or it cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        path = settings.store_path
        if path is None:
            raise AlertsError(
                "no store_path is set, so that alerts are kept in the memory of their process alone: set store_path "
                "(OTEL_MONITOR_STORE_PATH) for it and for this command"
            )
        _require(path)
        self._service: AlertService = service_of(settings, NAME)
        self._shelf: Shelf = self._service.keeper.shelf
        if self._service.keeper.trouble:
            trouble = self._service.keeper.trouble.partition(";")[0]
            self._service.keeper.close()
            raise AlertsError(trouble)
        self._dispatcher: Dispatcher | None = None

    def close(self) -> None:
        self._service.keeper.close()

    # -- looking ----------------------------------------------------------------------------------------

    def alerts(self, states: Iterable[State], limit: int) -> list[Listed]:
        """The alerts in these states, the newest change first."""
        now = time.time()
        abandoned = self._abandoned(now)
        return [self._listed(alert, now, abandoned) for alert in self._shelf.alerts.in_state(states, limit=limit)]

    def story(self, alert_id: str) -> Story:
        """Everything about one alert, by its id or the beginning of it.

        Raises:
            AlertsError: there is none of this id, or several.
        """
        alert, now = self._find(alert_id), time.time()
        return Story(
            self._listed(alert, now, self._abandoned(now)),
            self._shelf.alerts.history(alert.id),
            self._standing().decisions(alert.fingerprint),
            self._shelf.outbox.about(alert.id),
        )

    def silences(self) -> list[Silence]:
        return self._standing().silences()

    def dead_letters(self, limit: int) -> list[Message]:
        """Notifications that were given up, the newest first."""
        return self._shelf.outbox.in_place(Place.DEAD, limit)

    def _find(self, alert_id: str) -> Alert:
        found = self._shelf.alerts.matching(alert_id, limit=2)
        if not found:
            raise AlertsError(f"there is no alert {alert_id!r}", "unknown")
        if len(found) > 1:
            raise AlertsError(f"several alerts have ids that begin with {alert_id!r}: give more of it", "unknown")
        return found[0]

    def _listed(self, alert: Alert, now: float, abandoned: dict[str, Abandoned]) -> Listed:
        try:
            held_by = self._standing().held_by(alert.fingerprint, now)
        except UnknownAlertError:
            held_by = {}
        return Listed(alert, held_by, abandoned.get(alert.id))

    def _abandoned(self, now: float) -> dict[str, Abandoned]:
        """What nothing is known of any more, by the alert's id."""
        found = self._shelf.alerts.abandoned(now - ABANDONED_AFTER_S, limit=-1)
        return {item.alert.id: item for item in found}

    def _standing(self) -> Dispatcher:
        """The dispatcher as it stands, read from the store."""
        if self._dispatcher is None:
            self._dispatcher = read(self._shelf, dispatcher_of(self._settings)).dispatcher
        return self._dispatcher

    # -- asking -----------------------------------------------------------------------------------------

    def resolve(self, alert_id: str, author: str, ttl_s: float | None) -> dict[str, Any]:
        return self._ask({"do": "resolve", "alert": self._find(alert_id).id, "author": author, "ttl_s": ttl_s})

    def acknowledge(self, alert_id: str, author: str, comment: str, until: float | None) -> dict[str, Any]:
        body = {"do": "acknowledge", "alert": self._find(alert_id).id, "author": author, "comment": comment}
        return self._ask({**body, "until": until})

    def withdraw(self, alert_id: str) -> dict[str, Any]:
        """Nobody is at work on an alert after all."""
        return self._ask({"do": "withdraw_acknowledgement", "alert": self._find(alert_id).id})

    def silence(self, silence: Silence) -> dict[str, Any]:
        return self._ask({"do": "silence", "silence": silence.dump()})

    def expire(self, silence_id: str) -> dict[str, Any]:
        return self._ask({"do": "expire_silence", "id": silence_id})

    def resend(self, numbers: Iterable[int]) -> list[int]:
        """Give dead letters another life; those that there were."""
        now = time.time()
        found = [number for number in numbers if self._shelf.outbox.resend(number, now)]
        if found and not self._shelf.dispatch.leader(now):
            self._lead()
            self._service.deliver(_DELIVER_S)
            self._resign()
        return found

    def _ask(self, body: dict[str, Any]) -> dict[str, Any]:
        """Leave a request, and wait for the answer; where nobody dispatches, do so for a moment."""
        seq = self._shelf.dispatch.ask(body, time.time())
        led = False
        answer = self._wait(lambda: self._shelf.dispatch.answer(seq))
        while answer is None and not led:
            led = True
            self._lead()
            answer = self._shelf.dispatch.answer(seq)
        if led:
            self._service.deliver(_DELIVER_S)
            self._resign()
        self._dispatcher = None
        if answer is None:
            raise AlertsError("nobody answers: is the process that dispatches stopped?")
        if "error" in answer:
            raise AlertsError(str(answer["error"]), str(answer.get("kind", "invalid")))
        return answer

    def _wait(self, look: Callable[[], dict[str, Any] | None]) -> dict[str, Any] | None:
        """What `look` finds while somebody else leads."""
        deadline = time.monotonic() + ANSWER_S
        while time.monotonic() < deadline:
            answer = look()
            if answer is not None or not self._shelf.dispatch.leader(time.time()):
                return answer
            time.sleep(_LOOK_S)
        return None

    def _lead(self) -> None:
        while self._service.step(time.time()):
            continue

    def _resign(self) -> None:
        self._service.resign(time.time())


def _require(path: Path) -> None:
    if not path.is_file():
        raise AlertsError(f"there is no alert store {path}: the process that raises alerts makes it at its start")
