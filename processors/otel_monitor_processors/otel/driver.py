"""Drives one engine from this process's monotonic clock."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence

from otel_monitor_processors import drops
from otel_monitor_processors.alerts.alert import Alert
from otel_monitor_processors.engine import Engine, Offence, Transition
from otel_monitor_processors.guard import guard, site
from otel_monitor_processors.observation import Observation, TraceRef
from otel_monitor_processors.otel.ticker import Ticker

Handler = Callable[[Transition], None]
Earlier = Callable[[], tuple[Sequence[Alert], float | None]]
"""Gives the alerts that an earlier process has left open, and when that was last heard of."""

TICK_S = 0.25
_PAUSE_S = 5.0
_WALL_JUMP_S = 60.0
_MAX_PENDING = 65_536
_BATCH = 1_024
_MAX_OUTBOX = 10_000
_MAX_FLAGS = 4_096


class Driver:
    """Feeds an engine what the hooks of a process observe, and hands its transitions to the handlers.

    Hooks only append to a bounded queue. Whoever gets the engine without waiting works the queue off: the
    background thread four times a second, the caller of `observe`, or a caller of `offer` when the queue has
    grown long. Handlers run in the background thread alone, so that no notification ever delays a call.
    """

    def __init__(self, engine: Engine | None = None) -> None:
        self.engine = engine if engine is not None else Engine()
        self.detection_s: deque[float] = deque(maxlen=_MAX_OUTBOX)
        self._pending: deque[Observation] = deque()
        self._outbox: deque[Transition] = deque()
        self._flags: OrderedDict[TraceRef, Offence] = OrderedDict()
        self._handlers: list[Handler] = []
        self._periodic: list[_Periodic] = []
        self._earlier: Earlier | None = None
        self._to_restore = False
        self._working = threading.Lock()  # guards engine and _flags; only ever tried, but for stop()
        self._offset_s = time.time() - time.monotonic()
        self._alive_at = time.monotonic()
        self._engine_counts: dict[str, int] = {}
        self._ticker = Ticker("otel-monitor", TICK_S, self._tick)
        _drivers.add(self)

    # -- clock ------------------------------------------------------------------------------------------

    def now(self) -> float:
        """Event time: unix seconds, advanced by the monotonic clock."""
        return time.monotonic() + self._offset_s

    # -- input ------------------------------------------------------------------------------------------

    def offer(self, observation: Observation) -> None:
        """Queue an observation; never blocks."""
        pending = self._pending
        if len(pending) >= _BATCH:
            self._work()
            if len(pending) >= _MAX_PENDING:
                drops.count("driver", "queue_full")
                return
        pending.append(observation)
        if not self._ticker.running:
            self.start()

    def observe(self, observation: Observation) -> None:
        """Queue an observation and judge it at once, unless somebody else is at it; never blocks."""
        self.offer(observation)
        self._work()

    def every(self, interval_s: float, function: Callable[[], None]) -> None:
        """Call `function` about every `interval_s` seconds in the background thread."""
        self._periodic.append(_Periodic(interval_s, function))

    def subscribe(self, handler: Handler) -> None:
        """Hand every transition from now on to `handler`, in the background thread."""
        self._handlers.append(handler)

    def unsubscribe(self, handler: Handler) -> None:
        """Hand it nothing any more."""
        if handler in self._handlers:
            self._handlers.remove(handler)

    def tell(self, transition: Transition) -> None:
        """Hand the handlers a transition that is none of the engine's, in the background thread."""
        self._emit([transition])
        self._ticker.wake()

    def restore_from(self, earlier: Earlier | None) -> None:
        """Before anything is evaluated, take up the alerts that `earlier` gives.

        It is asked in the background thread, and may take its time: what is observed meanwhile waits. Handlers that
        have a method `restored` are told of these alerts by it, and not of each again. A forked child asks anew.
        """
        self._earlier = earlier
        self._to_restore = earlier is not None

    # -- life -------------------------------------------------------------------------------------------

    @guard("driver.start")
    def start(self) -> None:
        """Start the background thread, unless it runs."""
        self._ticker.start()

    @guard("driver.stop")
    def stop(self, timeout_s: float = 1.0) -> None:
        """End the thread after one last evaluation, and deliver what it found."""
        self._ticker.stop(timeout_s)
        if self._working.acquire(timeout=timeout_s):
            try:
                if self._pending:
                    self._restore()
                self._drain()
                self._emit(self.engine.conclude(self.now()))
                self._report()
            finally:
                self._working.release()
        self._deliver()

    @property
    def slow_s(self) -> float:
        """Calls that take longer should be judged at once."""
        return self.engine.slow_s

    @property
    def queue_size(self) -> int:
        """How many observations wait."""
        return len(self._pending)

    def offence(self, trace: TraceRef) -> Offence | None:
        """The alert that a span is evidence for, asked once by the exporting processor when the span has ended."""
        return self._flags.pop(trace, None) if self._flags else None

    # -- work -------------------------------------------------------------------------------------------

    @guard("driver.work")
    def _work(self) -> None:
        while self._pending and not self._to_restore and self._working.acquire(blocking=False):
            try:
                self._drain()
            finally:
                self._working.release()
        if self._outbox:
            self._ticker.wake()

    @guard("driver.restore")
    def _restore(self) -> None:
        if not self._to_restore or self._earlier is None:
            return
        self._to_restore = False
        alerts, last_seen_at = self._earlier()
        for handler in list(self._handlers):
            told = getattr(handler, "restored", None)
            if told is not None and alerts:
                told(alerts)
        self._emit(self.engine.restore(alerts, self.now(), last_seen_at))

    def _drain(self) -> None:
        started = time.perf_counter()
        self._notice_pause()
        pending = self._pending
        batch = [pending.popleft() for _ in range(len(pending))]
        if batch:
            self._emit(self.engine.observe(batch))
            self._report()
            for offence in self.engine.take_offences():
                self._flag(offence)
            self.detection_s.append((time.perf_counter() - started) / len(batch))

    def _notice_pause(self) -> None:
        """A process that was stopped, or starved of the interpreter, has received nothing: no proof of anything."""
        now = time.monotonic()
        gap_s = now - self._alive_at
        self._alive_at = now
        if gap_s > _PAUSE_S and self._ticker.running:
            self.engine.pause(gap_s)
        jump_s = time.time() - self.now()
        if jump_s > _WALL_JUMP_S:  # the machine was suspended, or its clock was set
            self._offset_s += jump_s
            self.engine.pause(jump_s)

    def _flag(self, offence: Offence) -> None:
        self._flags[offence.trace] = offence
        if len(self._flags) > _MAX_FLAGS:
            self._flags.popitem(last=False)
            drops.count("driver", "flags_full")

    def _emit(self, transitions: list[Transition]) -> None:
        for transition in transitions:
            if len(self._outbox) >= _MAX_OUTBOX:
                drops.count("driver", "outbox_full")
            else:
                self._outbox.append(transition)

    def _report(self) -> None:
        """What the engine has counted since the last time, and which of its detectors have failed."""
        engine = self.engine
        for reason, count in (("series_limit", engine.dropped), ("late", engine.late), ("malformed", engine.malformed)):
            before = self._engine_counts.get(reason, 0)
            if count > before:
                drops.count("engine", reason, count - before)
            self._engine_counts[reason] = count
        for failure in engine.take_failures():
            site(f"detector.{failure.pattern}{'.switched_off' * failure.switched_off}").failed(failure.error)

    def _tick(self) -> None:
        if self._to_restore and self._working.acquire(blocking=False):
            try:
                self._restore()
            finally:
                self._working.release()
        self._work()
        if self._working.acquire(blocking=False):
            try:
                self._notice_pause()
                self._emit(self.engine.advance(self.now()))
                self._report()
            finally:
                self._working.release()
        self._deliver()
        now = time.monotonic()
        for periodic in list(self._periodic):
            periodic.run(now)

    def _deliver(self) -> None:
        while self._outbox:
            transition = self._outbox.popleft()
            for handler in list(self._handlers):
                _handle(handler, transition)

    def _forked(self) -> None:
        """In a forked child: the parent's fleet, alerts and queue are the parent's."""
        self._working = threading.Lock()
        self._pending.clear()
        self._outbox.clear()
        self._flags.clear()
        self._engine_counts = {}
        self._alive_at = time.monotonic()
        self._to_restore = self._earlier is not None
        self.engine.reset()


