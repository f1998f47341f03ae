"""What is known of one worker's heartbeats: their rhythm, and how far from it they are now."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from otel_monitor_processors.observation import TraceRef
from otel_monitor_processors.statistics import Baseline, log10_normal_tail

PHI_LOST = 8.0
"""Suspicion at which a silent worker is given up: one false verdict in 10^8 (the default of Akka and Cassandra)."""

_DEVIATION_SHARE = 0.25
_MIN_DEVIATION_S = 0.1
_MIN_PAUSE_S = 1.0
_PAUSE_INTERVALS = 2.0
_Z_CAP = 6.0
_LATE_DRIFT = 1.5
_LATE_ALARM = 12.0
_IRREGULAR_DRIFT = 1.5
_IRREGULAR_ALARM = 15.0
_FREEZE = 4.0
_CUSUM_CAP = 30.0
_RECENT = 20
_RELEARN_AFTER = 60
_RELEARN_VARIATION = 0.3


class Condition(StrEnum):
    """How a worker's heartbeats stand."""

    REGULAR = "regular"
    LATE = "late"
    IRREGULAR = "irregular"
    LOST = "lost"


@dataclass(slots=True)
class Rhythm:
    """One worker's heartbeats as its observer receives them.

    Lateness and irregularity are cumulative sums (CUSUM) of how many deviations a gap is off the baseline,
    capped so that one long gap alone raises nothing; silence is judged by phi accrual with a normal tail.
    The baseline is frozen while a suspicion is open, and learned anew when a changed rhythm has become steady.
    """

    observer: str
    last: float
    memory: int
    late: float = 0.0
    irregular: float = 0.0
    frozen_for: int = 0
    lost_at: float | None = None
    lost_reason: str = ""
    trace: TraceRef | None = None
    baseline: Baseline = field(init=False)
    recent: Baseline = field(init=False)

    def __post_init__(self) -> None:
        self.baseline = Baseline(self.memory)
        self.recent = Baseline(_RECENT)

    @property
    def beats(self) -> int:
        return self.baseline.count

    @property
    def deviation_s(self) -> float:
        return max(self.baseline.deviation, _DEVIATION_SHARE * self.baseline.mean, _MIN_DEVIATION_S)

    @property
    def condition(self) -> Condition:
        if self.lost_at is not None:
            return Condition.LOST
        if self.late > _LATE_ALARM:
            return Condition.LATE
        return Condition.IRREGULAR if self.irregular > _IRREGULAR_ALARM else Condition.REGULAR

    def beat(self, at: float, min_events: int) -> None:
        """A heartbeat has arrived."""
        gap = at - self.last
        self.last = max(at, self.last)
        if self.lost_at is not None:
            self.restart(at)
            return
        if gap < 0:
            return
        self.recent.add(gap)
        if self.beats < min_events:
            self.baseline.add(gap)
            return
        z = (gap - self.baseline.mean) / self.deviation_s
        self.late = min(_CUSUM_CAP, max(0.0, self.late + min(z, _Z_CAP) - _LATE_DRIFT))
        self.irregular = min(_CUSUM_CAP, max(0.0, self.irregular + min(abs(z), _Z_CAP) - _IRREGULAR_DRIFT))
        if self.late < _FREEZE and self.irregular < _FREEZE:
            self.frozen_for = 0
            self.baseline.add(gap)
            return
        self.frozen_for += 1
        if self.frozen_for >= _RELEARN_AFTER and self.recent.deviation < _RELEARN_VARIATION * self.recent.mean:
            self._relearn()

    def _relearn(self) -> None:
        self.baseline = Baseline(self.memory, self.recent.mean, self.recent.variance)
        self.baseline.count = self.recent.count
        self.late = self.irregular = 0.0
        self.frozen_for = 0

    def restart(self, at: float) -> None:
        """The worker has come (back): what was missed in between says nothing about its rhythm."""
        self.last = at
        self.lost_at = None
        self.lost_reason = ""
        self.late = self.irregular = 0.0
        self.frozen_for = 0

    def allowed_silence_s(self) -> float:
        """Silence that is still in order: an interval, and a pause like a garbage collection's."""
        mean = self.baseline.mean
        return mean + max(_PAUSE_INTERVALS * mean, _MIN_PAUSE_S)

    def phi(self, now: float) -> float:
        """Suspicion that the worker is gone: -log10 of the probability of a silence this long.

        Source: Hayashibara et al., "The φ accrual failure detector" (SRDS 2004).
        """
        z = (now - self.last - self.allowed_silence_s()) / self.deviation_s
        return max(0.0, -log10_normal_tail(z))

    def dump(self) -> dict[str, Any]:
        return {
            "observer": self.observer,
            "last": self.last,
            "memory": self.memory,
            "late": self.late,
            "irregular": self.irregular,
            "frozen_for": self.frozen_for,
            "lost_at": self.lost_at,
            "lost_reason": self.lost_reason,
            "trace": list(self.trace) if self.trace is not None else None,
            "baseline": self.baseline.dump(),
            "recent": self.recent.dump(),
        }

    @classmethod
    def load(cls, state: dict[str, Any]) -> Rhythm:
        rhythm = cls(
            state["observer"],
            state["last"],
            state["memory"],
            state["late"],
            state["irregular"],
            state["frozen_for"],
            state["lost_at"],
            state["lost_reason"],
            TraceRef(*state["trace"]) if state["trace"] is not None else None,
        )
        rhythm.baseline = Baseline.load(state["baseline"])
        rhythm.recent = Baseline.load(state["recent"])
        return rhythm
