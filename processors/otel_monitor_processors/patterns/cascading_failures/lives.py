"""Lives: what is heard of a worker, from others and from itself."""

from __future__ import annotations

from typing import Any

from otel_monitor_processors.statistics import Baseline

SHORTEST_S = 2.0
"""No silence shorter than this means anything."""
QUIET = 1.8
"""So many times as long as usual without a sign is a silence."""
_MEMORY = 30
_REGULAR_AFTER = 6
MISSED = 3.5
"""So many intervals without a heartbeat, and it is missed."""
_DEVIATIONS = 8.0


class Life:
    """What is heard of a worker: its heartbeats, whether anything of its own, and failures to reach it."""

    __slots__ = (
        "beat_at",
        "gap",
        "missed_at",
        "missed_since",
        "misses",
        "pace_s",
        "quiet_from",
        "seen_at",
        "told_s",
        "works",
    )

    def __init__(self) -> None:
        self.beat_at = 0.0
        self.gap = Baseline(_MEMORY)
        self.seen_at = 0.0
        self.pace_s = 0.0
        """How long it usually is between two signs of its own."""
        self.quiet_from = 0.0
        """When it last fell silent for long, whether it is back or not."""
        self.missed_at = self.missed_since = 0.0
        """When somebody has failed to reach it last, and first since it was reached."""
        self.told_s = 0.0
        """How long it usually is between two heartbeats, as whoever receives them tells; 0 if nobody does."""
        self.works = False
        """Whether it is known to process tasks."""
        self.misses = 0
        """How often in a row somebody has failed to reach it."""

    @property
    def is_regular(self) -> bool:
        """Whether so many heartbeats have come that their rhythm is known."""
        return self.gap.count >= _REGULAR_AFTER

    def pace(self, gap_s: float) -> None:
        """Some sign of its own has come, so long after the one before."""
        self.pace_s += (gap_s - self.pace_s) / _MEMORY if self.pace_s else gap_s

    @property
    def interval_s(self) -> float:
        """How long it usually is between two heartbeats, 0 where that is not known."""
        return self.told_s or (self.gap.mean if self.is_regular else 0.0)

    @property
    def patience_s(self) -> float:
        """How long after a heartbeat it counts as silent; 0 where heartbeats are too irregular to tell."""
        gap = self.gap
        if not self.is_regular or gap.deviation > gap.mean:
            return 0.0
        return max(SHORTEST_S, MISSED * gap.mean, gap.mean + _DEVIATIONS * gap.deviation)

    def quiet_since(self, now: float) -> float:
        """When it last fell silent, 0 if never."""
        usual_s = max(self.pace_s, self.gap.mean if self.is_regular else 0.0)
        last_at = max(self.seen_at, self.beat_at)
        return last_at if usual_s and now - last_at > max(SHORTEST_S, QUIET * usual_s) else self.quiet_from

    def dump(self) -> list[Any]:
        return [
            self.beat_at,
            self.gap.dump(),
            self.seen_at,
            self.pace_s,
            self.quiet_from,
            self.missed_at,
            self.missed_since,
            self.misses,
            self.works,
            self.told_s,
        ]

    @classmethod
    def load(cls, state: list[Any]) -> Life:
        life = cls()
        life.beat_at, gap, life.seen_at, life.pace_s, life.quiet_from = state[:5]
        life.missed_at, life.missed_since, life.misses, life.works, life.told_s = state[5:]
        life.gap = Baseline.load(gap)
        return life
