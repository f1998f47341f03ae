"""Decisions: for every alert, what has held it back or let it pass, stage by stage, in words."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from otel_monitor_processors.alerts.held import instant

_MAX_ALERTS = 10_000
_MAX_EACH = 64


class Stage(StrEnum):
    """Where on its way an alert was held back or passed on, in the order of the way."""

    CONDITION = "condition"
    RESOLVED_BY_HAND = "resolved by hand"
    GROUPING = "grouping"
    MAINTENANCE = "maintenance"
    INHIBITION = "inhibition"
    SILENCE = "silence"
    ACKNOWLEDGEMENT = "acknowledgement"
    FLAPPING = "flapping"
    REPEAT = "repeat"
    RATE_LIMIT = "rate limit"
    NOTIFICATION = "notification"


_ORDER = {stage: position for position, stage in enumerate(Stage)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a stage has decided, for one `channel` or for all (then it is empty).

    `held` tells whether it held the alert back; `reason` says why, or how it went on. It has been so since
    `since`, was last found so at `at`, and lasts until `until` where that is known (all in unix seconds).
    """

    stage: Stage
    held: bool
    reason: str
    since: float
    at: float
    until: float | None = None
    channel: str = ""


class Decisions:
    """The newest decision of each stage and channel on each alert, by fingerprint.

    At most 10,000 alerts, the longest untouched leaves first, and 64 decisions on each.
    """

    def __init__(self) -> None:
        self._alerts: OrderedDict[str, dict[tuple[Stage, str], Decision]] = OrderedDict()
        self.dropped = 0

    def note(
        self,
        fingerprint: str,
        stage: Stage,
        reason: str,
        at: float,
        *,
        held: bool = True,
        until: float | None = None,
        channel: str = "",
    ) -> None:
        """A stage has decided on an alert. As long as it decides the same, `since` stays."""
        known = self._of(fingerprint)
        before = known.get((stage, channel))
        same = before is not None and before.held is held and before.reason == reason
        since = before.since if before is not None and same else at
        if before is None and len(known) >= _MAX_EACH:
            self.dropped += 1
            return
        known[stage, channel] = Decision(
            stage=stage, held=held, reason=reason, since=since, at=at, until=until, channel=channel
        )

    def passed(self, fingerprint: str, stage: Stage, at: float, channel: str = "", reason: str = "") -> None:
        """A stage no longer holds an alert back that it held back before.

        Without a `reason` the words are those of before, less their end: "silenced by ann until …" becomes "no longer
        silenced by ann".
        """
        before = self._alerts.get(fingerprint, {}).get((stage, channel))
        if before is not None and before.held:
            until = f" until {instant(before.until)}" if before.until is not None else ""
            self._alerts[fingerprint][stage, channel] = replace(
                before,
                held=False,
                reason=reason or f"no longer {before.reason.removesuffix(until)}",
                since=at,
                at=at,
                until=None,
            )

    def _of(self, fingerprint: str) -> dict[tuple[Stage, str], Decision]:
        known = self._alerts.get(fingerprint)
        if known is None:
            if len(self._alerts) >= _MAX_ALERTS:
                self._alerts.popitem(last=False)
                self.dropped += 1
            known = self._alerts[fingerprint] = {}
        else:
            self._alerts.move_to_end(fingerprint)
        return known

    def begin(self, fingerprint: str) -> None:
        """A new episode begins: what was decided on the last one is history."""
        self._alerts.pop(fingerprint, None)

    def of(self, fingerprint: str) -> tuple[Decision, ...]:
        """Every decision on an alert, in the order of its way."""
        known = self._alerts.get(fingerprint, {})
        return tuple(sorted(known.values(), key=lambda decision: (_ORDER[decision.stage], decision.channel)))

    def dump(self) -> list[Any]:
        return [
            [name, [[d.stage, d.held, d.reason, d.since, d.at, d.until, d.channel] for d in known.values()]]
            for name, known in self._alerts.items()
        ]

    def load(self, state: Iterable[Any]) -> None:
        self._alerts = OrderedDict(
            (name, {(Stage(row[0]), row[6]): _loaded(row) for row in rows}) for name, rows in state
        )


def _loaded(row: list[Any]) -> Decision:
    stage, held, reason, since, at, until, channel = row
    return Decision(stage=Stage(stage), held=held, reason=reason, since=since, at=at, until=until, channel=channel)
