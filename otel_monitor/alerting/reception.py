"""Where people come to see the alerts of a store, and to ask something of whoever dispatches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from otel_monitor.alerting.assembly import dispatcher_of, service_of
from otel_monitor.alerting.desk import read
from otel_monitor.alerting.keeper import Shelf
from otel_monitor.alerting.service import AlertService
from otel_monitor.errors import OtelMonitorError
from otel_monitor.settings import Settings
from otel_monitor.store.alerts import Step
from otel_monitor.store.outbox import Message, Place
from otel_monitor_processors.alerts.alert import Alert, State
from otel_monitor_processors.alerts.decision import Decision, Stage
from otel_monitor_processors.alerts.dispatcher import Dispatcher, UnknownAlertError
from otel_monitor_processors.alerts.held import Held
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
    """An alert, and what lies over it at the moment."""

    alert: Alert
    held_by: dict[Stage, Held]


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
        return [self._listed(alert, now) for alert in self._shelf.alerts.in_state(states, limit=limit)]

    def story(self, alert_id: str) -> Story:
        """Everything about one alert, by its id or the beginning of it.

        Raises:
            AlertsError: there is none of this id, or several.
        """
        alert = self._find(alert_id)
        return Story(
            self._listed(alert, time.time()),
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
        alert = self._shelf.alerts.find(alert_id)
        if alert is None:
            raise AlertsError(f"no alert {alert_id!r}, or several that begin so", "unknown")
        return alert

    def _listed(self, alert: Alert, now: float) -> Listed:
        try:
            return Listed(alert, self._standing().held_by(alert.fingerprint, now))
        except UnknownAlertError:
            return Listed(alert, {})

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
