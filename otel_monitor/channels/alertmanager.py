"""Alerts to a Prometheus Alertmanager, by its API v2, as Prometheus itself sends them."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from otel_monitor.channels.alertmanager_labels import LabelSet, annotations_of, label_set
from otel_monitor.channels.channel import Delivered, Receipt, Rejected, Retry
from otel_monitor.channels.deadline import Deadline
from otel_monitor.channels.http_target import Answer, HttpOptions, HttpTarget
from otel_monitor.channels.payload import encoded
from otel_monitor.channels.secret import Concealed
from otel_monitor.channels.text import counted, ends_first, line, rfc3339
from otel_monitor_processors import drops
from otel_monitor_processors.alerts.alert import Alert, State
from otel_monitor_processors.alerts.notification import Notification
from otel_monitor_processors.guard import guard

PATH = "/api/v2/alerts"

_LAPSE = 4
"""A firing alert ends by itself this many intervals after it was last sent: when we die, Alertmanager resolves it."""

_RESOLVED_FOR_S = 900.0
"""How long a resolved alert is sent again: an Alertmanager that was just restarted is told, too."""

_BATCH = 64
_MAX_ALERTS = 10_000
_MAX_NAMED = 5


@dataclass(frozen=True, slots=True)
class _Posted:
    """An alert under the labels that it has been posted with. `ended_at` is set where these fire no longer."""

    alert: Alert
    labels: LabelSet
    ended_at: float | None = None


class AlertmanagerChannel:
    """Posts each alert with the labels `alertname` and `severity` and its own, made valid.

    `url` is the Alertmanager's, without the path of its API. What fires is sent again every `resend` seconds
    (see `Refreshing`), each time to end by itself after four times that long. As the severity is a label here,
    an alert whose severity changes ends under the old one and begins under the new.
    """

    keeps_state = True

    def __init__(
        self,
        name: str,
        *,
        url: Concealed,
        options: HttpOptions,
        resend: float = 60.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self._target = HttpTarget(name, url, options)
        self._timeout_s = options.timeout
        self._resend_s = resend
        self._clock = clock
        self._posted: dict[LabelSet, _Posted] = {}
        self._refresh_at: float | None = None

    @guard("channels.alertmanager", default=Retry("an internal error"))
    def send(self, notification: Notification) -> Receipt:
        now = self._clock()
        changes = [posted for alert in ends_first(notification.alerts) for posted in self._changes(alert, now)]
        # Labels are all that Alertmanager knows an alert by: of two episodes of one alert the later counts.
        news = {posted.labels: posted for posted in changes}
        receipt, taken = self._post(list(news.values()), now)
        self._remember(taken, now)
        return receipt

    @guard("channels.alertmanager_resume")
    def resume(self, firing: Iterable[Alert]) -> None:
        """Its `refresh` is due at once: the Alertmanager may already be about to resolve them."""
        now = self._clock()
        self._remember([_Posted(alert, label_set(alert)) for alert in firing if alert.state is State.FIRING], now)
        self._refresh_at = now if self._posted else None

    def next_refresh(self) -> float | None:
        return self._refresh_at

    @guard("channels.alertmanager_refresh", default=Retry("an internal error"))
    def refresh(self, now: float, active: Collection[str] | None = None) -> Receipt:
        for labels, posted in list(self._posted.items()):
            lapsed = posted.ended_at is not None and now - posted.ended_at > _RESOLVED_FOR_S
            unknown = posted.ended_at is None and active is not None and posted.alert.id not in active
            if lapsed or unknown:
                del self._posted[labels]
        self._refresh_at = now + self._resend_s if self._posted else None
        tried = list(self._posted.values())
        receipt, taken = self._post(tried, self._clock())
        if isinstance(receipt, Rejected):
            for posted in tried:
                if posted not in taken:
                    del self._posted[posted.labels]
        return receipt

    def close(self) -> None:
        """Each request has its own connection. What fires is left to end by itself, unless somebody resumes it."""

    def _changes(self, alert: Alert, now: float) -> list[_Posted]:
        """The alert as it is now, and its end under other labels that it was posted with before."""
        labels = label_set(alert)
        former = [
            _Posted(posted.alert, posted.labels, now)
            for posted in self._posted.values()
            if posted.alert.fingerprint == alert.fingerprint and posted.labels != labels and posted.ended_at is None
        ]
        ended_at = None if alert.state is State.FIRING else min(alert.resolved_at or now, now)
        return [*former, _Posted(alert, labels, ended_at)]

    def _remember(self, items: Iterable[_Posted], now: float) -> None:
        for item in items:
            if item.labels not in self._posted and len(self._posted) >= _MAX_ALERTS:
                drops.count("alertmanager", "too_many_alerts")
                continue
            self._posted[item.labels] = item
        if self._posted and self._refresh_at is None:
            self._refresh_at = now + self._resend_s

    def _post(self, items: Sequence[_Posted], now: float) -> tuple[Receipt, list[_Posted]]:
        """Post all, and say which were taken. A batch answered with 400 is halved until the culprit is alone."""
        deadline = Deadline(self._timeout_s)
        waiting = [items[start : start + _BATCH] for start in range(0, len(items), _BATCH)]
        taken: list[_Posted] = []
        refused: list[str] = []
        while waiting:
            batch = waiting.pop(0)
            if deadline.passed:
                return Retry(f"timeout: not all alerts within {deadline.total_s:g} s"), taken
            body = encoded([self._alert(posted, now) for posted in batch])
            answer = self._target.post(body, {"Content-Type": "application/json"}, deadline, path=PATH)
            receipt = answer.receipt(now) if isinstance(answer, Answer) else answer
            if isinstance(receipt, Delivered):
                taken += batch
            elif isinstance(receipt, Retry) or not (isinstance(answer, Answer) and answer.status in (400, 422)):
                return receipt, taken
            elif len(batch) > 1:
                middle = len(batch) // 2
                waiting[:0] = [batch[:middle], batch[middle:]]
            else:
                refused.append(f"{line(batch[0].alert.rule, 100)}: {receipt.reason}")
        if refused:
            shown = "; ".join(refused[:_MAX_NAMED])
            return Rejected(f"{len(refused)} of {len(items)} alerts refused: {shown}"), taken
        return Delivered(counted(len(taken), "alert")), taken

    def _alert(self, posted: _Posted, now: float) -> dict[str, Any]:
        starts_at = min(posted.alert.fired_at or posted.alert.active_at, now)
        ends_at = now + _LAPSE * self._resend_s if posted.ended_at is None else max(posted.ended_at, starts_at)
        return {
            "labels": dict(posted.labels),
            "annotations": annotations_of(posted.alert),
            "startsAt": rfc3339(starts_at),
            "endsAt": rfc3339(ends_at),
        }

    def __repr__(self) -> str:
        return f"AlertmanagerChannel({self.name!r}, {self._target})"
