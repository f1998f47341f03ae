"""What was dropped, by component and reason: every bounded buffer of ours counts here (`otel_monitor.self.dropped`)."""

from __future__ import annotations

import os
import threading

_counts: dict[tuple[str, str], int] = {}
_lock = threading.RLock()  # guards _counts


def count(component: str, reason: str, n: int = 1) -> None:
    """`n` items of `component` were dropped for `reason`."""
    with _lock:
        key = (component, reason)
        _counts[key] = _counts.get(key, 0) + n


def snapshot() -> dict[tuple[str, str], int]:
    """All counts of this process so far."""
    with _lock:
        return dict(_counts)


def _reset_in_child() -> None:
    global _lock
    _lock = threading.RLock()
    _counts.clear()


os.register_at_fork(after_in_child=_reset_in_child)
