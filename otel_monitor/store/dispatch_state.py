"""Who of the processes that share a store dispatches, and how far that one has come.

The dispatcher is a pure state machine: the state is kept now and then, and in between a line for every time it saw
something new. Whoever takes over loads the state and lets it see the same at the same times again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from otel_monitor.store.codec import pack, unpack
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


class Progress(NamedTuple):
    """The last step of an alert and the last request that the dispatcher has seen, and the last line of its journal."""

    last_event: int = 0
    last_request: int = 0
    entry: int = 0


class Entry(NamedTuple):
    """A line of the journal: at `at` the dispatcher had seen everything up to `progress`."""

    at: float
    progress: Progress


class Snapshot(NamedTuple):
    """The dispatcher's state when it had come so far. None: it had not begun."""

    progress: Progress
    state: dict[str, Any] | None


class DispatchState:
    """One row that exactly one process at a time may write, with what belongs to it."""

    def __init__(self, database: Database, me: str) -> None:
        self._database = database
        self._me = me
        self._renew_at = 0.0
        self._renewed_at = 0.0

    def lead(self, now: float) -> bool:
        """Become the leader, or stay it: whether this is the one.

        Raises:
            sqlite3.Error: nobody knows.
        """
        if self._renewed_at <= now < self._renew_at:
            return True
        if self.leader(now) not in ("", self._me):
            return False
        with self._database.transaction(durable=False) as connection:
            mine = connection.execute(
                "UPDATE dispatcher SET leader = ?1, leads_until = ?2 "
                "WHERE leader = ?1 OR leads_until <= ?3 OR leads_until > ?4",
                (self._me, now + LEADS_S, now, now + 2.0 * LEADS_S),
            ).rowcount
        self._renewed_at, self._renew_at = (now, now + LEADS_S / 2.0) if mine else (0.0, 0.0)
        return mine == 1

    def leader(self, now: float) -> str:
        """Who leads; empty when nobody does. A promise from the far future is that of a clock that was set back."""
        with self._database.reading() as connection:
            leader, until = connection.execute("SELECT leader, leads_until FROM dispatcher").fetchone()
        return str(leader) if now < until <= now + 2.0 * LEADS_S else ""

    def resign(self) -> None:
        """Let another one lead at once."""
        self._renew_at = 0.0
        with self._database.transaction(durable=False) as connection:
            connection.execute("UPDATE dispatcher SET leads_until = 0 WHERE leader = ?", (self._me,))

    # -- progress ---------------------------------------------------------------------------------------

    def progress(self) -> Progress:
        """How far the dispatcher has come."""
        with self._database.reading() as connection:
            row = connection.execute(
                "SELECT last_event, last_request, (SELECT coalesce(max(seq), 0) FROM journal) FROM dispatcher"
            ).fetchone()
        return Progress(row[0], row[1], max(row[2], self._snapshot_progress().entry))

    def commit(
        self, progress: Progress, notifications: Iterable[Notification], answers: Iterable[Answer], now: float
    ) -> Progress | None:
        """Keep how far the dispatcher has come, queue what it wants to be sent, answer requests: all or nothing.

        Returns `progress` with its line in the journal; None: another process leads meanwhile, nothing was kept.

        Raises:
            sqlite3.Error: nothing was kept.
        """
        with self._database.transaction() as connection:
            kept = connection.execute(
                "UPDATE dispatcher SET last_event = ?, last_request = ? WHERE leader = ?",
                (progress.last_event, progress.last_request, self._me),
            ).rowcount
            if not kept:
                self._renew_at = 0.0
                return None
            entry = connection.execute(
                "INSERT INTO journal (at, last_event, last_request) VALUES (?, ?, ?)",
                (now, progress.last_event, progress.last_request),
            ).lastrowid
            enqueue(connection, notifications, now)
            connection.executemany(
                "UPDATE request SET answer = ? WHERE seq = ?", [(_text(item.body), item.seq) for item in answers]
            )
        return progress._replace(entry=entry or 0)

    def keep(self, snapshot: Snapshot) -> bool:
        """Keep the dispatcher's state; the journal up to there has done its work. False: another one leads.

        Raises:
            sqlite3.Error: what was kept before still is.
        """
        if snapshot.state is None:
            return False
        progress, packed = snapshot.progress, pack(snapshot.state)
        with self._database.transaction(durable=False) as connection:
            kept = connection.execute(
                "UPDATE dispatcher SET last_event = ?, last_request = ? WHERE leader = ?",
                (progress.last_event, progress.last_request, self._me),
            ).rowcount
            if kept:
                connection.execute(
                    "INSERT OR REPLACE INTO snapshot VALUES (1, ?, ?, ?, ?)",
                    (progress.entry, progress.last_event, progress.last_request, packed),
                )
                connection.execute("DELETE FROM journal WHERE seq <= ?", (progress.entry,))
        return kept == 1

    def forget(self, progress: Progress) -> None:
        """The journal and the requests up to there are of no use to anybody."""
        with self._database.transaction(durable=False) as connection:
            connection.execute("DELETE FROM journal WHERE seq <= ?", (progress.entry,))
            connection.execute("DELETE FROM request WHERE seq <= ?", (progress.last_request,))

    def snapshot(self) -> Snapshot:
        """The state that was kept last.

        Raises:
            ValueError: it cannot be read.
        """
        with self._database.reading() as connection:
            row = connection.execute("SELECT state FROM snapshot").fetchone()
        return Snapshot(self._snapshot_progress(), None if row is None else unpack(row[0]))

    def _snapshot_progress(self) -> Progress:
        with self._database.reading() as connection:
            row = connection.execute("SELECT last_event, last_request, entry FROM snapshot").fetchone()
        return Progress() if row is None else Progress(*row)

    def journal(self, after: int) -> list[Entry]:
        """What the dispatcher saw since a line of its journal, the oldest first."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT at, last_event, last_request, seq FROM journal WHERE seq > ? ORDER BY seq", (after,)
            ).fetchall()
        return [Entry(at, Progress(*rest)) for at, *rest in rows]

    # -- requests ---------------------------------------------------------------------------------------

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

    def requests(self, after: int, up_to: int | None = None) -> list[Request]:
        """Requests later than `after`, the oldest first."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT seq, at, body FROM request WHERE seq > ?1 AND (?2 IS NULL OR seq <= ?2) ORDER BY seq",
                (after, up_to),
            ).fetchall()
        return [Request(seq, at, json.loads(body)) for seq, at, body in rows]

    def retain(self, since: float) -> None:
        """Delete requests from before `since` that the kept state contains."""
        with self._database.transaction(durable=False) as connection:
            connection.execute(
                "DELETE FROM request WHERE at < ? AND seq <= ?", (since, self._snapshot_progress().last_request)
            )


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":"), default=str)
