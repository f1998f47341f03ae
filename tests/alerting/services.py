"""Services of alerts with channels that keep what they are sent, and alerts to put into them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from otel_monitor.alerting.service import AlertService
from otel_monitor.alerting.store_alert import RULE
from otel_monitor.channels.channel import Channel, Delivered, Receipt
from otel_monitor_processors.alerts.alert import Alert, AlertTransition, State, episode_id, fingerprint
from otel_monitor_processors.alerts.dispatcher import Dispatcher
from otel_monitor_processors.alerts.notification import Notification
from otel_monitor_processors.alerts.route import EVERY_LABEL, Route
from otel_monitor_processors.alerts.rule import Severity

AT_ONCE = Route(group_by=(EVERY_LABEL,), group_wait_s=0.0, group_interval_s=0.05)
"""Every alert by itself, and at once; its end a twentieth of a second later."""
RETENTION_S = 86_400.0
START_S = 1_750_000_000.0


class Recorder:
    """A channel that keeps what it is sent; `receipts` are answered first, then all is taken."""

    def __init__(self, name: str = "ops", *receipts: Receipt) -> None:
        self.name = name
        self.got: list[Notification] = []
        self.at: list[float] = []
        self.receipts = list(receipts)
        self.news = threading.Event()

    def send(self, notification: Notification) -> Receipt:
        receipt = self.receipts.pop(0) if self.receipts else Delivered()
        if isinstance(receipt, Delivered):
            self.got.append(notification)
            self.at.append(time.time())
            self.news.set()
        return receipt

    def close(self) -> None:
        pass

    @property
    def told(self) -> list[tuple[str, State]]:
        """Which instance was said to be in which state, in this order."""
        return [(dict(alert.labels)["instance"], alert.state) for item in self.got for alert in item.alerts]


def service(
    *channels: Channel, path: Path | None = None, name: str = "shop", route: Route = AT_ONCE, **options: Any
) -> AlertService:
    made: Mapping[str, Any] = {channel.name: (lambda channel=channel: channel) for channel in channels}
    values: dict[str, Any] = {"store_path": path, "name": name, "retention_s": RETENTION_S, **options}
    return AlertService(made, lambda: Dispatcher(list(made), route), **values)


@contextmanager
def running(alerts: AlertService, timeout_s: float = 5.0) -> Iterator[AlertService]:
    alerts.restore()
    alerts.start()
    try:
        yield alerts
    finally:
        alerts.stop(timeout_s)


def alert(name: str, state: State, began_at: float, at: float, rule: str = "slow") -> Alert:
    labels = (("instance", name),)
    identity = fingerprint(rule, labels)
    return Alert(
        id=episode_id(identity, began_at),
        fingerprint=identity,
        rule=rule,
        labels=labels,
        severity=Severity.WARNING,
        state=state,
        active_at=began_at,
        fired_at=None if state is State.PENDING else began_at,
        resolved_at=at if state is State.RESOLVED else None,
        value=6.5,
        threshold=5.0,
        summary=f"{name} is slow",
    )


def fires(name: str, at: float | None = None, **changes: Any) -> AlertTransition:
    now = time.time() if at is None else at
    return AlertTransition(now, alert(name, State.FIRING, now, now, **changes), State.INACTIVE, "it is slow")


def resolves(earlier: AlertTransition, at: float | None = None) -> AlertTransition:
    now = time.time() if at is None else at
    labels = dict(earlier.alert.labels)
    over = alert(labels["instance"], State.RESOLVED, earlier.alert.active_at, now, earlier.alert.rule)
    return AlertTransition(now, over, State.FIRING, "it is fast again")


class Timeline:
    """A service on virtual time, whose messages are delivered after every step."""

    def __init__(self, path: Path, **options: Any) -> None:
        self.ops = Recorder()
        self.now = START_S
        self.alerts: AlertService = service(self.ops, path=path, busy_s=0.05, clock=lambda: self.now, **options)
        self.go(0.0)

    def go(self, seconds: float) -> None:
        self.now += seconds
        while self.alerts.step(self.now):
            continue
        self.alerts.deliver(30.0)

    def raises(self, name: str) -> AlertTransition:
        raised = fires(name, self.now)
        self.alerts(raised)
        self.go(0.0)
        return raised

    def resolves(self, raised: AlertTransition) -> None:
        self.alerts(resolves(raised, self.now))
        self.go(0.0)
        self.go(0.1)

    @property
    def told(self) -> list[tuple[str, State]]:
        """What was told of the alerts but those about the store."""
        return [(name, state) for name, state in self.ops.told if name != "shop"]

    def store_alerts(self) -> list[State]:
        return [alert.state for item in self.ops.got for alert in item.alerts if alert.rule == RULE]

    def durable(self) -> bool:
        return self.alerts.keeper.shelf.durable

    def close(self) -> None:
        self.alerts.keeper.close()
