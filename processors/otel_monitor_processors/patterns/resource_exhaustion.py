"""Resource exhaustion: something limited runs out, or will before long.

Three kinds of evidence: a forecast (a trend beyond doubt that reaches the limit within the horizon), a level
at its limit that this source is not used to, and errors that say so (out of memory, descriptors, connections).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from otel_monitor_processors.classification import Category
from otel_monitor_processors.observation import Level, TraceRef
from otel_monitor_processors.patterns.finding import Finding, Gates, Interests
from otel_monitor_processors.patterns.level_trend import Forecast, LevelTrend
from otel_monitor_processors.patterns.share import Share, fleet_share
from otel_monitor_processors.patterns.verdict import Pattern
from otel_monitor_processors.statistics import confidence_bound
from otel_monitor_processors.tally import Tally

HORIZON_S = 600.0
"""How far ahead a forecast counts."""

_MAX_SERIES = 2_048
_MAX_SOURCES = 1_024
_FREEZE_LOG10 = -2.0
_MIN_HITS = 3
_MAX_TRACES = 5
_RATES = ("cpu",)
"""Resources that are busy or not, and do not fill up: only their level counts."""


class _Errors:
    """A source's operations, and those that failed for want of a resource."""

    __slots__ = ("share", "traces")

    def __init__(self, window_s: float) -> None:
        self.share = Share(window_s)
        self.traces: list[TraceRef] = []


class ResourceExhaustion:
    """Detects levels at their limits or on their way there, and errors for want of a resource."""

    pattern = Pattern.RESOURCE_EXHAUSTION

    def __init__(self, gates: Gates | None = None, horizon_s: float = HORIZON_S) -> None:
        self.gates = gates or Gates(min_events=8)
        self.dropped = 0
        self._horizon_s = horizon_s
        self._levels: OrderedDict[tuple[str, str], LevelTrend] = OrderedDict()
        self._errors: OrderedDict[str, _Errors] = OrderedDict()

    def interests(self) -> Interests:
        """Levels of resources, and the categories of failures."""
        return {Level: self._level, Tally: self._tally}

    def _level(self, level: Level) -> None:
        if level.limit <= 0:
            return
        key = (level.source, level.resource)
        trend = self._levels.get(key)
        if trend is None:
            if len(self._levels) >= _MAX_SERIES:
                self._levels.popitem(last=False)
                self.dropped += 1
            trend = self._levels[key] = LevelTrend(fills=level.resource not in _RATES)
        trend.add(level.at, level.value / level.limit)

    def _tally(self, tally: Tally) -> None:
        errors = self._errors.get(tally.source)
        if errors is None:
            if len(self._errors) >= _MAX_SOURCES:
                self._errors.popitem(last=False)
                self.dropped += 1
            errors = self._errors[tally.source] = _Errors(self.gates.time_window_s)
        hits = tally.categories.get(Category.RESOURCE, 0)
        errors.share.add(tally.at, tally.calls, hits)
        if hits:
            errors.traces = [*tally.traces.get(Category.RESOURCE, ()), *errors.traces][:_MAX_TRACES]

    def findings(self, now: float) -> Iterable[Finding]:
        """One finding per source: its most doubtful resource, or its errors."""
        if not self.gates.enabled:
            return
        best: dict[str, Finding] = {}
        for (source, resource), trend in self._levels.items():
            forecast = trend.forecast(now, self._horizon_s, self.gates.min_events)
            if forecast is not None:
                self._keep(best, self._level_finding(source, resource, forecast))
        for finding in self._error_findings(now):
            self._keep(best, finding)
        yield from best.values()

    def _keep(self, best: dict[str, Finding], finding: Finding) -> None:
        known = best.get(finding.scope)
        if known is None or finding.confidence > known.confidence:
            best[finding.scope] = finding

    def _level_finding(self, source: str, resource: str, forecast: Forecast) -> Finding:
        return Finding(
            pattern=self.pattern,
            scope=source,
            confidence=forecast.confidence,
            sources=(source,),
            root=source,
            summary=f"{resource} of {source} {forecast.describe()}",
            window_s=self.gates.time_window_s,
            explains=frozenset({source}),
            evidence={"resource": resource, **forecast.numbers()},
        )

    def _error_findings(self, now: float) -> Iterable[Finding]:
        if not self._errors:
            return
        fleet = fleet_share(errors.share for errors in self._errors.values())
        for source, errors in self._errors.items():
            share = errors.share
            share.roll(now)
            log10_p = share.log10_p(fleet)
            share.frozen = log10_p < _FREEZE_LOG10
            if share.hits < _MIN_HITS or share.share < self.gates.failure_rate_threshold:
                continue
            yield Finding(
                pattern=self.pattern,
                scope=source,
                confidence=confidence_bound(log10_p),
                sources=(source,),
                root=source,
                summary=f"{share.hits} of {share.total} operations of {source} failed for want of a resource",
                window_s=self.gates.time_window_s,
                explains=frozenset({source}),
                evidence={"errors": share.hits, "operations": share.total, "log10_p": round(log10_p, 2)},
                traces=tuple(errors.traces),
            )

    def pause(self, gap_s: float) -> None:
        """A pause takes nothing away here: what was not observed is not counted."""

    def reset(self) -> None:
        self._levels.clear()
        self._errors.clear()
        self.dropped = 0

    def dump(self) -> dict[str, Any]:
        return {
            "dropped": self.dropped,
            "levels": [[list(key), trend.dump()] for key, trend in self._levels.items()],
            "errors": [
                [source, errors.share.dump(), [list(trace) for trace in errors.traces]]
                for source, errors in self._errors.items()
            ],
        }

    def load(self, state: dict[str, Any]) -> None:
        self.reset()
        self.dropped = state["dropped"]
        for (source, resource), trend in state["levels"]:
            self._levels[source, resource] = LevelTrend.load(trend)
        for source, share, traces in state["errors"]:
            errors = self._errors[source] = _Errors(self.gates.time_window_s)
            errors.share = Share.load(share)
            errors.traces = [TraceRef(*trace) for trace in traces]
