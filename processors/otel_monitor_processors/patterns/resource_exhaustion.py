"""Resource exhaustion: something limited runs out, or will before long.

Evidence of three sorts: a level that climbs as it never has before and will go on to its limit (`memory`, which
caches and warm-ups fill too, and `store`: files, descriptors, threads, connections), a rate that stays at its
limit (`saturated`), and operations that fail for want of a resource (`errors`). What happens to the same resource
of several sources is one finding: most often one bad version.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from otel_monitor_processors.observation import Level, OperationCount
from otel_monitor_processors.patterns.calibration import Knots, interpolate
from otel_monitor_processors.patterns.climb import Busier
from otel_monitor_processors.patterns.filling import Filling
from otel_monitor_processors.patterns.finding import Finding, Gates, Interests
from otel_monitor_processors.patterns.level_history import LevelHistory
from otel_monitor_processors.patterns.resources import family_of, is_rate
from otel_monitor_processors.patterns.saturation import Saturation
from otel_monitor_processors.patterns.shortage import Shortages
from otel_monitor_processors.patterns.verdict import Pattern
from otel_monitor_processors.tally import Tally

KNOTS: dict[str, Knots] = {
    "memory": ((0.1, 0.05), (0.2, 0.2), (0.3, 0.25), (0.42, 0.38), (0.47, 0.48), (0.5, 0.7), (0.65, 0.97)),
    "store": ((0.05, 0.1), (0.1, 0.3), (0.2, 0.42), (0.24, 0.55), (0.28, 0.85), (0.4, 0.98)),
    "saturated": ((3.5, 0.04), (4.6, 0.2), (5.2, 0.55), (7.0, 0.85), (10.0, 0.95)),
    "errors": ((2.0, 0.02), (4.0, 0.1), (8.0, 0.3)),
}
"""Scores: of `memory` and `store` the share of the room that is used up, of the others decades of improbability."""

_MAX_SERIES = 20_000
_STALE_INTERVALS = 4.0
_STALE_S = 90.0
_SUSPECT = 0.05
_CONCERNED = 0.3
_NORMAL_AFTER_S = 3_600.0
_MOST_BUSIER = 4.0
_IDLE = 0.1
_MAX_TRACES = 5
Key = tuple[str, str]


class _Rate:
    """A rate of a source: how busy it was, and whether it is at its limit."""

    __slots__ = ("counted", "history", "saturation", "tallied")

    def __init__(self) -> None:
        self.history = LevelHistory(mean=True)
        self.saturation = Saturation()
        self.tallied = 0.0
        self.counted = -1.0

    def add(self, at: float, level: float) -> None:
        self.history.add(at, min(1.0, level))
        self.saturation.add(at, level, self.counted if self.counted >= 0.0 else self.tallied)
        self.tallied = 0.0
        self.counted = min(self.counted, 0.0)

    def dump(self) -> list[Any]:
        return [self.history.dump(), self.saturation.dump(), self.tallied, self.counted]

    @classmethod
    def load(cls, state: list[Any]) -> _Rate:
        rate = cls()
        rate.history, rate.saturation = LevelHistory.load(state[0]), Saturation.load(state[1])
        rate.tallied, rate.counted = state[2:]
        return rate


class _BusierBy(Busier):
    """By how much a source is busier, told by its CPU: what follows the load is explained by it."""

    __slots__ = ("_offset_s", "_rate")

    def __init__(self, rate: LevelHistory, first: float) -> None:
        self._rate = rate
        self._offset_s = first - rate.first

    def since(self, from_s: float, began_s: float) -> float:
        offset_s = self._offset_s
        before = self._rate.mean_between(from_s + offset_s, began_s + offset_s)
        after = self._rate.mean_between(began_s + offset_s, float("inf"))
        if before is None or after is None:
            return 1.0
        return min(_MOST_BUSIER, max(1.0, (after + _IDLE) / (before + _IDLE)))


_NOT_BUSIER = Busier()


class ResourceExhaustion:
    """Detects levels on their way to their limits, rates that stay there, and errors for want of a resource."""

    pattern = Pattern.RESOURCE_EXHAUSTION

    def __init__(self, gates: Gates | None = None) -> None:
        self.gates = gates or Gates()
        self.dropped = 0
        self._fillings: OrderedDict[Key, Filling] = OrderedDict()
        self._rates: OrderedDict[Key, _Rate] = OrderedDict()
        self._cpu: dict[str, _Rate] = {}
        self._suspects: dict[Key, None] = {}
        self._shortages = Shortages()

    def interests(self) -> Interests:
        """Levels of resources, operations as a measure of the load, and the categories of failures."""
        return {Level: self._level, Tally: self._tally, OperationCount: self._count}

    # -- input ------------------------------------------------------------------------------------------

    def _level(self, level: Level) -> None:
        if level.limit <= 0:
            return
        key = (level.source, level.resource)
        share = level.value / level.limit
        if is_rate(level.resource):
            self._rate(key, level.at, share)
            return
        filling = self._fillings.get(key)
        if filling is None:
            self._make_room()
            filling = self._fillings[key] = Filling()
        rate = self._cpu.get(level.source)
        busier = _BusierBy(rate.history, filling.history.first) if rate is not None else _NOT_BUSIER
        filling.add(level.at, min(1.0, share), busier)
        self._suspect(key, suspicious=filling.climb is not None)

    def _rate(self, key: Key, at: float, share: float) -> None:
        rate = self._rates.get(key)
        if rate is None:
            self._make_room()
            rate = self._rates[key] = _Rate()
        if len(rate.history.lows) == 0 or key[0] not in self._cpu:
            self._cpu[key[0]] = rate
        rate.add(at, share)
        if rate.saturation.lasts_s > _NORMAL_AFTER_S:
            rate.saturation.forget()
        self._suspect(key, suspicious=rate.saturation.readings > 2)

    def _make_room(self) -> None:
        if len(self._fillings) + len(self._rates) < _MAX_SERIES:
            return
        self.dropped += 1
        if len(self._fillings) >= len(self._rates):
            key, _ = self._fillings.popitem(last=False)
        else:
            key, _ = self._rates.popitem(last=False)
            self._cpu.pop(key[0], None)
        self._suspects.pop(key, None)

    def _suspect(self, key: Key, *, suspicious: bool) -> None:
        if suspicious:
            self._suspects[key] = None
        elif key in self._suspects:
            del self._suspects[key]

    def _tally(self, tally: Tally) -> None:
        rate = self._cpu.get(tally.source)
        if rate is not None and not tally.database:
            rate.tallied += tally.calls
        self.dropped += self._shortages.take(tally)

    def _count(self, count: OperationCount) -> None:
        rate = self._cpu.get(count.source)
        if rate is not None and not count.database:
            rate.counted = max(0.0, rate.counted) + count.calls
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
        filling = self._fillings.get(key)
        if filling is not None:
            if filling.history.is_stale(now, _STALE_INTERVALS, _STALE_S):
                del self._suspects[key]
                return 0.0
            kind = "memory" if family_of(key[1]) == "memory" else "store"
            return interpolate(KNOTS[kind], filling.score)
        rate = self._rates[key]
        if rate.history.is_stale(now, _STALE_INTERVALS, _STALE_S):
            del self._suspects[key]
            return 0.0
        return interpolate(KNOTS["saturated"], rate.saturation.score)

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
        filling = self._fillings.get(key)
        if filling is None or filling.climb is None:
            saturation = self._rates[key].saturation
            text = f"is at its limit for {saturation.lasts_s:.0f} s, which is not usual for it"
            numbers: dict[str, Any] = {"at_limit_s": round(saturation.lasts_s, 1), "readings": saturation.readings}
            return "saturated", saturation.score, text, numbers
        climb = filling.climb
        kind = "memory" if family == "memory" else "store"
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
        self._fillings.clear()
        self._rates.clear()
        self._cpu.clear()
        self._suspects.clear()
        self._shortages = Shortages()
        self.dropped = 0

    def dump(self) -> dict[str, Any]:
        return {
            "dropped": self.dropped,
            "fillings": [[list(key), filling.dump()] for key, filling in self._fillings.items()],
            "rates": [[list(key), rate.dump()] for key, rate in self._rates.items()],
            "cpu": [[source, key[1]] for source, rate in self._cpu.items() for key in self._keys_of(source, rate)],
            "suspects": [list(key) for key in self._suspects],
            "shortages": self._shortages.dump(),
        }

    def _keys_of(self, source: str, rate: _Rate) -> list[Key]:
        return [key for key, other in self._rates.items() if key[0] == source and other is rate]

    def load(self, state: dict[str, Any]) -> None:
        self.reset()
        self.dropped = state["dropped"]
        for (source, resource), filling in state["fillings"]:
            self._fillings[source, resource] = Filling.load(filling)
        for (source, resource), rate in state["rates"]:
            self._rates[source, resource] = _Rate.load(rate)
        self._cpu = {source: self._rates[source, resource] for source, resource in state["cpu"]}
        self._suspects = dict.fromkeys((source, resource) for source, resource in state["suspects"])
        self._shortages.load(state["shortages"])


def _seconds(value: float) -> str:
    return f"{value:.0f} s" if value < 1e7 else "an unknown time"
