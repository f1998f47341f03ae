"""Pins: alerts that somebody has resolved while their condition holds stay resolved until it was false once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from otel_monitor_processors.alerts.alert import Alert, State


@dataclass(frozen=True, slots=True)
class Pin:
    """`alert`, as the engine sees it, was resolved by `author` at `at`; the pin ends at `until` if not before."""

    alert: Alert
    author: str
    at: float
    until: float | None = None


class Pins:
    """The pinned alerts, by fingerprint. As many as there are alerts."""

    def __init__(self) -> None:
        self._pins: dict[str, Pin] = {}

    def add(self, pin: Pin) -> None:
        self._pins[pin.alert.fingerprint] = pin

    def has(self, fingerprint: str) -> bool:
        return fingerprint in self._pins

    def swallow(self, alert: Alert) -> bool:
        """Whether what the engine says of an alert is no news; when the condition is false the pin is off."""
        pin = self._pins.get(alert.fingerprint)
        if pin is None:
            return False
        if alert.state is State.FIRING and alert.active_at <= pin.at:
            self._pins[alert.fingerprint] = replace(pin, alert=alert)
            return True
        del self._pins[alert.fingerprint]
        return alert.state is State.RESOLVED

    def ended(self, now: float) -> list[Pin]:
        """The pins whose time is over; they are off."""
        over = [pin for pin in self._pins.values() if pin.until is not None and pin.until <= now]
        for pin in over:
            del self._pins[pin.alert.fingerprint]
        return over

    def next_end(self) -> float | None:
        return min((pin.until for pin in self._pins.values() if pin.until is not None), default=None)

    def alerts(self) -> list[Alert]:
        return [pin.alert for pin in self._pins.values()]

    def dump(self) -> list[Any]:
        return [[pin.alert.dump(), pin.author, pin.at, pin.until] for pin in self._pins.values()]

    def load(self, state: Iterable[Any]) -> None:
        pins = [Pin(Alert.load(alert), author, at, until) for alert, author, at, until in state]
        self._pins = {pin.alert.fingerprint: pin for pin in pins}
