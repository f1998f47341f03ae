"""Acknowledgements: somebody is at work on an alert, so nobody needs to be told of it again until it is over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from otel_monitor_processors.alerts.held import Held, instant


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """`author` took an alert on at `at`. It ends with the alert's recovery, or at `until`, whichever is first."""

    at: float
    author: str
    comment: str = ""
    until: float | None = None

    def words(self) -> str:
        comment = f" ({self.comment})" if self.comment else ""
        until = f" until {instant(self.until)}" if self.until is not None else ""
        return f"acknowledged by {self.author}{comment}{until}"


class Acknowledgements:
    """The acknowledgement of each alert that has one: an overlay, by fingerprint. As many as there are alerts."""

    def __init__(self) -> None:
        self._by_fingerprint: dict[str, Acknowledgement] = {}

    def add(self, fingerprint: str, acknowledgement: Acknowledgement) -> None:
        self._by_fingerprint[fingerprint] = acknowledgement

    def remove(self, fingerprint: str) -> bool:
        """End it; whether there was one."""
        return self._by_fingerprint.pop(fingerprint, None) is not None

    def of(self, fingerprint: str, now: float) -> Acknowledgement | None:
        found = self._by_fingerprint.get(fingerprint)
        return found if found is not None and (found.until is None or now < found.until) else None

    def holding(self, fingerprint: str, now: float) -> Held | None:
        found = self.of(fingerprint, now)
        return Held(found.words(), found.until) if found is not None else None

    def dump(self) -> dict[str, Any]:
        return {fingerprint: asdict(item) for fingerprint, item in self._by_fingerprint.items()}

    def load(self, state: Mapping[str, Any]) -> None:
        self._by_fingerprint = {fingerprint: Acknowledgement(**item) for fingerprint, item in state.items()}
