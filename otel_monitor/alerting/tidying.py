"""What a store needs now and then: that this engine says it lives, that what is abandoned ends and what is old goes."""

from __future__ import annotations

import math
import time
from dataclasses import replace

from otel_monitor.alerting.keeper import Shelf
from otel_monitor_processors import drops
from otel_monitor_processors.alerts.alert import Alert, AlertTransition, State

EVERY_S = 60.0
ABANDONED_AFTER_S = 300.0
"""An engine that has not been heard of for so long has ended: its alerts are resolved, as Alertmanager does."""

_MORE_AFTER_S = 1.0
_AWAKE_FOR_S = 2.0 * EVERY_S
_SHARE_S = 0.2
"""So long at a time may rows be deleted."""

_MOST_WAITING = 20_000
_MOST_STEPS_IN_MEMORY = 20_000


class Tidying:
    """Does what is due. `retention_s`: how long what has ended is kept."""

    def __init__(self, retention_s: float) -> None:
        self._retention_s = retention_s
        self.forked()

    def forked(self) -> None:
        """In a forked child, as in a new process, nothing has been done yet."""
        self._due_at = -math.inf
        self._alive_at = -math.inf
        self._awake_since = math.inf
        self._reached = 0

    def due(self, now: float) -> bool:
        return now >= self._due_at or now < self._due_at - EVERY_S

    def run(self, shelf: Shelf, now: float, *, leads: bool, handled: int) -> None:
        """Everything; what is common to all engines only while this process `leads`.

        Raises:
            sqlite3.Error: the store cannot be used.
        """
        if now - self._alive_at >= EVERY_S or now < self._alive_at:
            self._notice_sleep(now)
            self._alive_at = now
            shelf.alerts.alive(shelf.owner, now)
        more = False
        if leads:
            if now - self._awake_since >= _AWAKE_FOR_S:
                self._end_abandoned(shelf, now)
            more = self._delete(shelf, now, handled)
        self._due_at = now + (_MORE_AFTER_S if more else EVERY_S)

    def _notice_sleep(self, now: float) -> None:
        """After a machine has slept, or at the start, nobody has had the time to say that he lives."""
        if not 0.0 <= now - self._alive_at <= 2.0 * EVERY_S or self._awake_since > now:
            self._awake_since = now

    @staticmethod
    def _end_abandoned(shelf: Shelf, now: float) -> None:
        for owner, alert in shelf.alerts.abandoned(now - ABANDONED_AFTER_S):
            if owner != shelf.owner:
                reason = f"nothing has been heard of {owner} for {ABANDONED_AFTER_S:g} s"
                shelf.alerts.record(shelf.owner, [_ended(alert, now, reason)], now)

    def _delete(self, shelf: Shelf, now: float, handled: int) -> bool:
        """Delete in batches; whether there may be more."""
        until = time.monotonic() + _SHARE_S
        since = now - self._retention_s
        dropped = shelf.outbox.bound(_MOST_WAITING)
        if dropped:
            drops.count("alerts", "outbox_full", dropped)
        while shelf.outbox.retain(since, since) and time.monotonic() < until:
            continue
        shelf.dispatch.retain(since)
        if not shelf.durable:
            self._bound_memory(shelf, handled)
        reached: int | None = self._reached
        while reached is not None and time.monotonic() < until:
            reached = shelf.alerts.retain(since, handled, reached)
        shelf.database.shrink()
        self._reached = reached or 0
        return reached is not None

    @staticmethod
    def _bound_memory(shelf: Shelf, handled: int) -> None:
        """In memory the newest steps are kept, however young the others are."""
        after: int | None = 0
        while after is not None:
            after = shelf.alerts.retain(math.inf, handled - _MOST_STEPS_IN_MEMORY, after)


def _ended(alert: Alert, now: float, reason: str) -> AlertTransition:
    state = State.RESOLVED if alert.state is State.FIRING else State.INACTIVE
    resolved_at = now if state is State.RESOLVED else None
    return AlertTransition(now, replace(alert, state=state, resolved_at=resolved_at, held=""), alert.state, reason)
