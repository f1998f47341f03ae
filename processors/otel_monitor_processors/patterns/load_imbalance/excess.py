"""How strong the evidence is that some workers do more than their share, and which ones those are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from otel_monitor_processors.patterns.load_imbalance.suspicion import Suspicion
from otel_monitor_processors.statistics import log10_choose

_EFFECT = 1.6
_UNEQUAL = 1.4
_LEAST_S = 10.0
"""A burst to one worker is no imbalance yet."""
_LN10 = math.log(10.0)


class Odds(NamedTuple):
    """What the strength of evidence depends on: the number of workers, and how unequal and erratic their shares are."""

    size: int
    dispersion: float
    concentration: float


class Excess(NamedTuple):
    """The workers that do too much together, the heaviest first, and -log10 of the probability of that by chance."""

    score: float
    suspicions: tuple[Suspicion, ...]


def strength(suspicion: Suspicion, odds: Odds) -> float:
    """-log10 of the probability that a worker's share is so high by chance; 0 where it is not worth speaking of.

    Chernoff's bound for a binomial count, n KL(k/n || p), over the variance of a beta-binomial one as a multiple
    of a binomial's: the usual share is itself known only as well as `concentration` calls would tell.
    """
    _, calls, total, share, since, until = suspicion
    if total <= 0.0 or until - since < _LEAST_S or not 0.0 < share < 1.0:
        return 0.0
    found = min(calls / total, 1.0 - 1e-9)
    if found < _EFFECT * share or found * odds.size < _UNEQUAL:
        return 0.0
    divergence = found * math.log(found / share) + (1.0 - found) * math.log((1.0 - found) / (1.0 - share))
    return total * divergence / (odds.dispersion + total / odds.concentration) / _LN10


def strongest(suspicions: Sequence[Suspicion], odds: Odds) -> Excess | None:
    """The set of workers with the most evidence, after the price for having chosen it among all sets of its size."""
    strengths = [(strength(suspicion, odds), suspicion) for suspicion in suspicions]
    ordered = sorted((item for item in strengths if item[0] > 0.0), key=lambda item: (-item[0], item[1].worker))
    best: Excess | None = None
    evidence = 0.0
    for number, (more, _) in enumerate(ordered, start=1):
        evidence += more
        score = evidence - log10_choose(odds.size, number)
        if best is None or score > best.score:
            best = Excess(score, tuple(suspicion for _, suspicion in ordered[:number]))
    return best
