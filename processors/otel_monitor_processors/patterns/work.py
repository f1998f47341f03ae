"""Who does how much of one kind of work, and who does more of it than usual."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Any, NamedTuple

_MAX_WORKERS = 2_048
_RATIO = 2.5
"""The excess that is looked for: a worker's share is so many times what is usual for it."""
_GAIN = math.log(_RATIO)
_FRESH_BELOW = 1.0
"""With so little left of an excess, another may as well begin anew."""
_SUSPECT_AT = 2.0
_OVER_AT = 4.0
_BLOCK_S = 60.0
_BLOCK_MOST_S = 180.0
_QUARANTINE_S = 180.0
_MAX_PENDING = 10
_MEMORY_S = 3600.0
_GONE_S = 3600.0
_SMOOTHING = 0.25
_PRESENT_S = 90.0
_SETTLING_S = 30.0
_SETTLED_S = 1800.0
"""An excess that has lasted so long is how things are now."""
_LEAST_SHARE = 0.5
_KNOWN_BLOCKS = 3.0
_PRIOR_BLOCKS = 2.0
_PRIOR_INEQUALITY = 0.1
_LEAST_INEQUALITY = 0.02
_MOST_DISPERSION = 10.0

There = Callable[[str, float, float], bool]
"""Whether a worker has shown itself since a time, as of now."""


class Doubt(IntEnum):
    """How far what happens now may be learnt as usual: at once, later, or not at all."""

    NONE = 0
    SLIGHT = 1
    GRAVE = 2


class Suspicion(NamedTuple):
    """A worker that has done `calls` of all `total` between two times, where `share` of them would be usual."""

    worker: str
    calls: float
    total: float
    share: float
    since: float
    until: float


