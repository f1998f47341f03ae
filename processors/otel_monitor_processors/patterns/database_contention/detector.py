"""Database contention: sessions wait for each other's locks, and give up.

Two things speak for it: errors of locks, deadlocks and serialisation that are more than they used to be, and
calls that last many times as long as ever while others stay quick. A traffic spike raises counts, a slow disk
raises all durations; only locks make some calls leap. The server's own lock metrics may say the same.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from otel_monitor_processors.classification import Category
from otel_monitor_processors.observation import ErrorLog, MetricPoint, OperationCount, TraceRef
from otel_monitor_processors.patterns.calibration import Knots, interpolate
from otel_monitor_processors.patterns.database_contention.lock_metrics import LockMetrics, Rise, Role, role_of
from otel_monitor_processors.patterns.database_contention.signals import ContentionSignals, Strength
from otel_monitor_processors.patterns.finding import Finding, Gates, Interests
from otel_monitor_processors.patterns.verdict import Pattern
from otel_monitor_processors.tally import Tally

KNOTS: dict[str, Knots] = {
    "errors": ((1.0, 0.02), (2.5, 0.25), (3.5, 0.5), (6.0, 0.89), (10.0, 0.99)),
    "waits": ((1.0, 0.04), (2.5, 0.3), (4.0, 0.6), (7.0, 0.9), (12.0, 0.97)),
    "both": ((1.0, 0.03), (2.0, 0.2), (3.0, 0.6), (5.0, 0.91), (9.0, 0.99)),
    "waiting": ((1.0, 0.02), (4.0, 0.3), (6.0, 0.6), (9.0, 0.8)),
    "locks": ((1.0, 0.02), (3.0, 0.25), (4.0, 0.5), (7.0, 0.75), (12.0, 0.9)),
}
"""By what there is: errors, waits, both, or nothing but the server's lock metrics, with or without those of its work.

