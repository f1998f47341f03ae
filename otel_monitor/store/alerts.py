"""The alerts of all engines that share a store: how they stand, and every step of their lives."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from otel_monitor.store.codec import dump_alert, load_transition
from otel_monitor.store.database import Database
from otel_monitor_processors.alerts.alert import Alert, AlertTransition, State

OPEN = (State.PENDING, State.FIRING)
_BATCH = 1_000
_RECENT = 4_096
_AS_SEEN = (
    "SELECT event.at, event.previous, event.reason, event.alert, alert.overruled, alert.updated_at "
    "FROM alert JOIN event ON event.seq = alert.last_event WHERE "
)
_BUT_NOT_RESOLVED = "alert.state IN (SELECT value FROM json_each(?)) AND NOT alert.overruled"
_BUT_RESOLVED = "(alert.overruled OR alert.state IN (SELECT value FROM json_each(?)))"


class Step(NamedTuple):
    """A transition with its place in the order of all."""

    seq: int
    transition: AlertTransition


class Abandoned(NamedTuple):
    """An open alert, the engine that it is of, and when that was last heard of."""

    owner: str
    heard_at: float
    alert: Alert


class Alerts:
    """Transitions go in, in the order in which they happened; alerts and their histories come out."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._recent: deque[Step] = deque(maxlen=_RECENT)  # who has recorded a step need not read it

    # -- steps ------------------------------------------------------------------------------------------

    def record(self, owner: str, transitions: Sequence[AlertTransition], now: float) -> list[Step]:
        """Commit transitions of the engine `owner`: when this returns, they survive.

        Raises:
            sqlite3.Error: none of them was committed.
        """
        with self._database.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO owner VALUES (?, ?)", (owner, now))
            steps = [Step(seq, item) for seq, item in enumerate(transitions, self._next_seq())]
            connection.executemany(
                "INSERT INTO event (seq, alert_id, at, previous, reason, alert) VALUES (?, ?, ?, ?, ?, ?)",
                [(seq, *_event_row(item)) for seq, item in steps],
            )
            connection.executemany(
                "INSERT INTO alert VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0) ON CONFLICT (id) DO UPDATE SET "
                "severity = excluded.severity, state = excluded.state, updated_at = excluded.updated_at, "
                "last_event = excluded.last_event, owner = excluded.owner, overruled = 0",
                [_alert_row(owner, step) for step in steps],
            )
        self._recent += steps
        return steps

    def _next_seq(self) -> int:
        with self._database.reading() as connection:
            row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'event'").fetchone()
        return 1 if row is None else int(row[0]) + 1

    def has(self, transition: AlertTransition) -> bool:
        """Whether this very step is there already."""
        with self._database.reading() as connection:
            row = connection.execute(
                "SELECT 1 FROM event WHERE alert_id = ? AND at = ? AND previous = ? AND reason = ?",
                (transition.alert.id, transition.at, transition.previous.value, transition.reason),
            ).fetchone()
        return row is not None

    def resolve_by_hand(self, transition: AlertTransition) -> None:
        """Somebody has resolved an alert, against its engine: the alert's next step undoes that."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO event (alert_id, at, previous, reason, alert, by_hand) VALUES (?, ?, ?, ?, ?, 1)",
                _event_row(transition),
            )
            connection.execute(
                "UPDATE alert SET overruled = 1, updated_at = ? WHERE id = ?", (transition.at, transition.alert.id)
            )

    def overrule(self, step: Step) -> None:
        """That somebody has resolved the alert of a step stands, in spite of this step."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE alert SET overruled = 1 WHERE id = ? AND last_event = ?",
                (step.transition.alert.id, step.seq),
            )

    def after(self, seq: int, limit: int = _BATCH, up_to: int | None = None) -> list[Step]:
        """Steps that engines took, later than `seq`, the oldest first."""
        with self._database.reading() as connection:
            wanted = connection.execute(
                "SELECT seq FROM event WHERE seq > ?1 AND (?2 IS NULL OR seq <= ?2) AND by_hand = 0 "
                "ORDER BY seq LIMIT ?3",
                (seq, up_to, limit),
            ).fetchall()
            known = {step.seq: step for step in self._recent if step.seq > seq} if wanted else {}
            if all(number in known for (number,) in wanted):
                return [known[number] for (number,) in wanted]
            rows = connection.execute(
                "SELECT seq, at, previous, reason, alert FROM event "
                "WHERE seq BETWEEN ? AND ? AND by_hand = 0 ORDER BY seq",
                (wanted[0][0], wanted[-1][0]),
            ).fetchall()
        return [known.get(row[0]) or Step(row[0], load_transition(*row[1:])) for row in rows]

    def recent(self, after: int) -> list[AlertTransition]:
        """The newest steps later than `after` that this process has recorded itself; asks no file."""
        return [step.transition for step in self._recent if step.seq > after]

    def history(self, alert_id: str) -> list[Step]:
        """Every step of one alert that is still kept, those by hand included."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT seq, at, previous, reason, alert FROM event WHERE alert_id = ? ORDER BY seq", (alert_id,)
            ).fetchall()
        return [Step(row[0], load_transition(*row[1:])) for row in rows]

    # -- alerts -----------------------------------------------------------------------------------------

    def in_state(self, states: Iterable[State], *, limit: int = _BATCH) -> list[Alert]:
        """The alerts that are in one of these states, as they were last seen, the newest change first."""
        wanted = json.dumps(sorted({state.value for state in states}))
        is_one = _BUT_RESOLVED if State.RESOLVED.value in wanted else _BUT_NOT_RESOLVED
        with self._database.reading() as connection:
            rows = connection.execute(
                _AS_SEEN + is_one + " ORDER BY alert.updated_at DESC, alert.id LIMIT ?", (wanted, limit)
            ).fetchall()
        return [_as_seen(*row) for row in rows]

    def open_of(self, owner: str, limit: int = _BATCH) -> list[Alert]:
        """The alerts that the engine `owner` holds for pending or firing, whatever people have done to them."""
        with self._database.reading() as connection:
            rows = connection.execute(
                _AS_SEEN + "alert.state IN (?, ?) AND alert.owner = ? ORDER BY alert.updated_at DESC, alert.id LIMIT ?",
                (*(state.value for state in OPEN), owner, limit),
            ).fetchall()
        return [load_transition(*row[:4]).alert for row in rows]

    def firing_ids(self, limit: int) -> frozenset[str]:
        """The ids of all alerts that fire and that nobody has resolved by hand."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT id FROM alert WHERE state = ? AND NOT overruled LIMIT ?", (State.FIRING.value, limit)
            ).fetchall()
        return frozenset(row[0] for row in rows)

    def matching(self, beginning: str, limit: int) -> list[Alert]:
        """Alerts whose ids begin so, as they were last seen."""
        with self._database.reading() as connection:
            rows = connection.execute(
                _AS_SEEN + "alert.id >= ? AND alert.id < ? ORDER BY alert.id LIMIT ?",
                (beginning, beginning + "\uffff", limit),
            ).fetchall()
        return [_as_seen(*row) for row in rows]

    # -- engines ----------------------------------------------------------------------------------------

    def alive(self, owner: str, now: float) -> None:
        """The engine `owner` is still there."""
        with self._database.transaction(durable=False) as connection:
            connection.execute("INSERT OR REPLACE INTO owner VALUES (?, ?)", (owner, now))

    def alive_at(self, owner: str) -> float | None:
        """When the engine `owner` was last heard of."""
        with self._database.reading() as connection:
            row = connection.execute("SELECT alive_at FROM owner WHERE name = ?", (owner,)).fetchone()
        return None if row is None else float(row[0])

    def abandoned(self, before: float, limit: int = _BATCH) -> list[Abandoned]:
        """Open alerts whose engine has not been heard of since `before`."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT alert.owner, owner.alive_at, event.at, event.previous, event.reason, event.alert FROM alert "
                "JOIN owner ON owner.name = alert.owner JOIN event ON event.seq = alert.last_event "
                "WHERE alert.state IN (?, ?) AND owner.alive_at < ? LIMIT ?",
                (*(state.value for state in OPEN), before, limit),
            ).fetchall()
        return [Abandoned(row[0], row[1], load_transition(*row[2:]).alert) for row in rows]

    # -- retention --------------------------------------------------------------------------------------

    def retain(self, since: float, handled: int, after: int = 0, limit: int = _BATCH) -> int | None:
        """Delete what ended before `since` among the `limit` steps later than `after`, none later than `handled`.

        Returns where to go on; None when all is done. Of an alert that is still open the last step is kept,
        however old it is. Steps stand in the order of time, or nearly: the first younger one ends it.
        """
        with self._database.transaction(durable=False) as connection:
            rows = connection.execute(
                "SELECT event.seq, event.at, event.alert_id, event.seq = alert.last_event AND alert.state IN (?, ?) "
                "FROM event LEFT JOIN alert ON alert.id = event.alert_id "
                "WHERE event.seq > ? AND event.seq <= ? ORDER BY event.seq LIMIT ?",
                (*(state.value for state in OPEN), after, handled, limit),
            ).fetchall()
            old = [row for row in rows if row[1] < since]
            deleted = [(seq, alert_id) for seq, _, alert_id, is_needed in old if not is_needed]
            connection.executemany("DELETE FROM event WHERE seq = ?", [(seq,) for seq, _ in deleted])
            connection.executemany(
                "DELETE FROM alert WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM event WHERE alert_id = ?1)",
                [(alert_id,) for alert_id in {alert_id for _, alert_id in deleted}],
            )
        return rows[-1][0] if len(rows) == limit and len(old) == len(rows) else None


def _event_row(transition: AlertTransition) -> tuple[str, float, str, str, str]:
    alert = transition.alert
    return alert.id, transition.at, transition.previous.value, transition.reason, dump_alert(alert)


def _alert_row(owner: str, step: Step) -> tuple[object, ...]:
    transition = step.transition
    alert = transition.alert
    return (
        alert.id,
        alert.fingerprint,
        owner,
        alert.rule,
        alert.severity.value,
        alert.state.value,
        alert.active_at,
        transition.at,
        step.seq,
    )


def _as_seen(at: float, previous: str, reason: str, text: str, overruled: int, updated_at: float) -> Alert:
    alert = load_transition(at, previous, reason, text).alert
    if overruled and alert.state in OPEN:
        return alert.but(state=State.RESOLVED, resolved_at=updated_at, held="")
    return alert
