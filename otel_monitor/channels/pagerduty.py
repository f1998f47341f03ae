"""Alerts to PagerDuty, by its Events API v2: an incident for each alert, resolved with it."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

from otel_monitor.channels.channel import Delivered, Receipt, Rejected, Retry
from otel_monitor.channels.deadline import Deadline
from otel_monitor.channels.http_target import Answer, HttpOptions, HttpTarget
from otel_monitor.channels.payload import alert_document, encoded
from otel_monitor.channels.progress import Progress
from otel_monitor.channels.secret import Concealed, Secret, SecretError
from otel_monitor.channels.text import counted, ends_first, labels, line, resolution, rfc3339
from otel_monitor_processors.alerts.alert import Alert, State
from otel_monitor_processors.alerts.notification import Notification
from otel_monitor_processors.alerts.rule import Severity
from otel_monitor_processors.guard import guard

URL = "https://events.pagerduty.com/v2/enqueue"

SEVERITIES = {
    Severity.INFO: "info",
    Severity.WARNING: "warning",
    Severity.CRITICAL: "error",
    Severity.EMERGENCY: "critical",
}
"""PagerDuty's names: its `critical` is the highest, above `error`."""

_MAX_SUMMARY = 1024
_MAX_NAMED = 5
_SOURCE_LABELS = ("instance", "worker", "host", "service")


class PagerDutyChannel:
    """Sends an event for each alert of a notification: `trigger` while it fires, `resolve` when it is resolved.

    The alert's fingerprint is the event's `dedup_key`: sending it again changes nothing. `routing_key` is the
    integration key of the service. `timeout` of the options is the time for all events of a notification; those
    that it was too short for follow when the notification is sent again.
    """

    keeps_state = True

    def __init__(
        self,
        name: str,
        *,
        routing_key: Secret,
        url: Concealed,
        options: HttpOptions,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self._routing_key = routing_key
        self._target = HttpTarget(name, url, options)
        self._timeout_s = options.timeout
        self._clock = clock
        self._progress = Progress()

    @guard("channels.pagerduty", default=Retry("an internal error"))
    def send(self, notification: Notification) -> Receipt:
        try:
            routing_key = self._routing_key.reveal()
        except SecretError as error:
            return Retry(str(error))
        deadline = Deadline(self._timeout_s)
        done = self._progress.of(notification.id)
        rejected: list[str] = []
        for alert in ends_first(notification.alerts):
            part = f"{alert.id} {alert.state}"
            if part in done:
                continue
            receipt = self._send_event(event(alert, notification.test), routing_key, deadline)
            if isinstance(receipt, Retry):
                return Retry(f"{len(done)} of {len(notification.alerts)} sent, then: {receipt.reason}", receipt.after_s)
            if isinstance(receipt, Rejected):
                rejected.append(f"{line(alert.rule, 100)}: {receipt.reason}")
            else:
                done.add(part)
        self._progress.finish(notification.id)
        if rejected:
            shown = "; ".join(rejected[:_MAX_NAMED])
            return Rejected(f"{len(rejected)} of {len(notification.alerts)} rejected: {shown}")
        return Delivered(counted(len(notification.alerts), "event"))

    def close(self) -> None:
        """Each request has its own connection: none is open."""

    def _send_event(self, body: dict[str, Any], routing_key: str, deadline: Deadline) -> Receipt:
        if deadline.passed:
            return Retry(f"timeout: not all events within {deadline.total_s:g} s", 0.0)
        content = encoded({"routing_key": routing_key, **body})
        answer = self._target.post(content, {"Content-Type": "application/json"}, deadline, (routing_key,))
        return answer.receipt(self._clock()) if isinstance(answer, Answer) else answer

    def __repr__(self) -> str:
        return f"PagerDutyChannel({self.name!r}, {self._target})"


def event(alert: Alert, test: bool = False) -> dict[str, Any]:
    """The event about one alert, without the routing key."""
    resolved = alert.state is State.RESOLVED
    what = resolution(alert) if resolved else alert.summary
    test_mark = "[TEST] " if test else ""
    values = dict(alert.labels)
    source = next((values[name] for name in _SOURCE_LABELS if values.get(name)), "") or socket.gethostname()
    return {
        "event_action": "resolve" if resolved else "trigger",
        "dedup_key": alert.fingerprint,
        "client": "otel-monitor",
        "payload": {
            "summary": line(f"{test_mark}{alert.rule} {labels(alert.labels)}: {what}", _MAX_SUMMARY),
            "source": line(source, 200),
            "severity": SEVERITIES[alert.severity],
            "timestamp": rfc3339(alert.fired_at or alert.active_at),
            "component": line(values.get("service", ""), 200) or None,
            "class": line(alert.pattern or alert.rule, 200),
            "custom_details": alert_document(alert),
        },
    }
