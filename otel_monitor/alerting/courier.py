"""Carries the messages of the outbox to one channel, in a thread of its own: a slow channel delays no other."""

from __future__ import annotations

import math
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterable

from otel_monitor.channels.channel import Channel, Delivered, Receipt, Refreshing, Rejected, Retry
from otel_monitor.errors import ConfigurationError
from otel_monitor.store.outbox import Message, Outbox
from otel_monitor_processors.alerts.alert import Alert
from otel_monitor_processors.guard import guard
from otel_monitor_processors.otel.ticker import Ticker

IDLE_S = 1.0
_SOONEST_S = 0.05
_MOST_AT_ONCE = 100

Late = Callable[[Message, float], None]
"""Told of what has been delivered after failures: the message, and when."""

Report = Callable[[str, str], None]
"""Told of every attempt: the channel's name, and `delivered`, `retry` or `dead`."""


class Courier:
    """Leases the next message that is due, hands it to the channel, and notes what became of it.

    A message whose sender dies in between is due again when its lease has ended. A receiver that asks to be left
    alone for a time gets no other message before that either. One that forgets what it is not told again is told
    of the alerts that still fire, of which `firing` gives the ids.

    The channel is made when it is first needed, in the courier's thread: it may import the user's code. `clock` is
    that by which messages are due, in unix seconds.
    """

    def __init__(
        self,
        name: str,
        make: Callable[[], Channel],
        outbox: Callable[[], Outbox | None],
        report: Report,
        firing: Callable[[], Collection[str]],
        late: Late,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self._make = make
        self._channel: Channel | None = None
        self._outbox = outbox
        self._report = report
        self._firing = firing
        self._late = late
        self._clock = clock
        self._resumed: list[Alert] = []
        self._left_alone_until = -math.inf  # by the monotonic clock
        self._idle = threading.Event()
        self._why = ""
        self._ticker = Ticker(f"otel-monitor-{name}", IDLE_S, self._deliver)

    def resume(self, alerts: Iterable[Alert]) -> None:
        """This process begins to lead: the alerts that fire and that this channel has been told of."""
        self._resumed = list(alerts)

    def start(self) -> None:
        self._ticker.start()

    def wake(self) -> None:
        """There may be something to deliver."""
        self._ticker.wake()

    def hurry(self) -> None:
        """The end is near: deliver what is due now. `finished` waits for that."""
        self._idle.clear()
        self._ticker.wake()

    def finished(self, timeout_s: float) -> bool:
        """Whether there is nothing left that is due, within `timeout_s` seconds."""
        return not self._ticker.running or self._idle.wait(timeout_s)

    def stop(self, timeout_s: float) -> None:
        """End. A channel that hangs keeps its thread until the process ends; its message's lease ends by itself."""
        if self._ticker.stop(timeout_s) and self._channel is not None:
            self._channel.close()

    def forked(self) -> None:
        """In a forked child, whose threads have stayed in the parent."""
        self._idle = threading.Event()

    def deliver(self, outbox: Outbox, timeout_s: float) -> None:
        """Send what is due, here and now, for about `timeout_s` seconds."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and self._deliver_one(outbox):
            continue

    # -- work -------------------------------------------------------------------------------------------

    def _deliver(self) -> None:
        """Everything that is due, while it is this process's turn; a hundred messages at most."""
        for _ in range(_MOST_AT_ONCE):
            outbox = self._outbox()
            if outbox is None:
                self._idle.set()
                return
            self._refresh(self._clock())
            if not self._deliver_one(outbox):
                self._come_back(outbox)
                self._idle.set()
                return
        self._ticker.wake()

    def _come_back(self, outbox: Outbox) -> None:
        try:
            due = outbox.next_due(self.name)
        except sqlite3.Error:
            return
        if due is not None:
            self._ticker.due_in(max(_SOONEST_S, due - self._clock(), self._left_alone_until - time.monotonic()))

    def _refresh(self, now: float) -> None:
        resumed, self._resumed = self._resumed, []
        channel: object = self._made() if resumed else self._channel
        if not isinstance(channel, Refreshing):
            return
        if resumed:
            channel.resume(resumed)
        due = channel.next_refresh()
        if due is None:
            return
        if due <= now:
            channel.refresh(now, self._firing())
            return
        self._ticker.due_in(due - now)

    def _deliver_one(self, outbox: Outbox) -> bool:
        """Try the next message that is due. False: there is none, or not now."""
        if time.monotonic() < self._left_alone_until:
            return False
        try:
            now = self._clock()
            if not outbox.has_due(self.name, now):
                return False  # a look, not a lease: what is idle writes nothing
            message = outbox.lease(self.name, now)
            if message is None:
                return False
            self._note(outbox, message, self._send(message))
        except sqlite3.Error:
            return False  # the store's trouble is the service's to handle; the lease ends by itself
        return True

    def _note(self, outbox: Outbox, message: Message, receipt: Receipt) -> None:
        now = self._clock()
        match receipt:
            case Delivered(detail):
                outbox.delivered(message, now, detail)
                self._report(self.name, "delivered")
                if message.attempts > 1:
                    self._late(message, now)
            case Retry(reason, after_s):
                self._left_alone_until = time.monotonic() + (after_s or 0.0)
                again = outbox.failed(message, now, reason, after_s)
                self._report(self.name, "retry" if again is not None else "dead")
            case Rejected(reason):
                outbox.dead(message, now, reason)
                self._report(self.name, "dead")

    @guard("courier.send", default=Retry("the channel itself has failed"))
    def _send(self, message: Message) -> Receipt:
        channel = self._made()
        if channel is None:
            return Retry(self._why)
        return channel.send(message.notification)

    def _made(self) -> Channel | None:
        if self._channel is None:
            try:
                self._channel = self._make()
            except ConfigurationError as error:
                self._why = " ".join(str(error).split())
        return self._channel
