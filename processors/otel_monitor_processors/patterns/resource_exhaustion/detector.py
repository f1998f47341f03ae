"""Resource exhaustion: something limited runs out, or will before long.

Evidence of three sorts: a level that climbs as it never has before and will go on to its limit (`memory`, which
caches and warm-ups fill too, `pool`: connections, which slow operations fill too, and `store`: files, descriptors,
threads), a rate that stays at its limit (`saturated`), and operations that fail for want of a resource (`errors`).
What happens to the same resource of several sources is one finding: most often one bad version.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from otel_monitor_processors.observation import Level, OperationCount
from otel_monitor_processors.patterns.calibration import Knots, interpolate
from otel_monitor_processors.patterns.finding import Finding, Gates, Interests
from otel_monitor_processors.patterns.resource_exhaustion.resources import family_of
from otel_monitor_processors.patterns.resource_exhaustion.saturation import Saturation
from otel_monitor_processors.patterns.resource_exhaustion.shortage import Shortages
from otel_monitor_processors.patterns.resource_exhaustion.source_levels import SourceLevels
from otel_monitor_processors.patterns.verdict import Pattern
from otel_monitor_processors.tally import Tally

KNOTS: dict[str, Knots] = {
    "memory": (
        *((0.0, 0.0), (0.04, 0.02), (0.1, 0.04), (0.2, 0.14), (0.3, 0.33), (0.45, 0.44), (0.5, 0.5)),
        *((0.54, 0.78), (0.62, 0.89), (0.7, 0.93)),
    ),
    "store": (
        *((0.0, 0.0), (0.03, 0.04), (0.06, 0.15), (0.12, 0.28), (0.19, 0.4)),
        *((0.23, 0.5), (0.25, 0.75), (0.28, 0.9), (0.36, 0.99)),
    ),
    "pool": ((0.03, 0.02), (0.1, 0.25), (0.2, 0.48), (0.26, 0.55), (0.32, 0.75), (0.45, 0.98)),
    "saturated": ((4.0, 0.01), (5.2, 0.04), (6.0, 0.13), (7.2, 0.4), (8.0, 0.52), (12.0, 0.6), (24.0, 0.75)),
    "errors": ((2.0, 0.01), (4.0, 0.03), (8.0, 0.06)),
}
"""Scores: of the first three the share of the room that is used up, of the others decades of improbability."""

_KINDS = {"memory": "memory", "connections": "pool"}
_MAX_SERIES = 20_000
_STALE_INTERVALS = 4.0
_STALE_S = 90.0
_SUSPECT = 0.05
_CONCERNED = 0.3
Key = tuple[str, str]


class ResourceExhaustion:
    """Detects levels on their way to their limits, rates that stay there, and errors for want of a resource."""

    pattern = Pattern.RESOURCE_EXHAUSTION

    def __init__(self, gates: Gates | None = None) -> None:
        self.gates = gates or Gates()
        self.dropped = 0
        self._sources: OrderedDict[str, SourceLevels] = OrderedDict()
        self._series = 0
        self._suspects: dict[Key, None] = {}
        self._shortages = Shortages()

    def interests(self) -> Interests:
        """Levels of resources, operations as a measure of the load, and the categories of failures."""
        return {Level: self._level, Tally: self._tally, OperationCount: self._count}

    # -- input ------------------------------------------------------------------------------------------

    def _level(self, level: Level) -> None:
        if level.limit <= 0:
            return
        known = self._sources.get(level.source)
        if known is None or not known.knows(level.resource):
            known = self._new(level.source)
        key = (level.source, level.resource)
        if known.add(level.at, level.resource, level.value / level.limit):
            self._suspects[key] = None
        elif key in self._suspects:
            del self._suspects[key]

    def _new(self, source: str) -> SourceLevels:
        """Where a further series of a source goes; the source known for the longest goes where there is no room."""
        while self._series >= _MAX_SERIES:
            oldest, gone = self._sources.popitem(last=False)
            self._series -= len(gone)
            self.dropped += len(gone)
            for resource in (*gone.fillings, *(gone.rates or ())):
                self._suspects.pop((oldest, resource), None)
        self._series += 1
        return self._sources.setdefault(source, SourceLevels())

    def _tally(self, tally: Tally) -> None:
        if not tally.database:
            known = self._sources.get(tally.source)
            if known is not None:
                known.tallied(tally.calls)
        self.dropped += self._shortages.take(tally)

    def _count(self, count: OperationCount) -> None:
        if not count.database:
            known = self._sources.get(count.source)
            if known is not None:
                known.counted(count.calls)
        self.dropped += self._shortages.count(count)

    # -- output -----------------------------------------------------------------------------------------

    def findings(self, now: float) -> Iterable[Finding]:
        """One finding for each kind of resource; errors of sources that have none of these."""
        if not self.gates.enabled:
            return
        groups: dict[str, list[tuple[float, Key]]] = {}
        for key in list(self._suspects):
            confidence = self._confidence(key, now)
            if confidence >= _SUSPECT:
                groups.setdefault(family_of(key[1]), []).append((confidence, key))
        named: set[str] = set()
        for family, members in sorted(groups.items()):
            finding = self._finding(family, members)
            if finding.confidence >= _CONCERNED:
                named.update(finding.sources)
            yield finding
        yield from self._shortage_findings(now, named)

    def _confidence(self, key: Key, now: float) -> float:
        source, resource = key
        known = self._sources[source]
        filling = known.fillings.get(resource)
        if filling is not None:
            stale = filling.history.is_stale(now, _STALE_INTERVALS, _STALE_S)
            kind, score = _KINDS.get(family_of(resource), "store"), filling.score
        else:
            rate = known.rates[resource] if known.rates is not None else Saturation()
            stale = rate.is_stale(now, _STALE_INTERVALS, _STALE_S)
            kind, score = "saturated", rate.score
        if stale:
            del self._suspects[key]
            return 0.0
        return interpolate(KNOTS[kind], score)

    def _finding(self, family: str, members: list[tuple[float, Key]]) -> Finding:
        best: dict[str, tuple[float, Key]] = {}
        for confidence, key in members:
            if key[0] not in best or (confidence, key) > best[key[0]]:
                best[key[0]] = (confidence, key)
        ordered = sorted(best.values(), key=lambda member: (-member[0], member[1]))
        top, leader = ordered[0]
        least = min(top, _CONCERNED)
        sources = tuple(sorted(key[0] for confidence, key in ordered if confidence >= least))
        kind, score, text, evidence = self._describe(family, leader)
        others = f", and of {len(sources) - 1} more" if len(sources) > 1 else ""
        return Finding(
            pattern=self.pattern,
            scope=family,
            confidence=top,
            sources=sources,
            root=leader[0],
            summary=f"{family} of {leader[0]}{others} {text}",
            window_s=self.gates.time_window_s,
            explains=frozenset(sources),
            kind=kind,
            score=score,
            evidence={"resource": leader[1], **evidence},
        )

    def _describe(self, family: str, key: Key) -> tuple[str, float, str, dict[str, Any]]:
        known = self._sources[key[0]]
        filling = known.fillings.get(key[1])
        if filling is None or filling.climb is None:
            saturation = (known.rates or {}).get(key[1], Saturation())
            text = f"is at its limit for {saturation.lasts_s:.0f} s, which is not usual for it"
            numbers: dict[str, Any] = {"at_limit_s": round(saturation.lasts_s, 1), "readings": saturation.readings}
            return "saturated", saturation.score, text, numbers
        climb = filling.climb
        kind = _KINDS.get(family, "store")
        early, middle, late = climb.seconds_to_limit()
        text = f"is at {climb.level:.0%} of its limit"
        if climb.level < 1.0:
            text += f", reached in {_seconds(middle)} ({_seconds(early)} to {_seconds(late)})"
        evidence: dict[str, Any] = {
            "level": round(climb.level, 4),
            "room_used_ratio": round(climb.share, 4),
            "per_minute": round(60.0 * climb.slope, 5),
            "seconds_to_limit": [round(value, 1) if value < 1e7 else None for value in (early, middle, late)],
        }
        return kind, filling.score, text, evidence

    def _shortage_findings(self, now: float, named: set[str]) -> Iterable[Finding]:
        for source, shortage in self._shortages.found(now, self.gates.min_events, self.gates.failure_rate_threshold):
            if source in named:
                continue
            score = -shortage.log10_p
            confidence = interpolate(KNOTS["errors"], score)
            if confidence < _SUSPECT:
                continue
            yield Finding(
                pattern=self.pattern,
                scope=f"errors of {source}",
                confidence=confidence,
                sources=(source,),
                root=source,
                summary=f"{shortage.hits} of {shortage.total} operations of {source} failed for want of a resource",
                window_s=self.gates.time_window_s,
                explains=frozenset({source}),
                kind="errors",
                score=score,
                evidence={"errors": shortage.hits, "operations": shortage.total, "log10_p": round(-score, 2)},
                traces=shortage.traces,
            )

    # -- state ------------------------------------------------------------------------------------------

    def pause(self, gap_s: float) -> None:
        """A pause takes nothing away here: what was not observed is not counted."""

    def reset(self) -> None:
        self._sources.clear()
        self._series = 0
        self._suspects.clear()
        self._shortages = Shortages()
        self.dropped = 0

    def dump(self) -> dict[str, Any]:
        return {
            "dropped": self.dropped,
            "sources": [[source, known.dump()] for source, known in self._sources.items()],
            "suspects": [list(key) for key in self._suspects],
            "shortages": self._shortages.dump(),
        }

    def load(self, state: dict[str, Any]) -> None:
        self.reset()
        self.dropped = state["dropped"]
        for source, known in state["sources"]:
            self._sources[source] = SourceLevels.restored(known)
        self._series = sum(len(known) for known in self._sources.values())
        self._suspects = dict.fromkeys((source, resource) for source, resource in state["suspects"])
        self._shortages.load(state["shortages"])


def _seconds(value: float) -> str:
    return f"{value:.0f} s" if value < 1e7 else "an unknown time"
