"""Notifications are those of Alertmanager, on its acceptance tests without deliveries and some more, on virtual time.

Those in which a delivery fails or several programs tell are in `tests/alerting/test_acceptance_cases.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from otel_monitor_processors.alerts.dispatcher import Dispatcher
from otel_monitor_processors.alerts.notification import Notification
from tests.alerts.notification_cases import alert_of, by_case, compare, dispatcher_of, events_of
from tests.alerts.timeline import Case, Timeline


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
        timeline.take(alert_of(event), at=at)


def play(case: Case, timeline: Timeline) -> list[Notification]:
    silences: list[str] = []
    for event in events_of(case):
        happen(timeline, event, silences)
    timeline.last = case["until"]
    timeline.until(case["until"])
    return timeline.sent


@by_case
def test_what_is_told_and_when(case: Case) -> None:
    compare(case, play(case, Timeline(dispatcher_of(case))))


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
