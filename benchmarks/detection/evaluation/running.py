"""Scenarios one after the other, or several at a time: made, replayed and judged without touching the disk."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.detection.evaluation.alarms import Judgement, alarms_of, judge
from benchmarks.detection.evaluation.cells import Bins, bins_of
from benchmarks.detection.evaluation.naive import Count, NaiveMonitor, Setting, all_settings, chosen_settings
from benchmarks.detection.evaluation.replaying import Outcome, overhear, replay_file_by_command, replay_lines
from benchmarks.detection.scenarios.labels import Label
from benchmarks.detection.scenarios.mechanism import PATTERNS
from benchmarks.detection.scenarios.scenario import Scenario

A = TypeVar("A")
R = TypeVar("R")


@dataclass(slots=True)
class Result:
    """One recording, judged."""

    label: Label
    judgement: Judgement
    naive: Judgement
    bins: dict[str, Bins]
    summary: dict[str, Any] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)
    cpu_s: float = 0.0
    wall_s: float = 0.0

    @property
    def seconds(self) -> float:
        return self.label.end - self.label.start

    @property
    def healthy(self) -> bool:
        return not self.label.faults


def judged(label: Label, outcome: Outcome, monitor: NaiveMonitor) -> Result:
    """Compare what was said with what is true."""
    settings = chosen_settings()
    naive = [alarm for setting in settings.values() for alarm in monitor.alarms(setting)]
    naive.sort(key=lambda alarm: alarm.at)
    return Result(
        label,
        judge(label, alarms_of(outcome.verdicts, label.end)),
        judge(label, naive),
        bins_of(label, outcome.confidences, PATTERNS),
        outcome.summary,
        outcome.complaints,
        outcome.cpu_s,
    )


def evaluate(seed: int) -> Result:
    """One scenario, in this process."""
    began = time.perf_counter()
    scenario, monitor = Scenario(seed), NaiveMonitor()
    outcome = replay_lines(scenario.name, scenario.lines(), monitor.hear)
    result = judged(scenario.label(), outcome, monitor)
    result.wall_s = time.perf_counter() - began
    return result


def evaluate_by_command(seed: int) -> Result:
    """One scenario, through a file and the real command."""
    began = time.perf_counter()
    scenario, monitor = Scenario(seed), NaiveMonitor()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{scenario.name}.jsonl"
        with path.open("w") as file:
            file.writelines(f"{line}\n" for line in scenario.lines())
        outcome = replay_file_by_command(path)
        with path.open() as file:
            overhear(scenario.name, (line for line in file), monitor.hear)
    result = judged(scenario.label(), outcome, monitor)
    result.wall_s = time.perf_counter() - began
    return result


def try_settings(seed: int) -> dict[Setting, Count]:
    """How every setting of the simple rules does on one scenario."""
    scenario, monitor = Scenario(seed), NaiveMonitor()
    overhear(scenario.name, scenario.lines(), monitor.hear)
    label = scenario.label()
    counts = {}
    for setting in all_settings():
        judgement = judge(label, monitor.alarms(setting))
        wanted = sum(fault.visible and fault.pattern == setting.pattern for fault in label.faults)
        counts[setting] = Count(len(judgement.hits), wanted - len(judgement.hits), len(judgement.false))
    return counts


def in_parallel(work: Callable[[A], R], items: Iterable[A], jobs: int) -> Iterator[R]:
    """The results in the order of the items, with a line on stderr for every tenth of them."""
    items = list(items)
    began = time.perf_counter()
    if jobs <= 1:
        results: Iterator[R] = map(work, items)
        yield from _noting(results, len(items), began)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from _noting(pool.map(work, items), len(items), began)


def _noting(results: Iterator[R], total: int, began: float) -> Iterator[R]:
    for number, result in enumerate(results, 1):
        yield result
        if number * 10 // total > (number - 1) * 10 // total:
            spent_s = time.perf_counter() - began
            sys.stderr.write(f"{number} of {total} recordings after {spent_s:.0f} s\n")
