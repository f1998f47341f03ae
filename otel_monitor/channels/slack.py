"""Alerts to an incoming webhook of Slack, or of what takes the same: Mattermost, Rocket.Chat, Discord's `/slack`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from otel_monitor.channels.channel import Receipt, Retry
from otel_monitor.channels.http_target import Answer, HttpOptions, HttpTarget
from otel_monitor.channels.payload import encoded
from otel_monitor.channels.secret import Concealed
from otel_monitor.channels.text import facts, footer, headline, more, parted, shortened, subject
from otel_monitor_processors.alerts.alert import Alert, State
from otel_monitor_processors.alerts.notification import Notification
from otel_monitor_processors.alerts.rule import Severity
from otel_monitor_processors.guard import guard

MAX_ATTACHMENTS = 10
"""Slack shows up to 100, and asks for 20 at most."""

_MAX_TEXT = 3000
_MAX_FIELD = 1000
_COLOURS = {
    Severity.INFO: "#439fe0",
    Severity.WARNING: "#daa038",
    Severity.CRITICAL: "#d00000",
    Severity.EMERGENCY: "#7b0000",
}
_RESOLVED = "#2eb886"
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "`": "\u02cb"}
_BREAK = "\u200b"  # no width: it is not seen, and it parts what would be a mention or a link


class SlackChannel:
    """Posts each notification as one message with an attachment for each of its first ten alerts.

    Text of others' (labels, summaries) is escaped, and shown as code, where neither mentions nor links nor
    formatting have an effect.
    """

    def __init__(
        self, name: str, *, url: Concealed, options: HttpOptions, clock: Callable[[], float] = time.time
    ) -> None:
        self.name = name
        self._target = HttpTarget(name, url, options)
        self._clock = clock

    @guard("channels.slack", default=Retry("an internal error"))
    def send(self, notification: Notification) -> Receipt:
        body = encoded(slack_message(notification))
        headers = {"Content-Type": "application/json; charset=utf-8", "Idempotency-Key": notification.id}
        answer = self._target.post(body, headers)
        return answer.receipt(self._clock()) if isinstance(answer, Answer) else answer

    def close(self) -> None:
        """Each request has its own connection: none is open."""

    def __repr__(self) -> str:
        return f"SlackChannel({self.name!r}, {self._target})"


def slack_message(notification: Notification) -> dict[str, Any]:
    """The message as Slack's incoming webhooks take it."""
    attachments = [_attachment(alert) for alert in notification.alerts[:MAX_ATTACHMENTS]]
    last = [more(notification, MAX_ATTACHMENTS), footer(notification)]
    attachments.append({"fallback": "", "text": "\n".join(escaped(text) for text in last if text)})
    return {"text": escaped(subject(notification)), "mrkdwn": False, "attachments": attachments}


def _attachment(alert: Alert) -> dict[str, Any]:
    rows = "\n".join(f"{name}: `{shortened(escaped(value), _MAX_FIELD)}`" for name, value in facts(alert))
    return {
        "color": _RESOLVED if alert.state is State.RESOLVED else _COLOURS[alert.severity],
        "title": escaped(headline(alert)),
        "fallback": escaped(headline(alert)),
        "text": _whole_lines(rows),
        "mrkdwn_in": ["text"],
        "ts": int(alert.resolved_at or alert.fired_at or alert.active_at),
    }


def escaped(text: str) -> str:
    """`text` without an effect: no tags, mentions, links, code."""
    for character, escape in _ESCAPES.items():
        text = text.replace(character, escape)
    return parted(text).replace("](", f"]{_BREAK}(").replace("://", f":{_BREAK}//")


def _whole_lines(rows: str) -> str:
    """At most as much as Slack shows, cut between two lines: half a line may be half an escape."""
    return rows if len(rows) <= _MAX_TEXT else rows[:_MAX_TEXT].rpartition("\n")[0] + "\n…"
