"""Alerts as people count them: one that fires, tells more of itself, and resolves is one alert."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from otel_monitor.demo.telemetry import AlertEvent


@dataclass(frozen=True, slots=True)
class Episode:
    """One alert from its firing on: the changes of its state and of its text, in order of time."""

    events: tuple[AlertEvent, ...]

    @property
    def fired(self) -> AlertEvent:
        return self.events[0]

    @property
    def resolved(self) -> AlertEvent | None:
        return next((event for event in self.events if event.state == "resolved"), None)

    def text(self, until: float | None) -> str:
        """What it last said, or what it said at `until`: afterwards an alert only tells how it fades."""
        said = [event.summary for event in self.events if until is None or event.at <= until]
        return said[-1] if said else self.fired.summary


def episodes(events: Iterable[AlertEvent]) -> list[Episode]:
    """The alerts that fired, the earliest first."""
    groups: dict[tuple[str, str], list[AlertEvent]] = {}
    for event in events:
        group = groups.get((event.reporter, event.id))
        if group is not None:
            group.append(event)
        elif event.state == "firing":
            groups[event.reporter, event.id] = [event]
    return [Episode(tuple(group)) for group in groups.values()]
