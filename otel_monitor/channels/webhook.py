"""Alerts to an HTTP address of the user's: signed, with an idempotency key, as CloudEvents or plain JSON."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from otel_monitor.channels import signature
from otel_monitor.channels.channel import Receipt, Retry
from otel_monitor.channels.http_target import Answer, HttpOptions, HttpTarget
from otel_monitor.channels.payload import document, encoded
from otel_monitor.channels.secret import Concealed, Secret, SecretError
from otel_monitor_processors.alerts.notification import Notification
from otel_monitor_processors.guard import guard

_EVENT_TYPE = "otel_monitor.notification."
_MAX_SUBJECT = 500


class WebhookChannel:
    """Posts each notification to `url`.

    `format` is `json` (the document of `payload`) or `cloudevents` (the same as the data of a CloudEvent 1.0 in
    structured mode, whose `source` can be set). `Idempotency-Key` is the same whenever the same notification is
    sent again. With a `secret` each request is signed, see `signature`.
    """

    def __init__(
        self,
        name: str,
        *,
        url: Concealed,
        options: HttpOptions,
        secret: Secret | None = None,
        format: str = "json",  # noqa: A002 - the name of the setting
        source: str = "/otel-monitor",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self._target = HttpTarget(name, url, options)
        self._secret = secret
        self._cloud_events = format == "cloudevents"
        self._source = source
        self._clock = clock

    @guard("channels.webhook", default=Retry("an internal error"))
    def send(self, notification: Notification) -> Receipt:
        body = encoded(self._event(notification) if self._cloud_events else document(notification))
        kind = "application/cloudevents+json" if self._cloud_events else "application/json"
        headers = {"Content-Type": f"{kind}; charset=utf-8", "Idempotency-Key": notification.id}
        hide: tuple[str, ...] = ()
        if self._secret is not None:
            try:
                secret = self._secret.reveal()
            except SecretError as error:
                return Retry(str(error))
            headers[signature.HEADER] = signature.sign(secret, body, self._clock())
            hide = (secret,)
        answer = self._target.post(body, headers, hide=hide)
        return answer.receipt(self._clock()) if isinstance(answer, Answer) else answer

    def close(self) -> None:
        """Each request has its own connection: none is open."""

    def _event(self, notification: Notification) -> Mapping[str, Any]:
        data = document(notification)
        return {
            "specversion": "1.0",
            "id": notification.id,
            "source": self._source,
            "type": _EVENT_TYPE + notification.status,
            # A subject is never empty in CloudEvents; escaped, it is one word whatever a label holds.
            "subject": quote(data["group_key"], safe="{}=,:/-._")[:_MAX_SUBJECT] or "all",
            "time": data["at"],
            "datacontenttype": "application/json",
            "data": data,
        }

    def __repr__(self) -> str:
        return f"WebhookChannel({self.name!r}, {self._target})"
