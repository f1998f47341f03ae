"""Silences: somebody does not want to be told of certain alerts for some time."""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from otel_monitor_processors.alerts.held import Held, instant
from otel_monitor_processors.alerts.matcher import Matchers, all_match, parse_matcher

_MAX_SILENCES = 10_000
_KEPT_S = 5 * 24 * 3600.0
"""How long an expired silence can still be looked up."""


class SilenceError(ValueError):
    """The silence makes no sense; `problems` says everything that is wrong with it."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(problems))


class SilenceState(StrEnum):
    """Where a silence is in its life."""

    PENDING = "pending"
    ACTIVE = "active"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """Alerts that match all of `matchers` are held back from `starts_at` to `ends_at` (unix seconds).

    Raises:
        SilenceError: it ends before it starts, would match every alert, or has no author or comment.
    """

    matchers: Matchers
    starts_at: float
    ends_at: float
    author: str
    comment: str
    id: str = ""

    def __post_init__(self) -> None:
        problems = []
        if not (math.isfinite(self.starts_at) and math.isfinite(self.ends_at)):
            problems.append("starts_at and ends_at: expected times")
        elif self.ends_at <= self.starts_at:
            problems.append("ends_at: not after starts_at")
        if all(matcher.matches({}) for matcher in self.matchers):
            problems.append("matchers: at least one has to ask for more than an empty value, or all alerts match")
        if not self.author.strip():
            problems.append("author: required")
        if not self.comment.strip():
            problems.append("comment: required")
        if problems:
            raise SilenceError(problems)
        if not self.id:
            object.__setattr__(self, "id", self._digest())

    def _digest(self) -> str:
        parts = [*map(str, self.matchers), f"{self.starts_at:.6f}", f"{self.ends_at:.6f}", self.author, self.comment]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    def state(self, now: float) -> SilenceState:
        if now < self.starts_at:
            return SilenceState.PENDING
        return SilenceState.ACTIVE if now < self.ends_at else SilenceState.EXPIRED

    def dump(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "matchers": [str(matcher) for matcher in self.matchers],
            "starts_at": self.starts_at,
            "ends_at": self.ends_at,
            "author": self.author,
            "comment": self.comment,
        }

    @classmethod
    def load(cls, state: Mapping[str, Any]) -> Silence:
        return cls(**{**state, "matchers": tuple(parse_matcher(text) for text in state["matchers"])})


class Silences:
    """All silences; at most 10,000, expired ones leave first."""

    def __init__(self) -> None:
        self._silences: OrderedDict[str, Silence] = OrderedDict()
        self.dropped = 0

    def add(self, silence: Silence, now: float) -> str:
        """Add a silence, or replace the one of its id; its id.

        Raises:
            SilenceError: it is over already, or there are too many.
        """
        if silence.state(now) is SilenceState.EXPIRED:
            raise SilenceError(["ends_at: in the past"])
        self.forget(now)
        if silence.id not in self._silences and len(self._silences) >= _MAX_SILENCES:
            self._make_room(now)
        self._silences[silence.id] = silence
        return silence.id

    def _make_room(self, now: float) -> None:
        over = next((s.id for s in self._silences.values() if s.state(now) is SilenceState.EXPIRED), None)
        if over is None:
            self.dropped += 1
            raise SilenceError([f"there are {_MAX_SILENCES} silences already: expire some"])
        del self._silences[over]

    def expire(self, silence_id: str, now: float) -> Silence:
        """End a silence now; one that is over stays as it is.

        Raises:
            LookupError: there is none of this id.
        """
        silence = self._silences.get(silence_id)
        if silence is None:
            raise LookupError(f"no silence {silence_id!r}")
        if silence.state(now) is not SilenceState.EXPIRED:
            starts_at = silence.starts_at if silence.starts_at < now else math.nextafter(now, -math.inf)
            silence = replace(silence, starts_at=starts_at, ends_at=now)
            self._silences[silence_id] = silence
        return silence

    def holding(self, labels: Mapping[str, str], now: float) -> Held | None:
        """The silence that holds an alert of these labels back, the one that lasts longest."""
        active = [
            silence
            for silence in self._silences.values()
            if silence.state(now) is SilenceState.ACTIVE and all_match(silence.matchers, labels)
        ]
        if not active:
            return None
        silence = max(active, key=lambda silence: silence.ends_at)
        who = f"silenced by {silence.author} ({silence.comment}) until {instant(silence.ends_at)}"
        return Held(who, silence.ends_at)

    def all(self) -> list[Silence]:
        """Every silence that is known, the expired ones of the last days included."""
        return list(self._silences.values())

    def forget(self, now: float) -> None:
        """Let go of those that expired long ago."""
        for silence_id in [s.id for s in self._silences.values() if s.ends_at < now - _KEPT_S]:
            del self._silences[silence_id]

    def dump(self) -> list[Any]:
        return [silence.dump() for silence in self._silences.values()]

    def load(self, state: list[Any]) -> None:
        self._silences = OrderedDict((item["id"], Silence.load(item)) for item in state)
