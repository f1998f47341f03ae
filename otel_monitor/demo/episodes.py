"""Alerts and verdicts as people count them: what fires or opens, tells more of itself, and ends is one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from otel_monitor.demo.telemetry import AlertEvent, VerdictEvent


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


@dataclass(frozen=True, slots=True)
class Sighting:
    """One verdict of one reporter from its opening on."""

    events: tuple[VerdictEvent, ...]

    @property
    def opened(self) -> VerdictEvent:
        return self.events[0]

    @property
    def closed(self) -> VerdictEvent | None:
        last = self.events[-1]
        return last if last.state == "closed" else None

    def at(self, until: float | None) -> VerdictEvent:
        """What it last said, or what it said at `until`."""
        said = [event for event in self.events if event.state != "closed" and (until is None or event.at <= until)]
        return said[-1] if said else self.opened


def sightings(events: Iterable[VerdictEvent]) -> list[Sighting]:
    """The verdicts of every reporter, the earliest first."""
    found: list[list[VerdictEvent]] = []
    current: dict[tuple[str, str, str], list[VerdictEvent]] = {}
    for event in events:
        key = (event.reporter, event.pattern, event.scope)
        if event.state == "opened":
            current[key] = [event]
            found.append(current[key])
        elif key in current:
            current[key].append(event)
    return sorted((Sighting(tuple(events)) for events in found), key=lambda sighting: sighting.opened.at)
