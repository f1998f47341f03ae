"""Tries channels out: a message through each that says it is a test, and what became of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from otel_monitor.channels.catalogue import build
from otel_monitor.channels.channel import Channel, Delivered, Receipt, Rejected
from otel_monitor.errors import ConfigurationError
from otel_monitor.settings_channels import ChannelSettings
from otel_monitor_processors.alerts.alert import Alert, State, episode_id, fingerprint
from otel_monitor_processors.alerts.notification import Notification
from otel_monitor_processors.alerts.rule import Severity

RULE = "otel_monitor_test"


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of the test message through one channel."""

    channel: str
    type: str
    receipt: Receipt

    @property
    def delivered(self) -> bool:
        return isinstance(self.receipt, Delivered)

    @property
    def said(self) -> str:
        """The receiver's answer, or what went wrong."""
        return self.receipt.detail if isinstance(self.receipt, Delivered) else self.receipt.reason


def try_out(channels: Mapping[str, ChannelSettings], now: float) -> Iterator[Trial]:
    """Send the test message through each, one after the other; each is bounded in time by its own `timeout`."""
    for name, given in channels.items():
        try:
            channel = build({name: given})[name]
        except ConfigurationError as error:
            yield Trial(name, given.type, Rejected("; ".join(problem.message for problem in error.problems)))
            continue
        try:
            yield Trial(name, given.type, send_test(channel, now))
        finally:
            channel.close()


def send_test(channel: Channel, now: float) -> Receipt:
    """Send the test message. Where the receiver keeps alerts, such as PagerDuty, it is resolved right after."""
    receipt = channel.send(_notification(channel.name, now))
    if isinstance(receipt, Delivered) and getattr(channel, "keeps_state", False):
        return channel.send(_notification(channel.name, now, State.RESOLVED))
    return receipt


def _notification(channel: str, now: float, state: State = State.FIRING) -> Notification:
    """About an alert of severity `info` that says what it is."""
    labels = (("channel", channel),)
    identity = fingerprint(RULE, labels)
    alert = Alert(
        id=episode_id(identity, now),
        fingerprint=identity,
        rule=RULE,
        labels=labels,
        severity=Severity.INFO,
        state=State.FIRING,
        active_at=now,
        fired_at=now,
        value=1.0,
        threshold=0.0,
        summary="This is a test: somebody tries out this channel of otel-monitor. Nothing is wrong.",
    )
    if state is State.RESOLVED:
        alert = replace(alert, state=state, resolved_at=now)
    return Notification(
        channel=channel,
        group_key=RULE,
        group_labels=labels,
        number=1 if state is State.FIRING else 2,
        at=now,
        reason="test",
        alerts=(alert,),
        test=True,
    )
