"""Fits how sure a detector may be: the strength of its evidence against how often the pattern was really there."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, cast

from benchmarks.detection.evaluation.cells import truth
from benchmarks.detection.evaluation.replaying import replay_with
from benchmarks.detection.scenarios.scenario import Scenario
from otel_monitor_processors.engine import Engine
from otel_monitor_processors.patterns.arbiter import explain, in_order
from otel_monitor_processors.patterns.calibration import Knots
from otel_monitor_processors.patterns.catalogue import detectors
from otel_monitor_processors.patterns.finding import Detector, Finding

MOST_KNOTS = 12
_DOUBT = 1.0
"""So many cells to either side are added at the ends: nothing is certain."""


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


def fit(seen: Iterable[Seen]) -> dict[str, Knots]:
    """The knots of each kind of evidence, named `pattern.kind`."""
    kinds: dict[str, list[tuple[float, bool]]] = {}
    for item in seen:
        kinds.setdefault(f"{item.pattern}.{item.kind}", []).append((item.score, item.there))
    return {name: knots_of(points) for name, points in sorted(kinds.items())}


def knots_of(points: Iterable[tuple[float, bool]]) -> Knots:
    """Isotonic regression by pooling adjacent violators, thinned out to a dozen knots.

    Source: Barlow, Bartholomew, Bremner, Brunk, "Statistical Inference under Order Restrictions" (1972).
    """
    ordered = sorted(points)
    blocks: list[list[float]] = []  # weight, mean truth, mean score
    for score, there in [(ordered[0][0], False), *ordered, (ordered[-1][0], True), (ordered[-1][0], False)]:
        blocks.append([_DOUBT, float(there), score])
        while len(blocks) > 1 and blocks[-2][1] >= blocks[-1][1]:
            weight, mean, at = blocks.pop()
            last = blocks[-1]
            total = last[0] + weight
            last[1] = (last[0] * last[1] + weight * mean) / total
            last[2] = (last[0] * last[2] + weight * at) / total
            last[0] = total
    while len(blocks) > MOST_KNOTS:
        _merge_closest(blocks)
    return tuple((round(at, 3), round(mean, 4)) for _, mean, at in blocks)


def _merge_closest(blocks: list[list[float]]) -> None:
    """Put the two neighbours together that lose least by it."""
    costs = [
        low[0] * high[0] / (low[0] + high[0]) * (high[1] - low[1]) ** 2 for low, high in itertools.pairwise(blocks)
    ]
    place = costs.index(min(costs))
    low, high = blocks[place], blocks.pop(place + 1)
    total = low[0] + high[0]
    for number in (1, 2):
        low[number] = (low[0] * low[number] + high[0] * high[number]) / total
    low[0] = total
