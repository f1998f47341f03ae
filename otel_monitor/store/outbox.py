"""The outbox: notifications that are on their way, in the order in which each channel is to get them.

A message is delivered at least once: whoever takes one leases it, and if he dies with it, it is due again when
the lease has ended, with the same id. Within a group no message overtakes another; groups do not wait for
each other.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from otel_monitor.store.codec import dump_notification, load_notification
from otel_monitor.store.database import Database
from otel_monitor_processors.alerts.notification import Notification

LEASE_S = 60.0
FIRST_DELAY_S = 1.0
LONGEST_DELAY_S = 300.0
_BATCH = 1_000
_MOST_ENDED = 10_000
_MOST_WATCHED = 1_000
_FIRST_DUE = (
    " FROM outbox AS mine WHERE channel = ?1 AND state IN ('queued', 'sending') AND next_at <= ?2 "
    "AND (lease_until IS NULL OR lease_until <= ?2) AND NOT EXISTS (SELECT 1 FROM outbox AS earlier "
    "WHERE earlier.channel = mine.channel AND earlier.group_key = mine.group_key "
    "AND earlier.seq < mine.seq AND earlier.state IN ('queued', 'sending')) ORDER BY seq LIMIT 1"
)


class Place(StrEnum):
    """Where a message is."""

    QUEUED = "queued"
    SENDING = "sending"
    DELIVERED = "delivered"
    DEAD = "dead"


class Message(NamedTuple):
    """A notification on its way: `attempts` counts those begun, `said` is the last answer or trouble."""

    seq: int
    notification: Notification
    place: Place
    attempts: int
    created_at: float
    next_at: float
    said: str


class Outbox:
    """Times are unix seconds, passed in. What is older than `give_up_after_s` is not tried again.

    Leases and their ends are not durable against a loss of power: after one, a message may be sent again.
    """

    def __init__(
        self, database: Database, give_up_after_s: float, rng: random.Random | None = None, me: str = ""
    ) -> None:
        self._database = database
        self._me = me
        self._give_up_after_s = give_up_after_s
        self._rng = rng if rng is not None else random.Random()  # noqa: S311 - spreads retries, no secret
        self._underway: dict[str, Message] = {}

    def has_due(self, channel: str, now: float) -> bool:
        """Whether there is a message to lease; writes nothing."""
        with self._database.reading() as connection:
            return connection.execute("SELECT 1" + _FIRST_DUE, (channel, now)).fetchone() is not None

    def lease(self, channel: str, now: float) -> Message | None:
        """The next message that is due for a channel, now leased; None where there is none.

        Raises:
            sqlite3.Error: nothing was leased.
        """
        with self._database.transaction(durable=False) as connection:
            row = connection.execute(
                "SELECT seq, notification, state, attempts, created_at, next_at, said" + _FIRST_DUE, (channel, now)
            ).fetchone()
            if row is None:
                return None
            connection.execute(
                "UPDATE outbox SET state = 'sending', attempts = attempts + 1, lease_until = ?, leased_by = ? "
                "WHERE seq = ?",
                (now + LEASE_S, self._me, row[0]),
            )
        message = _message(row)
        return message._replace(place=Place.SENDING, attempts=message.attempts + 1)

    def delivered(self, message: Message, now: float, said: str) -> None:
        """The receiver has it."""
        self._end(message, Place.DELIVERED, now, said)

    def dead(self, message: Message, now: float, why: str) -> None:
        """The receiver will never take it."""
        self._end(message, Place.DEAD, now, why)

    def failed(self, message: Message, now: float, why: str, after_s: float | None) -> float | None:
        """Try again later: exponential back-off with full jitter, not before `after_s` where the receiver said so.

        Returns when; None where the message is too old by then: it is dead.

        Source of the jitter: Brooker, "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015).
        """
        longest = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0 ** min(message.attempts - 1, 30))
        delay = max(self._rng.uniform(0.0, longest), after_s or 0.0)
        if now + delay - message.created_at > self._give_up_after_s:
            self._end(message, Place.DEAD, now, f"given up after attempt {message.attempts}: {why}")
            return None
        with self._database.transaction(durable=False) as connection:
            connection.execute(
                "UPDATE outbox SET state = 'queued', next_at = ?, lease_until = NULL, said = ? WHERE seq = ?",
                (now + delay, why, message.seq),
            )
        return now + delay

    def _end(self, message: Message, place: Place, now: float, said: str) -> None:
        with self._database.transaction(durable=False) as connection:
            connection.execute(
                "UPDATE outbox SET state = ?, ended_at = ?, lease_until = NULL, said = ? WHERE seq = ?",
                (place.value, now, said, message.seq),
            )
        self._underway.pop(message.notification.id, None)

    def senders(self) -> list[str]:
        """The names of the processes that have leased something."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT DISTINCT leased_by FROM outbox WHERE state IN ('queued', 'sending') AND lease_until IS NOT NULL"
            ).fetchall()
        return [row[0] for row in rows]

    def reclaim(self, name: str) -> None:
        """What a process of this name was sending when it died is due at once."""
        with self._database.transaction(durable=False) as connection:
            connection.execute(
                "UPDATE outbox SET lease_until = NULL WHERE state = 'sending' AND leased_by = ?", (name,)
            )

    def next_due(self, channel: str) -> float | None:
        """When the next message of a channel is due: the first of each group, when it may be sent."""
        with self._database.reading() as connection:
            row = connection.execute(
                "SELECT min(max(next_at, coalesce(lease_until, 0))) FROM outbox AS mine "
                "WHERE channel = ? AND state IN ('queued', 'sending') AND NOT EXISTS (SELECT 1 FROM outbox AS earlier "
                "WHERE earlier.channel = mine.channel AND earlier.group_key = mine.group_key "
                "AND earlier.seq < mine.seq AND earlier.state IN ('queued', 'sending'))",
                (channel,),
            ).fetchone()
        return None if row[0] is None else float(row[0])

    def undelivered(self, limit: int) -> list[Message]:
        """Every message that waits or is being sent, in its order."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT seq, notification, state, attempts, created_at, next_at, said FROM outbox "
                "WHERE state IN ('queued', 'sending') ORDER BY seq LIMIT ?",
                (limit,),
            ).fetchall()
        return [_message(row) for row in rows]

    def news(self, notifications: Iterable[Notification]) -> list[Notification]:
        """Those that are worth queueing: what still waits is not repeated, or all would arrive at once in the end."""
        found: list[Notification] = []
        ahead: set[tuple[str, str]] = set()
        with self._database.reading() as connection:
            for item in notifications:
                whose = (item.channel, item.group_key)
                if item.repeats and (whose in ahead or _waits(connection, *whose)):
                    continue
                ahead.add(whose)
                found.append(item)
        return found

    def watch(self, notifications: Iterable[Notification], now: float) -> None:
        """Remember what is about to be queued until it has ended, the newest of it: see `underway`."""
        for item in notifications:
            self._underway[item.id] = Message(0, item, Place.QUEUED, 0, now, now, "")
        for oldest in list(self._underway)[:-_MOST_WATCHED]:
            self._underway.pop(oldest, None)  # the threads that deliver take out of it, too

    def watch_all(self) -> None:
        """Remember what waits now, and nothing else."""
        self._underway = {message.notification.id: message for message in self.undelivered(_MOST_WATCHED)}

    def underway(self) -> list[Message]:
        """What has not ended yet, as far as it is remembered, in its order; asks no file, which may have failed."""
        return list(self._underway.values())

    def adopt(self, messages: Iterable[Message], now: float) -> None:
        """Take over messages of another outbox, in their order; of one that is here already, how far it has come."""
        with self._database.transaction() as connection:
            for message in messages:
                enqueue(connection, [message.notification], message.created_at)
                ended_at = now if message.place in (Place.DELIVERED, Place.DEAD) else None
                place = message.place if ended_at is not None else Place.QUEUED
                connection.execute(
                    "UPDATE outbox SET state = ?, attempts = ?, next_at = ?, ended_at = ?, said = ?, "
                    "lease_until = NULL WHERE id = ? AND state IN ('queued', 'sending')",
                    (
                        place.value,
                        message.attempts,
                        message.next_at,
                        ended_at,
                        message.said,
                        message.notification.id,
                    ),
                )

    def ended(self, limit: int = _MOST_ENDED) -> list[Message]:
        """Messages that were delivered or given up, the newest of them, the oldest first."""
        found = [message for place in (Place.DELIVERED, Place.DEAD) for message in self.in_place(place, limit)]
        return sorted(found)

    def about(self, alert_id: str, limit: int = _BATCH) -> list[Message]:
        """Messages that speak of an alert, the oldest first."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT seq, notification, state, attempts, created_at, next_at, said FROM outbox "
                "WHERE instr(notification, ?) ORDER BY seq LIMIT ?",
                (f'"id":"{alert_id}"', limit),
            ).fetchall()
        return [_message(row) for row in rows]

    def in_place(self, place: Place, limit: int = _BATCH) -> list[Message]:
        """Messages in one place, the newest first."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT seq, notification, state, attempts, created_at, next_at, said FROM outbox "
                "WHERE state = ? ORDER BY seq DESC LIMIT ?",
                (place.value, limit),
            ).fetchall()
        return [_message(row) for row in rows]

    def resend(self, seq: int, now: float) -> bool:
        """Give a dead message another life. False: there is no such one."""
        with self._database.transaction() as connection:
            changed = connection.execute(
                "UPDATE outbox SET state = 'queued', attempts = 0, created_at = ?1, next_at = ?1, ended_at = NULL "
                "WHERE seq = ?2 AND state = 'dead'",
                (now, seq),
            ).rowcount
        return changed == 1

    def depth(self) -> dict[str, int]:
        """How many messages wait, by channel."""
        with self._database.reading() as connection:
            return dict(
                connection.execute(
                    "SELECT channel, count(*) FROM outbox WHERE state IN ('queued', 'sending') GROUP BY channel"
                )
            )

    def bound(self, most: int) -> int:
        """Give up the oldest of what waits for a channel beyond `most`; how many that were."""
        dropped = 0
        for channel, depth in self.depth().items():
            if depth > most:
                with self._database.transaction(durable=False) as connection:
                    dropped += connection.execute(
                        "UPDATE outbox SET state = 'dead', ended_at = created_at, said = ? WHERE seq IN (SELECT seq "
                        "FROM outbox WHERE channel = ? AND state = 'queued' ORDER BY seq LIMIT ?)",
                        (f"given up: more than {most} messages wait", channel, depth - most),
                    ).rowcount
        return dropped

    def retain(self, delivered_since: float, dead_since: float, limit: int = _BATCH) -> int:
        """Delete some of the messages that ended before; how many."""
        with self._database.transaction(durable=False) as connection:
            return connection.execute(
                "DELETE FROM outbox WHERE seq IN (SELECT seq FROM outbox WHERE (state = 'delivered' AND ended_at < ?) "
                "OR (state = 'dead' AND ended_at < ?) LIMIT ?)",
                (delivered_since, dead_since, limit),
            ).rowcount


def enqueue(connection: sqlite3.Connection, notifications: Iterable[Notification], now: float) -> None:
    """Queue messages within somebody's transaction. One that is there already, by its id, is not queued again."""
    connection.executemany(
        "INSERT OR IGNORE INTO outbox (id, channel, group_key, state, created_at, next_at, notification) "
        "VALUES (?, ?, ?, 'queued', ?, ?, ?)",
        [(item.id, item.channel, item.group_key, now, now, dump_notification(item)) for item in notifications],
    )


def _waits(connection: sqlite3.Connection, channel: str, group_key: str) -> bool:
    """Whether a message of a group to a channel is still on its way."""
    row = connection.execute(
        "SELECT 1 FROM outbox WHERE channel = ? AND group_key = ? AND state IN ('queued', 'sending') LIMIT 1",
        (channel, group_key),
    ).fetchone()
    return row is not None


def _message(row: tuple[int, str, str, int, float, float, str]) -> Message:
    seq, notification, place, attempts, created_at, next_at, said = row
    return Message(seq, load_notification(notification), Place(place), attempts, created_at, next_at, said)
