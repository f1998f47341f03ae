"""Tallies: what each source did in each second, put together once for every detector."""

from __future__ import annotations

from typing import Any

from otel_monitor_processors.classification import Category
from otel_monitor_processors.observation import DatabaseOperation, Operation, Outcome, TraceRef

_MAX_SOURCES = 10_000
_MAX_TRACES = 5
_MAX_WORK = 64
_MAX_DURATIONS = 512
_UNRATED = "heartbeat"
"""Operations of which only the failed and the slow ones are recorded: a share of them means nothing."""


class Tally:
    """One source's ended operations within one second.

    `calls` without the cancelled ones, `failed` of them, `categories` of the failures, `work` as count and busy
    seconds by operation, `durations` in seconds (at most 512 of them), `traces` of failures by category.
    Database operations are tallied apart. `unrated` are failures of heartbeats, by category: they are in none of
    the other counts, as of those that end well there may be no record.
    """

    __slots__ = (
        "calls",
        "categories",
        "database",
        "durations",
        "failed",
        "second",
        "service",
        "source",
        "traces",
        "unrated",
        "work",
    )

    def __init__(self, second: int, source: str, service: str, *, database: bool) -> None:
        self.second = second
        self.source = source
        self.service = service
        self.database = database
        self.calls = 0
        self.failed = 0
        self.categories: dict[Category, int] = {}
        self.work: dict[str, list[float]] = {}
        self.durations: list[float] = []
        self.traces: dict[Category, list[TraceRef]] = {}
        self.unrated: dict[Category, int] = {}

    @property
    def at(self) -> float:
        """A moment within the second."""
        return self.second + 0.5

    def fail(self, category: Category, trace: TraceRef | None) -> None:
        self.failed += 1
        self.categories[category] = self.categories.get(category, 0) + 1
        self._remember(category, trace)

    def fail_unrated(self, category: Category, trace: TraceRef | None) -> None:
        self.unrated[category] = self.unrated.get(category, 0) + 1
        self._remember(category, trace)

    def _remember(self, category: Category, trace: TraceRef | None) -> None:
        if trace is not None:
            traces = self.traces.setdefault(category, [])
            if len(traces) < _MAX_TRACES:
                traces.append(trace)

    def dump(self) -> list[Any]:
        traces = [[category, [list(trace) for trace in refs]] for category, refs in self.traces.items()]
        return [
            self.second,
            self.source,
            self.service,
            self.database,
            self.calls,
            self.failed,
            list(self.categories.items()),
            list(self.work.items()),
            self.durations,
            traces,
            list(self.unrated.items()),
        ]

    @classmethod
    def load(cls, state: list[Any]) -> Tally:
        second, source, service, database, calls, failed, categories, work, durations, traces, unrated = state
        tally = cls(second, source, service, database=database)
        tally.calls, tally.failed = calls, failed
        tally.categories = {Category(category): count for category, count in categories}
        tally.work = {name: list(part) for name, part in work}
        tally.durations = list(durations)
        tally.traces = {Category(category): [TraceRef(*ref) for ref in refs] for category, refs in traces}
        tally.unrated = {Category(category): count for category, count in unrated}
        return tally


class Tallies:
    """The seconds that are not closed yet; at most 10,000 sources in each."""

    def __init__(self) -> None:
        self.dropped = 0
        self._open: dict[tuple[int, str, bool], Tally] = {}

    def add(self, operation: Operation | DatabaseOperation) -> None:
        outcome = operation.outcome
        if outcome is Outcome.CANCELLED:
            return
        database = type(operation) is DatabaseOperation
        name = operation.system if database else operation.name  # type: ignore[union-attr]  # told apart by `database`
        if name == _UNRATED and outcome is Outcome.OK:
            return
        key = (int(operation.at), operation.source, database)
        tally = self._open.get(key)
        if tally is None:
            if len(self._open) >= _MAX_SOURCES:
                self.dropped += 1
                return
            tally = self._open[key] = Tally(key[0], operation.source, operation.service, database=database)
        if name == _UNRATED:
            tally.fail_unrated(operation.category or Category.APPLICATION, operation.trace)
            return
        tally.calls += 1
        duration_s = operation.duration_s
        if len(tally.durations) < _MAX_DURATIONS:
            tally.durations.append(duration_s)
        part = tally.work.get(name)
        if part is not None:
            part[0] += 1
            part[1] += duration_s
        elif len(tally.work) < _MAX_WORK:
            tally.work[name] = [1, duration_s]
        if outcome is Outcome.FAILED:
            tally.fail(operation.category or Category.APPLICATION, operation.trace)

    def close(self, now: float) -> list[Tally]:
        """The tallies of all seconds that have ended by `now`, in order of time and source."""
        if not self._open:
            return []
        keys = sorted(key for key in self._open if key[0] < now)
        return [self._open.pop(key) for key in keys]

    def __len__(self) -> int:
        return len(self._open)

    def reset(self) -> None:
        self._open.clear()
        self.dropped = 0

    def dump(self) -> list[Any]:
        return [tally.dump() for tally in self._open.values()]

    def load(self, state: list[Any]) -> None:
        tallies = [Tally.load(item) for item in state]
        self._open = {(tally.second, tally.source, tally.database): tally for tally in tallies}
