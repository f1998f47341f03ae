"""Keeps alerts and messages in the store's file; while that cannot be used, in memory, and says so."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from otel_monitor.store.alerts import Alerts
from otel_monitor.store.database import Database, StoreError
from otel_monitor.store.dispatch_state import DispatchState
from otel_monitor.store.outbox import Outbox, Place, enqueue
from otel_monitor_processors.alerts.alert import AlertTransition

RETRY_S = 30.0
"""How often a file that failed is tried again."""

_MOST_MOVED = 100_000


@dataclass(frozen=True, slots=True)
class Shelf:
    """One database and what is kept in it."""

    database: Database
    alerts: Alerts
    outbox: Outbox
    dispatch: DispatchState

    @property
    def durable(self) -> bool:
        """Whether what is committed survives the end of the process."""
        return self.database.path is not None


class Keeper:
    """The shelf in use. `trouble` says why it is not the one that was asked for, empty where it is.

    Args:
        path: the store's file; None keeps everything in memory, which is no trouble.
        owner: the engine whose alerts these are.
        give_up_after_s: how old an undelivered message may become.
    """

    def __init__(self, path: Path | None, owner: str, give_up_after_s: float) -> None:
        self.path = path
        self.owner = owner
        self.trouble = ""
        self._give_up_after_s = give_up_after_s
        self._retry_at = 0.0
        try:
            self.shelf = self._open(path)
        except StoreError as error:
            self.trouble = str(error)
            self.shelf = self._open(None)

    def _open(self, path: Path | None) -> Shelf:
        database = Database(path)
        return Shelf(
            database,
            Alerts(database),
            Outbox(database, self._give_up_after_s),
            DispatchState(database, self.owner),
        )

    def failed(self, error: sqlite3.Error, now: float) -> None:
        """The file cannot be written: go on in memory, with what has not been delivered as far as it can be read."""
        self._retry_at = now + RETRY_S
        if not self.shelf.durable:
            return
        self.trouble = f"the alert store {self.path} cannot be used ({error}): alerts are kept in memory until it can"
        before, self.shelf = self.shelf, self._open(None)
        self.shelf.dispatch.lead(now)
        _close(before.database)

    def try_again(self, now: float, move: Callable[[Shelf, Shelf], None]) -> bool:
        """Return to the file if it can be written again, and let `move` take there what is in memory; whether so."""
        if self.path is None or self.shelf.durable or now < self._retry_at:
            return False
        self._retry_at = now + RETRY_S
        try:
            found = self._open(self.path)
        except StoreError as error:
            self.trouble = str(error)
            return False
        try:
            move(self.shelf, found)
        except sqlite3.Error as error:
            self.trouble = f"the alert store {self.path} cannot be used ({error})"
            _close(found.database)
            return False
        before, self.shelf = self.shelf, found
        _close(before.database)
        self.trouble = ""
        return True

    def close(self) -> None:
        _close(self.shelf.database)


def move(owner: str, now: float) -> Callable[[Shelf, Shelf], None]:
    """Takes the steps and the undelivered messages of one shelf to another."""

    def take(source: Shelf, target: Shelf) -> None:
        steps: Sequence[AlertTransition] = [step.transition for step in source.alerts.after(0, _MOST_MOVED)]
        target.alerts.record(owner, steps, now)
        waiting = [message for place in (Place.QUEUED, Place.SENDING) for message in source.outbox.list(place)]
        with target.database.transaction() as connection:
            enqueue(connection, [message.notification for message in sorted(waiting)], now)

    return take


def _close(database: Database) -> None:
    try:
        database.close()
    except sqlite3.Error:
        return  # it is out of order: that is why
