"""The store's file: opened where it is safe, brought up to date, and never written in part."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import psutil
import pytest

from otel_monitor.store.database import Database, StoreError, file_system_of
from otel_monitor.store.schema import MIGRATIONS


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "alerts.db"


def test_a_file_is_made_with_its_folder_in_wal_mode_and_fully_synchronous(path: Path) -> None:
    database = Database(path)
    with database.reading() as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    database.close()


def test_what_fails_halfway_leaves_nothing(path: Path) -> None:
    database = Database(path)
    with pytest.raises(sqlite3.IntegrityError):
        _insert_twice(database)
    with database.reading() as connection:
        assert connection.execute("SELECT count(*) FROM owner").fetchone() == (0,)
    database.close()


def test_many_may_open_a_new_file_at_once(path: Path) -> None:
    path.parent.mkdir()
    opened: list[Database] = []
    threads = [threading.Thread(target=lambda: opened.append(Database(path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 8
    for database in opened:
        database.close()


def test_a_file_of_a_newer_version_is_refused_by_name(path: Path) -> None:
    Database(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(Exception, match="schema version 99, and this version of otel-monitor knows"):
        Database(path)


@pytest.mark.parametrize(
    "content", [b"this is no database at all, but quite a text" * 100, b"SQLite format 3\x00" * 64]
)
def test_a_file_that_is_no_database_is_refused_and_left_alone(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(StoreError, match=f"cannot open the alert store {path}"):
        Database(path)
    assert path.read_bytes() == content


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="Name a writable file as store_path"):
        Database(tmp_path / "file" / "alerts.db")


def mounts(folder: Path, *lines: str) -> str:
    """A `/proc` whose table of mounts says so."""
    (folder / "proc" / "self").mkdir(parents=True)
    (folder / "proc" / "filesystems").write_text("nodev\tnfs4\n\text4\n")
    (folder / "proc" / "self" / "mounts").write_text("".join(f"{line}\n" for line in lines))
    return str(folder / "proc")


def test_a_network_file_system_is_refused(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = mounts(tmp_path, "/dev/sda1 / ext4 rw 0 0", f"nas:/export {path.parent} nfs4 rw 0 0")
    monkeypatch.setattr(psutil, "PROCFS_PATH", table)
    with pytest.raises(StoreError, match=r"on a network file system \(nfs4\), where it would be corrupted"):
        Database(path)
    assert not path.exists()


def test_of_two_mounts_at_one_place_the_later_one_counts(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = mounts(
        tmp_path,
        *("/dev/sda1 / ext4 rw 0 0", f"/etc/auto.nas {path.parent} autofs rw 0 0"),
        f"nas:/export {path.parent} nfs4 rw 0 0",
    )
    monkeypatch.setattr(psutil, "PROCFS_PATH", table)
    assert file_system_of(path) == "nfs4"


def test_the_file_system_of_a_path_is_the_innermost_mount() -> None:
    assert file_system_of(Path("/proc/self")) == "proc"
    assert file_system_of(Path("/")) not in ("", "proc")


def test_without_a_path_everything_is_in_memory() -> None:
    first, second = Database(None), Database(None)
    with first.transaction() as connection:
        connection.execute("INSERT INTO owner VALUES ('a', 1)")
    with second.reading() as connection:
        assert connection.execute("SELECT count(*) FROM owner").fetchone() == (0,)
    first.close()
    second.close()


def _insert_twice(database: Database) -> None:
    with database.transaction() as connection:
        connection.execute("INSERT INTO owner VALUES ('a', 1)")
        connection.execute("INSERT INTO owner VALUES ('a', 2)")
