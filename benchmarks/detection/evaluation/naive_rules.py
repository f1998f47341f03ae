"""One simple rule per pattern, as somebody would write it into an alerting system."""

from __future__ import annotations

from collections import deque

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
    thresholds = (2, 3, 4, 5, 6, 8, 12, 20)
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
    """Exhaustion: a resource is used to such a share, for a minute or at the moment, CPUs included or not."""

    pattern = EXHAUSTION
    thresholds = (0.7, 0.8, 0.85, 0.9, 0.95, 0.98)

    def __init__(self, *, with_cpu: bool, lasting: bool) -> None:
        self.variant = f"{'with' if with_cpu else 'without'} CPU{', for a minute' if lasting else ''}"
        self._with_cpu = with_cpu
        self._keep_s = 75.0 if lasting else 0.0
        self._levels: dict[str, dict[str, deque[tuple[float, float]]]] = {}

    def hear(self, observation: Observation) -> None:
        if type(observation) is not Level or observation.limit <= 0:
            return
        if "cpu" in observation.resource and not self._with_cpu:
            return
        levels = self._levels.setdefault(observation.source, {}).setdefault(observation.resource, deque())
        levels.append((observation.at, observation.value / observation.limit))
        while len(levels) > 1 and levels[0][0] < observation.at - self._keep_s:
            levels.popleft()

    def read(self, now: float) -> dict[str, float]:
        return {
            source: max((_lowest(readings, now) for readings in levels.values()), default=0.0)
            for source, levels in self._levels.items()
        }


def _lowest(readings: deque[tuple[float, float]], now: float) -> float:
    """The lowest of the readings kept; 0 where they are old."""
    return min(share for _, share in readings) if readings[-1][0] > now - 120.0 else 0.0


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
    thresholds = (1, 2, 3, 5, 8, 12, 20, 30, 50)

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
    thresholds = (1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0)

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
        *(FailingSources(least) for least in (2, 5, 10)),
        *(HighLevels(with_cpu=cpu, lasting=lasting) for cpu in (True, False) for lasting in (True, False)),
        FailedLinks(),
        Contended(),
        Silence(),
        *(UnequalWork(seconds) for seconds in (60.0, 120.0, 300.0)),
    ]
    return rules
