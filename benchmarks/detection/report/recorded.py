"""The part of the page about recorded data."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks.detection.evaluation import scores
from benchmarks.detection.evaluation.running import Result
from benchmarks.detection.evaluation.scores import Of, naive, ours
from benchmarks.detection.report.tables import seconds, share, table, title
from benchmarks.detection.scenarios.mechanism import PATTERNS

_INTRODUCTION = """\
Recordings of real systems by the labels that came with them, never used for fitting. Where the label maps to none of
the six patterns nothing is demanded; what the label tolerates is neither right nor wrong.
"""


def section(results: Sequence[Result]) -> str:
    """One table for what was demanded, one for what was said without being demanded."""
    sets = list(dict.fromkeys(str(result.label.facts["dataset"]) for result in results))
    return "\n".join((_INTRODUCTION, _demanded(results, sets), _said(results, sets)))


def _of(results: Sequence[Result], name: str) -> list[Result]:
    return [result for result in results if result.label.facts["dataset"] == name]


def _demanded(results: Sequence[Result], sets: Sequence[str]) -> str:
    rows = []
    for name in sets:
        chosen = _of(results, name)
        for pattern in PATTERNS:
            mine, theirs = scores.score(chosen, pattern), scores.score(chosen, pattern, naive)
            if mine.wanted:
                rows.append(
                    (
                        name,
                        title(pattern),
                        str(mine.wanted),
                        share(mine.recall),
                        share(mine.precision),
                        share(mine.f1),
                        f"{seconds(mine.delay(0.5))} / {seconds(mine.delay(0.95))}",
                        f"{share(theirs.recall)} / {share(theirs.precision)} / {share(theirs.f1)}",
                    )
                )
    head = (
        "set",
        "pattern",
        "demanded",
        "recall",
        "precision",
        "F1",
        "delay p50 / p95, s",
        "thresholds: recall / precision / F1",
    )
    return table(head, rows)


def _said(results: Sequence[Result], sets: Sequence[str]) -> str:
    rows = []
    for name in sets:
        chosen = _of(results, name)
        for text, belongs in _KINDS:
            part = [result for result in chosen if belongs(result)]
            if part:
                hours = sum(result.seconds for result in part) / 3600
                cells = [_alarms(part, of, hours) for of in (ours, naive)]
                rows.append((name, text, str(len(part)), f"{hours:.1f}", *cells))
    return table(("set", "recordings", "files", "hours", "false alarms (an hour)", "thresholds"), rows)


def _alarms(results: Sequence[Result], of: Of, hours: float) -> str:
    alarms = [alarm for result in results for alarm in of(result).false]
    count = len(alarms)
    if not count:
        return "0"
    worst = max(PATTERNS, key=lambda pattern: sum(alarm.pattern == pattern for alarm in alarms))
    return f"{count} ({count / hours:.1f}), most of them {title(worst)}"


_KINDS: tuple[tuple[str, Callable[[Result], bool]], ...] = (
    ("without a fault", lambda result: not result.label.facts["faulty"]),
    ("with a fault of the six", lambda result: bool(result.label.facts["expected"])),
    ("with another fault", lambda result: result.label.facts["faulty"] and not result.label.facts["expected"]),
)
