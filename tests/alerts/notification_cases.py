"""The cases of what is told of alerts and when, as data, and how what was told is held against them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from otel_monitor.settings_alerts import INHIBITIONS, ROUTES, all_inhibitions
from otel_monitor_processors.alerts.alert import Alert, State
from otel_monitor_processors.alerts.dispatcher import Dispatcher
from otel_monitor_processors.alerts.notification import Notification
from otel_monitor_processors.alerts.rule import Severity
from tests.alerts.timeline import Case, alert, named

CASES = json.loads((Path(__file__).parent.parent / "data" / "notification-cases.json").read_text())["cases"]
by_case = pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])


def channels_of(case: Case) -> list[str]:
    return list(case.get("channels", ["a"]))


def dispatcher_of(case: Case) -> Callable[[], Dispatcher]:
    own = INHIBITIONS.parse(case.get("inhibitions", []))
    (route,) = ROUTES.parse([case["route"]])

    def make() -> Dispatcher:
        return Dispatcher(
            channels_of(case),
            route,
            inhibitions=all_inhibitions(own, defaults=case.get("default_inhibitions", False)),
            not_before=case.get("not_before", 0.0),
        )

    return make


def events_of(case: Case) -> list[dict[str, Any]]:
    """What happens, in the order of time."""
    return sorted(case["events"], key=lambda event: float(event["at"]))


def alert_of(event: dict[str, Any]) -> Alert:
    """The alert that fires or resolves in an event."""
    start, *end = event.get("active", [event["at"]])
    return alert(
        event.get("fire") or event["resolve"],
        State.FIRING if "fire" in event else State.RESOLVED,
        start,
        labels=event.get("labels", {}),
        resolved_at=end[0] if end else None,
        summary=event.get("summary", ""),
        metric=event.get("metric", ""),
        severity=Severity(event.get("severity", "warning")),
    )


def compare(case: Case, sent: Iterable[Notification]) -> None:
    """Each notification was wanted, and each that was wanted is there once."""
    told = list(sent)
    unexpected = [item for item in told if not any(_matches(item, want) for want in case["want"])]
    missing = [want for want in case["want"] if not any(_matches(item, want) for item in told)]
    assert (unexpected, missing) == ([], [])
    assert len(told) == len(case["want"])


def _matches(notification: Notification, want: dict[str, Any]) -> bool:
    low, high = want["between"]
    alerts = {named(item): item for item in notification.alerts}
    return (
        notification.channel == want.get("channel", "a")
        and low <= notification.at <= high
        and sorted(map(named, notification.firing)) == sorted(want.get("firing", []))
        and sorted(map(named, notification.resolved)) == sorted(want.get("resolved", []))
        and all(alerts[name].active_at == at for name, at in want.get("starts", {}).items())
        and all(alerts[name].resolved_at == at for name, at in want.get("ends", {}).items())
        and all(item.summary == want.get("summary", item.summary) for item in alerts.values())
    )
