"""The dispatcher at work: lets it see what is new in the store, and keeps what it decides."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from otel_monitor.alerting.keeper import Shelf
from otel_monitor.alerting.requests import apply_request
from otel_monitor.store.alerts import Step
from otel_monitor.store.dispatch_state import Answer, Entry, Progress, Request, Snapshot
from otel_monitor.user_line import say
from otel_monitor_processors.alerts.alert import AlertTransition, State
from otel_monitor_processors.alerts.decision import Stage
from otel_monitor_processors.alerts.dispatcher import Dispatcher
from otel_monitor_processors.alerts.notification import Notification

BATCH = 2_000
SNAPSHOT_EVERY_S = 60.0
SNAPSHOT_AFTER = 20_000
"""The dispatcher's state is kept so often, or after so many steps. Who takes over sees again what came since."""

_MOST_RESCUED = 10_000
_FAREWELL_SHARE_S = 0.25
_SNAPSHOT_SHARE = 10.0
"""A snapshot waits ten times as long as the last one took."""

MakeDispatcher = Callable[[], Dispatcher]


class Turn(NamedTuple):
    """What has come of a turn: whether anybody is to be told anything, and whether there is more to do at once."""

    told: bool = False
    more: bool = False


class Seen(NamedTuple):
    """What the dispatcher has made of what it was shown."""

    notifications: list[Notification]
    answers: list[Answer]
    overruled: list[Step]
    by_hand: list[AlertTransition]


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
            return Turn()
        dispatcher = self._dispatcher if self._dispatcher is not None else self._take_up(shelf, now)
        steps = shelf.alerts.after(self._seen.last_event, BATCH)
        requests = shelf.dispatch.requests(self._seen.last_request)
        deadline = dispatcher.next_deadline()
        if not steps and not requests and (deadline is None or deadline > now):
            self._snapshot_when_due(shelf, now)
            return Turn()
        seen = show(dispatcher, steps, requests, now)
        self._unkept += seen.notifications
        progress = _after(self._seen, steps, requests)
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

    def _take_up(self, shelf: Shelf, now: float) -> Dispatcher:
        """Go on from where the last leader stood."""
        found = read(shelf, self._make)
        self._dispatcher, self._seen = found.dispatcher, found.progress
        self._kept = found.kept
        self._steps_since = 0
        self._snapshot_at = now + SNAPSHOT_EVERY_S
        self._unkept += found.notifications  # those that are there already are not queued again
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

    def go_to_memory(self, file: Shelf, memory: Shelf, steps: Sequence[AlertTransition], now: float) -> None:
        """The file has failed: go on in memory, from where it stood as far as that can be read.

        `steps` are those of this process's engine that the dispatcher has to see there, again or for the first time.
        """
        led = self._dispatcher is not None
        try:
            if not led:
                self._take_up(file, now)
                self._unkept = []  # whoever led has queued them
            self._origin = file.dispatch.progress()
            messages = file.outbox.undelivered(_MOST_RESCUED) if led else []
        except sqlite3.Error:
            messages = []
            self._origin = self._seen if led else None
        if self._dispatcher is None:
            self._dispatcher, self._origin = self._make(), None
        self._seen = self._kept = Progress()
        memory.dispatch.lead(now)
        memory.alerts.record(memory.owner, steps, now)
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


class Reading(NamedTuple):
    """The dispatcher as the store has it; `kept` is how far its kept state goes, `progress` how far the journal."""

    dispatcher: Dispatcher
    progress: Progress
    kept: Progress
    notifications: list[Notification]


def read(shelf: Shelf, make: MakeDispatcher) -> Reading:
    """The dispatcher as it stands: its kept state, shown again what it has seen since, at the same times.

    Raises:
        sqlite3.Error: the store cannot be read.
    """
    dispatcher = make()
    try:
        snapshot = shelf.dispatch.snapshot()
        if snapshot.state is not None:
            dispatcher.load(snapshot.state)
        progress, entries = snapshot.progress, shelf.dispatch.journal(snapshot.progress.entry)
    except (ValueError, KeyError, TypeError, LookupError) as error:
        say(f"what the alert store knows of notifications cannot be read ({error}): open alerts are told anew")
        dispatcher = make()
        progress = shelf.dispatch.progress()
        _tell_anew(shelf, dispatcher)
        return Reading(dispatcher, progress, progress, [])
    kept = progress
    notifications: list[Notification] = []
    for entry in entries:
        notifications += _replay(shelf, dispatcher, progress, entry)
        progress = entry.progress
    return Reading(dispatcher, progress, kept, notifications)


def _replay(shelf: Shelf, dispatcher: Dispatcher, since: Progress, entry: Entry) -> list[Notification]:
    up_to = entry.progress
    steps = shelf.alerts.after(since.last_event, -1, up_to.last_event) if up_to.last_event > since.last_event else []
    requests = shelf.dispatch.requests(since.last_request, up_to.last_request)
    return show(dispatcher, steps, requests, entry.at).notifications


def _tell_anew(shelf: Shelf, dispatcher: Dispatcher) -> None:
    for alert in shelf.alerts.in_state([State.FIRING], limit=-1):
        dispatcher.take(AlertTransition(alert.fired_at or alert.active_at, alert, State.PENDING, "told anew"))


def show(dispatcher: Dispatcher, steps: Iterable[Step], requests: Iterable[Request], now: float) -> Seen:
    """Let the dispatcher see these, in this order, at `now`."""
    overruled = [step for step in steps if not dispatcher.take(step.transition, now) and _is_by_hand(dispatcher, step)]
    answers, by_hand = [], []
    for request in requests:
        done = apply_request(dispatcher, request.body, now)
        answers.append(Answer(request.seq, done.answer))
        if done.transition is not None:
            by_hand.append(done.transition)
    return Seen(dispatcher.advance(now), answers, overruled, by_hand)


def _is_by_hand(dispatcher: Dispatcher, step: Step) -> bool:
    """Whether a step is no news because somebody has resolved the alert, not for want of room."""
    decisions = dispatcher.decisions(step.transition.alert.fingerprint)
    return any(decision.stage is Stage.RESOLVED_BY_HAND and decision.held for decision in decisions)


def _after(progress: Progress, steps: Sequence[Step], requests: Sequence[Request]) -> Progress:
    return progress._replace(
        last_event=steps[-1].seq if steps else progress.last_event,
        last_request=requests[-1].seq if requests else progress.last_request,
    )
