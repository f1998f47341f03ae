"""What is usual in a fleet: how much of the work each worker does, how far that varies, and how much there is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from otel_monitor_processors.patterns.load_imbalance.part import Part

_QUARANTINE_S = 180.0
_MAX_PENDING = 10
_MEMORY_S = 3600.0
_SETTLED_S = 1800.0
"""An excess that has lasted so long is how things are now."""
_LEAST_SHARE = 0.5
_KNOWN_BLOCKS = 3.0
_PRIOR_BLOCKS = 2.0
_PRIOR_INEQUALITY = 0.1
_LEAST_INEQUALITY = 0.02
_MOST_DISPERSION = 10.0
_RATE_BLOCKS = 10.0


class Block(NamedTuple):
    """What was done in a stretch of time by those who were there all along."""

    start: float
    end: float
    calls: dict[str, float]


class Usual:
    """Every worker has a usual share: its own past, drawn towards an equal one as far as the fleet's are equal.

    The past enters minutes later, and not while there is a suspicion, so that an imbalance never becomes usual
    before it has lasted for half an hour.
    """

    def __init__(self) -> None:
        self.dispersion = 1.5
        """Variance of a block's calls as a multiple of what chance alone would give."""
        self.rate = 0.0
        """Calls a second."""
        self._inequality = _PRIOR_INEQUALITY
        self._blocks = 0.0
        self._pending: list[Block] = []
        self._restless_since: float | None = None

    @property
    def known(self) -> bool:
        """Whether there is a past to compare with."""
        return self._blocks >= _KNOWN_BLOCKS

    def concentration(self, workers: int) -> float:
        """How many calls the fleet's usual shares are worth as an expectation of a single worker's share.

        The parameter of a Dirichlet distribution whose shares are as unequal as the fleet's.
        """
        return max(4.0, (workers - 1.0) / self._inequality)

    def weight(self, part: Part, workers: int) -> float:
        """A worker's usual share, before those that are there are made to add up to one."""
        prior = self.concentration(workers)
        equal = 1.0 / workers
        return max((part.past + prior * equal) / (part.past_all + prior), _LEAST_SHARE * equal)

    def may_learn(self, parts: Mapping[str, Part], now: float, *, calm: bool) -> bool:
        """Whether what happens is how things are: there is no suspicion, or it has lasted for very long."""
        if calm:
            self._restless_since = None
            return True
        if self._restless_since is None:
            self._restless_since = now
        if now - self._restless_since < _SETTLED_S:
            self._pending.clear()
            return False
        for part in parts.values():
            part.past *= 0.1
            part.past_all *= 0.1
        self._restless_since = None
        return True

    def take(self, block: Block, parts: Mapping[str, Part], *, learn: bool) -> bool:
        """Keep a block until it has become the past; whether that has made the past known just now."""
        self._pending.append(block)
        became_known = False
        while self._pending and (
            not self.known
            or (learn and self._pending[0].end <= block.end - _QUARANTINE_S)
            or len(self._pending) > _MAX_PENDING
        ):
            self._learn(self._pending.pop(0), parts)
            became_known = became_known or self._blocks == _KNOWN_BLOCKS
        return became_known

    def _learn(self, block: Block, parts: Mapping[str, Part]) -> None:
        known = {name: calls for name, calls in block.calls.items() if name in parts}
        total = sum(known.values())
        if len(known) < 2 or total <= 0.0:
            return
        self._blocks += 1.0
        self.rate += (total / (block.end - block.start) - self.rate) / min(self._blocks, _RATE_BLOCKS)
        self._measure_dispersion(known, total, parts)
        fade = math.exp((block.start - block.end) / _MEMORY_S)
        for name, calls in known.items():
            part = parts[name]
            part.past = part.past * fade + calls
            part.past_all = part.past_all * fade + total
        self._measure_inequality(parts)

    def _measure_dispersion(self, calls: dict[str, float], total: float, parts: Mapping[str, Part]) -> None:
        """Pearson's chi-squared over its degrees of freedom, as in quasi-likelihood."""
        shares = sum(parts[name].share for name in calls)
        if self._blocks < 2.0 or total < len(calls) or shares <= 0.0:
            return
        squared = 0.0
        for name, count in calls.items():
            expected = total * parts[name].share / shares
            squared += (count - expected) ** 2 / expected
        found = min(_MOST_DISPERSION, squared / (len(calls) - 1))
        weight = 1.0 / min(_PRIOR_BLOCKS + self._blocks, 30.0)
        self.dispersion = max(1.0, self.dispersion + weight * (found - self.dispersion))

    def _measure_inequality(self, parts: Mapping[str, Part]) -> None:
        """How much the shares differ beyond chance: their variance, the equal one taken as 1."""
        known = [part for part in parts.values() if part.past_all > 0.0]
        shares = [part.past / part.past_all for part in known]
        mean = sum(shares) / len(shares)
        if len(known) < 2 or mean <= 0.0:
            return
        found = sum((share / mean - 1.0) ** 2 for share in shares) / (len(shares) - 1)
        chance = self.dispersion * sum(1.0 / part.past_all for part in known) / len(known) / mean
        weight = min(self._blocks, 30.0)
        self._inequality = max(
            _LEAST_INEQUALITY,
            (weight * max(0.0, found - chance) + _PRIOR_BLOCKS * _PRIOR_INEQUALITY) / (weight + _PRIOR_BLOCKS),
        )

    def dump(self) -> list[Any]:
        pending = [[block.start, block.end, list(block.calls.items())] for block in self._pending]
        return [self.dispersion, self.rate, self._inequality, self._blocks, self._restless_since, pending]

    @classmethod
    def load(cls, state: list[Any]) -> Usual:
        usual = cls()
        usual.dispersion, usual.rate, usual._inequality, usual._blocks, usual._restless_since, pending = state
        usual._pending = [Block(start, end, dict(calls)) for start, end, calls in pending]
        return usual
