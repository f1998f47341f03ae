"""Tallies: what each source did in each second, put together once for every detector."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

from otel_monitor_processors.classification import Category
from otel_monitor_processors.observation import DatabaseOperation, Operation, Outcome, TraceRef

_MAX_SOURCES = 10_000
_MAX_TRACES = 5
_MAX_WORK = 64
_MAX_DURATIONS = 512
_UNRATED = "heartbeat"
"""Operations of which only the failed and the slow ones are recorded: a share of them means nothing."""
_ORDER = attrgetter("second", "source", "database")
_OK, _FAILED, _CANCELLED = Outcome.OK, Outcome.FAILED, Outcome.CANCELLED
"""Python 3.11 looks members of enums up slowly."""


class Tally:
    """One source's ended operations within one second.

    `calls` without the cancelled ones, `failed` of them, `categories` of the failures, `work` as count and busy
    seconds by operation, `durations` in seconds (at most 512 of them), `traces` of failures by category.
    Database operations are tallied apart. `unrated` are failures of heartbeats, by category: they are in none of
    the other counts, as of those that end well there may be no record.
    """

    __slots__ = (
        "at",
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
        self.at = second + 0.5
        """A moment within the second."""
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


Second = tuple[dict[str, Tally], dict[str, Tally]]
"""The tallies of a second by source: of operations, and of those of a database."""


class Tallies:
    """The seconds that are not closed yet; at most 10,000 tallies in all of them."""

    def __init__(self) -> None:
        self.dropped = 0
        self._open: dict[int, Second] = {}
        self._count = 0
        self._start = self._end = 0.0
        self._operations: dict[str, Tally] = {}
        self._database: dict[str, Tally] = {}
        """Those of the second from `_start` to `_end`, by source."""

    def add(self, operation: Operation | DatabaseOperation) -> None:
        at, source, name, outcome, duration_s = operation[:5]  # both begin alike, and this is the quickest way
        if outcome is _CANCELLED or (name == _UNRATED and outcome is _OK):
            return
        if not self._start <= at < self._end:
            self._turn_to(int(at))
        database = type(operation) is DatabaseOperation
        tally = (self._database if database else self._operations).get(source)
        if tally is None:
            if self._count >= _MAX_SOURCES:
                self.dropped += 1
                return
            tally = self._new(source, operation.service, database=database)
        if name == _UNRATED:
            tally.fail_unrated(operation.category or Category.APPLICATION, operation.trace)
            return
        tally.calls += 1
        durations = tally.durations
        if len(durations) < _MAX_DURATIONS:
            durations.append(duration_s)
        part = tally.work.get(name)
        if part is not None:
            part[0] += 1
            part[1] += duration_s
        elif len(tally.work) < _MAX_WORK:
            tally.work[name] = [1, duration_s]
        if outcome is _FAILED:
            tally.fail(operation.category or Category.APPLICATION, operation.trace)

    def _turn_to(self, second: int) -> None:
        if second not in self._open:
            self._open[second] = {}, {}
        self._operations, self._database = self._open[second]
        self._start, self._end = float(second), second + 1.0

    def _new(self, source: str, service: str, *, database: bool) -> Tally:
        tally = Tally(int(self._start), source, service, database=database)
        (self._database if database else self._operations)[source] = tally
        self._count += 1
        return tally

    def close(self, now: float) -> list[Tally]:
        """The tallies of all seconds that have ended by `now`, in order of time and source."""
        closed = [
            tally
            for second in sorted(second for second in self._open if second < now)
            for tallies in self._open.pop(second)
            for tally in tallies.values()
        ]
        if closed:
            self._count -= len(closed)
            self._start = self._end = 0.0
            closed.sort(key=_ORDER)
        return closed

    def __len__(self) -> int:
        return self._count

    def reset(self) -> None:
        self.__init__()  # type: ignore[misc]  # everything begins anew

    def dump(self) -> list[Any]:
        return [tally.dump() for second in self._open.values() for tallies in second for tally in tallies.values()]

    def load(self, state: list[Any]) -> None:
        self.reset()
        for item in state:
            tally = Tally.load(item)
            self._turn_to(tally.second)
            (self._database if tally.database else self._operations)[tally.source] = tally
        self._count = len(state)
