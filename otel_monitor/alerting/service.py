"""The alert service of a process: keeps what the engine raises, decides who is told, and has it delivered."""

from __future__ import annotations

import sqlite3
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from otel_monitor.alerting.courier import Courier, Report
from otel_monitor.alerting.keeper import Keeper, move
from otel_monitor.alerting.requests import apply_request
from otel_monitor.alerting.store_alert import StoreAlert
from otel_monitor.channels.channel import Channel
from otel_monitor.store.dispatch_state import Answer, Progress, Request
from otel_monitor.store.outbox import Outbox
from otel_monitor_processors import drops
from otel_monitor_processors.alerts.alert import Alert, AlertTransition, State
from otel_monitor_processors.alerts.dispatcher import Dispatcher
from otel_monitor_processors.engine import Transition
from otel_monitor_processors.guard import guard
from otel_monitor_processors.otel.ticker import Ticker

TICK_S = 0.25
ABANDONED_AFTER_S = 300.0
"""An engine that has not been heard of for so long has ended: its alerts are resolved, as Alertmanager does."""

_ALIVE_EVERY_S = 60.0
_MAX_WAITING = 100_000
_HOUR_S = 3_600.0


class AlertService:
    """Takes the engine's transitions; a thread of its own does everything else.

    Several processes may share one store: each keeps what its engine raises, one of them at a time dispatches for
    all. A process that dies with that is replaced by another after ten seconds.

    Args:
        channels: where notifications go.
        dispatcher: makes the dispatcher, with the routes of the configuration.
        store_path: the store's file; None keeps everything in memory.
        owner: names this engine among those that share the store, the same after a restart.
        retention_s: how long what has ended is kept.
        report: told of every attempt to deliver.
    """

    def __init__(
        self,
        channels: Sequence[Channel],
        dispatcher: Callable[[], Dispatcher],
        *,
        store_path: Path | None,
        owner: str,
        retention_s: float,
        report: Report = lambda _channel, _outcome: None,
    ) -> None:
        self.keeper = Keeper(store_path, owner, retention_s)
        self._owner = owner
        self._retention_s = retention_s
        self._make_dispatcher = dispatcher
        self._dispatcher: Dispatcher | None = None
        self._seen = Progress(0, 0, None)
        self._waiting: deque[AlertTransition] = deque()
        self._store_alert = StoreAlert(owner)
        self._tidy_at = 0.0
        self._firing: frozenset[str] = frozenset()
        self._couriers = [Courier(channel, self._outbox, report, lambda: self._firing) for channel in channels]
        self._ticker = Ticker("otel-monitor-alerts", TICK_S, self._tick)

    def restored(self) -> list[Alert]:
        """The alerts that were pending or firing when this engine's last process ended."""
        return self.keeper.shelf.alerts.in_state((State.PENDING, State.FIRING), owner=self._owner, limit=_MAX_WAITING)

    @guard("alerts.take")
    def __call__(self, transition: Transition) -> None:
        """Take a transition; never blocks."""
        if not isinstance(transition, AlertTransition):
            return
        if len(self._waiting) >= _MAX_WAITING:
            drops.count("alerts", "queue_full")
            return
        self._waiting.append(transition)
        self._ticker.wake()

    def start(self) -> None:
        self._ticker.start()
        for courier in self._couriers:
            courier.start()

    @guard("alerts.stop")
    def stop(self, timeout_s: float) -> None:
        """Keep what is waiting, let another process dispatch, and end, within about `timeout_s` seconds."""
        deadline = time.monotonic() + timeout_s
        self._ticker.stop(max(0.0, timeout_s / 2))
        self.step(time.time())
        try:
            self.keeper.shelf.dispatch.resign()
        except sqlite3.Error:
            drops.count("alerts", "not_resigned")  # the others wait for the ten seconds
        for courier in self._couriers:
            courier.stop(max(0.0, deadline - time.monotonic()))
        self.keeper.close()

    def _outbox(self) -> Outbox | None:
        """What is to be delivered by this process: the outbox, while it dispatches."""
        return self.keeper.shelf.outbox if self._dispatcher is not None else None

    # -- steps ------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        self.step(time.time())

    def step(self, now: float) -> None:
        """Do everything that is due at `now`."""
        if self.keeper.try_again(now, move(self._owner, now)):
            self._dispatcher = None  # whoever leads the file's store goes on from what stands there
        self._waiting.extend(self._store_alert.transitions(self.keeper.trouble, now))
        try:
            self._keep(now)
            told = self._dispatch(now)
            if now >= self._tidy_at:
                self._tidy_at = now + _ALIVE_EVERY_S
                self._tidy(now)
        except sqlite3.Error as error:
            self.keeper.failed(error, now)
            return
        if told:
            for courier in self._couriers:
                courier.wake()

    def _keep(self, now: float) -> None:
        """Commit what is waiting: from here on it survives."""
        batch = list(self._waiting)
        if batch:
            self.keeper.shelf.alerts.record(self._owner, batch, now)
            for _ in batch:
                self._waiting.popleft()

    def _dispatch(self, now: float) -> bool:
        """Let the dispatcher see what is new, if it is this process's turn; whether anybody is to be told."""
        dispatch = self.keeper.shelf.dispatch
        if not dispatch.lead(now):
            self._dispatcher = None
            return False
        dispatcher = self._dispatcher if self._dispatcher is not None else self._take_up()
        steps = self.keeper.shelf.alerts.after(self._seen.last_event)
        requests = dispatch.requests(self._seen.last_request)
        for step in steps:
            if not dispatcher.take(step.transition, now):
                self.keeper.shelf.alerts.overrule(step)
        answers = [Answer(request.seq, self._apply(dispatcher, request, now)) for request in requests]
        notifications = dispatcher.advance(now)
        if not (steps or requests or notifications):
            return False
        last_event = steps[-1].seq if steps else self._seen.last_event
        last_request = requests[-1].seq if requests else self._seen.last_request
        self._seen = Progress(last_event, last_request, None)
        if notifications or requests:  # what it has merely taken in, it can take in again
            seen = Progress(last_event, last_request, dispatcher.dump())
            if not dispatch.commit(seen, notifications, answers, now):
                self._dispatcher = None
                return False
        return bool(notifications)

    def _apply(self, dispatcher: Dispatcher, request: Request, now: float) -> dict[str, Any]:
        done = apply_request(dispatcher, request.body, now)
        if done.transition is not None:
            self._waiting.append(done.transition)
        return done.answer

    def _take_up(self) -> Dispatcher:
        """Go on from where the last leader stood."""
        self._seen = self.keeper.shelf.dispatch.progress()
        dispatcher = self._dispatcher = self._make_dispatcher()
        if self._seen.state is not None:
            dispatcher.load(self._seen.state)
        firing = self._look_at_firing()
        for courier in self._couriers:
            courier.resume(firing)
        return dispatcher

    def _look_at_firing(self) -> list[Alert]:
        firing = self.keeper.shelf.alerts.in_state([State.FIRING], limit=_MAX_WAITING)
        self._firing = frozenset(alert.id for alert in firing)
        return firing

    def _tidy(self, now: float) -> None:
        """Say that this engine lives, end what others have left behind, delete what is too old."""
        shelf = self.keeper.shelf
        shelf.alerts.alive(self._owner, now)
        for owner, alert in shelf.alerts.abandoned(now - ABANDONED_AFTER_S):
            reason = f"nothing has been heard of {owner} for {ABANDONED_AFTER_S:g} s"
            shelf.alerts.record(self._owner, [_ended(alert, now, reason)], now)
        self._look_at_firing()
        since = now - self._retention_s
        shelf.alerts.retain(since, self._seen.last_event)
        shelf.outbox.retain(since, since)
        shelf.dispatch.retain(since)
        shelf.database.shrink()


def _ended(alert: Alert, now: float, reason: str) -> AlertTransition:
    state = State.RESOLVED if alert.state is State.FIRING else State.INACTIVE
    resolved_at = now if state is State.RESOLVED else None
    return AlertTransition(now, replace(alert, state=state, resolved_at=resolved_at, held=""), alert.state, reason)
