"""Records in the order of their time, through one engine, on virtual time."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, groupby
from operator import attrgetter

from otel_monitor.replay.clock_offsets import ClockOffsets
from otel_monitor.replay.lateness import Lateness
from otel_monitor.replay.ledger import Ledger, Origin, Signal
from otel_monitor.replay.metrics import Export
from otel_monitor.replay.otlp import Record, Said
from otel_monitor_processors.engine import Engine, Transition
from otel_monitor_processors.observation import Heartbeat, Observation, TraceRef
from otel_monitor_processors.otel.metric_mapping import Metric, MetricMapping
from otel_monitor_processors.patterns.verdict import Pattern

_STEPS = 10
_MAX_HELD = 100_000
_LONGEST_SILENCE_S = 3_600.0
_PAUSE_S = 15.0
_PAUSE_FACTOR = 5.0
_KNOWN_S = 120.0
_USUAL_GAPS = 256
_SHORTEST_GAP_S = 0.01


@dataclass(frozen=True, slots=True)
class Confidence:
    """How probable each pattern was at one time."""

    at: float
    patterns: dict[Pattern, float]


Output = Transition | Confidence


class Intake:
    """Holds records back until none that is in time can come before them, then shows them to the engine.

    Metrics become observations only then: an increase depends on what came before it. At most 100,000 are held;
    what is beyond that goes on early. A stretch in which no source said anything is one in which nobody was
    there to record it: the engine is told so, and no heartbeat is missed.

    Args:
        engine: what looks at the observations; its own lateness is 0, as this one holds back.
        ledger: what counts the records.
        confidence_every_s: how often confidences are among the outputs, in event time; never where None.
        lateness: how far behind the newest event time a record may be; from 5 s to 30 s where None.
    """

    def __init__(
        self,
        engine: Engine,
        ledger: Ledger,
        confidence_every_s: float | None = None,
        *,
        lateness: Lateness | None = None,
    ) -> None:
        self._engine = engine
        self._ledger = ledger
        self._every_s = confidence_every_s
        self._lateness = lateness or Lateness()
        self._next_confidence: float | None = None
        self._mapping = MetricMapping(self._refuse)
        self._export: Export | None = None
        self._held: list[Record] = []
        self._silence = _Silence()
        self._clocks = ClockOffsets()
        self.first_s = math.inf
        self.newest_s = -math.inf
        self._released_s = -math.inf

    @property
    def dropped(self) -> int:
        """How much was let go for want of room: sources, series, workers."""
        return self._engine.dropped + self._mapping.dropped

    @property
    def allowed_lateness_s(self) -> float:
        """How far behind the newest event time a record may be now."""
        return self._lateness.bound_s

    def take(self, records: list[Record]) -> Iterator[Output]:
        """Take in the records of one line; what has changed because of them."""
        read, held = self._ledger.read, self._held
        newest_s, oldest_s = self.newest_s, math.inf
        bound_s = self._lateness.bound_s
        for record in self._clocks.corrected(records):
            at_s = record.at_s
            read[record.signal] += record.weight
            if at_s < oldest_s:
                oldest_s = at_s
            if at_s < newest_s - bound_s or at_s < self._released_s:
                self._ledger.late += record.weight
                continue
            if at_s > newest_s:
                newest_s = at_s
            if at_s < self.first_s:
                self.first_s = at_s
            held.append(record)
        self._lateness.note(self.newest_s - oldest_s)
        self.newest_s = newest_s
        if newest_s - bound_s >= self._released_s + bound_s / _STEPS:
            yield from self._release(newest_s - bound_s)
        if len(held) > _MAX_HELD:
            held.sort(key=_at)
            yield from self._release(held[len(held) // 2].at_s)

    def advance(self, now_s: float) -> Iterator[Output]:
        """Time has passed up to `now_s` by the clock of whoever receives: silence is news as well."""
        watermark_s = now_s - self._lateness.bound_s
        if watermark_s > self._released_s and self.newest_s > -math.inf:
            yield from self._release(watermark_s)
            yield from self._engine.advance(watermark_s)

    def conclude(self) -> Iterator[Output]:
        """The recording has ended."""
        if self.newest_s > -math.inf:
            yield from self._release(self.newest_s)
            yield from self._engine.conclude(self.newest_s)
            yield from self._confidences(math.nextafter(self.newest_s, math.inf))

    def _release(self, watermark_s: float) -> Iterator[Output]:
        held = self._held
        held.sort(key=_at)
        end = bisect_right(held, watermark_s, key=_at)
        ready = held[:end]
        del held[:end]
        self._released_s = watermark_s
        observations: list[Observation] = []
        for record in _in_order(ready):
            pause_s = self._silence.until(record.at_s)
            if pause_s or self._is_due(record.at_s):
                yield from self._engine.observe(observations)
                observations = []
                if pause_s:
                    self._engine.pause(pause_s)
                yield from self._confidences(record.at_s)
            for said in record.said:
                observations += self._observations(record.at_s, said)
        yield from self._engine.observe(observations)

    def _observations(self, at_s: float, said: Said) -> Iterable[Observation]:
        if isinstance(said, Export):
            self._export = said
            alive = Heartbeat(at_s, said.source, said.source)  # by its own account
            return chain(self._mapping.observations(said.source, said.service, said.metrics, at_s), (alive,))
        if type(said) is Heartbeat and not self._mapping.heartbeats.recorded(said):
            return ()
        return (said,)

    def _refuse(self, metric: Metric) -> None:
        if self._export is not None:
            self._ledger.refuse("metric that changes its type", self._export.origin, len(metric.points))
            self._ledger.read[Signal.METRIC] -= len(metric.points)

    def _is_due(self, at_s: float) -> bool:
        return self._every_s is not None and (self._next_confidence is None or at_s > self._next_confidence)

    def _confidences(self, at_s: float) -> Iterator[Output]:
        """Every confidence that is due before `at_s`; a long silence is passed over."""
        every_s = self._every_s
        if every_s is None:
            return
        due_s = self._next_confidence
        if due_s is None or at_s - due_s > _LONGEST_SILENCE_S:
            due_s = math.ceil(at_s / every_s) * every_s
        while due_s < at_s:
            yield from self._engine.advance(due_s)
            yield Confidence(due_s, {pattern: self._engine.confidence(pattern) for pattern in Pattern})
            due_s = (math.floor(due_s / every_s + 0.5) + 1) * every_s
        self._next_confidence = due_s


class _Silence:
    """Notices stretches in which nothing at all was recorded, by the gaps that are usual in this recording."""

    def __init__(self) -> None:
        self._first_s: float | None = None
        self._last_s = -math.inf
        self._gaps: deque[float] = deque(maxlen=_USUAL_GAPS)

    def until(self, at_s: float) -> float:
        """How long nobody recorded before the record of `at_s`; 0 where the gap is nothing unusual."""
        gap_s = at_s - self._last_s
        if gap_s < _SHORTEST_GAP_S:
            self._last_s = max(self._last_s, at_s)
            return 0.0
        before_s, self._last_s = self._last_s, at_s
        if self._first_s is None:
            self._first_s = at_s
            return 0.0
        usual_s = max(self._gaps, default=0.0) if gap_s > _PAUSE_S else 0.0
        known_s = before_s - self._first_s
        if known_s > min(gap_s, _KNOWN_S) and gap_s > max(_PAUSE_S, _PAUSE_FACTOR * usual_s):
            return gap_s
        self._gaps.append(gap_s)
        return 0.0


_at = attrgetter("at_s")


def _in_order(records: list[Record]) -> Iterator[Record]:
    """Records sorted by time, those of one time by their content: the order of arrival must not matter."""
    start = 0
    while start < len(records):
        end = start + 1
        while end < len(records) and records[end].at_s == records[start].at_s:
            end += 1
        if end == start + 1:
            yield records[start]
        else:
            for _, group in groupby(sorted(records[start:end], key=_about), key=_about):
                alike = list(group)
                yield from sorted(alike, key=_content) if len(alike) > 1 else alike
        start = end


def _about(record: Record) -> tuple[int, str, TraceRef]:
    """Cheap, and mostly enough to tell two records apart."""
    if not record.said:
        return record.signal, "", _NO_TRACE
    first = record.said[0]
    return record.signal, first.source, getattr(first, "trace", None) or _NO_TRACE


def _content(record: Record) -> str:
    return repr([said._replace(origin=_NOWHERE) if isinstance(said, Export) else said for said in record.said])


_NO_TRACE = TraceRef(0, 0)
_NOWHERE = Origin("", 0)
