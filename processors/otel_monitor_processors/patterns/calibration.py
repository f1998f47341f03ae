"""How sure a detector may be, by the strength of its evidence: what was found on simulated systems.

Each kind of evidence has a score of its own, in the unit that its detector says; the higher, the stronger. The
knots give how often the pattern was really there at such a score. Between them the confidence is interpolated,
beyond them it stays. `python -m benchmarks.detection fit` says what simulated systems make of them.
"""

from __future__ import annotations

from bisect import bisect_right

Knots = tuple[tuple[float, float], ...]
"""Scores, rising, each with its confidence, rising."""


def interpolate(knots: Knots, score: float) -> float:
    """The confidence at a score."""
    place = bisect_right(knots, (score, float("inf")))
    if place == 0:
        return knots[0][1]
    if place == len(knots):
        return knots[-1][1]
    (low, before), (high, after) = knots[place - 1], knots[place]
    return before + (after - before) * (score - low) / (high - low)
