"""Notifications are those of Alertmanager, on every case of its acceptance tests and some more, on virtual time."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from otel_monitor.settings_alerts import INHIBITIONS, ROUTES, all_inhibitions
from otel_monitor_processors.alerts.alert import State
from otel_monitor_processors.alerts.dispatcher import Dispatcher
from otel_monitor_processors.alerts.notification import Notification
from otel_monitor_processors.alerts.rule import Severity
from tests.alerts.timeline import Case, Timeline, alert, named

CASES = json.loads((Path(__file__).parent.parent / "data" / "notification-cases.json").read_text())["cases"]
by_case = pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])


def dispatcher_of(case: Case) -> Callable[[], Dispatcher]:
    own = INHIBITIONS.parse(case.get("inhibitions", []))
    (route,) = ROUTES.parse([case["route"]])

    def make() -> Dispatcher:
        return Dispatcher(
            case.get("channels", ["a"]),
            route,
            inhibitions=all_inhibitions(own, defaults=case.get("default_inhibitions", False)),
            not_before=case.get("not_before", 0.0),
        )

    return make


def happen(timeline: Timeline, event: dict[str, Any], silences: list[str]) -> None:
    at = event["at"]
    if "expire" in event:
        timeline.until(at)
        timeline.dispatcher.expire_silence(silences[event["expire"]], at)
    elif "silence" in event:
        timeline.until(at)
        (matcher,) = event["silence"]
        silences.append(timeline.silence(matcher, *event["active"]))
    else:
        start, *end = event.get("active", [at])
        item = alert(
            event.get("fire") or event["resolve"],
            State.FIRING if "fire" in event else State.RESOLVED,
            start,
            labels=event.get("labels", {}),
            resolved_at=end[0] if end else None,
            summary=event.get("summary", ""),
            metric=event.get("metric", ""),
            severity=Severity(event.get("severity", "warning")),
        )
        timeline.take(item, at=at)


def play(case: Case, timeline: Timeline) -> list[Notification]:
    silences: list[str] = []
    for event in sorted(case["events"], key=lambda event: float(event["at"])):
        happen(timeline, event, silences)
    timeline.last = case["until"]
    timeline.until(case["until"])
    return timeline.sent


def matches(notification: Notification, want: dict[str, Any]) -> bool:
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


@by_case
def test_what_is_told_and_when(case: Case) -> None:
    sent = play(case, Timeline(dispatcher_of(case)))
    unexpected = [item for item in sent if not any(matches(item, want) for want in case["want"])]
    missing = [want for want in case["want"] if not any(matches(item, want) for item in sent)]
    assert (unexpected, missing) == ([], [])
    assert len(sent) == len(case["want"])


@by_case
def test_restarts_change_nothing(case: Case) -> None:
    undisturbed = play(case, Timeline(dispatcher_of(case)))
    assert play(case, Timeline(dispatcher_of(case), restarts=True)) == undisturbed


@by_case
@pytest.mark.parametrize("step", [0.07, 50.0])
def test_how_often_the_dispatcher_is_asked_changes_nothing(case: Case, step: float) -> None:
    undisturbed = play(case, Timeline(dispatcher_of(case)))
    assert play(case, Stepwise(dispatcher_of(case), step)) == undisturbed


class Stepwise(Timeline):
    """Asks at regular intervals, whatever the deadlines are."""

    def __init__(self, make: Callable[[], Dispatcher], step: float) -> None:
        super().__init__(make)
        self._step = step
        self._next = step

    def _pass(self, now: float) -> None:
        while self._next < now:
            self.sent += self.dispatcher.advance(self._next)
            self._next += self._step
        if now >= self.last:
            self.sent += self.dispatcher.advance(self.last)
