"""What a store needs now and then: that this engine says it lives, that what is abandoned ends and what is old goes."""

from __future__ import annotations

import math
import time

from otel_monitor.alerting.keeper import Shelf
from otel_monitor_processors import drops
from otel_monitor_processors.alerts.book import ABANDONED_AFTER_S
from otel_monitor_processors.alerts.lifecycle import over

EVERY_S = 60.0
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
            self._end_abandoned(shelf, now)
            more = self._delete(shelf, now, handled)
        self._due_at = now + (_MORE_AFTER_S if more else EVERY_S)

    def _notice_sleep(self, now: float) -> None:
        """After a machine has slept, or at the start, nobody has had the time to say that he lives."""
        if not 0.0 <= now - self._alive_at <= 2.0 * EVERY_S or self._awake_since > now:
            self._awake_since = now

    def _end_abandoned(self, shelf: Shelf, now: float) -> None:
        """End what is of engines that are dead, or silent though everybody has had the time to speak."""
        abandoned = shelf.alerts.abandoned(now - ABANDONED_AFTER_S)
        if not abandoned:
            return
        awake = now - self._awake_since >= _AWAKE_FOR_S
        with shelf.database.transaction():
            gone = {owner for owner in {item.owner for item in abandoned} if awake or shelf.is_dead(owner)}
            steps = [
                over(
                    item.alert, now, f"nothing has been heard of {item.owner} for {now - item.heard_at:.0f} s"
                ).transition
                for item in abandoned
                if item.owner in gone - {shelf.owner}
            ]
            shelf.alerts.record(shelf.owner, list(filter(None, steps)), now)

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
