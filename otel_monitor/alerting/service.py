"""The alert service of a process: keeps what the engine raises, decides who is told, and has it delivered."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from otel_monitor.alerting.courier import Courier, Report
from otel_monitor.alerting.desk import Desk
from otel_monitor.alerting.keeper import Keeper
from otel_monitor.alerting.requests import reached
from otel_monitor.alerting.store_alert import StoreAlert
from otel_monitor.alerting.tidying import Tidying
from otel_monitor.channels.channel import Channel
from otel_monitor.store import forks
from otel_monitor.store.alerts import OPEN
from otel_monitor.store.database import BUSY_S, Database
from otel_monitor.store.outbox import Message, Outbox
from otel_monitor_processors import drops
from otel_monitor_processors.alerts.alert import Alert, AlertTransition
from otel_monitor_processors.alerts.dispatcher import Dispatcher
from otel_monitor_processors.engine import Transition
from otel_monitor_processors.guard import guard
from otel_monitor_processors.otel.ticker import Ticker

TICK_S = 0.25
_MAX_WAITING = 100_000
_MAX_ALERTS = 10_000
_BATCH = 1_000
_LOOK_S = 1.0
_FAREWELL_S = 60.0
_SOONEST_S = 0.002


class Restored(NamedTuple):
    """What an engine had open when its last process ended, and when that was last heard of."""

    alerts: list[Alert]
    last_seen_at: float | None


class AlertService:
    """Takes the engine's transitions; a thread of its own does everything else.

    Several processes may share one store: each keeps what its engine raises, one of them at a time dispatches for
    all. A process that dies with that is replaced by another after ten seconds.

    Nothing is opened, made or started before `restore` or `start` is called. Without `start`, whoever calls `step`
    and `deliver` does the work.

    Args:
        channels: where notifications go: by name, how each is made when it is first needed.
        dispatcher: makes the dispatcher, with the routes of the configuration.
        store_path: the store's file; None keeps everything in memory.
        name: names this engine among those that share the store, the same after a restart. Several of one name are
            told apart by a number.
        retention_s: how long what has ended is kept, and what cannot be delivered is tried.
        report: told of every attempt to deliver.
        busy_s: how long another process may hold the file before it counts as locked.
        tell: takes the alert about the store itself, and hands it to this service with all the others; by default
            it is handed over directly.
        clock: the time, in unix seconds.
    """

    def __init__(
        self,
        channels: Mapping[str, Callable[[], Channel]],
        dispatcher: Callable[[], Dispatcher],
        *,
        store_path: Path | None,
        name: str,
        retention_s: float,
        report: Report = lambda _channel, _outcome: None,
        busy_s: float = BUSY_S,
        tell: Callable[[AlertTransition], None] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.keeper = Keeper(store_path, name, retention_s, busy_s)
        self.depths: dict[str, int] = {}
        self._clock = clock
        self._desk = Desk(dispatcher)
        self._tidying = Tidying(retention_s)
        self._waiting: deque[AlertTransition] = deque()
        self._open: dict[str, AlertTransition] = {}
        self._store_alert = StoreAlert(name)
        self._tell = tell if tell is not None else self._waiting.append
        self._look_at = 0.0
        self._led = False
        self._wanted = False
        self._firing: frozenset[str] = frozenset()
        self._stepping = threading.Lock()  # guards everything but _waiting
        self._couriers = [
            Courier(channel, make, self._outbox, report, lambda: self._firing, self._late, clock)
            for channel, make in channels.items()
        ]
        self._ticker = Ticker("otel-monitor-alerts", TICK_S, self._tick)
        _services.add(self)

    # -- life -------------------------------------------------------------------------------------------

    def restore(self) -> Restored:
        """Open the store; what this engine's last process has left in it."""
        if not forks.is_safe():
            return Restored([], None)
        with self._stepping:
            shelf = self.keeper.shelf
            try:
                shelf.outbox.reclaim(shelf.owner)
                found = shelf.alerts.open_of(shelf.owner, _MAX_ALERTS)
                seen_at = shelf.alerts.alive_at(shelf.owner)
            except sqlite3.Error as error:
                self._go_to_memory(error, self._clock())
                return Restored([], None)
            self._open = {alert.fingerprint: _standing(alert) for alert in found}
            return Restored([alert for alert in found if not self._store_alert.adopt(alert)], seen_at)

    @guard("alerts.take")
    def __call__(self, transition: Transition) -> None:
        """Take a transition; never blocks."""
        if not isinstance(transition, AlertTransition):
            return
        if not forks.is_safe():
            drops.count("alerts", "fork")
            return
        if len(self._waiting) >= _MAX_WAITING:
            drops.count("alerts", "queue_full")
            return
        self._waiting.append(transition)
        if self._wanted and not self._ticker.running:
            self.start()
        self._ticker.wake()

    def settle(self) -> None:
        """Wait until everything that was handed over is kept: from here on it survives."""
        while self._waiting:
            self.step(self._clock())

    def start(self) -> None:
        """Start the threads, unless they run. In a forked child they start with the first transition."""
        self.start_when_needed()
        self._ticker.start()
        for courier in self._couriers:
            courier.start()

    def start_when_needed(self) -> None:
        """Start the threads with the first transition."""
        self._wanted = True

    @guard("alerts.stop")
    def stop(self, timeout_s: float) -> None:
        """Keep what is waiting, deliver what is due, let another process go on; within about `timeout_s` seconds.

        What could not be delivered is in the store; without one it is lost.
        """
        self._wanted = False
        if not (self._ticker.running or self._waiting or self.keeper.is_open):
            return
        deadline = time.monotonic() + timeout_s
        self._ticker.stop(timeout_s / 2.0)
        if not self._stepping.acquire(timeout=max(0.0, deadline - time.monotonic())):
            drops.count("alerts", "not_stopped", max(1, len(self._waiting)))  # it waits for a disk that hangs
            return
        try:
            self._finish(deadline)
        finally:
            self._stepping.release()

    def _finish(self, deadline: float) -> None:
        now = self._clock()
        while self._step(now) and time.monotonic() < deadline:
            continue
        shelf = self.keeper.shelf
        try:
            if not shelf.durable:
                self._desk.farewell(shelf, now, _FAREWELL_S)
            for courier in self._couriers:
                courier.hurry()
            for courier in self._couriers:
                courier.finished(deadline - time.monotonic())
            self._desk.resign(shelf, now)
        except sqlite3.Error:
            drops.count("alerts", "not_resigned")  # the others wait for the ten seconds
        for courier in self._couriers:
            courier.stop(max(0.05, deadline - time.monotonic()))
        self.keeper.close()

    def resign(self, now: float) -> None:
        """Without threads: let another process go on, at once."""
        with self._stepping:
            self._desk.resign(self.keeper.shelf, now)

    def deliver(self, timeout_s: float) -> None:
        """Without threads: send what is due, here and now, for about `timeout_s` seconds."""
        deadline = time.monotonic() + timeout_s
        for courier in self._couriers:
            outbox = self._outbox()
            if outbox is not None:
                courier.deliver(outbox, deadline - time.monotonic())

    def _outbox(self) -> Outbox | None:
        """What is to be delivered by this process: the outbox, while it dispatches."""
        return self.keeper.shelf.outbox if self._desk.leads else None

    def _late(self, message: Message, at: float) -> None:
        self.keeper.shelf.dispatch.ask(reached(message, at), at)

    def _forked(self) -> None:
        """In a forked child: store, leadership and queue are the parent's; threads start when they are needed."""
        self._stepping = threading.Lock()
        self._waiting.clear()
        self._open.clear()
        self._led = False
        self._firing = frozenset()
        self.depths = {}
        self.keeper.forked()
        self._desk.forked()
        self._tidying.forked()
        self._store_alert.forget()
        for courier in self._couriers:
            courier.forked()

    # -- steps ------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        now = self._clock()
        if self.step(now):
            self._ticker.wake()
            return
        deadline = self._desk.next_deadline()
        if deadline is not None:
            self._ticker.due_in(max(_SOONEST_S, deadline - self._clock()))

    def step(self, now: float) -> bool:
        """Do everything that is due at `now`, in bounded portions; whether there is more."""
        with self._stepping:
            return self._step(now)

    def _step(self, now: float) -> bool:
        self._look_after_file(now)
        for transition in self._store_alert.transitions(self.keeper.trouble, now):
            self._tell(transition)
        try:
            self._keep(now)
            self._tidy(now)
            turn = self._desk.turn(self.keeper.shelf, now)
            self._notice_leadership()
            if turn.told:
                for courier in self._couriers:
                    courier.wake()
            self._look_around(now)
        except sqlite3.Error as error:
            self._go_to_memory(error, now)
            return True
        return turn.more or bool(self._waiting)

    def _keep(self, now: float) -> None:
        """Commit what is waiting: from here on it survives."""
        waiting = self._waiting
        batch = [waiting[place] for place in range(min(len(waiting), _BATCH))]
        if not batch:
            return
        shelf = self.keeper.shelf
        shelf.alerts.record(shelf.owner, batch, now)
        for transition in batch:
            waiting.popleft()
            if transition.alert.state in OPEN:
                self._open[transition.alert.fingerprint] = transition
            else:
                self._open.pop(transition.alert.fingerprint, None)

    def _tidy(self, now: float) -> None:
        """Before the dispatcher looks: what is abandoned and ends is news to it."""
        if self._tidying.due(now):
            shelf = self.keeper.shelf
            self._tidying.run(shelf, now, leads=shelf.dispatch.lead(now), handled=self._desk.handled)

    def _look_around(self, now: float) -> None:
        """Once a second: how many messages wait, and what fires."""
        shelf = self.keeper.shelf
        if now >= self._look_at or now < self._look_at - _LOOK_S:
            self._look_at = now + _LOOK_S
            self.depths = shelf.outbox.depth() if self._desk.leads else {}
            if self._desk.leads and self._couriers:
                self._firing = shelf.alerts.firing_ids(_MAX_WAITING)

    def _notice_leadership(self) -> None:
        """Who begins to lead has receivers that forget told again of what fires, as far as they know of it."""
        leads = self._desk.leads
        if leads and not self._led and self._couriers:
            self._firing = self.keeper.shelf.alerts.firing_ids(_MAX_WAITING)
            for courier in self._couriers:
                courier.resume(self._desk.as_known_to(courier.name))
                courier.wake()
        self._led = leads

    # -- when the file fails ----------------------------------------------------------------------------

    def _look_after_file(self, now: float) -> None:
        shelf = self.keeper.shelf
        if shelf.durable and shelf.database.is_gone():
            self._go_to_memory("its file has been removed or replaced", now)
            self.keeper.retry_soon()
        found = self.keeper.try_again(now)
        if found is None:
            return
        memory = self.keeper.shelf
        try:
            self._desk.return_to_file(memory, found, now)
        except sqlite3.Error as error:
            self.keeper.trouble = f"the alert store {self.keeper.path} cannot be used ({error})"
            _close(found.database)
            return
        self.keeper.use(found)
        _close(memory.database)

    def _go_to_memory(self, error: Exception | str, now: float) -> None:
        before = self.keeper.to_memory(error, now)
        if before is None:
            return
        fresh = before.alerts.recent(self._desk.seen)
        about = {transition.alert.fingerprint for transition in fresh}
        standing = [transition for fingerprint, transition in self._open.items() if fingerprint not in about]
        self._desk.go_to_memory(before, self.keeper.shelf, standing, fresh, now)
        _close(before.database)
        for courier in self._couriers:
            courier.wake()


def _standing(alert: Alert) -> AlertTransition:
    return AlertTransition(alert.fired_at or alert.active_at, alert, alert.state, "restored")


def _close(database: Database) -> None:
    try:
        database.close()
    except sqlite3.Error:
        return  # it is out of order: that is why


_services: weakref.WeakSet[AlertService] = weakref.WeakSet()


@guard("alerts.fork")
def _reset_in_child() -> None:
    for service in list(_services):
        service._forked()  # noqa: SLF001 - the module's own class


os.register_at_fork(after_in_child=_reset_in_child)
