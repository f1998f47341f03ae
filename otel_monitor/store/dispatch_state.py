"""Who of the processes that share a store dispatches, and how far that one has come."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from otel_monitor.store.database import Database
from otel_monitor.store.outbox import enqueue
from otel_monitor_processors.alerts.notification import Notification

LEADS_S = 10.0
"""So long a leader may be silent before another takes over."""


class Request(NamedTuple):
    """What somebody wants of the dispatcher, maybe in another process."""

    seq: int
    at: float
    body: dict[str, Any]


class Answer(NamedTuple):
    """What the dispatcher says to a request."""

    seq: int
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Progress:
    """What the dispatcher has seen, and its state then; None: it has not begun."""

    last_event: int
    last_request: int
    state: dict[str, Any] | None


class DispatchState:
    """One row that exactly one process at a time may write."""

    def __init__(self, database: Database, me: str) -> None:
        self._database = database
        self._me = me

    def lead(self, now: float) -> bool:
        """Become the leader, or stay it: whether this is the one.

        Raises:
            sqlite3.Error: nobody knows.
        """
        with self._database.transaction() as connection:
            return (
                connection.execute(
                    "UPDATE dispatcher SET leader = ?1, leads_until = ?2 WHERE leader = ?1 OR leads_until <= ?3",
                    (self._me, now + LEADS_S, now),
                ).rowcount
                == 1
            )

    def resign(self) -> None:
        """Let another one lead at once."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE dispatcher SET leads_until = 0 WHERE leader = ?", (self._me,))

    def progress(self) -> Progress:
        with self._database.reading() as connection:
            row = connection.execute("SELECT last_event, last_request, state FROM dispatcher").fetchone()
        return Progress(row[0], row[1], None if row[2] is None else json.loads(row[2]))

    def commit(
        self, progress: Progress, notifications: Iterable[Notification], answers: Iterable[Answer], now: float
    ) -> bool:
        """Keep the dispatcher's state, queue what it wants to be sent, and answer requests: all or nothing.

        False: another process leads meanwhile, and nothing was kept.

        Raises:
            sqlite3.Error: nothing was kept.
        """
        with self._database.transaction() as connection:
            kept = connection.execute(
                "UPDATE dispatcher SET last_event = ?, last_request = ?, state = ? WHERE leader = ?",
                (progress.last_event, progress.last_request, _text(progress.state), self._me),
            ).rowcount
            if kept:
                enqueue(connection, notifications, now)
                connection.executemany(
                    "UPDATE request SET answer = ? WHERE seq = ?", [(_text(item.body), item.seq) for item in answers]
                )
        return kept == 1

    def ask(self, body: dict[str, Any], now: float) -> int:
        """Leave a request for whoever leads; its number."""
        with self._database.transaction() as connection:
            cursor = connection.execute(
                "INSERT INTO request (at, body) VALUES (?, ?)", (now, json.dumps(body, separators=(",", ":")))
            )
        return cursor.lastrowid or 0

    def answer(self, seq: int) -> dict[str, Any] | None:
        """What the dispatcher said to a request; None while it has not seen it."""
        with self._database.reading() as connection:
            row = connection.execute("SELECT answer FROM request WHERE seq = ?", (seq,)).fetchone()
        answer: dict[str, Any] | None = None if row is None or row[0] is None else json.loads(row[0])
        return answer

    def requests(self, after: int) -> list[Request]:
        """Requests that the dispatcher has not seen, the oldest first."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT seq, at, body FROM request WHERE seq > ? ORDER BY seq", (after,)
            ).fetchall()
        return [Request(seq, at, json.loads(body)) for seq, at, body in rows]

    def retain(self, since: float) -> None:
        """Delete requests from before `since` that have been seen."""
        with self._database.transaction() as connection:
            connection.execute(
                "DELETE FROM request WHERE at < ? AND seq <= (SELECT last_request FROM dispatcher)", (since,)
            )


def _text(document: dict[str, Any] | None) -> str | None:
    return None if document is None else json.dumps(document, separators=(",", ":"), default=str)
