"""What is known of one worker's heartbeats: their rhythm, and how far from it they are now."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from otel_monitor_processors.observation import TraceRef
from otel_monitor_processors.statistics import Baseline, log10_normal_tail

PHI_LOST = 8.0
"""Suspicion at which a silent worker is given up: one false verdict in 10^8 (the default of Akka and Cassandra)."""

_LOST_Z = 5.5
"""Below this many deviations phi cannot reach 8."""

_DEVIATION_SHARE = 0.25
_MIN_DEVIATION_S = 0.1
_MIN_PAUSE_S = 1.0
_PAUSE_INTERVALS = 2.0
_Z_CAP = 6.0
_DRIFT = 1.5
_LATE_ALARM = 12.0
_IRREGULAR_ALARM = 15.0
_FREEZE = 4.0
_CUSUM_CAP = 30.0
_RECENT = 20
_RESCALE_EVERY = 8
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
    `scale_s` is the deviation that gaps are measured by, `recent` the gaps since the baseline was frozen.
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
    scale_s: float = _MIN_DEVIATION_S
    baseline: Baseline = field(init=False)
    recent: Baseline = field(init=False)

    def __post_init__(self) -> None:
        self.baseline = Baseline(self.memory)
        self.recent = Baseline(_RECENT)

    @property
    def beats(self) -> int:
        return self.baseline.count

    @property
    def condition(self) -> Condition:
        if self.lost_at is not None:
            return Condition.LOST
        if self.late > _LATE_ALARM:
            return Condition.LATE
        return Condition.IRREGULAR if self.irregular > _IRREGULAR_ALARM else Condition.REGULAR

    def beat(self, at: float, min_events: int) -> bool:
        """A heartbeat has arrived. False: nothing of note."""
        gap = at - self.last
        baseline = self.baseline
        if gap > 0.0 and self.lost_at is None and not self.late and not self.irregular:
            # The usual case, without a suspicion before or after: both sums stay at zero.
            z = (gap - baseline.mean) / self.scale_s
            if -_DRIFT < z < _DRIFT and baseline.count >= min_events:
                self.last = at
                baseline.add(gap)
                if not baseline.count % _RESCALE_EVERY:
                    self._rescale()
                return False
        return self._notable_beat(at, gap, min_events)

    def _notable_beat(self, at: float, gap: float, min_events: int) -> bool:
        self.last = max(at, self.last)
        if self.lost_at is not None:
            self.restart(at)
            return True
        if gap < 0:
            return False
        if self.beats < min_events:
            self.baseline.add(gap)
            self._rescale()
            return False
        z = (gap - self.baseline.mean) / self.scale_s
        self.late = min(_CUSUM_CAP, max(0.0, self.late + min(z, _Z_CAP) - _DRIFT))
        self.irregular = min(_CUSUM_CAP, max(0.0, self.irregular + min(abs(z), _Z_CAP) - _DRIFT))
        if self.late < _FREEZE and self.irregular < _FREEZE:
            if self.frozen_for:
                self.frozen_for = 0
                self.recent = Baseline(_RECENT)
            self.baseline.add(gap)
            self._rescale()
            return True
        self.frozen_for += 1
        self.recent.add(gap)
        if self.frozen_for >= _RELEARN_AFTER and self.recent.deviation < _RELEARN_VARIATION * self.recent.mean:
            self._relearn()
        return True

    def _rescale(self) -> None:
        baseline = self.baseline
        self.scale_s = max(baseline.deviation, _DEVIATION_SHARE * baseline.mean, _MIN_DEVIATION_S)

    def _relearn(self) -> None:
        self.baseline = Baseline(self.memory, self.recent.mean, self.recent.variance)
        self.baseline.count = self.recent.count
        self.recent = Baseline(_RECENT)
        self.late = self.irregular = 0.0
        self.frozen_for = 0
        self._rescale()

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

    def lost_by(self) -> float:
        """When a silence is suspicious enough to look at."""
        return self.last + self.allowed_silence_s() + _LOST_Z * self.scale_s

    def phi(self, now: float) -> float:
        """Suspicion that the worker is gone: -log10 of the probability of a silence this long.

        Source: Hayashibara et al., "The φ accrual failure detector" (SRDS 2004).
        """
        z = (now - self.last - self.allowed_silence_s()) / self.scale_s
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
            "scale_s": self.scale_s,
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
            state["scale_s"],
        )
        rhythm.baseline = Baseline.load(state["baseline"])
        rhythm.recent = Baseline.load(state["recent"])
        return rhythm
