"""Functions of the program's own that are called with each alert of this process."""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections import deque
from typing import TypeVar

from otel_monitor.channels.callable import CallableChannel, Handler
from otel_monitor.channels.channel import Delivered
from otel_monitor_processors import drops
from otel_monitor_processors.alerts.alert import AlertTransition, State
from otel_monitor_processors.alerts.notification import Notification
from otel_monitor_processors.engine import Transition
from otel_monitor_processors.guard import guard
from otel_monitor_processors.otel.driver import Driver, current_driver
from otel_monitor_processors.otel.ticker import Ticker

H = TypeVar("H", bound=Handler)

_IDLE_S = 5.0
_AGAIN_S = 1.0
_MAX_WAITING = 10_000
_ATTEMPTS = 3


def add_alert_handler(handler: H, *, timeout: float = 10.0, loop: asyncio.AbstractEventLoop | None = None) -> H:
    """Call `handler` with each alert of this process that fires, changes its severity or is resolved.

    It is called at once, in a thread of its own, whatever the routes and silences say; a coroutine function runs in
    an event loop there, or in `loop`. One that raises, or takes longer than `timeout` seconds, is tried three times,
    and holds up nobody else. To have routes, grouping and the store apply, configure a channel of type `callable`.
    """
    channel = CallableChannel(getattr(handler, "__qualname__", "handler"), handler, timeout=timeout, loop=loop)
    with _lock:
        _subscribers.append(_Subscriber(channel))
    driver = current_driver()
    if driver is not None:
        attach(driver)
    return handler


def attach(driver: Driver) -> None:
    """Hand the driver's alerts to every handler that there is, once."""
    with _lock:
        if driver not in _attached:
            _attached.add(driver)
            driver.subscribe(_hand_out)


def _hand_out(transition: Transition) -> None:
    if not isinstance(transition, AlertTransition) or not transition.is_news:
        return
    if transition.alert.state in (State.FIRING, State.RESOLVED):
        for subscriber in tuple(_subscribers):  # another thread may add one
            subscriber.take(transition)


class _Subscriber:
    """One handler, with what waits for it."""

    def __init__(self, channel: CallableChannel) -> None:
        self._channel = channel
        self._waiting: deque[Notification] = deque()
        self._number = 0
        self._attempts = 0
        self._ticker = Ticker(f"otel-monitor-{channel.name}", _IDLE_S, self._deliver)

    @guard("handlers.take")
    def take(self, transition: AlertTransition) -> None:
        if len(self._waiting) >= _MAX_WAITING:
            drops.count("alert_handler", "queue_full")
            return
        self._number += 1
        alert = transition.alert
        self._waiting.append(
            Notification(
                channel=self._channel.name,
                group_key=alert.fingerprint,
                group_labels=alert.labels,
                number=self._number,
                at=transition.at,
                reason=transition.reason,
                alerts=(alert,),
            )
        )
        self._ticker.start()
        self._ticker.wake()

    def _deliver(self) -> None:
        while self._waiting:
            if not isinstance(self._channel.send(self._waiting[0]), Delivered):
                self._attempts += 1
                if self._attempts < _ATTEMPTS:
                    self._ticker.due_in(_AGAIN_S)
                    return
                drops.count("alert_handler", "failed")
            self._attempts = 0
            self._waiting.popleft()

    def forked(self) -> None:
        self._waiting.clear()
        self._attempts = 0


_lock = threading.RLock()  # guards _subscribers and _attached
_subscribers: list[_Subscriber] = []
_attached: weakref.WeakSet[Driver] = weakref.WeakSet()


def _reset_in_child() -> None:
    global _lock
    _lock = threading.RLock()
    for subscriber in _subscribers:
        subscriber.forked()


os.register_at_fork(after_in_child=_reset_in_child)
