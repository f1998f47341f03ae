"""Simple thresholds over the same observations: what the statistics have to beat.

One rule per pattern, as somebody would write it into an alerting system. Every five seconds of the recording
each variant of a rule has a value; it raises an alarm where that reaches a threshold twice in a row.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from benchmarks.detection.evaluation.alarms import Alarm
from benchmarks.detection.scenarios.mechanism import (
    CASCADE,
    CONTENTION,
    EXHAUSTION,
    HEARTBEATS,
    IMBALANCE,
    PARTITION,
)
from otel_monitor_processors.classification import Category
from otel_monitor_processors.observation import (
    Assignment,
    DatabaseOperation,
    ErrorLog,
    Heartbeat,
    Level,
    Link,
    Observation,
    Operation,
    Outcome,
)

STEP_S = 5.0
_QUIET_S = 60.0
_MAX_NAMED = 20
CHOSEN = Path(__file__).with_name("naive_thresholds.json")


class Reading(NamedTuple):
    """The value of a rule at one time, and who is behind it, the worst first."""

    at: float
    value: float
    sources: tuple[tuple[str, float], ...]


class Rule:
    """One simple rule; its settings are thresholds on what `read` gives."""

    pattern: str
    variant: str = ""
    thresholds: tuple[float, ...]
    counts_sources = False
    """Whether its value is the number of sources, not the greatest of their values."""

    def hear(self, observation: Observation) -> None:
        """Take in one observation."""
        raise NotImplementedError

    def read(self, now: float) -> dict[str, float]:
        """The value of each source now."""
        raise NotImplementedError


class _Window:
    """How often something has happened lately, by key."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._events: deque[tuple[float, str]] = deque()
        self.counts: dict[str, int] = {}

    def add(self, at: float, key: str) -> None:
        self._events.append((at, key))
        self.counts[key] = self.counts.get(key, 0) + 1

    def expire(self, now: float) -> None:
        while self._events and self._events[0][0] < now - self._seconds:
            _, key = self._events.popleft()
            self.counts[key] -= 1
            if not self.counts[key]:
                del self.counts[key]


class FailingSources(Rule):
    """Cascade: so many sources have failed at least `least` times within a minute."""

    pattern = CASCADE
    thresholds = (2, 3, 4, 5, 6, 8)
    counts_sources = True

    def __init__(self, least: int) -> None:
        self.variant = f"failures={least}"
        self._least = least
        self._window = _Window(60.0)

    def hear(self, observation: Observation) -> None:
        failed = type(observation) is ErrorLog or (
            type(observation) is Operation and observation.outcome is Outcome.FAILED
        )
        if failed:
            self._window.add(observation.at, observation.source)

    def read(self, now: float) -> dict[str, float]:
        self._window.expire(now)
        return {source: float(count) for source, count in self._window.counts.items() if count >= self._least}


class HighLevels(Rule):
    """Exhaustion: a resource is used to such a share."""

    pattern = EXHAUSTION
    thresholds = (0.7, 0.8, 0.85, 0.9, 0.95, 0.98)

    def __init__(self) -> None:
        self._levels: dict[str, dict[str, tuple[float, float]]] = {}

    def hear(self, observation: Observation) -> None:
        if type(observation) is Level and observation.limit > 0:
            levels = self._levels.setdefault(observation.source, {})
            levels[observation.resource] = (observation.at, observation.value / observation.limit)

    def read(self, now: float) -> dict[str, float]:
        return {
            source: max((share for at, share in levels.values() if at > now - 120.0), default=0.0)
            for source, levels in self._levels.items()
        }


