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
    alerts that it has left behind.

    Raises:
        OSError: no such file can be made.
    """

    def __init__(self, store: Path, base: str) -> None:
        for number in count(1):
            name = base if number == 1 else f"{base}-{number}"
            self._path = store.with_name(f"{store.name}.{_UNFIT.sub('_', name)[:100]}.lock")
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