class _Worker:
    """One worker's part.

    `excess` is the log-likelihood ratio, as of the fleet's `mark`th call, of a share `_RATIO` times the usual one
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


class _Block(NamedTuple):
    """What was done in a stretch of time by those who were there all along."""

    start: float
    end: float
    calls: dict[str, float]


class Work:
    """The workers of one fleet, at most 2,048.

    Every worker has a usual share: its own past, drawn towards an equal one as far as the fleet's shares are equal.
    The past enters minutes later, and not while there is a suspicion, so that an imbalance never becomes usual
    before it has lasted for half an hour.
    """

    def __init__(self) -> None:
        self.dropped = 0
        self.total = 0.0
        self.suspects: dict[str, list[float]] = {}
        """By worker: its calls and those of all at the last look, and how much speaks for its being over since."""
        self.dispersion = 1.5
        """Variance of a block's calls as a multiple of what chance alone would give."""
        self.inequality = _PRIOR_INEQUALITY
        """Variance of the workers' usual shares, the equal one taken as 1."""
        self.rate = 0.0
        """Calls a second, lately."""
        self._blocks = 0.0
        self._workers: OrderedDict[str, _Worker] = OrderedDict()
        self._stale = True
        self._start: float | None = None
        self._start_total = 0.0
        self._block: dict[str, float] = {}
        self._pending: list[_Block] = []
        self._restless_since: float | None = None
        self._settles_at: float | None = None

    # -- what is done -----------------------------------------------------------------------------------

    def add(self, at: float, calls: Mapping[str, float]) -> bool:
        """Count what workers have done within a moment; whether that makes one of them a suspect."""
        before = self.total
        self.total = total = before + sum(calls.values())
        block, suspect_at, news = self._block, _SUSPECT_AT * self.dispersion, False
        for name, done in calls.items():
            count = done
            worker = self._workers.get(name)
            if worker is None:
                worker = self._join(name, at, before)
            drain = worker.share * (_RATIO - 1.0)
            excess = worker.excess - (before - worker.mark) * drain
            worker.mark = total
            worker.last = at
            block[name] = block.get(name, 0.0) + count
            if excess < _FRESH_BELOW:  # the call that makes one look does not count
                excess = max(0.0, excess) + min(1.0, count) * _GAIN
                count -= min(1.0, count)
                worker.since, worker.since_all, worker.calls = at, before + 1.0, 0.0
            worker.excess = excess + count * _GAIN - (total - before) * drain
            worker.calls += count
            if worker.excess > suspect_at and name not in self.suspects:
                self.suspects[name] = [worker.calls, total, 0.0]
                news = True
        return news

    def _join(self, name: str, at: float, mark: float) -> _Worker:
        if len(self._workers) >= _MAX_WORKERS:
            gone, _ = self._workers.popitem(last=False)
            self.suspects.pop(gone, None)
            self._block.pop(gone, None)
            self.dropped += 1
        worker = self._workers[name] = _Worker(at, mark, 1.0 / (len(self._workers) + 1))
        self._stale = True
        if self._start is None:
            self._start = at
        if self.known:
            self._settles_at = at + _SETTLING_S
        return worker

    def changed(self, name: str, at: float) -> None:
        """A worker has come or gone: the shares are to be reckoned anew, and may swing for a while."""
        if name in self._workers:
            self._stale = True
            self._settles_at = at + _SETTLING_S

    def unsettle(self, now: float) -> None:
        """Something else moves the shares: what is seen now is no evidence."""
        self._settles_at = max(now, self._settles_at or now)

    @property
    def size(self) -> int:
        """How many workers are known."""
        return len(self._workers)

    # -- what is usual ----------------------------------------------------------------------------------

    @property
    def known(self) -> bool:
        """Whether there is a past to compare with."""
        return self._blocks >= _KNOWN_BLOCKS

    @property
    def concentration(self) -> float:
        """How many calls the fleet's usual shares are worth as an expectation of a single worker's share.

        The parameter of a Dirichlet distribution whose shares are as unequal as the fleet's.
        """
        return max(4.0, (len(self._workers) - 1.0) / self.inequality)

    def roll(self, now: float, there: There, doubt: Doubt) -> None:
        """Let time pass: what is older than some minutes becomes the past, if nothing is suspected."""
        if self._stale:
            self._share_out(now, there)
        if self._start is None or now - self._start < _BLOCK_S:
            return
        done = self.total - self._start_total
        if done < 2.0 * len(self._workers) and now - self._start < _BLOCK_MOST_S:
            return
        if self._may_learn(now, calm=doubt is not Doubt.GRAVE):
            self._close_block(now, there, learn=doubt is Doubt.NONE)
        else:
            self._pending.clear()
        lately = done / (now - self._start)
        self.rate = lately if self.rate == 0.0 else self.rate + _SMOOTHING * (lately - self.rate)
        self._block = {}
        self._start, self._start_total = now, self.total
        for name in [name for name, worker in self._workers.items() if now - worker.last > _GONE_S]:
            del self._workers[name]
            self.suspects.pop(name, None)
        self._share_out(now, there)

    def _may_learn(self, now: float, *, calm: bool) -> bool:
        if calm:
            self._restless_since = None
            return True
        if self._restless_since is None:
            self._restless_since = now
        if now - self._restless_since < _SETTLED_S:
            return False
        for worker in self._workers.values():
            worker.past *= 0.1
            worker.past_all *= 0.1
        self._restless_since = None
        return True

    def _close_block(self, now: float, there: There, *, learn: bool) -> None:
        start = self._start or now
        calls = {
            name: self._block.get(name, 0.0)
            for name, worker in self._workers.items()
            if worker.first <= start and (name in self._block or there(name, start, now))
        }
        self._pending.append(_Block(start, now, calls))
        while self._pending and (
            not self.known
            or (learn and self._pending[0].end <= now - _QUARANTINE_S)
            or len(self._pending) > _MAX_PENDING
        ):
            self._learn(self._pending.pop(0))
            if self._blocks == _KNOWN_BLOCKS:
                self.unsettle(now)  # what looked unusual before that was compared with nothing

    def _learn(self, block: _Block) -> None:
        known = {name: calls for name, calls in block.calls.items() if name in self._workers}
        total = sum(known.values())
        if len(known) < 2 or total <= 0.0:
            return
        self._blocks += 1.0
        self._measure_dispersion(known, total)
        fade = math.exp((block.start - block.end) / _MEMORY_S)
        for name, calls in known.items():
            worker = self._workers[name]
            worker.past = worker.past * fade + calls
            worker.past_all = worker.past_all * fade + total
        self._measure_inequality()

    def _measure_dispersion(self, calls: dict[str, float], total: float) -> None:
        """Pearson's chi-squared over its degrees of freedom, as in quasi-likelihood."""
        shares = sum(self._workers[name].share for name in calls)
        if self._blocks < 2.0 or total < len(calls) or shares <= 0.0:
            return
        squared = 0.0
        for name, count in calls.items():
            expected = total * self._workers[name].share / shares
            squared += (count - expected) ** 2 / expected
        found = min(_MOST_DISPERSION, squared / (len(calls) - 1))
        weight = 1.0 / min(_PRIOR_BLOCKS + self._blocks, 30.0)
        self.dispersion = max(1.0, self.dispersion + weight * (found - self.dispersion))

    def _measure_inequality(self) -> None:
        """How much the shares differ beyond chance."""
        known = [worker for worker in self._workers.values() if worker.past_all > 0.0]
        shares = [worker.past / worker.past_all for worker in known]
        mean = sum(shares) / len(shares)
        if len(known) < 2 or mean <= 0.0:
            return
        found = sum((share / mean - 1.0) ** 2 for share in shares) / (len(shares) - 1)
        chance = self.dispersion * sum(1.0 / worker.past_all for worker in known) / len(known) / mean
        weight = min(self._blocks, 30.0)
        self.inequality = max(
            _LEAST_INEQUALITY,
            (weight * max(0.0, found - chance) + _PRIOR_BLOCKS * _PRIOR_INEQUALITY) / (weight + _PRIOR_BLOCKS),
        )

    def _share_out(self, now: float, there: There) -> None:
        """Reckon every worker's usual share among those that are there."""
        self._stale = False
        weights = {name: self._weight(worker) for name, worker in self._workers.items()}
        since = now - _PRESENT_S
        present = sum(
            weights[name] for name, worker in self._workers.items() if worker.last >= since or there(name, since, now)
        )
        total, mark = self.total, _RATIO - 1.0
        for name, worker in self._workers.items():
            worker.excess -= (total - worker.mark) * worker.share * mark
            worker.mark = total
            weight = weights[name]
            worker.share = weight / max(present, weight) if present > 0.0 else 1.0 / len(weights)

    def _weight(self, worker: _Worker) -> float:
        """A worker's usual share, before those that are there are made to add up to one."""
        prior = self.concentration
        equal = 1.0 / len(self._workers)
        share = (worker.past + prior * equal) / (worker.past_all + prior)
        return max(share, _LEAST_SHARE * equal)

    # -- what is not ------------------------------------------------------------------------------------

    def suspicions(self, now: float, there: There, *, stands: bool) -> list[Suspicion]:
        """The workers with an excess that is not over yet, the shares reckoned among those that are there.

        While the shares settle after somebody has come or gone, only what `stands` already does so.
        """
        if self._settles_at is not None and not stands:
            if now < self._settles_at:
                return []
            for name in list(self.suspects):
                self.calm_down(name)
            self._settles_at = None
        over = []
        for name, look in self.suspects.items():
            worker = self._workers[name]
            worker.excess -= (self.total - worker.mark) * worker.share * (_RATIO - 1.0)
            worker.mark = self.total
            if worker.excess <= 0.0 or self._is_over(worker, look):
                over.append(name)
        for name in over:
            self.calm_down(name)
        if not self.suspects:
            return []
        since = min(self._workers[name].since for name in self.suspects)
        present = sum(
            worker.share for name, worker in self._workers.items() if worker.last >= since or there(name, since, now)
        )
        if present <= 0.0:
            return []
        return [self._suspicion(name, present) for name in self.suspects]

    def _suspicion(self, name: str, present: float) -> Suspicion:
        worker = self._workers[name]
        share = min(1.0, worker.share / present) if present < 1.0 else worker.share
        return Suspicion(name, worker.calls, self.total - worker.since_all, share, worker.since, worker.last)

    def _is_over(self, worker: _Worker, look: list[float]) -> bool:
        """The same test the other way round: the usual share against the one that was found."""
        usual, all_calls = worker.share, self.total - worker.since_all
        found = worker.calls / all_calls if all_calls > 0.0 else 1.0
        if found > usual:
            calls, total = worker.calls - look[0], self.total - look[1]
            look[2] += (total * (found - usual) - calls * math.log(found / usual)) / self.dispersion
            look[2] = max(0.0, look[2])
        look[0], look[1] = worker.calls, self.total
        return look[2] > _OVER_AT

    def calm_down(self, name: str) -> None:
        """A suspect's excess is over, or has been accepted."""
        worker = self._workers[name]
        worker.excess = worker.calls = 0.0
        worker.mark = worker.since_all = self.total
        self.suspects.pop(name, None)

    def present(self, since: float, now: float, there: There) -> list[str]:
        """Who has done something or shown itself since a time."""
        return [n for n, worker in self._workers.items() if worker.last >= since or there(n, since, now)]

    # -- state ------------------------------------------------------------------------------------------

    def dump(self) -> dict[str, Any]:
        workers = [
            [name, *(getattr(worker, slot) for slot in _Worker.__slots__)] for name, worker in self._workers.items()
        ]
        return {
            "dropped": self.dropped,
            "total": self.total,
            "suspects": list(self.suspects.items()),
            "measures": [self.dispersion, self.inequality, self.rate, self._blocks],
            "workers": workers,
            "stale": self._stale,
            "start": [self._start, self._start_total],
            "block": list(self._block.items()),
            "pending": [[block.start, block.end, list(block.calls.items())] for block in self._pending],
            "restless": self._restless_since,
            "settles": self._settles_at,
        }

    @classmethod
    def load(cls, state: dict[str, Any]) -> Work:
        work = cls()
        work.dropped, work.total, work._stale = state["dropped"], state["total"], state["stale"]
        work.suspects = {name: list(look) for name, look in state["suspects"]}
        work.dispersion, work.inequality, work.rate, work._blocks = state["measures"]
        for name, *values in state["workers"]:
            worker = work._workers[name] = _Worker(0.0, 0.0, 0.0)
            for slot, value in zip(_Worker.__slots__, values, strict=True):
                setattr(worker, slot, value)
        work._start, work._start_total = state["start"]
        work._block = dict(state["block"])
        work._pending = [_Block(start, end, dict(calls)) for start, end, calls in state["pending"]]
        work._restless_since, work._settles_at = state["restless"], state["settles"]
        return work
