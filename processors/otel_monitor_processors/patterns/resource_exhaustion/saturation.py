"""Saturation: a rate at its limit for longer than this source is used to, and not for having more to do."""

from __future__ import annotations

import math
from typing import Any

_PINNED = 0.97
_LASTS_S = 15.0
"""How long a source is at its limit at a time, before anything is known of it: what is brief is no exhaustion."""
_PRIOR_READINGS = 5.0
_STAYS = (0.1, 0.95)
"""Bounds of the probability of staying there until the next reading, as that has it."""
_USUAL_DOUBLINGS = 2.0
_FADE = 0.998
_WEIGHT = 0.05
_LEAST_READINGS = 3
_LEAST_S = 90.0
_LEAST_PAST = 8.0
_LEAST_PAST_S = 120.0
_NORMAL_AFTER_S = 3_600.0
_MORE_WORK = 1.25
_LEAST_MEAN = 0.01


class Saturation:
    """A run of readings at the limit, against how often and how long they were before.

    Its score is -log10 of the probability of the run, from a chain of two states: that one begins, and that it
    goes on each time. A machine that is busy all day has long runs in its past, and none is strange; one that
    idles is the stranger for it: a decade for each time that its usual level has doubled beyond a quarter.
    """

    __slots__ = ("_mean", "_pace", "_pinned", "_readings", "_run", "_run_work", "_since", "_stays", "last_at")

    def __init__(self) -> None:
        self._readings = 0.0
        self._pinned = 0.0
        self._stays = 0.0
        self._run = 0
        self._since = 0.0
        self._pace = -1.0
        self._mean = 0.0
        self._run_work = 0.0
        self.last_at = -math.inf

    def add(self, at: float, level: float, work: float) -> bool:
        """Take in a reading, and how many operations have ended since the last one; whether a run is worth a look."""
        gap_s = at - self.last_at
        known = math.isfinite(gap_s) and gap_s > 0.0
        if level >= _PINNED:
            if not self._run:
                self._since, self._run_work = at, 0.0
            else:
                self._run_work += work
            self._run += 1
        else:
            if self._run:
                self._remember()
            self._readings = self._readings * _FADE + 1.0
            self._mean += (level - self._mean) * max(_WEIGHT, 1.0 / (self._readings + 1.0))
            if known:
                pace = work / gap_s
                self._pace = pace if self._pace < 0.0 else self._pace + _WEIGHT * (pace - self._pace)
        self.last_at = at
        if self.lasts_s > _NORMAL_AFTER_S:
            self._remember()
        return self._run >= _LEAST_READINGS

    def _remember(self) -> None:
        """A run is over: it was one that this source recovers from."""
        self._readings = self._readings * _FADE + self._run
        self._pinned = self._pinned * _FADE + self._run
        self._stays = self._stays * _FADE + self._run - 1
        self._run = 0

    @property
    def lasts_s(self) -> float:
        return self.last_at - self._since if self._run else 0.0

    @property
    def readings(self) -> int:
        return self._run

    @property
    def score(self) -> float:
        """How strange the run is, in decades; 0 where the source has more to do than before."""
        if self._run < _LEAST_READINGS or self.lasts_s < _LEAST_S:
            return 0.0
        gap_s = self.lasts_s / (self._run - 1)
        if self._readings < max(_LEAST_PAST, _LEAST_PAST_S / gap_s) or self._has_more_to_do():
            return 0.0
        prior = min(_STAYS[1], max(_STAYS[0], math.exp(-gap_s / _LASTS_S)))
        entry = (self._pinned - self._stays + 0.5) / (self._readings * min(1.0, gap_s / _LASTS_S) + 1.0)
        stay = (self._stays + prior * _PRIOR_READINGS) / (self._pinned + _PRIOR_READINGS)
        return (
            -math.log10(min(1.0, entry))
            - (self._run - 1) * math.log10(min(0.99, stay))
            + max(0.0, -math.log2(max(self._mean, _LEAST_MEAN)) - _USUAL_DOUBLINGS)
        )

    def is_stale(self, now: float, intervals: float, at_least_s: float) -> bool:
        """Whether nothing has been read for so many of its intervals, as the run has them."""
        return now - self.last_at > max(at_least_s, intervals * self.lasts_s / max(1, self._run - 1))

    def _has_more_to_do(self) -> bool:
        return self._pace >= 0.0 and self._run_work > _MORE_WORK * self._pace * self.lasts_s + 3.0

    def dump(self) -> list[Any]:
        last_at = self.last_at if math.isfinite(self.last_at) else None
        return [
            *(
                self._readings,
                self._pinned,
                self._stays,
                self._run,
                self._since,
                self._pace,
                self._mean,
                self._run_work,
            ),
            last_at,
        ]

    @classmethod
    def load(cls, state: list[Any]) -> Saturation:
        it = cls()
        it._readings, it._pinned, it._stays, it._run, it._since, it._pace, it._mean, it._run_work, last_at = state
        it.last_at = -math.inf if last_at is None else last_at
        return it
