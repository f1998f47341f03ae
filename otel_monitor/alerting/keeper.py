"""Keeps alerts and messages in the store's file; while that cannot be used, in memory, and says so."""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import dataclass
from pathlib import Path

from otel_monitor.store.alerts import Alerts
from otel_monitor.store.claim import Claim, is_claimed
from otel_monitor.store.database import BUSY_S, Database, StoreError
from otel_monitor.store.dispatch_state import DispatchState
from otel_monitor.store.outbox import Outbox
from otel_monitor.store.schema import NewerSchemaError

RETRY_S = 30.0
"""How often a file that failed is tried again."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """One database and what is kept in it. `owner` names the engine whose alerts this process keeps there."""

    database: Database
    owner: str
    alerts: Alerts
    outbox: Outbox
    dispatch: DispatchState

    @classmethod
    def of(cls, database: Database, owner: str, give_up_after_s: float) -> Shelf:
        return cls(
            database,
            owner,
            Alerts(database),
            Outbox(database, give_up_after_s, me=owner),
            DispatchState(database, owner),
        )

    @property
    def durable(self) -> bool:
        """Whether what is committed survives the end of the process."""
        return self.database.path is not None

    def is_dead(self, owner: str) -> bool:
        """Whether there is certainly no process of this name any more. To be asked within a transaction."""
        path = self.database.path
        return path is not None and owner != self.owner and not is_claimed(path, owner)

    def reclaim(self) -> None:
        """What processes that are dead were sending is due at once."""
        with self.database.transaction(durable=False):
            for name in filter(self.is_dead, self.outbox.senders()):
                self.outbox.reclaim(name)


class Keeper:
    """The shelf in use, opened when it is first asked for.

    `trouble` says why it is not the one that was asked for, empty where it is.

    Args:
        path: the store's file; None keeps everything in memory, which is no trouble.
        base: the engine's name; where several of this name share the file, each gets a number.
        give_up_after_s: how old an undelivered message may become.
        busy_s: how long another process may hold the file before it counts as locked.
    """

    def __init__(self, path: Path | None, base: str, give_up_after_s: float, busy_s: float = BUSY_S) -> None:
        self.path = path
        self.trouble = ""
        self._base = base
        self._give_up_after_s = give_up_after_s
        self._busy_s = busy_s
        self._retry_at = 0.0
        self._claim: Claim | None = None
        self._shelf: Shelf | None = None
        self._lock = threading.RLock()  # guards _shelf and _claim

    @property
    def is_open(self) -> bool:
        return self._shelf is not None

    @property
    def shelf(self) -> Shelf:
        """The file's, or, where that cannot be used, one in memory."""
        with self._lock:
            if self._shelf is None:
                try:
                    self._shelf = self._open_file() if self.path is not None else self._memory()
                except (StoreError, NewerSchemaError) as error:
                    self.trouble = f"{error}; until then alerts are kept in memory"
                    self._shelf = self._memory()
            return self._shelf

    def to_memory(self, error: Exception | str, now: float) -> Shelf | None:
        """The file cannot be used any more: go on in memory.

        Returns the file's shelf, not closed: something may still be read. None: this is memory already.
        """
        with self._lock:
            before = self.shelf
            self._retry_at = now + RETRY_S
            if not before.durable:
                return None
            self.trouble = (
                f"the alert store {self.path} cannot be used ({error}): alerts are kept in memory until it can"
            )
            self._shelf = self._memory()
            return before

    def try_again(self, now: float) -> Shelf | None:
        """The file's shelf, if it is due to be tried and can be opened again; not in use yet: see `use`."""
        with self._lock:
            if self.path is None or self.shelf.durable or now < self._retry_at:
                return None
            self._retry_at = now + RETRY_S
            try:
                return self._open_file()
            except (StoreError, NewerSchemaError) as error:
                self.trouble = f"{error}; until then alerts are kept in memory"
                return None

    def retry_soon(self) -> None:
        """There is reason to think that the file can be used: do not wait."""
        self._retry_at = 0.0

    def use(self, shelf: Shelf) -> None:
        """Keep things there from now on."""
        with self._lock:
            self._shelf = shelf
            self.trouble = ""

    def close(self) -> None:
        """Let go of the file and the name; the next use opens it again."""
        with self._lock:
            shelf, self._shelf = self._shelf, None
            claim, self._claim = self._claim, None
        if shelf is not None:
            shelf.database.close()
        if claim is not None:
            claim.release()

    def forked(self) -> None:
        """In a forked child: what is open is the parent's."""
        self._lock = threading.RLock()
        shelf, self._shelf = self._shelf, None
        claim, self._claim = self._claim, None
        if shelf is not None:
            shelf.database.leave_to_parent()
        if claim is not None:
            claim.release()

    def _memory(self) -> Shelf:
        owner = self._claim.name if self._claim is not None else self._base
        return Shelf.of(Database(None), owner, self._give_up_after_s)

    def _open_file(self) -> Shelf:
        path = self.path
        assert path is not None  # noqa: S101 - every caller has asked
        database = Database(path, busy_s=self._busy_s)
        try:
            if self._claim is None or not self._claim.holds():
                with database.transaction(durable=False):
                    self._claim = Claim(path, self._base)
        except (OSError, sqlite3.Error) as error:
            database.close()
            raise StoreError(f"cannot write beside the alert store {path}: {error}. Name a writable folder") from error
        return Shelf.of(database, self._claim.name, self._give_up_after_s)
