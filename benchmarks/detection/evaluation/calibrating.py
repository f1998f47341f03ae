"""Fits how sure a detector may be: the strength of its evidence against how often the pattern was really there."""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

from benchmarks.detection.evaluation.cells import truth
from benchmarks.detection.evaluation.replaying import replay_with
from benchmarks.detection.scenarios.scenario import Scenario
from otel_monitor_processors.engine import Engine
from otel_monitor_processors.patterns.arbiter import explain, in_order
from otel_monitor_processors.patterns.calibration import Knots
from otel_monitor_processors.patterns.catalogue import detectors
from otel_monitor_processors.patterns.finding import Detector, Finding

PRIOR_CELLS = 5.0
"""What is already known of a knot counts as much as so many minutes: a failure alone is several of them."""


class Seen(NamedTuple):
    """A finding in one minute, and whether its pattern was there."""

    pattern: str
    kind: str
    score: float
    there: bool


class _Overlooked:
    """A detector, and what it found last."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self.last: list[Finding] = []

    def findings(self, now: float) -> list[Finding]:
        self.last = list(self._detector.findings(now))
        return self.last

    def __getattr__(self, name: str) -> Any:
        return getattr(self._detector, name)


def evidence(seed: int) -> list[Seen]:
    """The findings at the end of every minute of one scenario; what a cause accounts for is left out."""
    scenario = Scenario(seed)
    watched = [_Overlooked(detector) for detector in detectors()]
    engine = Engine((), cast("Sequence[Detector]", watched))
    minutes: list[tuple[float, list[Finding]]] = [
        (found["at"], [finding for detector in watched for finding in detector.last])
        for found in replay_with(engine, scenario.name, scenario.lines())
        if found["type"] == "confidence"
    ]
    label = scenario.label()
    seen = []
    for at, findings in minutes:
        for finding in _strongest(findings):
            there = truth(label, finding.pattern, at)
            if there is not None:
                seen.append(Seen(str(finding.pattern), finding.kind, finding.score, there))
    return seen


def _strongest(findings: list[Finding]) -> Iterator[Finding]:
    """For each pattern the finding that counts, where no other pattern accounts for it."""
    ordered = in_order(findings)
    best: dict[str, Finding] = {}
    for before, after in zip(ordered, explain(ordered), strict=True):
        known = best.get(before.pattern)
        if after.confidence == before.confidence and (known is None or before.confidence > known.confidence):
            best[before.pattern] = before
    yield from best.values()


def shipped() -> dict[str, Knots]:
    """The knots that the detectors have now, named `pattern.kind`."""
    return {
        f"{detector.pattern}.{kind}": knots
        for detector in detectors()
        for kind, knots in sys.modules[type(detector).__module__].KNOTS.items()
    }


def fit(seen: Iterable[Seen], kinds: Mapping[str, Knots]) -> dict[str, Knots]:
    """The knots of each kind of evidence, named `pattern.kind`: `kinds` are those that there are now."""
    points: dict[str, list[tuple[float, bool]]] = {name: [] for name in kinds}
    for item in seen:
        points[f"{item.pattern}.{item.kind}"].append((item.score, item.there))
    return {name: refitted(kinds[name], found) for name, found in points.items()}


def refitted(knots: Knots, points: Iterable[tuple[float, bool]]) -> Knots:
    """The same scores, each with the confidence that what was seen near it tells.

    A point counts for the two knots that it lies between, for each the more, the closer it is. What the knot said
    before counts as much as `PRIOR_CELLS` points, as the mean of a beta distribution; and confidences never fall
    with the score: neighbours that would are pooled (isotonic regression).

    Source: Barlow, Bartholomew, Bremner, Brunk, "Statistical Inference under Order Restrictions" (1972).
    """
    weights = [PRIOR_CELLS] * len(knots)
    sums = [PRIOR_CELLS * before for _, before in knots]
    scores = [score for score, _ in knots]
    for score, there in points:
        for place, share in _near(scores, score):
            weights[place] += share
            sums[place] += share * there
    fitted = _rising([total / weight for total, weight in zip(sums, weights, strict=True)], weights)
    return tuple((score, round(value, 2)) for score, value in zip(scores, fitted, strict=True))


def _near(scores: list[float], score: float) -> list[tuple[int, float]]:
    """The one or two knots that a score belongs to, and how much of it to each."""
    place = bisect_right(scores, score)
    if place in (0, len(scores)):
        return [(min(place, len(scores) - 1), 1.0)]
    low, high = scores[place - 1], scores[place]
    share = (score - low) / (high - low)
    return [(place - 1, 1.0 - share), (place, share)]


def _rising(values: list[float], weights: list[float]) -> list[float]:
    """The closest values that never fall, by pooling adjacent violators."""
    pools: list[tuple[float, float, int]] = []
    for value, weight in zip(values, weights, strict=True):
        pool = (value, weight, 1)
        while pools and pools[-1][0] > pool[0]:
            before, heavy, count = pools.pop()
            together = heavy + pool[1]
            pool = (before * heavy + pool[0] * pool[1]) / together, together, count + pool[2]
        pools.append(pool)
    return [value for value, _, count in pools for _ in range(count)]