class FailedLinks(Rule):
    """Partition: so many sources have failed to reach one and the same peer twice within a minute."""

    pattern = PARTITION
    thresholds = (1, 2, 3, 4, 6, 8)
    counts_sources = True

    def __init__(self) -> None:
        self._window = _Window(60.0)

    def hear(self, observation: Observation) -> None:
        if type(observation) is Link and not observation.ok:
            self._window.add(observation.at, f"{observation.source}\n{observation.peer}")

    def read(self, now: float) -> dict[str, float]:
        self._window.expire(now)
        return {key.partition("\n")[0]: float(count) for key, count in self._window.counts.items() if count >= 2}


class Contended(Rule):
    """Contention: so many errors that mean it within a minute."""

    pattern = CONTENTION
    thresholds = (1, 2, 3, 5, 8, 12, 20)

    def __init__(self) -> None:
        self._window = _Window(60.0)

    def hear(self, observation: Observation) -> None:
        if (type(observation) is DatabaseOperation or type(observation) is ErrorLog) and (
            observation.category is Category.CONTENTION
        ):
            self._window.add(observation.at, observation.source)

    def read(self, now: float) -> dict[str, float]:
        self._window.expire(now)
        total = float(sum(self._window.counts.values()))
        return dict.fromkeys(self._window.counts, total)


class Silence(Rule):
    """Heartbeats: a worker is silent for so many of its usual intervals."""

    pattern = HEARTBEATS
    thresholds = (2.5, 3.0, 4.0, 5.0, 8.0, 12.0)

    def __init__(self) -> None:
        self._last: dict[str, float] = {}
        self._gaps: dict[str, deque[float]] = {}
        self._worst: dict[str, float] = {}

    def hear(self, observation: Observation) -> None:
        if type(observation) is not Heartbeat or observation.source == observation.observer:
            return
        source = observation.source
        last = self._last.get(source)
        self._last[source] = observation.at
        if last is None:
            return
        gaps = self._gaps.setdefault(source, deque(maxlen=30))
        if len(gaps) >= 5:
            self._worst[source] = max(self._worst.get(source, 0.0), self._ratio(gaps, observation.at - last))
        gaps.append(observation.at - last)

    def _ratio(self, gaps: deque[float], silence_s: float) -> float:
        return silence_s / max(0.05, sorted(gaps)[len(gaps) // 2])

    def read(self, now: float) -> dict[str, float]:
        found = {
            source: max(self._worst.get(source, 0.0), self._ratio(gaps, now - self._last[source]))
            for source, gaps in self._gaps.items()
            if len(gaps) >= 5 and now - self._last[source] < 600.0
        }
        self._worst.clear()
        return found


class UnequalWork(Rule):
    """Imbalance: a worker has had so many times the mean of the work within some minutes."""

    pattern = IMBALANCE
    thresholds = (1.5, 2.0, 2.5, 3.0, 4.0, 6.0)

    def __init__(self, seconds: float) -> None:
        self.variant = f"window={seconds:g}"
        self._given = _Window(seconds)
        self._done = _Window(seconds)
        self._seen: dict[str, float] = {}

    def hear(self, observation: Observation) -> None:
        if type(observation) is Assignment:
            self._given.add(observation.at, observation.source)
        elif type(observation) is Operation and observation.name.startswith(("process", "POST")):
            self._done.add(observation.at, observation.source)
        else:
            return
        self._seen[observation.source] = observation.at

    def read(self, now: float) -> dict[str, float]:
        self._given.expire(now)
        self._done.expire(now)
        counts = self._given.counts or self._done.counts
        workers = [source for source, at in self._seen.items() if at > now - 900.0]
        if len(workers) < 3 or sum(counts.values()) < 5 * len(workers):
            return {}
        mean = sum(counts.values()) / len(workers)
        return {source: count / mean for source, count in counts.items()}


def all_rules() -> list[Rule]:
    """Every variant of every rule, fresh."""
    rules: list[Rule] = [
        *(FailingSources(least) for least in (2, 3, 5)),
        HighLevels(),
        FailedLinks(),
        Contended(),
        Silence(),
        *(UnequalWork(seconds) for seconds in (60.0, 120.0, 300.0)),
    ]
    return rules


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
