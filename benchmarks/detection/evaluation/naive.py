"""Simple thresholds over the same observations: what the statistics have to beat.

Every five seconds of the recording each variant of a rule has a value; it raises an alarm where that reaches a
threshold twice in a row.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from benchmarks.detection.evaluation.alarms import Alarm
from benchmarks.detection.evaluation.naive_rules import Rule, all_rules
from benchmarks.detection.scenarios.mechanism import CASCADE, PARTITION
from otel_monitor_processors.observation import Observation

STEP_S = 5.0
_QUIET_S = 60.0
_MAX_NAMED = 20
CHOSEN = Path(__file__).with_name("naive_thresholds.json")


class Reading(NamedTuple):
    """The value of a rule at one time, and who is behind it, the worst first."""

    at: float
    value: float
    sources: tuple[tuple[str, float], ...]


class Setting(NamedTuple):
    """One rule with its threshold."""

    pattern: str
    variant: str
    threshold: float


def all_settings() -> list[Setting]:
    return [Setting(rule.pattern, rule.variant, at) for rule in all_rules() for at in rule.thresholds]


def chosen_settings() -> dict[str, Setting]:
    """The thresholds that did best on the tuning seeds, by pattern."""
    return {item["pattern"]: Setting(**item) for item in json.loads(CHOSEN.read_text())}


class NaiveMonitor:
    """Hears the observations of one recording; afterwards it can say what any setting would have raised."""

    def __init__(self, rules: Iterable[Rule] | None = None) -> None:
        self._rules = list(all_rules() if rules is None else rules)
        self._readings: dict[tuple[str, str], list[Reading]] = {
            (rule.pattern, rule.variant): [] for rule in self._rules
        }
        self._next = float("-inf")

    def hear(self, observation: Observation) -> None:
        at = observation.at
        if at >= self._next:
            if self._next > float("-inf"):
                self._read(self._next)
            self._next = STEP_S * (at // STEP_S + 1)
        for rule in self._rules:
            rule.hear(observation)

    def _read(self, now: float) -> None:
        for rule in self._rules:
            found = rule.read(now)
            if not found:
                continue
            worst = sorted(found.items(), key=lambda item: (-item[1], item[0]))
            value = float(len(worst)) if rule.counts_sources else worst[0][1]
            if value >= rule.thresholds[0]:
                self._readings[rule.pattern, rule.variant].append(Reading(now, value, tuple(worst[:_MAX_NAMED])))

    def alarms(self, setting: Setting) -> list[Alarm]:
        """What this setting would have raised."""
        return list(_alarms(self._readings[setting.pattern, setting.variant], setting))


def _alarms(readings: list[Reading], setting: Setting) -> Iterator[Alarm]:
    alarm: Alarm | None = None
    last_above = float("-inf")
    for reading in readings:
        if alarm is not None and reading.at - last_above > _QUIET_S:
            alarm.until = last_above + _QUIET_S
            yield alarm
            alarm = None
        if reading.value < setting.threshold:
            continue
        twice = reading.at - last_above <= STEP_S + 1e-6
        last_above = reading.at
        if alarm is None and twice:
            alarm = Alarm(setting.pattern, reading.at, reading.at + _QUIET_S)
        if alarm is not None:
            alarm.told.append((reading.at, _named(reading, setting)))
    if alarm is not None:
        alarm.until = last_above + _QUIET_S
        yield alarm


def _named(reading: Reading, setting: Setting) -> tuple[str, ...]:
    counted = setting.pattern in (CASCADE, PARTITION)
    return tuple(source for source, value in reading.sources if counted or value >= setting.threshold)


@dataclass(slots=True)
class Count:
    """How a setting did on the tuning seeds."""

    found: int = 0
    missed: int = 0
    false: int = 0

    @property
    def f1(self) -> float:
        wrong = self.missed + self.false
        return 2 * self.found / (2 * self.found + wrong) if self.found else 0.0


def choose(counts: dict[Setting, Count]) -> list[Setting]:
    """The best setting of each pattern; of equals the stricter one."""
    best: dict[str, Setting] = {}
    for setting, count in counts.items():
        known = best.get(setting.pattern)
        if known is None or (count.f1, setting.threshold) > (counts[known].f1, known.threshold):
            best[setting.pattern] = setting
    return list(best.values())
