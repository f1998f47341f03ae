"""A failing service: how often its work fails, by spans, by metrics and by logs, against its own past."""

from __future__ import annotations

import math
from typing import Any

from otel_monitor_processors.patterns.cascading_failures.error_rate import ErrorRate
from otel_monitor_processors.patterns.share import MEMORY_S, Share

_FLOOR = 0.005
_LATELY = 0.1
_USUALLY = 0.005


class FailingService:
    """One service's failures against its own past."""

    __slots__ = ("counts", "failing_since", "lately_s", "logs", "seen_since", "spans", "unreached", "usually_s")

    def __init__(self, window_s: float, at: float) -> None:
        self.spans = Share(window_s)
        self.counts = Share(window_s)
        self.logs = ErrorRate(window_s, at)
        self.unreached = ErrorRate(window_s, at)
        """Failures to reach somebody, however told."""
        self.lately_s = self.usually_s = 0.0
        """What a call takes."""
        self.seen_since = at
        self.failing_since: float | None = None

    def roll(self, now: float) -> None:
        self.spans.roll(now)
        self.counts.roll(now)
        self.logs.roll(now)
        self.unreached.roll(now)

    def freeze(self, frozen: bool) -> None:
        self.spans.frozen = self.counts.frozen = self.logs.frozen = frozen

    @property
    def hits(self) -> int:
        return max(self.spans.hits, self.counts.hits, self.logs.hits)

    @property
    def score(self) -> float:
        """How improbable so many failures are by chance, as -log10 p; the strongest channel."""
        return max(-self.spans.log10_p(_FLOOR), -self.counts.log10_p(_FLOOR), -self.logs.log10_p)

    @property
    def total(self) -> int:
        """Calls that it has answered in the window, well or not."""
        return self.spans.total + self.counts.total

    def usual(self, seconds: float, now: float) -> float:
        """How many answers are usually seen in so many seconds, by spans."""
        past_s = MEMORY_S * (1.0 - math.exp(-max(1.0, now - self.seen_since - self.spans.window_s) / MEMORY_S))
        return self.spans.past_events / past_s * seconds

    @property
    def slowness(self) -> float:
        """How many times as long as in the past its calls take."""
        return self.lately_s / self.usually_s if self.usually_s else 1.0

    def took(self, seconds: float, times: int) -> None:
        """What calls have taken on average, so many reports of it; while it fails, that is not what is usual."""
        if not self.usually_s:
            self.lately_s = self.usually_s = seconds
        self.lately_s += (1.0 - (1.0 - _LATELY) ** times) * (seconds - self.lately_s)
        if not self.spans.frozen:
            self.usually_s += (1.0 - (1.0 - _USUALLY) ** times) * (seconds - self.usually_s)

    @property
    def fails_itself(self) -> bool:
        """Whether most of its failures are other than not to have reached somebody."""
        return self.unreached.hits < 0.5 * (self.spans.hits + self.counts.hits + self.logs.hits)

    @property
    def only_logs_own(self) -> bool:
        """Whether it is known by its logs alone, and these tell of errors of its own."""
        return not self.spans.hits and not self.counts.hits and not self.unreached.hits

    def dump(self) -> list[Any]:
        parts = (self.spans, self.counts, self.logs, self.unreached)
        return [*(part.dump() for part in parts), self.seen_since, self.failing_since, self.lately_s, self.usually_s]

    @classmethod
    def load(cls, state: list[Any]) -> FailingService:
        service = cls(1.0, 0.0)
        service.spans, service.counts = Share.load(state[0]), Share.load(state[1])
        service.logs, service.unreached = (ErrorRate.load(part) for part in state[2:4])
        service.seen_since, service.failing_since, service.lately_s, service.usually_s = state[4:]
        return service
