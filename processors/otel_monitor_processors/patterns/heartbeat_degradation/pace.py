"""Pace: how long the gaps between something's arrivals usually are, and whether they have become longer."""

from __future__ import annotations

from array import array
from typing import Any, NamedTuple

from otel_monitor_processors.patterns.heartbeat_degradation.lateness import LEAST, LEAST_MISSED, Habit, Lateness

_REFRESH_EVERY = 8
_WIDE = 0.9
_RELEARN_S = 300.0
_RELEARN_GAPS = 20
_WHOLE = 0.06
"""A gap is one of several whole intervals if these differ so little from the usual one, in shares of it."""
_REGULAR = 0.1
"""More irregular rhythms have no whole intervals."""
_STEADY = 1.35
_APART = 1.5
"""Gaps that are so many times as long as a long one are not learned before it is clear that nothing is wrong."""
_FAR = 2.5
_LONG_PAUSE_S = 2.6
"""Gaps that are longer than this and `_FAR` usual ones are no single pause: they count twice."""
_RELEARN_ANYHOW = 6.0


class Margin(NamedTuple):
    """From when on a gap is long: a `share` longer than nine in ten, at least by `pause_s` or half the usual gap."""

    share: float
    pause_s: float
    least: int
    """So many gaps must have been seen before one is judged."""
    kept: int


BEATS = Margin(0.1, 1.5, 12, 40)
"""For single gaps."""
MEANS = Margin(0.06, 0.04, 5, 24)
"""For means of several gaps: they vary less."""
ANSWERS = Margin(1.5, 0.0, 5, 24)
"""For the time that it takes until a heartbeat is answered: it varies much."""
LAGS = Margin(2.0, 0.0, 5, 24)
"""For how late an event loop runs what is due: it varies more."""


