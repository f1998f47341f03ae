"""What a child process needs that was forked from one with telemetry.

The SDK restarts its own threads and empties its queues. It does not do the rest: metrics would be exported by
parent and child alike, locks may be held by threads that the child does not have, and a child of
`multiprocessing` ends without `atexit`, so that what it has queued would be lost.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from types import ModuleType

import wrapt

from otel_monitor_processors.guard import guard

_EXIT_PRIORITY = 10
_MULTIPROCESSING = "multiprocessing.util"


class _Owner:
    """What the registration with `multiprocessing` lives as long as."""


_owner = _Owner()
_repair: Callable[[], None] | None = None
_finish: Callable[[], None] | None = None
_registered = False


def protect(repair: Callable[[], None], finish: Callable[[], None]) -> None:
    """Call `repair` in every forked child at once, and `finish` when a child of `multiprocessing` ends."""
    global _repair, _finish, _registered
    _repair, _finish = repair, finish
    if _registered:
        return
    _registered = True
    os.register_at_fork(after_in_child=_in_child)
    wrapt.register_post_import_hook(_multiprocessing_imported, _MULTIPROCESSING)


def unprotect() -> None:
    """Do nothing in children any more."""
    global _repair, _finish
    _repair = _finish = None


@guard("fork.child")
def _in_child() -> None:
    if _repair is not None:
        _repair()


@guard("fork.import")
def _multiprocessing_imported(util: ModuleType) -> None:
    @guard("fork.multiprocessing")
    def in_child(_owner: _Owner) -> None:
        util.Finalize(None, _at_end, exitpriority=_EXIT_PRIORITY)

    util.register_after_fork(_owner, in_child)


@guard("fork.end")
def _at_end() -> None:
    if _finish is not None:
        _finish()
