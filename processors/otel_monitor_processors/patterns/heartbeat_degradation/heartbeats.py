"""What is known of one worker's heartbeats: as they came one by one, and as metrics tell of them."""

from __future__ import annotations

import math
from typing import Any

from otel_monitor_processors.observation import TraceRef
from otel_monitor_processors.patterns.heartbeat_degradation.lateness import Habit
from otel_monitor_processors.patterns.heartbeat_degradation.pace import ANSWERS, BEATS, LAGS, MEANS, Margin, Pace
from otel_monitor_processors.patterns.heartbeat_degradation.signs import Signs

GIVEN_UP = "given up by its orchestrator"
SILENT = "silent"
Fleet = tuple[Habit, Habit, Habit, Habit]
"""How often single gaps, means, answers and lags of event loops were long in the whole fleet."""

_MEAN_OF = 4
_MEAN_OVER_S = 10.0
_REPORTED_S = 300.0
"""So long after an export that told a mean, means are taken from exports: they are complete."""
_ANOTHER = 0.3
_SLOW_SHARE = 0.2
_REPEATED_S = 0.05
_REPEATED_SHARE = 0.1
_SYNTHETIC = 2
_PAUSE_S = 1.5
_NEVER = -1e18


class Rhythm:
    """One worker's heartbeats.

    `beats` are the gaps between heartbeats that its observer recorded one by one; `means` those of ten seconds or
    more together, or of an export where metrics tell of them; `answers` how long the worker itself waited for an
    answer. They are accounts of the same heartbeats, of which the strongest counts. `lags` tell how late the
    worker's own event loop runs what is due, its heartbeats among that. `last` is the last heartbeat
    that was recorded, `answered_at` the last that the worker itself knows to have been received, `gap_s` the last gap.
    A worker is `doubted_at` a time when its next heartbeat is overdue, and `lost_at` a time if it was given up, or
    silent for so long that `silence` (-log10 of the probability, corrected for the number of workers) leaves little
    doubt; `told` if that was said. It is `watched` while a deadline for its next heartbeat is set. `signs` are what
    else is heard of it.
    """

    __slots__ = (
        "_coincided",
        "_counted",
        "_gaps_s",
        "_skips",
        "aged_at",
        "answered_at",
        "answers",
        "beats",
        "doubted_at",
        "gap_s",
        "lags",
        "last",
        "left_at",
        "lost_at",
        "lost_reason",
        "mean_at",
        "means",
        "observer",
        "reported_at",
        "reported_last",
        "signs",
        "silence",
        "told",
        "trace",
        "watched",
    )

    def __init__(self, observer: str, last: float) -> None:
        self.observer = observer
        self.last = last
        self.beats = Pace()
        self.means = Pace()
        self.answers: Pace | None = None
        self.lags: Pace | None = None
        self.reported_at: float | None = None
        self.mean_at: float | None = None
        self.aged_at: float | None = None
        self.reported_last: float | None = None
        self.left_at: float | None = None
        self.lost_at: float | None = None
        self.lost_reason = ""
        self.silence = 0.0
        self.doubted_at = math.inf
        self.answered_at = _NEVER
        self.gap_s = 0.0
        self.told = False
        self.watched = False
        self.signs: Signs | None = None
        self.trace: TraceRef | None = None
        self._coincided = 0
        self._counted = 0
        self._gaps_s = 0.0
        self._skips = False

    @property
    def evidence(self) -> float:
        """How sure it is, in nats, that the heartbeats are late, or would be."""
        return max(self.late_nats, self.lag_nats)

    @property
    def late_nats(self) -> float:
        """How sure it is that the heartbeats are late."""
        most = max(self.beats.lateness.evidence, self.means.lateness.evidence)
        return most if self.answers is None else max(most, self.answers.lateness.evidence)

    @property
    def lag_nats(self) -> float:
        """How sure it is that the worker's event loop is blocked again and again."""
        return 0.0 if self.lags is None else self.lags.lateness.evidence

    @property
    def usual(self) -> float:
        """The interval that is usual, 0 where none is known yet."""
        return self.beats.usual or self.means.usual

    def is_repeated(self, at: float) -> bool:
        """Whether a heartbeat is one that was taken in already: recorded by two signals, or told by a metric."""
        if at == self.reported_at:
            self._coincided = min(_SYNTHETIC, self._coincided + 1)
            return True
        if self._coincided:
            self._coincided -= 1
        gap = at - self.last
        return gap < _REPEATED_S or gap < _REPEATED_SHARE * self.beats.usual

    def beat(self, at: float, usable: bool, fleet: Fleet, margin: Margin = BEATS) -> bool:
        """A heartbeat has arrived; the gap before it is `usable` if nothing else explains it. True: news."""
        gap = self.gap_s = at - self.last
        self.last = at
        if not usable:
            return False
        beats = self.beats
        before = beats.usual
        news = beats.gap(at, gap, margin, fleet[0])
        if beats.usual != before and abs(beats.usual - before) > _ANOTHER * before > 0.0:
            self.means = Pace()  # another rhythm has been learned
        if self.mean_at is not None and at - self.mean_at < _REPORTED_S:
            return news
        self._counted += 1 + (self.beats.missed(gap) if gap > self.beats.upper else 0)
        self._gaps_s += gap
        if self._counted >= _MEAN_OF and self._gaps_s >= _MEAN_OVER_S:
            news |= self.means.gap(at, self._gaps_s / self._counted, MEANS, fleet[1])
            self._counted, self._gaps_s = 0, 0.0
        return news

    def report(self, at: float, mean_s: float, fleet: Fleet) -> bool:
        """An export told the mean interval since the one before. True: the evidence has changed."""
        self._told(at)
        means, before = self.means, self.mean_at
        self.mean_at = at
        if self._skips:
            self._skips = False
            return False
        news = means.gap(at, mean_s, MEANS, fleet[1])
        since = self.beats.frozen_at
        if before is not None and since is not None and since < before and 0.0 < mean_s <= means.bound:
            self.beats.resume()  # so many arrived in time: records of them have been lost
            news = True
        return news

    def age(self, at: float, age_s: float, fleet: Fleet) -> bool:
        """An export told how long ago the last heartbeat was. True: the evidence has changed."""
        self._told(at)
        self.aged_at = at
        last, before = at - age_s, self.reported_last
        self.reported_last = last
        means = self.means
        if self.is_recorded or not means.usual or age_s <= 1.1 * means.bound + min(1.0, 0.5 * means.usual):
            return False
        if before is not None and last - before < 0.5 * means.usual and self._skips:
            return False  # the same heartbeat is missing still
        self._skips = True
        return means.miss(at, MEANS, fleet[1])

    def answer(self, at: float, mean_s: float, fleet: Fleet) -> bool:
        """An export told how long the worker waited for answers. True: the evidence has changed."""
        answers = self.answers
        if answers is None:
            answers = self.answers = Pace()
        if answers.count >= ANSWERS.least and mean_s > answers.bound and mean_s < _SLOW_SHARE * self.usual:
            mean_s = answers.usual  # slower, and quick enough all the same
        return answers.gap(at, mean_s, ANSWERS, fleet[2])

    def lag(self, at: float, mean_s: float, fleet: Fleet) -> bool:
        """An export told how late the worker's event loop was. True: the evidence has changed."""
        lags = self.lags
        if lags is None:
            lags = self.lags = Pace()
        if lags.count >= LAGS.least and lags.bound < mean_s < BEATS.share * self.usual:
            mean_s = lags.usual  # no heartbeat becomes late by that
        return lags.gap(at, mean_s, LAGS, fleet[3])

    def _told(self, at: float) -> None:
        if self.reported_at != at:
            if self.last == at:  # the heartbeat that the mapping made of the same export came first
                self._coincided = min(_SYNTHETIC, self._coincided + 1)
                if self._coincided >= _SYNTHETIC and self.beats.count:
                    self.beats, self.means = Pace(), Pace()
            self.reported_at = at

    def lives(self, at: float) -> None:
        """The worker has said something itself, whatever it was."""
        signs = self.signs
        if signs is None:
            signs = self.signs = Signs()
        signs.live(at)

    def is_wanted(self, at: float) -> None:
        """Somebody has given the worker something to do."""
        if self.signs is None:
            self.signs = Signs()
        self.signs.wanted_at = at

    @property
    def is_recorded(self) -> bool:
        """Whether its heartbeats are recorded one by one."""
        return self._coincided < _SYNTHETIC and self.beats.count > 0

    @property
    def heard(self) -> float:
        """The last heartbeat that is known of from any account."""
        last = max(self.last, self.answered_at)
        return last if self.reported_last is None else max(last, self.reported_last)

    def suspect_by(self) -> float:
        """When a silence is long enough to look at."""
        beats = self.beats
        return self.heard + max(beats.bound, 1.5 * beats.usual + _PAUSE_S)

    def resume(self, at: float) -> None:
        """The worker has come (back): what was missed in between says nothing about its rhythm."""
        self.last = max(self.last, at)
        self.left_at = None
        self.clear()

    def clear(self) -> None:
        """It is not missed any more."""
        self.lost_at = None
        self.lost_reason = ""
        self.silence = 0.0
        self.doubted_at = math.inf
        self.told = False

    def leave(self, at: float) -> None:
        """The worker has left in good order."""
        self.resume(at)
        self.left_at = at
        self.beats.resume()
        self.means.resume()
        for pace in (self.answers, self.lags):
            if pace is not None:
                pace.resume()

    def dump(self) -> list[Any]:
        return [
            self.observer,
            self.last,
            self.beats.dump(),
            self.means.dump(),
            self.answers.dump() if self.answers is not None else None,
            self.lags.dump() if self.lags is not None else None,
            [self.reported_at, self.mean_at, self.aged_at, self.reported_last, self.left_at, self.lost_at],
            [self.lost_reason, self.silence, self.told],
            [self.doubted_at if math.isfinite(self.doubted_at) else None, self.answered_at, self.gap_s],
            self.signs.dump() if self.signs is not None else None,
            list(self.trace) if self.trace is not None else None,
            [self._coincided, self._counted, self._gaps_s, self._skips],
        ]

    @classmethod
    def load(cls, state: list[Any]) -> Rhythm:
        observer, last, beats, means, answers, lags, times, lost, more, signs, trace, counts = state
        rhythm = cls(observer, last)
        rhythm.beats = Pace.load(beats)
        rhythm.means = Pace.load(means)
        rhythm.answers = Pace.load(answers) if answers is not None else None
        rhythm.lags = Pace.load(lags) if lags is not None else None
        rhythm.reported_at, rhythm.mean_at, rhythm.aged_at, rhythm.reported_last, rhythm.left_at, rhythm.lost_at = times
        rhythm.lost_reason, rhythm.silence, rhythm.told = lost
        doubted_at, rhythm.answered_at, rhythm.gap_s = more
        rhythm.doubted_at = math.inf if doubted_at is None else doubted_at
        rhythm.signs = Signs.load(signs) if signs is not None else None
        rhythm.trace = TraceRef(*trace) if trace is not None else None
        rhythm._coincided, rhythm._counted, rhythm._gaps_s, rhythm._skips = counts
        return rhythm
