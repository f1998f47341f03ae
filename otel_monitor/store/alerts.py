"""The alerts of all engines that share a store: how they stand, and every step of their lives."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from otel_monitor.store.codec import dump_alert, load_transition
from otel_monitor.store.database import Database
from otel_monitor_processors.alerts.alert import Alert, AlertTransition, State

_OPEN = (State.PENDING, State.FIRING)
_BATCH = 1_000


class Step(NamedTuple):
    """A transition with its place in the order of all."""

    seq: int
    transition: AlertTransition


class Alerts:
    """Transitions go in, in the order in which they happened; alerts and their histories come out."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, owner: str, transitions: Sequence[AlertTransition], now: float) -> list[Step]:
        """Commit transitions of the engine `owner`: when this returns, they survive.

        Raises:
            sqlite3.Error: none of them was committed.
        """
        with self._database.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO owner VALUES (?, ?)", (owner, now))
            return [Step(_insert(connection, owner, transition), transition) for transition in transitions]

    def overrule(self, step: Step) -> None:
        """Somebody has resolved the alert of a step by hand, and that stands."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE alert SET state = ? WHERE id = ? AND last_event = ?",
                (State.RESOLVED.value, step.transition.alert.id, step.seq),
            )

    def after(self, seq: int, limit: int = _BATCH) -> list[Step]:
        """Steps later than `seq`, the oldest first."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT seq, at, previous, reason, alert FROM event WHERE seq > ? ORDER BY seq LIMIT ?", (seq, limit)
            ).fetchall()
        return [Step(row[0], load_transition(*row[1:])) for row in rows]

    def history(self, alert_id: str) -> list[Step]:
        """Every step of one alert that is still kept."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT seq, at, previous, reason, alert FROM event WHERE alert_id = ? ORDER BY seq", (alert_id,)
            ).fetchall()
        return [Step(row[0], load_transition(*row[1:])) for row in rows]

    def in_state(self, states: Iterable[State], *, owner: str | None = None, limit: int = _BATCH) -> list[Alert]:
        """The alerts that are in one of these states, as they were last seen, the newest change first."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT event.at, event.previous, event.reason, event.alert FROM alert "
                "JOIN event ON event.seq = alert.last_event "
                "WHERE alert.state IN (SELECT value FROM json_each(?1)) AND (?2 IS NULL OR alert.owner = ?2) "
                "ORDER BY alert.updated_at DESC, alert.id LIMIT ?3",
                (json.dumps([state.value for state in states]), owner, limit),
            ).fetchall()
        return [load_transition(*row).alert for row in rows]

    def find(self, alert_id: str) -> Alert | None:
        """One alert as it was last seen; a prefix of its id that only it has will do."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT event.at, event.previous, event.reason, event.alert FROM alert "
                "JOIN event ON event.seq = alert.last_event WHERE alert.id >= ? AND alert.id < ? LIMIT 2",
                (alert_id, alert_id + "\uffff"),
            ).fetchall()
        return load_transition(*rows[0]).alert if len(rows) == 1 else None

    def abandoned(self, before: float) -> list[tuple[str, Alert]]:
        """Open alerts whose engine has not been heard of since `before`, each with its owner."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT alert.owner, event.at, event.previous, event.reason, event.alert FROM alert "
                "JOIN owner ON owner.name = alert.owner JOIN event ON event.seq = alert.last_event "
                "WHERE alert.state IN (?, ?) AND owner.alive_at < ?",
                (*(state.value for state in _OPEN), before),
            ).fetchall()
        return [(row[0], load_transition(*row[1:]).alert) for row in rows]

    def alive(self, owner: str, now: float) -> None:
        """The engine `owner` is still there."""
        with self._database.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO owner VALUES (?, ?)", (owner, now))

    def retain(self, since: float, handled: int, limit: int = _BATCH) -> int:
        """Delete some of what ended before `since`, none of it after the step `handled`; how many steps that was.

        Of an alert that is still open the last step is kept, however old it is.
        """
        with self._database.transaction() as connection:
            deleted = connection.execute(
                "DELETE FROM event WHERE seq IN (SELECT event.seq FROM event JOIN alert ON alert.id = event.alert_id "
                "WHERE event.at < ?1 AND event.seq <= ?2 "
                "AND (event.seq <> alert.last_event OR alert.state NOT IN (?3, ?4)) ORDER BY event.seq LIMIT ?5)",
                (since, handled, *(state.value for state in _OPEN), limit),
            ).rowcount
            connection.execute(
                "DELETE FROM alert WHERE updated_at < ? AND NOT EXISTS (SELECT 1 FROM event WHERE alert_id = alert.id)",
                (since,),
            )
        return deleted


def _insert(connection: sqlite3.Connection, owner: str, transition: AlertTransition) -> int:
    alert = transition.alert
    cursor = connection.execute(
        "INSERT INTO event (alert_id, at, previous, reason, alert) VALUES (?, ?, ?, ?, ?)",
        (alert.id, transition.at, transition.previous.value, transition.reason, dump_alert(alert)),
    )
    seq = cursor.lastrowid or 0
    connection.execute(
        "INSERT INTO alert VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
        "severity = excluded.severity, state = excluded.state, updated_at = excluded.updated_at, "
        "last_event = excluded.last_event, owner = excluded.owner",
        (
            alert.id,
            alert.fingerprint,
            owner,
            alert.rule,
            alert.severity.value,
            alert.state.value,
            alert.active_at,
            transition.at,
            seq,
        ),
    )
    return seq
