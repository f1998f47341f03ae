"""Tables of the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from benchmarks.detection.evaluation import scores
from benchmarks.detection.evaluation.alarms import SHORTEST_RAMP_S
from benchmarks.detection.evaluation.cells import Bins
from benchmarks.detection.evaluation.running import Result
from benchmarks.detection.evaluation.scores import Interval, Of, Score, naive, ours
from benchmarks.detection.scenarios.labels import Fault
from benchmarks.detection.scenarios.mechanism import MECHANISMS, PATTERNS
from benchmarks.detection.simulator.shape import LOADS

TIMES = "\N{MULTIPLICATION SIGN}"
DASH = "\N{EN DASH}"
Group = tuple[str, Callable[[Result], bool]]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first are figures."""
    lines = [f"| {' | '.join(head)} |", "|---|" + "---:|" * (len(head) - 1)]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def title(pattern: str) -> str:
    return f"`{pattern.upper()}`"


def share(value: float | None) -> str:
    return DASH if value is None else f"{value:.2f}".lstrip("0") if value < 1 else "1.00"


def seconds(value: float | None) -> str:
    return DASH if value is None else f"{value:.0f}"


def main_table(results: Sequence[Result], intervals: dict[str, Interval]) -> str:
    """The figures of each pattern beside those of the simple thresholds."""
    mine, theirs = scores.scores(results), scores.scores(results, naive)
    rows = []
    for pattern in PATTERNS:
        item, other, interval = mine[pattern], theirs[pattern], intervals[pattern]
        rows.append(
            (
                title(pattern),
                str(item.wanted),
                share(item.precision),
                share(item.recall),
                f"**{share(item.f1)}** ({share(interval.low)}{DASH}{share(interval.high)})",
                f"{seconds(item.delay(0.5))} / {seconds(item.delay(0.95))}",
                share(item.overlap),
                f"{share(other.precision)} / {share(other.recall)}",
                share(other.f1),
                f"{seconds(other.delay(0.5))} / {seconds(other.delay(0.95))}",
            )
        )
    whole = intervals["macro"]
    macro = f"**{share(scores.macro_f1(mine))}** ({share(whole.low)}{DASH}{share(whole.high)})"
    rows.append(("mean", "", "", "", macro, "", "", "", share(scores.macro_f1(theirs)), ""))
    head = (
        "pattern",
        "failures",
        "precision",
        "recall",
        "F1 (90 %)",
        "delay p50 / p95, s",
        "sources, Jaccard",
        "thresholds: precision / recall",
        "thresholds: F1",
        "thresholds: delay, s",
    )
    return table(head, rows)


def group_table(results: Sequence[Result], name: str, groups: Sequence[Group]) -> str:
    """F1 of each pattern in groups of recordings; false alarms are those of the group's recordings."""
    rows = []
    for text, belongs in groups:
        chosen = [result for result in results if not result.healthy and belongs(result)]
        if not chosen:
            continue
        mine, theirs = scores.scores(chosen), scores.scores(chosen, naive)
        cells = [f"{share(mine[p].f1)}" if mine[p].wanted else DASH for p in PATTERNS]
        delays = [hit.delay_s for p in PATTERNS if p != "resource_exhaustion" for hit in mine[p].hits]
        rows.append(
            (
                text,
                str(sum(mine[p].wanted for p in PATTERNS)),
                *cells,
                f"**{share(scores.macro_f1(mine))}**",
                share(scores.macro_f1(theirs)),
                f"{seconds(scores.quantile(delays, 0.5))} / {seconds(scores.quantile(delays, 0.95))}",
            )
        )
    short = [pattern.replace("_", " ") for pattern in PATTERNS]
    return table((name, "failures", *short, "mean", "thresholds: mean", "delay p50 / p95, s"), rows)


def load_groups() -> list[Group]:
    return [(f"{TIMES}{load:g}", _with("load", load)) for load in LOADS]


def seen_groups() -> list[Group]:
    """Recordings whose mechanisms were all seen in fitting or tuning, and the others."""
    return [
        ("seen in fitting or tuning", lambda result: not result.label.facts["held_out"]),
        ("never seen before", lambda result: bool(result.label.facts["held_out"])),
    ]