class Pace:
    """The last gaps of a time when all was well, and the evidence that it is not any more.

    `usual` is their median, `bound` the length above which a gap is long: it lies above what nine in ten gaps were.
    """

    __slots__ = ("_gaps", "_next", "_recent", "_since", "bound", "count", "frozen_at", "lateness", "upper", "usual")

    def __init__(self) -> None:
        self.count = 0
        self.usual = 0.0
        self.upper = 0.0
        self.bound = 0.0
        self.lateness = Lateness()
        self.frozen_at: float | None = None
        self._gaps = array("f")
        self._recent: array[float] | None = None
        self._next = 0
        self._since = 0

    def gap(self, at: float, gap_s: float, margin: Margin, fleet: Habit) -> bool:
        """A gap has ended. True: the evidence has changed."""
        lateness = self.lateness
        if self.count < margin.least:
            self._learn(gap_s, margin)
            return False
        if gap_s > self.bound:
            least = max(LEAST_MISSED, fleet.missing) if self.missed(gap_s) else LEAST
            far = gap_s > _FAR * self.usual + _LONG_PAUSE_S and self._is_regular
            ended = lateness.gap(at, least, fleet, 2 if far else 1)
        elif lateness.evidence > 0.0 and gap_s < 2.0 * self.usual - self.bound and self._is_regular:
            return False  # the one before was late: this one says nothing new
        else:
            ended = lateness.gap(at, 0.0, fleet)
        if lateness.evidence <= 0.0:
            cleared = self._settle(margin)
            self._learn(gap_s, margin)
            return cleared
        if lateness.frozen:
            self._watch(at, gap_s, margin)
        elif gap_s > _APART * self.bound:
            self._hold(gap_s, margin)
        else:
            self._learn(gap_s, margin)
        return ended

    def _settle(self, margin: Margin) -> bool:
        """It is over: what never became a suspicion is part of what is usual. True: it was more than that."""
        held, self._recent = self._recent, None
        if self.frozen_at is not None:
            self.frozen_at = None
            return True
        for gap_s in held or ():
            self._learn(gap_s, margin)
        return False

    def _hold(self, gap_s: float, margin: Margin) -> array[float]:
        """Keep a gap apart, with those before it: it will be seen whether they are usual."""
        if self._recent is None:
            self._recent = array("f")
        self._recent.append(gap_s)
        if len(self._recent) > margin.kept:
            del self._recent[0]
        return self._recent

    def _learn(self, gap_s: float, margin: Margin) -> None:
        gaps = self._gaps
        self.count += 1
        if len(gaps) < margin.kept:
            gaps.append(gap_s)
        else:
            gaps[self._next] = gap_s
            self._next = (self._next + 1) % margin.kept
        self._since += 1
        if self._since >= _REFRESH_EVERY or self.count < margin.kept:
            self._refresh(margin)

    def _refresh(self, margin: Margin) -> None:
        self._since = 0
        ordered = sorted(self._gaps)
        usual = self.usual = ordered[len(ordered) // 2]
        self.upper = ordered[(3 * len(ordered)) // 4]
        wide = ordered[int(_WIDE * (len(ordered) - 1))]
        self.bound = wide + max(margin.share * wide, min(margin.pause_s, 0.5 * usual))

    def _watch(self, at: float, gap_s: float, margin: Margin) -> None:
        """While something is suspected, the gaps are kept apart: a rhythm that stays another one is learned at last."""
        if self.frozen_at is None:
            self.frozen_at = at
        recent = self._hold(gap_s, margin)
        lasting_s = max(_RELEARN_S, _RELEARN_GAPS * self.usual)
        if len(recent) < _RELEARN_GAPS or at - self.frozen_at < lasting_s:
            return
        ordered = sorted(recent)
        steady = ordered[int(_WIDE * (len(ordered) - 1))] <= _STEADY * ordered[len(ordered) // 2]
        if steady or at - self.frozen_at > _RELEARN_ANYHOW * lasting_s:
            self._gaps, self._next = recent, 0
            self._recent = self.frozen_at = None
            self.lateness.clear()
            self._refresh(margin)

    def miss(self, at: float, margin: Margin, fleet: Habit) -> bool:
        """Something that counts as a long gap, and has no length. True: the evidence has changed."""
        return self.count >= margin.least and self.lateness.gap(at, LEAST, fleet)

    def missed(self, gap_s: float) -> int:
        """How many heartbeats are missing in a gap of several whole intervals; 0 where it is none."""
        usual = self.usual
        if usual <= 0.0 or gap_s < 1.5 * usual:
            return 0
        scatter = max(_WHOLE, self.upper / usual - 1.0)  # of one interval
        times = round(gap_s / usual)
        off = abs(gap_s / times - usual) / usual
        return times - 1 if scatter <= _REGULAR and times > 1 and off <= scatter else 0

    @property
    def _is_regular(self) -> bool:
        return self.upper <= (1.0 + _REGULAR) * self.usual

    def now(self) -> tuple[float, float]:
        """The median and the longest of the gaps since something is suspected."""
        ordered = sorted(self._recent or self._gaps)
        return (ordered[len(ordered) // 2], ordered[-1]) if ordered else (0.0, 0.0)

    def resume(self) -> None:
        """What was suspected has an explanation; the rhythm stays known."""
        self.lateness.clear()
        self._recent = self.frozen_at = None

    def dump(self) -> list[Any]:
        recent = list(self._recent) if self._recent is not None else None
        ring = [list(self._gaps), self._next, self._since]
        return [self.count, [self.usual, self.upper, self.bound], self.lateness.dump(), self.frozen_at, ring, recent]

    @classmethod
    def load(cls, state: list[Any]) -> Pace:
        pace = cls()
        pace.count, lengths, lateness, pace.frozen_at, ring, recent = state
        pace.usual, pace.upper, pace.bound = lengths
        pace.lateness = Lateness.load(lateness)
        gaps, pace._next, pace._since = ring
        pace._gaps = array("f", gaps)
        pace._recent = array("f", recent) if recent is not None else None
        return pace
