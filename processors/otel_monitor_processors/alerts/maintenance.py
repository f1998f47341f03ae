"""Maintenance windows: times at which certain alerts are expected, and nobody is told of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo

from otel_monitor_processors.alerts.held import Held, instant
from otel_monitor_processors.alerts.matcher import Matchers

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@dataclass(frozen=True, slots=True)
class Once:
    """From one moment to another, in unix seconds."""

    starts_at: float
    ends_at: float

    def ends(self, now: float) -> float | None:
        """When it ends, None when it is not on at `now`."""
        return self.ends_at if self.starts_at <= now < self.ends_at else None


@dataclass(frozen=True, slots=True)
class Weekly:
    """On `weekdays` (0: Monday) from a local time to another of `zone`, into the next day where `end` is not later.

    Where clocks change, the window begins and ends by the clock on the wall.
    """

    weekdays: frozenset[int]
    start: time
    end: time
    zone: tzinfo

    def ends(self, now: float) -> float | None:
        """When it ends, None when it is not on at `now`."""
        today = datetime.fromtimestamp(now, self.zone).date()
        for day in (today - timedelta(days=1), today):
            if day.weekday() in self.weekdays:
                starts_at, ends_at = self._window(day)
                if starts_at <= now < ends_at:
                    return ends_at
        return None

    def _window(self, day: date) -> tuple[float, float]:
        last = day if self.end > self.start else day + timedelta(days=1)
        starts = datetime.combine(day, self.start, self.zone)
        ends = datetime.combine(last, self.end, self.zone)
        return starts.timestamp(), ends.timestamp()


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceWindow:
    """While one of `times` is on, alerts that match all of `matchers` (none: all alerts) are held back."""

    name: str
    times: tuple[Once | Weekly, ...]
    matchers: Matchers = ()
    comment: str = ""

    def holding(self, now: float) -> Held | None:
        """Why alerts that match are held back at `now`, None when they are not."""
        ends = [end for end in (times.ends(now) for times in self.times) if end is not None]
        if not ends:
            return None
        until = max(ends)
        comment = f" ({self.comment})" if self.comment else ""
        return Held(f"in maintenance {self.name}{comment} until {instant(until)}", until)
