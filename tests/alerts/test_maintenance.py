"""In maintenance windows nobody is told; weekly ones go by the clock on the wall."""

from __future__ import annotations

from datetime import datetime, time
from zoneinfo import ZoneInfo

import pytest

from otel_monitor_processors.alerts.dispatcher import Dispatcher
from otel_monitor_processors.alerts.maintenance import MaintenanceWindow, Once, Weekly
from otel_monitor_processors.alerts.matcher import parse_matchers
from otel_monitor_processors.alerts.route import Route
from tests.alerts.timeline import Timeline, reasons, told

BERLIN = ZoneInfo("Europe/Berlin")
NIGHTLY = Weekly(frozenset(range(7)), time(22), time(6), BERLIN)
SUNDAYS = Weekly(frozenset({6}), time(1), time(4), BERLIN)


def at(text: str) -> float:
    """A time, in UTC where it has no offset of its own."""
    return datetime.fromisoformat(text if text[-6] in "+-" else text + "+00:00").timestamp()


@pytest.mark.parametrize(
    ("window", "now", "ends"),
    [
        (Once(10.0, 20.0), 9.9, None),
        (Once(10.0, 20.0), 10.0, 20.0),
        (Once(10.0, 20.0), 20.0, None),
        (NIGHTLY, at("2030-01-15T21:30:00"), at("2030-01-16T05:00:00")),
        (NIGHTLY, at("2030-01-16T04:59:00"), at("2030-01-16T05:00:00")),
        (NIGHTLY, at("2030-01-16T05:00:00"), None),
        (NIGHTLY, at("2030-07-15T20:30:00"), at("2030-07-16T04:00:00")),
        (SUNDAYS, at("2030-01-13T00:30:00"), at("2030-01-13T03:00:00")),
        (SUNDAYS, at("2030-01-12T00:30:00"), None),
        (
            Weekly(frozenset({0}), time(0), time(0), ZoneInfo("UTC")),
            at("2030-01-14T23:59:00"),
            at("2030-01-15T00:00:00"),
        ),
    ],
)
def test_when_a_window_is_on_and_until_when(window: Once | Weekly, now: float, ends: float | None) -> None:
    assert window.ends(now) == ends


def test_a_window_over_a_change_of_clocks_ends_by_the_clock_on_the_wall() -> None:
    spring, autumn = at("2030-03-31T00:30:00"), at("2030-10-27T00:30:00")
    assert (SUNDAYS.ends(spring), SUNDAYS.ends(autumn)) == (at("2030-03-31T02:00:00"), at("2030-10-27T03:00:00"))


def test_what_matches_is_held_back_and_what_does_not_is_told() -> None:
    window = MaintenanceWindow(
        name="upgrade", times=(Once(0.0, 95.0),), matchers=parse_matchers("service=shop"), comment="v2"
    )
    route = Route(group_by=("...",), group_wait_s=0.0, group_interval_s=10.0)
    timeline = Timeline(lambda: Dispatcher(["a"], route, maintenance=[window]))
    fired = timeline.fire("r", at=5.0, labels={"service": "shop"})
    timeline.fire("r", at=5.0, labels={"service": "billing"})
    assert [dict(item.alerts[0].labels)["service"] for item in timeline.until(90.0)] == ["billing"]
    assert reasons(timeline.dispatcher, fired.id)["maintenance"] == (
        "in maintenance upgrade (v2) until 1970-01-01T00:01:35Z"
    )
    assert [told(item)[:2] for item in timeline.until(120.0)] == [(95.0, "first")]


def test_without_matchers_it_is_about_every_alert() -> None:
    window = MaintenanceWindow(name="all", times=(Once(0.0, 95.0), Once(90.0, 200.0)))
    assert window.holding(92.0) is not None
    timeline = Timeline(lambda: Dispatcher(["a"], Route(group_wait_s=0.0), maintenance=[window]))
    timeline.fire("r", at=5.0)
    assert timeline.until(150.0) == []
