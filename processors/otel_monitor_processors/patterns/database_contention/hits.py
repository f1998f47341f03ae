"""Hits: how often something happened of late, on several time scales, against its own past."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from otel_monitor_processors.statistics import log10_negative_binomial_tail

WINDOWS = (3, 12, 60)
"""The time scales, in buckets."""
_KEPT = WINDOWS[-1]
_MEMORY_S = 3600.0
"""The past weighs half as much after some 40 minutes."""
_EXCESS = 2.0
"""So many times the usual is still usual: hits come in clusters, which no binomial law knows."""
_LOOKS = math.log10(3.0 * len(WINDOWS))
"""The price of looking on several time scales, again and again."""
_BURST = 4.0
"""What hits of one bucket prove at most: they may all have the same passing cause."""
_CALM = 6
"""Buckets without hits before it may be over."""
_GAPS = 2.5
_EBB = 0.5
_FROZEN = 720
"""After so many suspicious buckets, an hour, what was suspicious has become the normal state."""


class Count(NamedTuple):
    """What one window holds: `events`, of which `hits`, in so many buckets (`spread`); `others` as its owner counts."""

    events: int
    hits: int
    others: int
    spread: int


class _View:
    """A window, and the past as it looks from there; events are seconds where hits are counted by time."""

    __slots__ = ("events", "hits", "past_events", "past_hits", "spread")

    def __init__(self, past_events: float, past_hits: float) -> None:
        self.events = 0.0
        self.hits = 0
        self.spread = 0
        self.past_events = past_events
        self.past_hits = past_hits


class Hits:
    """Hits among events in buckets of a few seconds, and the share that was usual before.

    Without a number of events (`by_time`) hits are held against the time that has passed. Buckets marked as
    suspicious do not become part of the past, unless the suspicion lasts for an hour.
    """

    __slots__ = (
        "_buckets",
        "_by_time",
        "_fade",
        "_floor",
        "_newest",
        "_past_events",
        "_past_hits",
        "_prior",
        "_suspicious",
        "bucket_s",
    )

    def __init__(
        self, bucket_s: float, *, floor: float, prior: float, by_time: bool = False, past_s: float = 0.0
    ) -> None:
        """Nothing counted so far.

        Args:
            bucket_s: the length of a bucket.
            floor: the smallest usual share, or hits a second.
            prior: how many events or seconds vouch for it.
            by_time: whether hits are held against time.
            past_s: how long nothing has been hit before, where they are.
        """
        self.bucket_s = bucket_s
        self._fade = math.exp(-bucket_s / _MEMORY_S)
        self._floor = floor
        self._prior = prior
        self._by_time = by_time
        self._buckets: dict[int, list[int]] = {}
        self._newest: int | None = None
        self._past_events = past_s
        self._past_hits = 0.0
        self._suspicious = 0

    def add(self, at: float, events: int, hits: int, others: int = 0) -> None:
        """Count `events`, of which `hits` were such, and `others` that tell something else."""
        index = int(at // self.bucket_s)
        bucket = self._buckets.get(index)
        if bucket is None:
            if self._newest is None:
                self._newest = index
            elif index > self._newest:
                self._advance(index)
            elif index <= self._newest - _KEPT:
                index = self._newest - _KEPT + 1
            bucket = self._buckets.setdefault(index, [0, 0, 0, 0])
        bucket[0] += events
        bucket[1] += hits
        bucket[2] += others

    def _advance(self, index: int) -> None:
        """Time goes on: what is older than the longest window becomes the past."""
        newest = self._newest
        if newest is None:
            return
        steps = min(index - newest, _KEPT * 4)
        if self._by_time:
            self._past_events = self._past_events * self._fade**steps + steps * self.bucket_s
        else:
            self._past_events *= self._fade**steps
        self._past_hits *= self._fade**steps
        self._newest = index
        oldest = index - _KEPT
        for old in [number for number in self._buckets if number <= oldest]:
            events, hits, _, suspicious = self._buckets.pop(old)
            if not suspicious:
                self._past_hits += hits
                if not self._by_time:
                    self._past_events += events

    def suspect(self, now: float, window: int) -> None:
        """Keep what the last `window` buckets hold out of the past."""
        newest = int(now // self.bucket_s)
        if self._suspicious >= _FROZEN:
            return
        for index, bucket in self._buckets.items():
            if index > newest - window and not bucket[3]:
                bucket[3] = 1
                self._suspicious += 1

    def settle(self) -> None:
        """What was suspicious is over: it is no evidence for what comes, nor part of the past."""
        self._suspicious = 0
        self._buckets = {index: bucket for index, bucket in self._buckets.items() if not bucket[3]}

    def window(self, now: float, buckets: int) -> Count:
        """What the last so many buckets hold."""
        oldest = int(now // self.bucket_s) - buckets
        events = hits = others = spread = 0
        for index, bucket in self._buckets.items():
            if index > oldest:
                events += bucket[0]
                hits += bucket[1]
                others += bucket[2]
                spread += bucket[1] > 0
        return Count(events, hits, others, spread)

    def score(self, now: float) -> tuple[float, int]:
        """-log10 of the chance of so many hits on the most telling time scale, corrected; and that scale."""
        newest = int(now // self.bucket_s)
        if self._newest is not None and self._newest < newest:
            self._advance(newest)
        best, scale, before = 0.0, WINDOWS[0], 0
        for buckets, view in zip(WINDOWS, self._views(newest), strict=True):
            if view.hits == before:
                continue  # nothing that a shorter window does not have
            before = view.hits
            share = max(self._floor, (view.past_hits + self._prior * self._floor) / (view.past_events + self._prior))
            mean = _EXCESS * share * view.events
            log10_p = log10_negative_binomial_tail(view.hits, mean, 1.0 + share * view.past_events)
            strength = min(-log10_p - _LOOKS, _BURST * view.spread)
            if strength > best:
                best, scale = strength, buckets
        return best, scale

    def beside(self, now: float, buckets: int) -> tuple[int, int]:
        """Hits and others of the last so many buckets, since the one in which the first was hit."""
        oldest = int(now // self.bucket_s) - buckets
        first = min((index for index, bucket in self._buckets.items() if index > oldest and bucket[1]), default=None)
        if first is None:
            return 0, 0
        after = [bucket for index, bucket in self._buckets.items() if index > first]
        return sum([bucket[1] for bucket in after]), sum([bucket[2] for bucket in after])

    def _views(self, newest: int) -> list[_View]:
        """On each time scale what the window holds, and what was before it; in one walk over the buckets."""
        views = [_View(self._past_events, self._past_hits) for _ in WINDOWS]
        for index, (events, hits, _, suspicious) in self._buckets.items():
            age = newest - index
            for buckets, view in zip(WINDOWS, views, strict=True):
                if age < buckets:
                    view.events += events
                    view.hits += hits
                    view.spread += hits > 0
                elif not suspicious:
                    view.past_events += events
                    view.past_hits += hits
        if self._by_time:
            for buckets, view in zip(WINDOWS, views, strict=True):
                view.events = buckets * self.bucket_s
                view.past_events = max(0.0, self._past_events - view.events)
        return views

    def goes_on(self, now: float, buckets: int) -> float:
        """The chance of no more hits than of late, if they still came as in the first half of the last `buckets`.

        Chernoff's bound for a Poisson law of half the mean, over at least two and a half times as long as hits
        were apart.
        """
        oldest = int(now // self.bucket_s) - buckets
        window = sorted((index, bucket[0], bucket[1]) for index, bucket in self._buckets.items() if index > oldest)
        hits = sum(hits for _, _, hits in window)
        begin = middle = None
        events = before = spread = 0
        for index, number, found in window:
            if begin is None and found:
                begin = index
            if begin is not None and before < hits / 2.0:
                events, before, middle = events + number, before + found, index
                spread += found > 0
        if begin is None or middle is None:
            return 1.0
        span = middle - begin + 1
        recent = max(_CALM, math.ceil(_GAPS * span / spread))
        if int(now // self.bucket_s) - recent < middle:
            return 1.0
        late = self.window(now, recent)
        mean = _EBB * before * (recent / span if self._by_time else late.events / max(1, events))
        k = late.hits
        return 1.0 if k >= mean else math.exp(k - mean - (k * math.log(k / mean) if k else 0.0))

    def dump(self) -> list[Any]:
        return [
            self.bucket_s,
            self._floor,
            self._prior,
            self._by_time,
            [[index, *bucket] for index, bucket in self._buckets.items()],
            self._newest,
            self._past_events,
            self._past_hits,
            self._suspicious,
        ]

    @classmethod
    def load(cls, state: list[Any]) -> Hits:
        bucket_s, floor, prior, by_time, buckets, newest, events, hits, suspicious = state
        restored = cls(bucket_s, floor=floor, prior=prior, by_time=by_time)
        restored._buckets = {index: bucket for index, *bucket in buckets}
        restored._newest = newest
        restored._past_events, restored._past_hits, restored._suspicious = events, hits, suspicious
        return restored