Scores are -log10 p."""

_BUCKETS = 6.0
_MAX_SOURCES = 4_096
_MAX_TRACES = 5
_EVERYBODY_SHARE = 0.15
_LEAST = 1.0
_LEAST_CONFIDENCE = 0.05
_SUSPECTED = 0.3
_BELIEVED = 0.5
_SETTLED_S = 15.0
_ACTIVE_S = 300.0
_BYSTANDER = 0.05
"""Who was hit less often than this, of how often the worst hit was, is not named."""
_ONE_CLIENT = 2.5
"""Where only one client waits, the cause is rather its own: what it can score at most."""


class DatabaseContention:
    """Detects contention over all clients together: a lock concerns whoever wants it."""

    pattern = Pattern.DATABASE_CONTENTION

    def __init__(self, gates: Gates | None = None) -> None:
        self.gates = gates or Gates(min_events=5, time_window_s=30.0)
        self.dropped = 0
        self._dropped = 0
        self._signals = ContentionSignals(self.gates.time_window_s / _BUCKETS)
        self._locks = LockMetrics()
        self._seen: OrderedDict[str, float] = OrderedDict()
        self._hits: OrderedDict[str, list[float]] = OrderedDict()
        self._logged: dict[str, int] = {}
        self._traces: list[TraceRef] = []
        self._believed = False
        self._doubted_at: float | None = None

    def interests(self) -> Interests:
        return {
            Tally: self._take,
            OperationCount: self._take_count,
            ErrorLog: self._take_log,
            MetricPoint: self._take_point,
        }

    # -- input ------------------------------------------------------------------------------------------

    def _take(self, tally: Tally) -> None:
        self._note(tally.source, tally.at)
        hits = self._signals.take_tally(tally)
        if hits:
            self._note_hit(tally.source, tally.at, hits)
            traces = tally.traces.get(Category.CONTENTION)
            if traces:
                self._traces = [*traces, *self._traces][:_MAX_TRACES]

    def _take_count(self, count: OperationCount) -> None:
        self._note(count.source, count.at)
        hits = self._signals.take_count(count)
        if hits:
            self._note_hit(count.source, count.at, hits)

    def _take_log(self, log: ErrorLog) -> None:
        """One record a source and second: a failure is often logged in several places."""
        if log.category is not Category.CONTENTION:
            return
        self._note_hit(log.source, log.at)
        if self._logged.get(log.source) == int(log.at):
            return
        if len(self._logged) >= _MAX_SOURCES:
            self._logged.clear()
        self._logged[log.source] = int(log.at)
        self._signals.take_log(log)

    def _take_point(self, point: MetricPoint) -> None:
        role = role_of(point.name, point.attributes)
        if role is None:
            return
        if role is not Role.ERRORS:
            self._locks.take(role, point)
        elif point.value > 0.0:
            self._signals.take_errors(point.at, point.service, point.value)
            self._note_hit(point.source, point.at, point.value)

    def _note(self, source: str, at: float) -> None:
        """The source uses a database, or at least works."""
        known = self._seen.get(source)
        if known is None and len(self._seen) >= _MAX_SOURCES:
            self._seen.popitem(last=False)
            self._dropped += 1
        if known is None or at > known:
            self._seen[source] = at

    def _note_hit(self, source: str, at: float, hits: float = 1) -> None:
        known = self._hits.get(source)
        if known is None or at - known[0] > _ACTIVE_S:
            if known is None and len(self._hits) >= _MAX_SOURCES:
                self._hits.popitem(last=False)
                self._dropped += 1
            self._hits[source] = [at, hits]
        else:
            known[0] = max(known[0], at)
            known[1] += hits

    # -- output -----------------------------------------------------------------------------------------

    def findings(self, now: float) -> Iterable[Finding]:
        if not self.gates.enabled:
            return
        self.dropped = self._dropped + self._signals.dropped + self._locks.dropped
        errors, waits = self._signals.strengths(now)
        rises = self._locks.rises(now)
        found = None
        if errors.score > 0.0 or waits.score > 0.0:
            found = self._judge(errors, waits, rises[0] if rises else None, now)
        elif rises:
            found = self._judge_server(rises[0])
        self._remember(found, now)
        if found is not None and found.confidence >= _LEAST_CONFIDENCE:
            yield found

    def _remember(self, found: Finding | None, now: float) -> None:
        """While contention is suspected, baselines stay as they are; once it is over, it is evidence no longer."""
        confidence = found.confidence if found is not None else 0.0
        if confidence >= _SUSPECTED and found is not None:
            self._signals.suspect(now, found.window_s)
            self._doubted_at = None
            self._believed = self._believed or confidence >= _BELIEVED
        elif self._believed:
            if self._doubted_at is None:
                self._doubted_at = now
            if now - self._doubted_at >= _SETTLED_S:
                self._signals.settle()
                self._hits.clear()
                self._believed = False
                self._doubted_at = None

    def _judge(self, errors: Strength, waits: Strength, rise: Rise | None, now: float) -> Finding | None:
        main = errors if errors.score >= waits.score else waits
        window_s = main.window_s
        names = self._names(now)
        several = len(names) > 1 or len(self._seen) < 3
        kind, score = _weigh(errors, waits, several or self._believed, waits.split or self._believed)
        if rise is not None and score > 0.0:
            score += rise.score
        share = errors.hits / errors.events if errors.events else 1.0
        hits, events = max(errors.hits, waits.hits), max(errors.events, errors.hits, waits.events)
        if not names or score < _LEAST or events < self.gates.min_events or share < self.gates.failure_rate_threshold:
            return None
        confidence = interpolate(KNOTS[kind], score)
        active = sum(1 for at in self._seen.values() if at >= now - _ACTIVE_S)
        everybody = len(names) >= max(2.0, _EVERYBODY_SHARE * active)
        return Finding(
            pattern=self.pattern,
            scope="database",
            confidence=confidence,
            sources=names,
            summary=_summary(errors, waits, rise, names),
            window_s=window_s,
            explains=None if everybody else frozenset(names),
            kind=kind,
            score=round(score, 2),
            evidence={
                "contention_errors": errors.hits,
                "operations": errors.events,
                "leaps": waits.hits,
                "errors_score": round(errors.score, 2),
                "waits_score": round(waits.score, 2),
                "locks_score": round(rise.score, 2) if rise is not None else 0.0,
                "hits": hits,
            },
            traces=tuple(self._traces),
        )

    def _names(self, now: float) -> tuple[str, ...]:
        """The sources that were hit, if not far less often than others."""
        hits = {name: count for name, (at, count) in self._hits.items() if at >= now - _ACTIVE_S}
        least = _BYSTANDER * max(hits.values(), default=0)
        return tuple(sorted(name for name, count in hits.items() if count >= least))

    def _judge_server(self, rise: Rise) -> Finding | None:
        waits = "as long for locks, for each transaction" if rise.per_work else "as much for locks"
        kind = "locks" if rise.per_work else "waiting"
        return Finding(
            pattern=self.pattern,
            scope="database",
            confidence=interpolate(KNOTS[kind], rise.score),
            sources=(rise.server,),
            summary=f"on {rise.server} sessions wait {rise.factor:.1f} times {waits}",
            window_s=self.gates.time_window_s,
            root=rise.server,
            explains=frozenset((rise.server,)),
            kind=kind,
            score=round(rise.score, 2),
            evidence={"locks_score": round(rise.score, 2), "factor": round(rise.factor, 2)},
        )

    # -- state ------------------------------------------------------------------------------------------

    def pause(self, gap_s: float) -> None:
        """A pause takes nothing away here: what was not observed is not counted."""

    def reset(self) -> None:
        self._signals = ContentionSignals(self.gates.time_window_s / _BUCKETS)
        self._locks.reset()
        self._seen.clear()
        self._hits.clear()
        self._logged.clear()
        self._traces = []
        self._believed = False
        self._doubted_at = None
        self.dropped = self._dropped = 0

    def dump(self) -> dict[str, Any]:
        return {
            "dropped": [self.dropped, self._dropped, self._locks.dropped],
            "signals": self._signals.dump(),
            "locks": self._locks.dump(),
            "seen": list(self._seen.items()),
            "hits": [[name, *hits] for name, hits in self._hits.items()],
            "logged": list(self._logged.items()),
            "traces": [list(trace) for trace in self._traces],
            "believed": [self._believed, self._doubted_at],
        }

    def load(self, state: dict[str, Any]) -> None:
        self.reset()
        self.dropped, self._dropped, self._locks.dropped = state["dropped"]
        self._signals = ContentionSignals.load(state["signals"])
        self._locks.load(state["locks"])
        self._seen = OrderedDict((name, at) for name, at in state["seen"])
        self._hits = OrderedDict((name, [at, hits]) for name, at, hits in state["hits"])
        self._logged = dict(state["logged"])
        self._traces = [TraceRef(*trace) for trace in state["traces"]]
        self._believed, self._doubted_at = state["believed"]


def _weigh(errors: Strength, waits: Strength, several: bool, split: bool) -> tuple[str, float]:
    """The kind of evidence there is, and its score."""
    if errors.score >= _LEAST and waits.score >= _LEAST:
        return "both", errors.score + waits.score
    if errors.score >= waits.score:
        return "errors", errors.score
    if errors.hits and split:
        return "both", errors.score + waits.score
    if not split:
        return "waits", 0.0
    return "waits", waits.score if several else min(waits.score, _ONE_CLIENT)


def _summary(errors: Strength, waits: Strength, rise: Rise | None, names: tuple[str, ...]) -> str:
    who = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
    parts = []
    if errors.hits:
        share = f" of {errors.events} operations" if errors.events > errors.hits else ""
        parts.append(f"{errors.hits}{share} of {who} gave up on a lock within {errors.window_s:.0f} s")
    if waits.hits:
        parts.append(f"{waits.hits} of {waits.events} database calls lasted many times as long as ever")
        if not errors.hits:
            parts[-1] += f" ({who}), while others are as quick as before"
    if rise is not None:
        parts.append(f"on {rise.server} sessions wait {rise.factor:.1f} times as much for locks")
    return ", and ".join(parts)
