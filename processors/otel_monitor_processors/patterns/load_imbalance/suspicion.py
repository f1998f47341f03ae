"""A worker that does more than is usual for it, and whether that is over."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from otel_monitor_processors.patterns.load_imbalance.part import Part

_OVER_AT = 4.0
_BACK_AT = 5.0
_DEPRESSED = 0.8
"""While one has too much, the others have at most so much of what is usual for them."""
_UNTOUCHED = 0.7
"""From so much on, what is left for them tells that a backlog is worked off beside it."""
_RELIEVED = 0.85
"""It is over where the suspects' share has fallen to so much of what it was."""
_PRIOR_CALLS = 3.0
"""The others' rate while they have less begins from the usual one, as if so many calls had been seen."""
_BACKLOG_S = 900.0
"""So long after an excess is over, its backlog may still be worked off."""


class Suspicion(NamedTuple):
    """A worker that has done `calls` of all `total` between two times, where `share` of them would be usual."""

    worker: str
    calls: float
    total: float
    share: float
    since: float
    until: float


class Look:
    """What was known of a suspect when it was looked at last, and what speaks for its excess being over since."""

    __slots__ = ("calls", "over", "total")

    def __init__(self, calls: float, total: float) -> None:
        self.calls = calls
        self.total = total
        self.over = 0.0

    def is_over(self, part: Part, total: float, dispersion: float) -> bool:
        """The same test the other way round: the usual share against the one that was found."""
        usual, all_calls = part.share, total - part.since_all
        found = part.calls / all_calls if all_calls > 0.0 else 1.0
        if found > usual:
            calls, others = part.calls - self.calls, total - self.total
            self.over += (others * (found - usual) - calls * math.log(found / usual)) / dispersion
            self.over = max(0.0, self.over)
        self.calls, self.total = part.calls, total
        return self.over > _OVER_AT


class Return:
    """Whether the others get again what they used to: the end of an excess whose backlog is worked off for long.

    While some workers get too much, the others get less than usual. That their rate is the usual one again, not the
    one since the beginning of the excess, is a log-likelihood ratio of two Poisson rates, summed up as in a CUSUM.
    `base` is where that sum begins: the others' calls, those of the suspects, and the time.
    """

    def __init__(self) -> None:
        self._names: list[str] = []
        self._base = (0.0, 0.0, 0.0)
        self._last = (0.0, 0.0)
        self._sum = 0.0
        self._over_at: float | None = None

    def is_over(self, suspicions: list[Suspicion], rate: float, dispersion: float, now: float) -> bool:
        """Look at the suspects of a verdict that stands; `rate` is the fleet's usual number of calls a second."""
        names = [suspicion.worker for suspicion in suspicions]
        since = min(suspicion.since for suspicion in suspicions)
        theirs = sum(suspicion.calls for suspicion in suspicions)
        others = max(suspicion.total for suspicion in suspicions) - theirs
        if names != self._names or now < self._last[1] or others < self._last[0]:
            self._names, self._sum = names, 0.0
            self._base, self._last = (others, theirs, now), (others, now)
            return False
        usual = rate * max(0.0, 1.0 - sum(suspicion.share for suspicion in suspicions))
        if usual <= 0.0:
            return False
        found = (self._base[0] + _PRIOR_CALLS) / (max(0.0, self._base[2] - since) + _PRIOR_CALLS / usual)
        more, dt = others - self._last[0], now - self._last[1]
        self._last = (others, now)
        if found > _DEPRESSED * usual:
            self._sum = 0.0
        else:
            self._sum += (more * math.log(usual / found) - (usual - found) * dt) / dispersion
        if self._sum <= 0.0:
            self._sum, self._base = 0.0, (others, theirs, now)
            return False
        return self._sum > _BACK_AT and self._relieved(others, theirs)

    def _relieved(self, others: float, theirs: float) -> bool:
        """Whether the suspects' share has fallen: not if there is more to do for everybody."""
        before = self._base[1] / max(self._base[0] + self._base[1], 1.0)
        lately = (theirs - self._base[1]) / max(others - self._base[0] + theirs - self._base[1], 1.0)
        return lately < _RELIEVED * before

    def over(self, now: float) -> None:
        """It is over: what is done now may be a backlog."""
        self._over_at = now
        self._names = []

    def is_backlog(self, suspicions: list[Suspicion], rate: float, now: float) -> bool:
        """Whether an excess soon after another takes nothing from the others."""
        if self._over_at is None or now - self._over_at > _BACKLOG_S:
            return False
        usual = rate * max(0.0, 1.0 - sum(suspicion.share for suspicion in suspicions))
        since = min(suspicion.since for suspicion in suspicions)
        others = max(suspicion.total for suspicion in suspicions) - sum(suspicion.calls for suspicion in suspicions)
        return others > _UNTOUCHED * usual * (now - since)

    def dump(self) -> list[Any]:
        return [self._names, list(self._base), list(self._last), self._sum, self._over_at]

    @classmethod
    def load(cls, state: list[Any]) -> Return:
        back = cls()
        names, base, last, back._sum, back._over_at = state
        back._names, back._base, back._last = list(names), (base[0], base[1], base[2]), (last[0], last[1])
        return back
