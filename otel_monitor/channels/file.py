"""Notifications in a file, a line of JSON each; rotated by size; several processes may share it."""

from __future__ import annotations

import fcntl
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from otel_monitor.channels.channel import Delivered, Receipt, Rejected, Retry
from otel_monitor.channels.deadline import Deadline
from otel_monitor.channels.payload import document, encoded
from otel_monitor_processors.alerts.notification import Notification
from otel_monitor_processors.guard import guard

_MODE = 0o640
_LOCK_EVERY_S = 0.01


class NotRegularFileError(OSError):
    """The path is a folder, a pipe or a device."""


class FileChannel:
    """Appends to `path`; one that would grow beyond `max_bytes` becomes `path.1`, and so on to `path.<max_files - 1>`.

    Whoever writes holds a lock on `path.lock`, so that lines of several processes neither mix nor get lost when
    one of them rotates. A line that could not be written whole is taken back; one that a killed process has left
    is ended. With `fsync` `always` a line that is reported as delivered is on the disk; with `never` the system
    writes it when it likes, and it survives the process, not the machine.
    """

    def __init__(
        self,
        name: str,
        *,
        path: str,
        max_bytes: int = 10_000_000,
        max_files: int = 5,
        fsync: str = "always",
        timeout: float = 5.0,
    ) -> None:
        self.name = name
        self._path = Path(path).expanduser()
        self._max_bytes = max_bytes
        self._max_files = max_files
        self._sync = fsync == "always"
        self._timeout_s = timeout
        self._wait = threading.Event()

    @guard("channels.file", default=Retry("an internal error"))
    def send(self, notification: Notification) -> Receipt:
        content = encoded(document(notification)) + b"\n"
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._locked():
                self._append(content)
        except (NotRegularFileError, IsADirectoryError, NotADirectoryError) as error:
            return Rejected(f"{self._path}: {error.strerror or error}")
        except OSError as error:
            return Retry(f"{self._path}: {error.strerror or error}")
        return Delivered(str(self._path))

    def close(self) -> None:
        """Nothing is kept open between two lines: a file that others rotate or delete is found again."""

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock. Raises TimeoutError where another process does not let go of it."""
        deadline = Deadline(self._timeout_s)
        lock = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, _MODE)
        try:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if deadline.passed:
                        raise TimeoutError(f"another process holds {self._path}.lock") from None
                    self._wait.wait(_LOCK_EVERY_S)
            yield
        finally:
            os.close(lock)

    def _append(self, content: bytes) -> None:
        size = self._path.stat().st_size if self._path.exists() else 0
        if size > 0 and size + len(content) > self._max_bytes:
            self._rotate()
        new = not self._path.exists()
        # O_NONBLOCK: opening a pipe that nobody reads would wait for ever.
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        descriptor = os.open(self._path, flags, _MODE)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise NotRegularFileError("it is not a regular file")
            if status.st_size > 0 and os.pread(descriptor, 1, status.st_size - 1) != b"\n":
                content = b"\n" + content
            _write_whole(descriptor, content, status.st_size)
            if self._sync:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if new and self._sync:
            _sync_folder(self._path.parent)

    def _rotate(self) -> None:
        names = [self._path, *(Path(f"{self._path}.{number}") for number in range(1, self._max_files))]
        if len(names) == 1:
            self._path.unlink()
        for older, newer in reversed(list(zip(names[1:], names[:-1], strict=True))):
            with suppress(FileNotFoundError):
                newer.replace(older)

    def __repr__(self) -> str:
        return f"FileChannel({self.name!r}, {str(self._path)!r})"


def _write_whole(descriptor: int, content: bytes, size: int) -> None:
    """Write all of it; where that fails, such as on a full disk, leave the file as it was."""
    rest = content
    try:
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    except OSError:
        if len(rest) < len(content):
            os.ftruncate(descriptor, size)
        raise


def _sync_folder(folder: Path) -> None:
    """A new file survives a crash of the machine only when its folder is on the disk, too."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
