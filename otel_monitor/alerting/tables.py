"""Alerts, silences and messages as lines for people and as documents for programs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from otel_monitor.alerting.reception import Listed, Story
from otel_monitor.channels.payload import alert_document
from otel_monitor.channels.text import counted, labels, line, rfc3339
from otel_monitor.store.outbox import Message
from otel_monitor_processors.alerts.alert import Alert, State
from otel_monitor_processors.alerts.decision import Decision
from otel_monitor_processors.alerts.silence import Silence


def listed(items: Sequence[Listed], states: Sequence[State]) -> Iterable[str]:
    """A line for each alert in these states, and one for everything that lies over it."""
    if not items:
        yield f"no alert is {' or '.join(states)}"
    for item in items:
        alert = item.alert
        yield f"{alert.id}  {_head(alert)}  since {_at(alert.active_at)}  {_what(alert)}"
        yield from (f"    {text}" for text in _overlays(item))


def listed_document(item: Listed) -> dict[str, Any]:
    held_by = [
        {"stage": str(stage), "reason": held.reason, "until": rfc3339(held.until)}
        for stage, held in item.held_by.items()
    ]
    return {
        **alert_document(item.alert),
        "held": item.alert.held or None,
        "held_by": held_by,
        "stale_since": rfc3339(item.abandoned.heard_at) if item.abandoned is not None else None,
    }


def story(told: Story) -> Iterator[str]:
    """The whole story of an alert, in paragraphs."""
    alert = told.listed.alert
    yield f"{_head(alert)}  {_what(alert)}"
    yield f"id {alert.id}, identity {alert.fingerprint}"
    yield f"value {alert.value:g}, threshold {alert.threshold:g}, since {_at(alert.active_at)}"
    yield from _overlays(told.listed)
    yield ""
    yield "History"
    for _, step in told.history:
        yield f"  {_at(step.at)}  {step.previous} -> {step.alert.state}: {line(step.reason)}"
    yield ""
    yield "Why somebody was or was not told"
    if not told.decisions:
        yield "  nothing is known of that any more"
    yield from map(_decision, told.decisions)
    yield ""
    yield "Notifications"
    if not told.messages:
        yield "  none"
    yield from (f"  {_message(message)}" for message in told.messages)


def _decision(decision: Decision) -> str:
    channel = f" ({decision.channel})" if decision.channel else ""
    mark = "held" if decision.held else "passed"
    return f"  {_at(decision.since)}  {mark:<6}  " + line(f"{decision.stage}{channel}: {decision.reason}")


def story_document(told: Story) -> dict[str, Any]:
    return {
        **listed_document(told.listed),
        "history": [
            {"at": rfc3339(step.at), "from": str(step.previous), "to": str(step.alert.state), "reason": step.reason}
            for _, step in told.history
        ],
        "decisions": [
            {
                "stage": str(decision.stage),
                "held": decision.held,
                "reason": decision.reason,
                "since": rfc3339(decision.since),
                "at": rfc3339(decision.at),
                "until": rfc3339(decision.until),
                "channel": decision.channel or None,
            }
            for decision in told.decisions
        ],
        "notifications": [message_document(message) for message in told.messages],
    }


def silences(items: Sequence[Silence], now: float) -> Iterator[str]:
    """A line for each silence."""
    if not items:
        yield "there are no silences"
    for silence in items:
        matchers = ",".join(map(str, silence.matchers))
        times = f"{_at(silence.starts_at)} to {_at(silence.ends_at)}"
        said = line(f"{silence.author}: {silence.comment}")
        yield f"{silence.id}  {silence.state(now):<7}  {times}  {line(matchers)}  {said}"


def silence_document(silence: Silence, now: float) -> dict[str, Any]:
    return {
        "id": silence.id,
        "state": str(silence.state(now)),
        "matchers": [str(matcher) for matcher in silence.matchers],
        "starts_at": rfc3339(silence.starts_at),
        "ends_at": rfc3339(silence.ends_at),
        "author": silence.author,
        "comment": silence.comment,
    }


def dead_letters(items: Sequence[Message]) -> Iterator[str]:
    """A line for each message that was given up."""
    if not items:
        yield "there are no dead letters"
    yield from map(_message, items)


def _message(message: Message) -> str:
    """A message's number, where it goes and is, and what was said of it."""
    told = message.notification
    about = ", ".join(dict.fromkeys(alert.rule for alert in told.alerts))
    tries = counted(message.attempts, "attempt")
    said = line(f"({tries}: {message.said})" if message.said else f"({tries})")
    return f"{message.seq}  {_at(told.at)}  {told.channel}  {message.place} {said}  {line(f'{told.reason}: {about}')}"


def message_document(message: Message) -> dict[str, Any]:
    told = message.notification
    return {
        "number": message.seq,
        "id": told.id,
        "channel": told.channel,
        "place": str(message.place),
        "attempts": message.attempts,
        "said": message.said,
        "at": rfc3339(told.at),
        "next_at": rfc3339(message.next_at),
        "reason": told.reason,
        "alerts": [alert.id for alert in told.alerts],
    }


def _head(alert: Alert) -> str:
    return f"{alert.state:<8}  {alert.severity:<9}  {line(alert.rule)}"


def _overlays(item: Listed) -> Iterator[str]:
    """What lies over an alert, a line each."""
    if item.abandoned is not None:
        heard_at = _at(item.abandoned.heard_at)
        yield line(f"as it stood at {heard_at}: nothing has been heard of {item.abandoned.owner} since")
    yield from (line(held.reason) for held in item.held_by.values())


def _what(alert: Alert) -> str:
    held = f" ({alert.held})" if alert.held else ""
    return line(f"{labels(alert.labels)}: {alert.summary}{held}")


def _at(at: float | None) -> str:
    return rfc3339(at) or "?"
