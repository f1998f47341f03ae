"""No thread is inside SQLite while this process forks: the child would wait for ever for locks inside the library."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol
from weakref import WeakSet

LONGEST_WAIT_S = 0.5
"""So long a fork waits for a thread to leave SQLite, which may be waiting for a disk."""


class Lock(Protocol):
    """A lock that is held whenever a connection is used."""

    def acquire(self, *, timeout: float = ...) -> bool: ...
    def release(self) -> None: ...


_opening: Lock = threading.RLock()  # guards the opening of databases
_watched: WeakSet[Lock] = WeakSet()
_held: list[Lock] = []
_safe = True


def is_safe() -> bool:
    """Whether SQLite may be used in this process: not in a child whose fork met a thread inside it."""
    return _safe


def watch(lock: Lock) -> None:
    """Hold `lock` during each fork."""
    _watched.add(lock)


@contextmanager
def nothing_forks() -> Iterator[None]:
    """No fork begins within."""
    opening = _opening
    opening.acquire()
    try:
        yield
    finally:
        opening.release()


def _before() -> None:
    deadline = time.monotonic() + LONGEST_WAIT_S
    for lock in (_opening, *_watched):
        if lock.acquire(timeout=max(0.0, deadline - time.monotonic())):
            _held.append(lock)  # noqa: PERF401 - one by one: they are held from here on


def _in_parent() -> None:
    while _held:
        _held.pop().release()


def _in_child() -> None:
    global _opening, _safe
    _safe = _safe and len(_held) == 1 + len(_watched)
    _held.clear()
    _watched.clear()
    _opening = threading.RLock()


os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
