"""The figures against what was aimed at."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.detection.evaluation import scores
from benchmarks.detection.evaluation.cost import Cost
from benchmarks.detection.evaluation.running import Result
from benchmarks.detection.report.tables import share, table
from benchmarks.detection.scenarios.mechanism import EXHAUSTION, PATTERNS

_FALSE_A_DAY = 0.5


def goals_table(results: Sequence[Result], cost: Cost | None) -> str:
    """Each goal, the figure, and whether that is enough."""
    rows = [*_quality(results), *_delays(results), *_probability(results), *(_cost(cost) if cost is not None else [])]
    marked = [(name, goal, figure, "met" if met else "**missed**") for name, goal, figure, met in rows]
    return table(("", "goal", "result", ""), marked)


Row = tuple[str, str, str, bool]


def _quality(results: Sequence[Result]) -> list[Row]:
    by_pattern = scores.scores(results)
    mean = scores.macro_f1(by_pattern)
    worst = min((item.f1 for item in by_pattern.values() if item.wanted), default=0.0)
    failing = [result for result in results if not result.healthy]
    unseen = _mean([result for result in failing if result.label.facts["held_out"]])
    usual = _mean([result for result in failing if result.label.facts["load"] == 1.0])
    rows = [
        ("mean F1", "at least .95", share(mean), mean >= 0.95),
        ("F1 of the worst pattern", "at least .90", share(worst), worst >= 0.9),
        ("mean F1, mechanisms never seen before", "at least .85", share(unseen), unseen >= 0.85),
    ]
    for load in (0.1, 10.0):
        chosen = [result for result in failing if result.label.facts["load"] == load]
        if chosen:
            loss = usual - _mean(chosen)
            rows.append((f"loss of mean F1 at {load:g} times the load", "at most .03", f"{loss:.2f}", loss <= 0.03))
    count, days = scores.false_per_day(results)
    if days:
        rate = count / days
        rows.append(("false alarms a day, all six", "at most 0.5", f"{rate:.2f}", rate <= _FALSE_A_DAY))
    return rows


def _mean(results: Sequence[Result]) -> float:
    return scores.macro_f1(scores.scores(results))


def _delays(results: Sequence[Result]) -> list[Row]:
    """Of the five patterns that begin with a bang; a resource that runs out is to be foretold."""
    usual = [result for result in results if result.label.facts["load"] == 1.0]
    hits = [hit for name in PATTERNS if name != EXHAUSTION for hit in scores.score(usual, name).hits]
    delays = [hit.delay_s for hit in hits]
    middle, late = scores.quantile(delays, 0.5), scores.quantile(delays, 0.95)
    leads = [hit.lead for hit in scores.score(results, EXHAUSTION).hits if hit.lead is not None]
    lead = scores.quantile(leads, 0.5)
    return [
        ("delay at usual load, p50", "at most 30 s", _seconds(middle), middle is not None and middle <= 30.0),
        ("delay at usual load, p95", "at most 60 s", _seconds(late), late is not None and late <= 60.0),
        ("lead of forecasts, median", "at least .50 of the ramp", share(lead), lead is not None and lead >= 0.5),
    ]


def _seconds(value: float | None) -> str:
    return f"{value:.0f} s" if value is not None else "nothing was found"


def _probability(results: Sequence[Result]) -> list[Row]:
    bins = scores.bins(results)
    brier = max(item.brier for item in bins.values())
    error = max(item.calibration_error for item in bins.values())
    return [
        ("Brier score of the worst pattern", "at most .004", f"{brier:.4f}", brier <= 0.004),
        ("calibration error of the worst pattern", "at most .01", f"{error:.4f}", error <= 0.01),
    ]


def _cost(cost: Cost) -> list[Row]:
    per_span, per_source, per_second = cost.engine_us_per_span, cost.memory.per_source, cost.records_per_s
    return [
        ("engine, a span", "at most 5 µs", f"{per_span:.1f} µs", per_span <= 5.0),
        ("memory, a source", "at most 8,192 bytes", f"{per_source:,.0f} bytes", per_source <= 8_192),
        ("replay, records a second and core", "at least 20,000", f"{per_second:,.0f}", per_second >= 20_000),
    ]
