"""The dispatcher at work: lets it see what is new in the store, and keeps what it decides."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from otel_monitor.alerting.keeper import Shelf
from otel_monitor.alerting.recall import MakeDispatcher, read, show, show_as_told
from otel_monitor.store.alerts import Step
from otel_monitor.store.dispatch_state import Progress, Request, Snapshot
from otel_monitor_processors import drops
from otel_monitor_processors.alerts.alert import Alert, AlertTransition, State
from otel_monitor_processors.alerts.dispatcher import Dispatcher
from otel_monitor_processors.alerts.notification import Notification
from otel_monitor_processors.alerts.rule import Severity

BATCH = 2_000
SNAPSHOT_EVERY_S = 60.0
SNAPSHOT_AFTER = 20_000
"""The dispatcher's state is kept so often, or after so many steps. Who takes over sees again what came since."""

_MOST_RESCUED = 10_000
_FAREWELL_SHARE_S = 0.25
_SNAPSHOT_SHARE = 10.0
"""A snapshot waits ten times as long as the last one took."""


class Turn(NamedTuple):
    """What has come of a turn: whether anybody is to be told anything, and whether there is more to do at once."""

    told: bool = False
    more: bool = False


class Desk:
    """Dispatches while this process leads. The dispatcher is taken up from the store when it begins to."""

    def __init__(self, make: MakeDispatcher) -> None:
        self._make = make
        self._dispatcher: Dispatcher | None = None
        self._seen = Progress()
        self._unkept: list[Notification] = []
        self._steps_since = 0
        self._snapshot_at = 0.0
        self._kept: Progress | None = None
        self._origin: Progress | None = None
        self._dropped: dict[str, int] = {}

    @property
    def leads(self) -> bool:
        return self._dispatcher is not None

    @property
    def seen(self) -> int:
        """The last step that the dispatcher has seen, as far as this process knows."""
        return self._seen.last_event

    @property
    def handled(self) -> int:
        """The last step that is in the kept state, as far as this process knows: nobody will ask for it again."""
        return self._kept.last_event if self._kept is not None and self.leads else 0

    def next_deadline(self) -> float | None:
        """When there is something to do though nothing new has come in."""
        return self._dispatcher.next_deadline() if self._dispatcher is not None else None

    def as_known_to(self, channel: str) -> list[Alert]:
        """The firing alerts that a channel has been told of, of the severity that it was told."""
        if self._dispatcher is None:
            return []
        believed = self._dispatcher.believed(channel)
        return [
            replace(alert, severity=Severity(believed[alert.fingerprint]))
            for alert in self._dispatcher.alerts()
            if alert.state is State.FIRING and alert.fingerprint in believed
        ]

    def forked(self) -> None:
        """In a forked child: what the parent was about to tell, the parent tells."""
        self._dispatcher = None
        self._unkept = []

    # -- turns ------------------------------------------------------------------------------------------

    def turn(self, shelf: Shelf, now: float) -> Turn:
        """Let the dispatcher see what is new, if it is this process's turn.

        Raises:
            sqlite3.Error: the store cannot be used; what the dispatcher wants to be sent is not forgotten.
        """
        if not shelf.dispatch.lead(now):
            self._dispatcher = None
            self._seen = shelf.dispatch.progress()
            return Turn()
        dispatcher = self._dispatcher if self._dispatcher is not None else self._take_up(shelf, now)
        steps = shelf.alerts.after(self._seen.last_event, BATCH)
        requests = shelf.dispatch.requests(self._seen.last_request)
        deadline = dispatcher.next_deadline()
        if not steps and not requests and (deadline is None or deadline > now):
            self._snapshot_when_due(shelf, now)
            return Turn()
        seen = show(dispatcher, steps, requests, now)
        self._count_dropped(dispatcher)
        self._unkept += seen.notifications
        self._unkept = shelf.outbox.news(self._unkept)
        progress = _after(self._seen, steps, requests)
        shelf.outbox.watch(self._unkept, now)
        with shelf.database.transaction(durable=bool(self._unkept or requests)):
            kept = shelf.dispatch.commit(progress, self._unkept, seen.answers, now)
            if kept is None:
                self._dispatcher, self._unkept = None, []
                return Turn()
            for step in seen.overruled:
                shelf.alerts.overrule(step)
            for transition in seen.by_hand:
                shelf.alerts.resolve_by_hand(transition)
        self._seen, self._unkept = kept, []
        self._steps_since += len(steps)
        self._snapshot_when_due(shelf, now)
        return Turn(told=bool(seen.notifications), more=len(steps) == BATCH)

    def _count_dropped(self, dispatcher: Dispatcher) -> None:
        """What this dispatcher has let go for want of room since the last look is telemetry."""
        for what, total in dispatcher.dropped.items():
            before = self._dropped.get(what, 0)
            if total > before:
                drops.count("dispatcher", what, total - before)
            self._dropped[what] = total

    def _take_up(self, shelf: Shelf, now: float) -> Dispatcher:
        """Go on from where the last leader stood."""
        found = read(shelf, self._make)
        self._dispatcher, self._seen = found.dispatcher, found.progress
        self._kept = found.kept
        self._steps_since = 0
        self._snapshot_at = now + SNAPSHOT_EVERY_S
        # Those that are there already are not queued again; a repetition that is not was left out for good reason.
        self._unkept += [item for item in found.notifications if not item.repeats]
        shelf.reclaim()
        shelf.outbox.watch_all()
        return found.dispatcher

    # -- the dispatcher's state -------------------------------------------------------------------------

    def _snapshot_when_due(self, shelf: Shelf, now: float) -> None:
        if now < self._snapshot_at and self._steps_since < SNAPSHOT_AFTER:
            return
        if self._kept is not None and self._seen.entry != self._kept.entry:
            self.snapshot(shelf, now)

    def snapshot(self, shelf: Shelf, now: float) -> None:
        """Keep the whole state. That costs time in proportion to the alerts: 0.2 s for 5,000."""
        if self._dispatcher is None:
            return
        began = time.perf_counter()
        if not shelf.durable:
            shelf.dispatch.forget(self._seen)  # nobody will ever take over
        elif not shelf.dispatch.keep(Snapshot(self._seen, self._dispatcher.dump())):
            self._dispatcher = None
            return
        self._kept = self._seen
        self._steps_since = 0
        self._snapshot_at = now + max(SNAPSHOT_EVERY_S, _SNAPSHOT_SHARE * (time.perf_counter() - began))

    def resign(self, shelf: Shelf, now: float) -> None:
        """Let another process go on from here, at once."""
        if self._kept is not None and self._seen.entry != self._kept.entry:
            self.snapshot(shelf, now)
        shelf.dispatch.resign()
        self._dispatcher = None

    def farewell(self, shelf: Shelf, now: float, within_s: float) -> None:
        """What is in memory alone is told now or never: do what is due within the next seconds as if they were over."""
        dispatcher, until = self._dispatcher, time.monotonic() + _FAREWELL_SHARE_S
        if dispatcher is None:
            return
        while (deadline := dispatcher.next_deadline()) is not None and deadline <= now + within_s:
            if time.monotonic() > until:
                break
            self._unkept += dispatcher.advance(max(now, deadline))
        if shelf.dispatch.commit(self._seen, self._unkept, [], now) is not None:
            self._unkept = []

    # -- when the file fails ----------------------------------------------------------------------------

    def go_to_memory(
        self,
        file: Shelf,
        memory: Shelf,
        standing: Sequence[AlertTransition],
        fresh: Sequence[AlertTransition],
        now: float,
    ) -> None:
        """The file has failed: go on in memory, from where it stood as far as that can be read.

        `standing` are the open alerts of this process's engine that a dispatcher has seen, `fresh` its steps that
        none has.
        """
        led = self._dispatcher is not None
        try:
            if not led:
                self._take_up(file, now)
                self._unkept = []  # whoever led has queued them
            self._origin = file.dispatch.progress()
            messages = file.outbox.undelivered(_MOST_RESCUED) if led else []
        except sqlite3.Error:
            messages = file.outbox.underway() if led else []
            self._origin = self._seen if led else None
        if self._dispatcher is None:
            self._dispatcher, self._origin = self._make(), None
            if self._seen.last_event:
                show_as_told(self._dispatcher, standing, now)
        self._seen = self._kept = Progress()
        memory.dispatch.lead(now)
        memory.alerts.record(memory.owner, [*standing, *fresh], now)
        memory.outbox.adopt(messages, now)

    def return_to_file(self, memory: Shelf, file: Shelf, now: float) -> None:
        """The file can be used again: take there what happened meanwhile, and what has become of the messages.

        Where nobody else has dispatched there since, what stands there goes on as this process has it.

        Raises:
            sqlite3.Error: it cannot be used after all; nothing was taken.
        """
        steps = [step.transition for step in memory.alerts.after(0, limit=-1)]
        messages = [*memory.outbox.undelivered(-1), *memory.outbox.ended()]
        with file.database.transaction():
            standing = file.dispatch.progress()
            mine = file.dispatch.lead(now) and standing in (self._origin, Progress())
            unseen = file.alerts.after(standing.last_event, limit=-1)
            fresh = file.alerts.record(file.owner, [step for step in steps if not file.alerts.has(step)], now)
            file.outbox.adopt(sorted(messages), now)
            if not mine or self._dispatcher is None:
                self._dispatcher = None
                return
            seen = show(self._dispatcher, unseen, [], now)
            kept = file.dispatch.commit(
                _after(standing, [*unseen, *fresh], []), [*self._unkept, *seen.notifications], [], now
            )
            if kept is None or not file.dispatch.keep(Snapshot(kept, self._dispatcher.dump())):
                self._dispatcher = None
                return
        self._seen = self._kept = kept
        self._unkept = []


def _after(progress: Progress, steps: Sequence[Step], requests: Sequence[Request]) -> Progress:
    return progress._replace(
        last_event=steps[-1].seq if steps else progress.last_event,
        last_request=requests[-1].seq if requests else progress.last_request,
    )
