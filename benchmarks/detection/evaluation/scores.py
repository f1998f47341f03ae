"""Figures over many recordings."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from benchmarks.detection.evaluation.alarms import Hit, Judgement
from benchmarks.detection.evaluation.cells import Bins
from benchmarks.detection.evaluation.running import Result
from benchmarks.detection.scenarios.labels import Fault
from benchmarks.detection.scenarios.mechanism import PATTERNS

DAY_S = 86_400.0
Of = Callable[[Result], Judgement]
Chosen = Callable[[Result, Fault], bool]


def ours(result: Result) -> Judgement:
    return result.judgement


def naive(result: Result) -> Judgement:
    return result.naive


@dataclass(slots=True)
class Score:
    """One pattern over some recordings."""

    found: int = 0
    missed: int = 0
    false: int = 0
    hits: list[Hit] = field(default_factory=list)

    @property
    def wanted(self) -> int:
        return self.found + self.missed

    @property
    def precision(self) -> float:
        return self.found / (self.found + self.false) if self.found + self.false else 0.0

    @property
    def recall(self) -> float:
        return self.found / self.wanted if self.wanted else 0.0

    @property
    def f1(self) -> float:
        return f1(self.found, self.missed, self.false)

    def delay(self, share: float) -> float | None:
        return quantile([hit.delay_s for hit in self.hits], share)

    @property
    def overlap(self) -> float | None:
        values = [hit.overlap for hit in self.hits if hit.overlap is not None]
        return sum(values) / len(values) if values else None

    @property
    def lead(self) -> float | None:
        return quantile([hit.lead for hit in self.hits if hit.lead is not None], 0.5)


def f1(found: float, missed: float, false: float) -> float:
    """Harmonic mean of precision and recall; 0 where nothing was found."""
    return 2 * found / (2 * found + missed + false) if found else 0.0


def quantile(values: Sequence[float], share: float) -> float | None:
    """A quantile, between neighbours by proportion."""
    if not values:
        return None
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def score(
    results: Iterable[Result], pattern: str, of: Of = ours, chosen: Chosen | None = None, *, false_alarms: bool = True
) -> Score:
    """One pattern; `chosen` says which failures count, all if it is None."""
    total = Score()
    for result in results:
        judgement = of(result)
        for number, fault in enumerate(result.label.faults):
            if fault.pattern != pattern or not fault.visible or (chosen is not None and not chosen(result, fault)):
                continue
            hit = judgement.hits.get(number)
            if hit is None:
                total.missed += 1
            else:
                total.found += 1
                total.hits.append(hit)
        if false_alarms:
            total.false += sum(alarm.pattern == pattern for alarm in judgement.false)
    return total


def scores(results: Sequence[Result], of: Of = ours) -> dict[str, Score]:
    return {pattern: score(results, pattern, of) for pattern in PATTERNS}


def macro_f1(by_pattern: dict[str, Score]) -> float:
    """Mean of the patterns that there was something of."""
    values = [item.f1 for item in by_pattern.values() if item.wanted]
    return sum(values) / len(values) if values else 0.0


def false_per_day(results: Iterable[Result], of: Of = ours, pattern: str | None = None) -> tuple[int, float]:
    """False alarms in healthy recordings, and how many days those last."""
    count, seconds = 0, 0.0
    for result in results:
        if result.healthy:
            seconds += result.seconds
            count += sum(pattern in (None, alarm.pattern) for alarm in of(result).false)
    return count, seconds / DAY_S


def bins(results: Iterable[Result]) -> dict[str, Bins]:
    """All cells by pattern."""
    total = {pattern: Bins() for pattern in PATTERNS}
    for result in results:
        for pattern, found in result.bins.items():
            total[pattern].merge(found)
    return total


def confusion(results: Iterable[Result], of: Of = ours) -> dict[str, dict[str, int]]:
    """By what happened: in how many recordings which patterns were reported. Two failures at once are left out."""
    table: dict[str, dict[str, int]] = {}
    for result in results:
        faults = [fault for fault in result.label.faults if fault.visible]
        if len(faults) > 1 or len(faults) != len(result.label.faults):
            continue
        row = table.setdefault(faults[0].pattern if faults else "healthy", {})
        judgement = of(result)
        said = {alarm.pattern for alarm in judgement.false}
        said |= {result.label.faults[number].pattern for number in judgement.hits}
        for name in said or {"nothing"}:
            row[name] = row.get(name, 0) + 1
        row["recordings"] = row.get("recordings", 0) + 1
    return table


@dataclass(frozen=True, slots=True)
class Interval:
    """Nine times in ten the true value lies in here, as far as chance in the choice of recordings goes."""

    low: float
    high: float


def bootstrap(results: Sequence[Result], of: Of = ours, *, rounds: int = 500, seed: int = 1) -> dict[str, Interval]:
    """Intervals of each pattern's F1 and of their mean, by drawing recordings again and again."""
    rng = random.Random(seed)
    counts = [_counts(result, of) for result in results]
    drawn: dict[str, list[float]] = {name: [] for name in (*PATTERNS, "macro")}
    for _ in range(rounds):
        totals = [[0, 0, 0] for _ in PATTERNS]
        for row in rng.choices(counts, k=len(counts)):
            for number, found, missed, false in row:
                total = totals[number]
                total[0] += found
                total[1] += missed
                total[2] += false
        values = [f1(*total) for total in totals]
        there = [value for value, total in zip(values, totals, strict=True) if total[0] + total[1]]
        for name, value in zip(PATTERNS, values, strict=True):
            drawn[name].append(value)
        drawn["macro"].append(sum(there) / len(there) if there else 0.0)
    return {
        name: Interval(quantile(values, 0.05) or 0.0, quantile(values, 0.95) or 0.0) for name, values in drawn.items()
    }


def _counts(result: Result, of: Of) -> list[tuple[int, int, int, int]]:
    rows = []
    for number, pattern in enumerate(PATTERNS):
        item = score([result], pattern, of)
        if item.found or item.missed or item.false:
            rows.append((number, item.found, item.missed, item.false))
    return rows
