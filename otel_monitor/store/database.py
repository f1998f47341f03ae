"""The database file: opened only where it is safe, one writer at a time, nothing lost that was committed."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from otel_monitor.errors import OtelMonitorError
from otel_monitor.store import forks
from otel_monitor.store.schema import migrate

BUSY_S = 5.0
"""So long another process may hold the file before it counts as locked."""
_NETWORK = frozenset(
    (
        *("nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "afs", "9p", "ncpfs", "ceph", "glusterfs", "lustre"),
        *("fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.s3fs", "fuse.rclone", "fuse.gcsfuse", "gfs2", "ocfs2"),
        *("beegfs", "gpfs", "webdav", "davfs", "virtiofs"),
    )
)
"""File systems on which the shared memory and the locks of SQLite's WAL mode do not work between machines."""


class StoreError(OtelMonitorError):
    """The alert store cannot be used as it is; the text says what to do."""


class Database:
    """One connection, shared by threads, in WAL mode. `path` None keeps everything in memory.

    What a durable `transaction` has committed survives a loss of power (`synchronous=FULL`); what another one has
    committed survives the end of the process, however that comes.

    Raises:
        StoreError: the file is on a network file system, cannot be opened, or is no database of ours.
    """

    def __init__(self, path: Path | None, *, busy_s: float = BUSY_S) -> None:
        self.path = path
        self._lock = threading.RLock()  # guards the connection
        self._level = "FULL"
        self._busy_s = busy_s
        try:
            with forks.nothing_forks():
                self._connection = self._open(path)
                migrate(self._connection)
            self._identity = _identity(path)
        except (sqlite3.Error, OSError) as error:
            raise StoreError(
                f"cannot open the alert store {path}: {error}. Name a writable file as store_path"
            ) from error
        forks.watch(self._lock)

    def _open(self, path: Path | None) -> sqlite3.Connection:
        if path is None:
            return _connect(":memory:", self._busy_s)
        path.parent.mkdir(parents=True, exist_ok=True)
        kind = file_system_of(path)
        if kind in _NETWORK:
            raise StoreError(
                f"the alert store {path} is on a network file system ({kind}), where it would be corrupted: "
                "name a local file as store_path"
            )
        connection = _connect(str(path), self._busy_s)
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise StoreError(f"the alert store {path} cannot be in WAL mode (it is in mode {mode}): name a local file")
        connection.execute("PRAGMA synchronous = FULL")
        return connection

    @contextmanager
    def transaction(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """Everything within, or nothing. One within another is part of it.

        Raises:
            sqlite3.Error: it was not committed.
        """
        with self._lock:
            connection = self._connection
            if self._is_within():
                yield connection
                return
            self._synchronous("FULL" if durable else "NORMAL")
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # the error that has brought us here says more
                    if self._is_within():
                        connection.execute("ROLLBACK")
                raise

    def _is_within(self) -> bool:
        return self._connection.in_transaction

    def _synchronous(self, level: str) -> None:
        if level != self._level:
            self._connection.execute(f"PRAGMA synchronous = {level}")
            self._level = level

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Queries that need not agree with each other."""
        with self._lock:
            yield self._connection

    def shrink(self, pages: int = 1_000) -> None:
        """Give some of the space of deleted rows back."""
        with self._lock:
            self._connection.execute(f"PRAGMA incremental_vacuum({pages})")

    def is_gone(self) -> bool:
        """Whether the file has been removed or replaced: what is written goes nowhere then."""
        return self.path is not None and _identity(self.path) != self._identity

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def leave_to_parent(self) -> None:
        """In a forked child: never touch the connection again, not even to close it. SQLite does not survive a fork."""
        _inherited.append(self._connection)


_inherited: list[sqlite3.Connection] = []


def _connect(name: str, busy_s: float) -> sqlite3.Connection:
    return sqlite3.connect(name, timeout=busy_s, isolation_level=None, check_same_thread=False)


def _identity(path: Path | None) -> tuple[int, int] | None:
    if path is None:
        return None
    try:
        found = os.stat(path)  # noqa: PTH116 - a quarter of the cost of `Path.stat`, several times a second
    except OSError:
        return None
    return found.st_dev, found.st_ino


def file_system_of(path: Path) -> str:
    """The kind of file system that a path is on, as the system calls it; empty where that is not known."""
    import psutil

    real = path.resolve()
    depth, kind = -1, ""
    for partition in psutil.disk_partitions(all=True):
        mount = Path(partition.mountpoint)
        if (mount == real or mount in real.parents) and len(mount.parts) >= depth:  # the later one hides the other
            depth, kind = len(mount.parts), partition.fstype
    return kind
