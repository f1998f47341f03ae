"""Notifications in words: subject, plain text, one line; and what makes foreign text harmless in them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from otel_monitor_processors.alerts.alert import MAX_TRACES, Alert, AlertTransition, State
from otel_monitor_processors.alerts.notification import Notification, Status
from otel_monitor_processors.alerts.rule import Labels
from otel_monitor_processors.otel.console import console_line, one_line

MAX_SHOWN = 20
"""How many alerts a text for people spells out; it says how many more there are."""

_MAX_SUBJECT = 200
_MAX_SUMMARY = 1000
_MAX_VALUE = 200
_MAX_LINE = 2000
_MAX_EVIDENCE = 600
_MAX_LABELS = 40
_MAX_VALUES = 1000
_MAX_DEPTH = 6


def line(text: object, limit: int = _MAX_LINE) -> str:
    """Any text as one harmless line of at most `limit` characters."""
    return shortened(one_line(str(text)[: 4 * limit]), limit)


def shortened(text: str, limit: int) -> str:
    """At most `limit` characters, the last of them an ellipsis where some are left out."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def parted(text: str) -> str:
    """`text` with a space of no width after each `@`, so that nobody is mentioned by it."""
    return text.replace("@", "@\u200b")


def encodable(text: str) -> str:
    """`text` without lone surrogates and NUL, which strict receivers refuse even when they are escaped."""
    return re.sub("[\x00\ud800-\udfff]", "\ufffd", text)


def short(alert: Alert, at: float) -> str:
    """One line about one alert, as the console shows it."""
    return console_line(AlertTransition(at, alert, alert.state, resolution(alert)))


def resolution(alert: Alert) -> str:
    """How long an alert fired, and what it was about."""
    began, ended = alert.fired_at or alert.active_at, alert.resolved_at
    lasted = f"it fired for {duration(ended - began)}" if ended is not None else "no longer"
    return f"{lasted}: {alert.summary}" if alert.summary else lasted


def subject(notification: Notification) -> str:
    """`[FIRING:2] critical worker_lost service=shop`, one line without anything that could end it."""
    alerts = notification.alerts
    count = len(notification.firing) if notification.status is Status.FIRING else len(alerts)
    rules = sorted({alert.rule for alert in alerts})
    what = ", ".join(rules[:3]) + (f" and {len(rules) - 3} more" if len(rules) > 3 else "")
    where = labels(notification.group_labels or (alerts[0].labels if len(alerts) == 1 else ()))
    test = "[TEST] " if notification.test else ""
    words = f"{test}[{notification.status.upper()}:{count}] {severity(notification)} {what} {where}"
    return line(words, _MAX_SUBJECT)


def severity(notification: Notification) -> str:
    """The highest severity of what still fires, else of all."""
    alerts = notification.firing or notification.alerts
    return str(max((alert.severity for alert in alerts), key=lambda one: one.number)) if alerts else ""


def plain(notification: Notification) -> str:
    """The whole notification as plain text: a paragraph for each alert, and why it was sent."""
    blocks = [subject(notification)]
    for alert in notification.alerts[:MAX_SHOWN]:
        rows = [f"  {name}: {value}" for name, value in facts(alert)]
        blocks.append("\n".join([headline(alert), *rows]))
    if more(notification):
        blocks.append(more(notification))
    blocks.append(footer(notification))
    return "\n\n".join(blocks) + "\n"


def headline(alert: Alert) -> str:
    """`FIRING critical worker_lost`."""
    return line(f"{alert.state.upper()} {alert.severity} {alert.rule}", _MAX_VALUE)


def more(notification: Notification, shown: int = MAX_SHOWN) -> str:
    """How many alerts are left out, nothing where none is."""
    left_out = len(notification.alerts) - shown
    return f"… and {left_out} more" if left_out > 0 else ""


def footer(notification: Notification) -> str:
    """Why it was sent, by which channel, and its identity."""
    reason = f"Sent because: {line(notification.reason, _MAX_VALUE)}. " if notification.reason else ""
    channel = line(notification.channel, _MAX_VALUE)
    return f"{reason}Channel {channel}, message {notification.number}, id {notification.id}."


def facts(alert: Alert) -> Iterator[tuple[str, str]]:
    """Everything that an alert says about why it is there, as names and harmless values."""
    yield "summary", line(alert.summary, _MAX_SUMMARY)
    yield "labels", labels(alert.labels) or "none"
    yield "since", moment(alert.fired_at or alert.active_at)
    if alert.state is State.RESOLVED and alert.resolved_at is not None:
        yield "resolved", moment(alert.resolved_at)
    yield "value", f"{alert.value:g}, threshold {alert.threshold:g}, window {alert.window_s:g} s"
    if alert.pattern:
        confidence = "" if alert.confidence is None else f", confidence {alert.confidence:.2f}"
        yield "pattern", line(f"{alert.pattern}{confidence}", _MAX_VALUE)
    if alert.evidence:
        yield "evidence", line(json.dumps(jsonable(alert.evidence), ensure_ascii=False), _MAX_EVIDENCE)
    if alert.traces:
        yield "traces", " ".join(trace.hex_trace_id() for trace in alert.traces[:MAX_TRACES])


def labels(pairs: Labels) -> str:
    """`service=shop worker=w3`."""
    shown = " ".join(f"{line(name, 100)}={line(value, _MAX_VALUE)}" for name, value in pairs[:_MAX_LABELS])
    return shown + (f" … and {len(pairs) - _MAX_LABELS} more" if len(pairs) > _MAX_LABELS else "")


def moment(at: float) -> str:
    """A time in words, or the number itself where no calendar has it."""
    stamp = rfc3339(at)
    return f"{at:g}" if stamp is None else stamp


def rfc3339(at: float | None) -> str | None:
    """Unix seconds as RFC 3339 in UTC, to the millisecond; None for what no calendar has."""
    if at is None or not math.isfinite(at):
        return None
    try:
        return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):
        return None


def counted(number: int, noun: str) -> str:
    """`1 alert`, `2 alerts`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def duration(seconds: float) -> str:
    """`42 s`, `5 min`, `3.5 h`."""
    if seconds < 120:
        return f"{max(seconds, 0):.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"


def ends_first(alerts: Iterable[Alert]) -> list[Alert]:
    """What is resolved before what fires: the end of an earlier episode is not the last that a receiver hears."""
    return sorted(alerts, key=lambda alert: alert.state is State.FIRING)


def jsonable(value: Any, limit: int = 2000) -> Any:
    """`value` as strict JSON has it: no NaN, no lone surrogates; texts of `limit` characters, 1,000 values in all."""
    return _jsonable(value, limit, iter(range(_MAX_VALUES)), _MAX_DEPTH)


def _jsonable(value: Any, limit: int, budget: Iterator[int], depth: int) -> Any:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if depth > 0 and isinstance(value, Mapping):
        pairs = ((key, item) for key, item in value.items() if next(budget, None) is not None)
        return {_text(key, 200): _jsonable(item, limit, budget, depth - 1) for key, item in pairs}
    if depth > 0 and isinstance(value, list | tuple | set | frozenset):
        items = (item for item in value if next(budget, None) is not None)
        return [_jsonable(item, limit, budget, depth - 1) for item in items]
    return _text(value, limit)


def _text(value: object, limit: int) -> str:
    return shortened(encodable(str(value)), limit)
