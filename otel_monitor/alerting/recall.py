"""The dispatcher recalled from the store, and what it makes of what it is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from otel_monitor.alerting.keeper import Shelf
from otel_monitor.alerting.requests import apply_request
from otel_monitor.store.alerts import Step
from otel_monitor.store.dispatch_state import Answer, Entry, Progress, Request
from otel_monitor.user_line import say
from otel_monitor_processors.alerts.alert import AlertTransition, State
from otel_monitor_processors.alerts.decision import Stage
from otel_monitor_processors.alerts.dispatcher import Dispatcher
from otel_monitor_processors.alerts.notification import Notification

MakeDispatcher = Callable[[], Dispatcher]


class Seen(NamedTuple):
    """What the dispatcher has made of what it was shown."""

    notifications: list[Notification]
    answers: list[Answer]
    overruled: list[Step]
    by_hand: list[AlertTransition]


class Reading(NamedTuple):
    """The dispatcher as the store has it; `kept` is how far its kept state goes, `progress` how far the journal."""

    dispatcher: Dispatcher
    progress: Progress
    kept: Progress
    notifications: list[Notification]


def read(shelf: Shelf, make: MakeDispatcher) -> Reading:
    """The dispatcher as it stands: its kept state, shown again what it has seen since, at the same times.

    Raises:
        sqlite3.Error: the store cannot be read.
    """
    dispatcher = make()
    try:
        snapshot = shelf.dispatch.snapshot()
        if snapshot.state is not None:
            dispatcher.load(snapshot.state)
        progress, entries = snapshot.progress, shelf.dispatch.journal(snapshot.progress.entry)
    except (ValueError, KeyError, TypeError, LookupError) as error:
        say(f"what the alert store knows of notifications cannot be read ({error}): open alerts are told anew")
        dispatcher = make()
        progress = shelf.dispatch.progress()
        _tell_anew(shelf, dispatcher)
        return Reading(dispatcher, progress, progress, [])
    kept = progress
    notifications: list[Notification] = []
    for entry in entries:
        notifications += _replay(shelf, dispatcher, progress, entry)
        progress = entry.progress
    return Reading(dispatcher, progress, kept, notifications)


def _replay(shelf: Shelf, dispatcher: Dispatcher, since: Progress, entry: Entry) -> list[Notification]:
    up_to = entry.progress
    steps = shelf.alerts.after(since.last_event, -1, up_to.last_event) if up_to.last_event > since.last_event else []
    requests = shelf.dispatch.requests(since.last_request, up_to.last_request)
    return show(dispatcher, steps, requests, entry.at).notifications


def _tell_anew(shelf: Shelf, dispatcher: Dispatcher) -> None:
    for alert in shelf.alerts.in_state([State.FIRING], limit=-1):
        dispatcher.take(AlertTransition(alert.fired_at or alert.active_at, alert, State.PENDING, "told anew"))


def show_as_told(dispatcher: Dispatcher, standing: Iterable[AlertTransition], now: float) -> None:
    """Another process leads, and has told these: what was due by now is not told again, their end will be."""
    for transition in sorted(standing, key=lambda transition: transition.at):
        dispatcher.take(transition)
    dispatcher.advance(now)


def show(dispatcher: Dispatcher, steps: Iterable[Step], requests: Iterable[Request], now: float) -> Seen:
    """Let the dispatcher see these, in this order, at `now`."""
    overruled = [step for step in steps if not dispatcher.take(step.transition, now) and _is_by_hand(dispatcher, step)]
    answers, by_hand = [], []
    for request in requests:
        done = apply_request(dispatcher, request.body, now)
        answers.append(Answer(request.seq, done.answer))
        if done.transition is not None:
            by_hand.append(done.transition)
    return Seen(dispatcher.advance(now), answers, overruled, by_hand)


def _is_by_hand(dispatcher: Dispatcher, step: Step) -> bool:
    """Whether a step is no news because somebody has resolved the alert, not for want of room."""
    decisions = dispatcher.decisions(step.transition.alert.fingerprint)
    return any(decision.stage is Stage.RESOLVED_BY_HAND and decision.held for decision in decisions)
