"""The stages between a group of alerts and a message to a channel: each takes out what should not be told now.

A stage is a callable on a draft; a further feature is a further stage in the list.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from otel_monitor_processors.alerts.alert import Alert
from otel_monitor_processors.alerts.decision import Decisions, Stage
from otel_monitor_processors.alerts.flapping import Flapping
from otel_monitor_processors.alerts.grouping import Group
from otel_monitor_processors.alerts.held import Held, instant
from otel_monitor_processors.alerts.notification import REPEAT
from otel_monitor_processors.alerts.rate_limit import RateLimits
from otel_monitor_processors.alerts.told import Told


@dataclass(slots=True)
class Draft:
    """What might be said to `channel` about `group` at `at`.

    `kept` are resolved alerts whose resolution is still owed, `flaps` those whose flapping is told with this, with
    its beginning; `again_at` is when to look again, where a stage knows. `reason` is why it is sent: without one
    it is not.
    """

    group: Group
    channel: str
    at: float
    told: Told
    firing: list[Alert]
    resolved: list[Alert]
    reason: str = ""
    kept: set[str] = field(default_factory=set)
    flaps: dict[str, float] = field(default_factory=dict)
    again_at: float | None = None

    def look_again(self, at: float) -> None:
        self.again_at = at if self.again_at is None else min(at, self.again_at)


class StageCall(Protocol):
    """One stage."""

    def __call__(self, draft: Draft) -> None:
        """Take out of the draft what is held back, and note why."""


class Hold:
    """Takes out the alerts that `check` holds back. What comes back from that is news.

    A resolution that the receiver is owed passes: nobody should go on working on what is over.
    """

    def __init__(self, stage: Stage, check: Callable[[Alert, float], Held | None], decisions: Decisions) -> None:
        self._stage = stage
        self._check = check
        self._decisions = decisions

    def __call__(self, draft: Draft) -> None:
        free = []
        for alert in draft.firing:
            held = self._check(alert, draft.at)
            if held is None:
                self._decisions.passed(alert.fingerprint, self._stage, draft.at)
                free.append(alert)
                continue
            draft.told.current.pop(alert.fingerprint, None)
            self._decisions.note(alert.fingerprint, self._stage, held.reason, draft.at, until=held.until)
        draft.firing = free
        owed = draft.told.believed
        draft.resolved = [a for a in draft.resolved if a.fingerprint in owed or self._check(a, draft.at) is None]


class HoldFlapping:
    """While an alert flaps, one message says so, and then nothing of it until it has come to rest."""

    def __init__(self, flapping: Flapping, decisions: Decisions) -> None:
        self._flapping = flapping
        self._decisions = decisions

    def __call__(self, draft: Draft) -> None:
        draft.firing = [alert for alert in draft.firing if self._passes_firing(draft, alert)]
        draft.resolved = [alert for alert in draft.resolved if self._passes_resolved(draft, alert)]

    def _passes_firing(self, draft: Draft, alert: Alert) -> bool:
        flap = self._flapping.of(alert.fingerprint, draft.at)
        if flap is None:
            self._decisions.passed(alert.fingerprint, Stage.FLAPPING, draft.at, draft.channel, "no longer flapping")
            draft.told.flaps.pop(alert.fingerprint, None)
            return True
        if draft.told.flaps.get(alert.fingerprint) != flap.since:
            draft.flaps[alert.fingerprint] = flap.since
            return True
        self._hold(draft, alert, flap.words(), flap.until)
        return False

    def _passes_resolved(self, draft: Draft, alert: Alert) -> bool:
        flap = self._flapping.of(alert.fingerprint, draft.at)
        if flap is None or alert.fingerprint not in draft.told.believed:
            return True
        self._hold(draft, alert, flap.words(), flap.until)
        draft.kept.add(alert.fingerprint)
        return False

    def _hold(self, draft: Draft, alert: Alert, words: str, until: float) -> None:
        self._decisions.note(alert.fingerprint, Stage.FLAPPING, words, draft.at, until=until, channel=draft.channel)
        draft.look_again(until)


class WhatIsNew:
    """Finds the reason to say something; the order of reasons is Alertmanager's, with severity and flapping added."""

    def __init__(self, decisions: Decisions) -> None:
        self._decisions = decisions

    def __call__(self, draft: Draft) -> None:
        route, told = draft.group.route, draft.told
        seen = draft.group.members
        if not route.send_resolved:
            draft.resolved = []
        draft.resolved = [a for a in draft.resolved if a.fingerprint in told.believed or seen.get(a.fingerprint)]
        draft.reason = self._reason(draft)
        if not draft.reason:
            until = told.at + route.repeat_interval_s
            for alert in draft.firing:
                words = f"{draft.channel} knows since {instant(told.at)}; repeat interval until {instant(until)}"
                self._decisions.note(
                    alert.fingerprint, Stage.REPEAT, words, draft.at, until=until, channel=draft.channel
                )

    @staticmethod
    def _reason(draft: Draft) -> str:
        told = draft.told
        over = [alert.fingerprint for alert in draft.resolved if alert.fingerprint in told.believed]
        if draft.flaps:
            return "flapping"
        if not told.number:
            return "first" if draft.firing else ""
        if any(alert.fingerprint not in told.current for alert in draft.firing):
            return "new alerts"
        if any(told.current[alert.fingerprint] != alert.severity for alert in draft.firing):
            return "severity changed"
        if over:
            return "all resolved" if set(over) == told.believed.keys() and not draft.firing else "alerts resolved"
        if draft.firing and draft.at - told.at >= draft.group.route.repeat_interval_s:
            return REPEAT
        return ""


class LimitRate:
    """Puts off what a channel has no room for; all of it is told when there is room again."""

    def __init__(self, limits: RateLimits, decisions: Decisions) -> None:
        self._limits = limits
        self._decisions = decisions

    def __call__(self, draft: Draft) -> None:
        if not draft.reason:
            return
        until = self._limits.take(draft.channel, draft.at)
        for alert in (*draft.firing, *draft.resolved):
            if until is None:
                self._decisions.passed(alert.fingerprint, Stage.RATE_LIMIT, draft.at, draft.channel)
                continue
            words = f"{self._limits.words(draft.channel)} until {instant(until)}"
            self._decisions.note(
                alert.fingerprint, Stage.RATE_LIMIT, words, draft.at, until=until, channel=draft.channel
            )
        if until is not None:
            draft.look_again(until)
            draft.kept |= {alert.fingerprint for alert in draft.resolved}
            draft.reason = ""
