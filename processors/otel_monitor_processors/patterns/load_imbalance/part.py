"""One worker's part of a fleet's work: what it used to do, and how far it does more of late."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

RATIO = 2.5
"""The excess that is looked for: a worker's share is so many times what is usual for it."""
_GAIN = math.log(RATIO)
_FRESH_BELOW = 1.0
"""With so little left of an excess, another may as well begin anew."""

There = Callable[[str, float, float], bool]
"""Whether a worker has shown itself since a time, as of now."""


class Part:
    """`past` of `past_all` calls used to be its own, which among those that are there makes a `share`.

    `excess` is the log-likelihood ratio, as of the fleet's `mark`th call, of a share `RATIO` times the usual one
    against the usual one, since the moment from which that is largest (Page's CUSUM: Biometrika 41, 1954).
    """

    __slots__ = ("calls", "excess", "first", "last", "mark", "past", "past_all", "share", "since", "since_all")

    def __init__(self, at: float, mark: float, share: float) -> None:
        self.first = at
        self.last = at
        self.mark = mark
        self.share = share
        self.excess = 0.0
        self.calls = 0.0
        self.since = at
        self.since_all = mark
        self.past = 0.0
        self.past_all = 0.0

    def add(self, at: float, count: float, before: float, total: float) -> None:
        """Of the calls with which the fleet's have come from `before` to `total`, so many are its own."""
        drain = self.share * (RATIO - 1.0)
        excess = self.excess - (before - self.mark) * drain
        self.mark = total
        self.last = at
        if excess < _FRESH_BELOW:  # the call that makes one look does not count
            first = min(1.0, count)
            excess = max(0.0, excess) + first * _GAIN
            count -= first
            self.since, self.since_all, self.calls = at, before + 1.0, 0.0
        self.excess = excess + count * _GAIN - (total - before) * drain
        self.calls += count

    def catch_up(self, total: float) -> None:
        """The others have brought the fleet's calls to `total`."""
        self.excess -= (total - self.mark) * self.share * (RATIO - 1.0)
        self.mark = total

    def calm_down(self, total: float) -> None:
        """There is no excess any more, or it has been accepted."""
        self.excess = self.calls = 0.0
        self.mark = self.since_all = total

    def dump(self) -> list[float]:
        return [getattr(self, slot) for slot in self.__slots__]

    @classmethod
    def load(cls, state: list[Any]) -> Part:
        part = cls(0.0, 0.0, 0.0)
        for slot, value in zip(cls.__slots__, state, strict=True):
            setattr(part, slot, value)
        return part
