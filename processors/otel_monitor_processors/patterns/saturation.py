"""Saturation: a rate at its limit for longer than this source is used to, and not for having more to do."""

from __future__ import annotations

import math
from typing import Any

_PINNED = 0.97
_STAYS = (2.0, 5.0)
"""Prior of a pinned reading being followed by another: as if two of five had been."""
_LONG_GAP_S = 45.0
_LONG_STAYS = (1.0, 5.0)
"""Likewise where a reading is the mean over most of a minute: whatever is short is over by the next."""
_USUAL_DOUBLINGS = 2.0
_FADE = 0.998
_WEIGHT = 0.05
_LEAST_S = 15.0
_LEAST_PAST = 8.0
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

    def add(self, at: float, level: float, work: float) -> None:
        """Take in a reading, and how many operations have ended since the last one."""
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

    def _remember(self) -> None:
        """A run is over: it was one that this source recovers from."""
        self._readings = self._readings * _FADE + self._run
        self._pinned = self._pinned * _FADE + self._run
        self._stays = self._stays * _FADE + self._run - 1
        self._run = 0

    def forget(self) -> None:
        """The run has become the normal state."""
        if self._run:
            self._remember()

    @property
    def lasts_s(self) -> float:
        return self.last_at - self._since if self._run else 0.0

    @property
    def readings(self) -> int:
        return self._run

    @property
    def score(self) -> float:
        """How strange the run is, in decades; 0 where the source has more to do than before."""
        least = 2 if self.lasts_s >= _LONG_GAP_S else 3
        if self._readings < _LEAST_PAST or self._run < least or self.lasts_s < _LEAST_S or self._has_more_to_do():
            return 0.0
        hits, trials = _LONG_STAYS if self.lasts_s / (self._run - 1) >= _LONG_GAP_S else _STAYS
        entry = (self._pinned - self._stays + 0.5) / (self._readings + 1.0)
        stay = (self._stays + hits) / (self._pinned + trials)
        return (
            -math.log10(min(1.0, entry))
            - (self._run - 1) * math.log10(min(0.99, stay))
            + max(0.0, -math.log2(max(self._mean, _LEAST_MEAN)) - _USUAL_DOUBLINGS)
        )

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
