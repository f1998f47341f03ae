"""Confidence as a probability: cells of a minute, in each of which a pattern was there or was not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from benchmarks.detection.evaluation.replaying import CELL_S
from benchmarks.detection.scenarios.labels import Fault, Label

SETTLING_S = 60.0
"""So long after its onset a failure need not be known yet; one that is to be foretold, until half of its way."""
FADING_S = 180.0
"""So long after its end it may still be believed in."""
BINS = 10


@dataclass(slots=True)
class Bins:
    """Cells by confidence: how many, how sure on average, and how often the pattern was there."""

    count: list[int] = field(default_factory=lambda: [0] * BINS)
    confidence: list[float] = field(default_factory=lambda: [0.0] * BINS)
    there: list[int] = field(default_factory=lambda: [0] * BINS)
    squared: float = 0.0

    def add(self, confidence: float, there: bool) -> None:
        number = min(BINS - 1, int(confidence * BINS))
        self.count[number] += 1
        self.confidence[number] += confidence
        self.there[number] += there
        self.squared += (confidence - there) ** 2

    def merge(self, other: Bins) -> None:
        for number in range(BINS):
            self.count[number] += other.count[number]
            self.confidence[number] += other.confidence[number]
            self.there[number] += other.there[number]
        self.squared += other.squared

    @property
    def cells(self) -> int:
        return sum(self.count)

    @property
    def brier(self) -> float:
        """Mean squared difference of confidence and truth."""
        return self.squared / self.cells if self.cells else 0.0

    @property
    def base_rate(self) -> float:
        return sum(self.there) / self.cells if self.cells else 0.0

    @property
    def climate(self) -> float:
        """The Brier score of always saying how common the pattern is."""
        return self.base_rate * (1.0 - self.base_rate)

    @property
    def calibration_error(self) -> float:
        """Mean difference of how sure and how often right, over the bins, weighted by their cells."""
        total = self.cells
        gaps = sum(abs(said - there) for said, there in zip(self.confidence, self.there, strict=True))
        return gaps / total if total else 0.0


def bins_of(label: Label, confidences: Iterable[dict[str, Any]], patterns: Iterable[str]) -> dict[str, Bins]:
    """The cells of one recording, by pattern."""
    bins = {pattern: Bins() for pattern in patterns}
    for line in confidences:
        at = line["at"]
        for pattern, cells in bins.items():
            there = truth(label, pattern, at)
            if there is not None:
                cells.add(min(1.0, max(0.0, float(line.get(pattern, 0.0)))), there)
    return bins


def truth(label: Label, pattern: str, at: float) -> bool | None:
    """Whether the pattern was there in the minute up to `at`; None where both answers can be defended."""
    there = False
    for fault in label.faults:
        if fault.pattern != pattern:
            continue
        if _known_from(fault) <= at <= fault.end:
            if not fault.visible:
                return None
            there = True
        elif fault.onset - CELL_S < at < fault.end + FADING_S:
            return None
    if not there and label.tolerated(pattern, at):
        return None
    return there


def _known_from(fault: Fault) -> float:
    """When it should be known: a resource that runs out, when half of the ramp is left."""
    settled = fault.onset + SETTLING_S
    return settled if fault.limit_at is None else max(settled, (fault.onset + fault.limit_at) / 2)
