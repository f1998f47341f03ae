"""A name of its own for each process that shares a store: the same after a restart, never two at a time."""

from __future__ import annotations

import fcntl
import os
import re
from itertools import count
from pathlib import Path

_MOST = 10_000
_UNFIT = re.compile(r"[^A-Za-z0-9_-]+")


class Claim:
    """The first free one of `base`, `base-2`, `base-3` …, held by a lock on a file beside the store.

    The lock ends with the process, however that ends: what comes after it takes over its name, and with that the
    alerts that it has left behind. To be made within a transaction of the store, see `is_claimed`.

    Raises:
        OSError: no such file can be made.
    """

    def __init__(self, store: Path, base: str) -> None:
        for number in count(1):
            name = base if number == 1 else f"{base}-{number}"
            self._path = _lock_file(store, name)
            file = _locked(self._path)
            if file is not None or number >= _MOST:
                self.name, self._file = name, file
                return

    def holds(self) -> bool:
        """Whether the lock is still one: its file may have been removed."""
        if self._file is None:
            return False
        try:
            found = self._path.stat()
        except OSError:
            return False
        return os.path.samestat(found, os.fstat(self._file))

    def release(self) -> None:
        """Let another process have the name. In a forked child: the parent keeps it."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)


def is_claimed(store: Path, name: str) -> bool:
    """Whether a process that lives holds this name.

    To be asked within a transaction of the store: one that starts at this moment would find the lock taken otherwise.
    """
    path = _lock_file(store, name)
    try:
        file = _locked(path) if path.exists() else None
    except OSError:
        return True  # nobody knows
    if file is None:
        return path.exists()
    os.close(file)
    return False


def _lock_file(store: Path, name: str) -> Path:
    return store.with_name(f"{store.name}.{_UNFIT.sub('_', name)[:100]}.lock")


def _locked(path: Path) -> int | None:
    """The open file, None where another has locked it."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    except OSError:
        os.close(file)
        raise
    return file