def fact_groups(results: Sequence[Result], fact: str) -> list[Group]:
    values = sorted({result.label.facts[fact] for result in results}, key=str)
    return [(f"{value}", _with(fact, value)) for value in values]


def _with(fact: str, value: object) -> Callable[[Result], bool]:
    return lambda result: bool(result.label.facts[fact] == value)


def mechanism_table(results: Sequence[Result]) -> str:
    """What was found of each mechanism."""
    rows = []
    for item in sorted(MECHANISMS.values(), key=lambda item: (PATTERNS.index(item.pattern), item.held_out)):

        def same(_result: Result, fault: Fault, name: str = item.name) -> bool:
            return fault.mechanism == name

        mine = scores.score(results, item.pattern, ours, same, false_alarms=False)
        theirs = scores.score(results, item.pattern, naive, same, false_alarms=False)
        hidden = sum(
            fault.mechanism == item.name and not fault.visible for result in results for fault in result.label.faults
        )
        rows.append(
            (
                f"{item.name}{' †' if item.held_out else ''}",
                title(item.pattern),
                str(mine.wanted),
                str(hidden),
                share(mine.recall) if mine.wanted else DASH,
                f"{seconds(mine.delay(0.5))} / {seconds(mine.delay(0.95))}",
                share(mine.overlap),
                share(theirs.recall) if theirs.wanted else DASH,
            )
        )
    head = (
        "mechanism",
        "pattern",
        "failures",
        "not visible",
        "recall",
        "delay p50 / p95, s",
        "Jaccard",
        "thresholds: recall",
    )
    return table(head, rows)


def false_alarm_table(results: Sequence[Result]) -> str:
    """False alarms a day on healthy recordings."""
    rows = []
    for pattern in (*PATTERNS, None):
        cells = [_a_day(results, of, pattern) for of in (ours, naive)]
        rows.append((title(pattern) if pattern else "all six", *cells))
    return table(("pattern", "false alarms a day (count)", "thresholds"), rows)


def _a_day(results: Sequence[Result], of: Of, pattern: str | None) -> str:
    count, days = scores.false_per_day(results, of, pattern)
    return f"{count / days:.2f} ({count})" if days else DASH


def culprit_table(results: Sequence[Result]) -> str:
    """What was going on when healthy systems raised alarms: the background that began last before each."""
    blamed: Counter[tuple[str, str]] = Counter()
    for result in results:
        if result.healthy:
            for alarm in result.judgement.false:
                blamed[_going_on(result, alarm.at), alarm.pattern] += 1
    rows = [(name, title(pattern), str(count)) for (name, pattern), count in blamed.most_common(12)]
    return table(("last event before the false alarm", "pattern", "alarms"), rows) if rows else "None.\n"


def _going_on(result: Result, at: float) -> str:
    before = [(began, name) for began, name in result.label.facts["events"] if result.label.start + began <= at]
    return max(before)[1] if before else "nothing"


def calibration_table(bins: dict[str, Bins]) -> str:
    rows = [
        (
            title(pattern),
            f"{item.cells:,}",
            f"{item.base_rate:.4f}",
            f"{item.brier:.4f}",
            f"{item.climate:.4f}",
            f"{item.calibration_error:.4f}",
        )
        for pattern, item in bins.items()
    ]
    head = ("pattern", "cells", "there in", "Brier", "Brier of always saying that", "calibration error")
    return table(head, rows)


def lead_table(results: Sequence[Result]) -> str:
    """How early the end of a resource was foretold."""
    rows = []
    for item in MECHANISMS.values():
        if item.pattern != "resource_exhaustion":
            continue

        def same(_result: Result, fault: Fault, name: str = item.name) -> bool:
            limit_at = fault.limit_at
            return fault.mechanism == name and limit_at is not None and limit_at - fault.onset >= SHORTEST_RAMP_S

        mine: Score = scores.score(results, item.pattern, ours, same, false_alarms=False)
        if not mine.wanted:
            continue
        leads = [hit.lead for hit in mine.hits if hit.lead is not None]
        early = sum(lead > 0 for lead in leads)
        rows.append((item.name, str(mine.wanted), str(early), share(mine.lead), share(scores.quantile(leads, 0.1))))
    return table(("mechanism", "failures", "told before the limit", "lead, median", "lead, p10"), rows)
