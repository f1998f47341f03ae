"""Carries the messages of the outbox to one channel, in a thread of its own: a slow channel delays no other."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Collection, Iterable

from otel_monitor.channels.channel import Channel, Delivered, Receipt, Refreshing, Rejected, Retry
from otel_monitor.store.outbox import Message, Outbox
from otel_monitor_processors.alerts.alert import Alert
from otel_monitor_processors.guard import guard
from otel_monitor_processors.otel.ticker import Ticker

IDLE_S = 1.0
_MOST_AT_ONCE = 100

Report = Callable[[str, str], None]
"""Told of every attempt: the channel's name, and `delivered`, `retry` or `dead`."""


class Courier:
    """Leases the next message that is due, hands it to the channel, and notes what became of it.

    A message whose sender dies in between is due again when its lease has ended. A receiver that forgets what it
    is not told again is told of the alerts that still fire, of which `firing` gives the ids.
    """

    def __init__(
        self,
        channel: Channel,
        outbox: Callable[[], Outbox | None],
        report: Report,
        firing: Callable[[], Collection[str]],
    ) -> None:
        self.channel = channel
        self._outbox = outbox
        self._report = report
        self._firing = firing
        self._ticker = Ticker(f"otel-monitor-{channel.name}", IDLE_S, self._deliver)

    def resume(self, alerts: Iterable[Alert]) -> None:
        """After a restart: the alerts that fire, as far as this channel knows of them."""
        if isinstance(self.channel, Refreshing):
            self.channel.resume(alerts)

    def start(self) -> None:
        self._ticker.start()

    def wake(self) -> None:
        """There may be something to deliver."""
        self._ticker.wake()

    def stop(self, timeout_s: float) -> None:
        """Finish what is being sent, for at most `timeout_s` seconds."""
        self._ticker.stop(timeout_s)
        if not self._ticker.running:
            self.channel.close()

    def _deliver(self) -> None:
        """Everything that is due, while it is this process's turn; a hundred messages at most."""
        for _ in range(_MOST_AT_ONCE):
            outbox = self._outbox()
            if outbox is None:
                return
            self._refresh(time.time())
            if not self._deliver_one(outbox):
                return
        self._ticker.wake()

    def _refresh(self, now: float) -> None:
        if not isinstance(self.channel, Refreshing):
            return
        due = self.channel.next_refresh()
        if due is not None and due <= now:
            self.channel.refresh(now, self._firing())

    def _deliver_one(self, outbox: Outbox) -> bool:
        """Try the next message that is due. False: there is none."""
        try:
            message = outbox.lease(self.channel.name, time.time())
            if message is None:
                return False
            self._note(outbox, message, _send(self.channel, message))
        except sqlite3.Error:
            return False  # the store's trouble is the service's to handle; the lease ends by itself
        return True

    def _note(self, outbox: Outbox, message: Message, receipt: Receipt) -> None:
        now = time.time()
        match receipt:
            case Delivered(detail):
                outbox.delivered(message, now, detail)
                self._report(self.channel.name, "delivered")
            case Retry(reason, after_s):
                again = outbox.failed(message, now, reason, after_s)
                self._report(self.channel.name, "retry" if again is not None else "dead")
            case Rejected(reason):
                outbox.dead(message, now, reason)
                self._report(self.channel.name, "dead")


@guard("courier.send", default=Retry("the channel itself has failed"))
def _send(channel: Channel, message: Message) -> Receipt:
    return channel.send(message.notification)
