"""A store of an older version is brought up to date with everything in it, or left as it was."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from otel_monitor.store.database import Database
from otel_monitor.store.outbox import Place
from otel_monitor.store.schema import MIGRATIONS, migrate
from otel_monitor_processors.alerts.alert import State
from tests.alerting.services import START_S, Recorder, fires, service

VERSION_1 = Path(__file__).with_name("version_1.sql")
"""A store as version 1 has left it: four alerts fire; one message was delivered, one refused, one waits; a silence."""

NEXT = """
ALTER TABLE alert ADD COLUMN team TEXT NOT NULL DEFAULT '';
UPDATE alert SET team = 'shop';
CREATE TABLE note (text TEXT NOT NULL);
INSERT INTO note SELECT id FROM alert;
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "alerts.db"
    connection = sqlite3.connect(path)
    connection.executescript(VERSION_1.read_text())
    connection.close()
    return path


def dumped(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    try:
        return list(connection.iterdump())
    finally:
        connection.close()


def test_a_store_of_version_1_goes_on_where_it_was_left(path: Path) -> None:
    ops = Recorder()
    alerts = service(ops, path=path)
    assert {dict(alert.labels)["instance"] for alert in alerts.restore().alerts} == {
        *("told", "refused", "waiting", "quiet")
    }
    alerts(fires("new", START_S + 10.0))
    for second in (10.0, 10.1, 11.0):
        alerts.step(START_S + second)
    outbox = alerts.keeper.shelf.outbox
    assert [dict(message.notification.group_labels)["instance"] for message in outbox.undelivered(10)] == [
        "waiting",
        "new",
    ], "what was told is not told again, and the silence holds"
    (letter,) = outbox.in_place(Place.DEAD)
    assert letter.said == "HTTP 400"
    assert outbox.resend(letter.seq, START_S + 12.0)
    alerts.keeper.close()


def test_every_row_is_there_after_a_migration_and_the_change_is_made_once(path: Path) -> None:
    rows = [line for line in dumped(path) if line.startswith("INSERT") and '"alert"' not in line]
    threads = [threading.Thread(target=upgrade, args=(path, (*MIGRATIONS, NEXT))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after = dumped(path)
    assert [line for line in rows if line not in after] == []
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS) + 1,)
    assert connection.execute("SELECT count(*), max(team) FROM alert").fetchone() == (4, "shop")
    assert connection.execute("SELECT count(*) FROM note").fetchone() == (4,)
    connection.close()


def test_a_migration_that_fails_changes_nothing(path: Path) -> None:
    before = dumped(path)
    with pytest.raises(sqlite3.OperationalError, match="no such table: missing"):
        upgrade(path, (*MIGRATIONS, NEXT + "DELETE FROM missing;\n"))
    assert dumped(path) == before
    database = Database(path)
    with database.reading() as connection:
        assert connection.execute("SELECT count(*) FROM alert WHERE state = ?", (State.FIRING,)).fetchone() == (4,)
    database.close()


def test_the_tables_of_a_new_store_are_those_of_a_migrated_one(path: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.db"
    for one in (path, new):
        Database(one).close()
    assert tables(path) == tables(new)


def tables(path: Path) -> list[tuple[str, str]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()
    finally:
        connection.close()


def upgrade(path: Path, migrations: tuple[str, ...]) -> None:
    connection = sqlite3.connect(path, isolation_level=None, timeout=10.0)
    try:
        migrate(connection, migrations)
    finally:
        connection.close()
