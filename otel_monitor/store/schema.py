"""The tables, and how a database of an older version becomes one of today's."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from otel_monitor.errors import OtelMonitorError

_VERSION_1 = """
CREATE TABLE event (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    alert_id TEXT NOT NULL,
    at REAL NOT NULL,
    previous TEXT NOT NULL,
    reason TEXT NOT NULL,
    alert TEXT NOT NULL,  -- the alert as it was then, JSON
    by_hand INTEGER NOT NULL DEFAULT 0  -- somebody has resolved it: its engine knows nothing of that
);
CREATE INDEX event_of_alert ON event (alert_id, seq);
CREATE TABLE alert (
    id TEXT PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    owner TEXT NOT NULL,  -- the engine that raised it
    rule TEXT NOT NULL,
    severity TEXT NOT NULL,
    state TEXT NOT NULL,
    active_at REAL NOT NULL,
    updated_at REAL NOT NULL,
    last_event INTEGER NOT NULL,  -- of its engine
    overruled INTEGER NOT NULL DEFAULT 0  -- resolved by hand, whatever its engine says
) WITHOUT ROWID;
CREATE INDEX alert_by_state ON alert (state, updated_at);
CREATE TABLE owner (
    name TEXT PRIMARY KEY,
    alive_at REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE request (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    body TEXT NOT NULL,  -- what somebody wants of the dispatcher: a silence, an acknowledgement; JSON
    answer TEXT  -- JSON; NULL until the dispatcher has seen it
);
CREATE TABLE dispatcher (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    leader TEXT NOT NULL,
    leads_until REAL NOT NULL,
    last_event INTEGER NOT NULL,  -- that the dispatcher has seen
    last_request INTEGER NOT NULL
);
INSERT INTO dispatcher VALUES (1, '', 0, 0, 0);
CREATE TABLE snapshot (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    entry INTEGER NOT NULL,  -- the last one of the journal that the state contains
    last_event INTEGER NOT NULL,
    last_request INTEGER NOT NULL,
    state BLOB NOT NULL  -- of the dispatcher, JSON, packed
);
CREATE TABLE journal (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,  -- when the dispatcher saw what had happened up to there
    last_event INTEGER NOT NULL,
    last_request INTEGER NOT NULL
);
CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,  -- the notification's: the same message is never queued twice
    channel TEXT NOT NULL,
    group_key TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'sending', 'delivered', 'dead')),
    attempts INTEGER NOT NULL DEFAULT 0,
    created_at REAL NOT NULL,
    next_at REAL NOT NULL,
    lease_until REAL,
    leased_by TEXT,
    ended_at REAL,
    said TEXT NOT NULL DEFAULT '',  -- by the receiver, or what went wrong
    notification TEXT NOT NULL  -- JSON
);
CREATE INDEX outbox_open ON outbox (channel, seq) WHERE state IN ('queued', 'sending');
CREATE INDEX outbox_order ON outbox (channel, group_key, seq) WHERE state IN ('queued', 'sending');
CREATE INDEX outbox_ended ON outbox (state, ended_at);
"""

MIGRATIONS: tuple[str, ...] = (_VERSION_1,)
"""The script that leads from version n to n + 1 stands at place n. None is ever changed once it has been released."""


class NewerSchemaError(OtelMonitorError):
    """The database was written by a newer version than this."""


def migrate(connection: sqlite3.Connection, migrations: Sequence[str] = MIGRATIONS) -> None:
    """Bring the tables up to date, all or nothing.

    Raises:
        NewerSchemaError: they are of a version that this one does not know.
    """
    version = _version(connection)
    if version > len(migrations):
        raise NewerSchemaError(
            f"the alert store has schema version {version}, and this version of otel-monitor knows {len(migrations)}: "
            "use the newer version, or another store_path"
        )
    if version == len(migrations):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for script in migrations[_version(connection) :]:  # somebody else may have been faster
            for statement in _statements(script):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(migrations)}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _statements(script: str) -> list[str]:
    """One by one: `executescript` would commit before the first."""
    statements: list[str] = []
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            statements.append(pending)
            pending = ""
    return statements