class _Periodic:
    """A function that is due every `interval_s` seconds."""

    __slots__ = ("_due", "_function", "_interval_s")

    def __init__(self, interval_s: float, function: Callable[[], None]) -> None:
        self._interval_s = interval_s
        self._function = function
        self._due = time.monotonic()

    @guard("driver.periodic")
    def run(self, now: float) -> None:
        if now >= self._due:
            self._due = now + self._interval_s
            self._function()


@guard("driver.handler")
def _handle(handler: Handler, transition: Transition) -> None:
    handler(transition)


_drivers: weakref.WeakSet[Driver] = weakref.WeakSet()
_by_engine: weakref.WeakValueDictionary[int, Driver] = weakref.WeakValueDictionary()
# by id(): a driver keeps its engine alive, so that an id is not used again while the driver is here
_current: Driver | None = None


def current_driver() -> Driver | None:
    """The driver that this process's hooks feed, if there is one."""
    return _current


def set_current_driver(driver: Driver | None) -> None:
    """Make `driver` the one that this process's hooks feed."""
    global _current
    _current = driver


def driver_of(owner: Driver | Engine | None) -> Driver:
    """The driver itself, the one driver of an engine, or for None the process's own, made when there is none."""
    if isinstance(owner, Driver):
        return owner
    if owner is None:
        own = _current
        if own is None:
            own = Driver()
            set_current_driver(own)
        return own
    driver = _by_engine.get(id(owner))
    if driver is None:
        driver = _by_engine[id(owner)] = Driver(owner)
    return driver


@guard("driver.fork")
def _reset_in_child() -> None:
    for driver in list(_drivers):
        driver._forked()  # noqa: SLF001 - the module's own class


os.register_at_fork(after_in_child=_reset_in_child)
