"""The trend of a level towards its limit, and what it has recovered from before."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from otel_monitor_processors.statistics import mann_kendall_z, slopes

_POINTS = 18
_COARSE = 6
_SIGNIFICANT_Z = 3.0
_MIN_LEVEL = 0.5
_FULL = 0.95
_FULL_POINTS = 3
_USED_TO = 0.9
_RESET_SHARE = 0.3
_FADE = 0.995
_RUN_UP_FACTOR = 1.2
_FULL_CONFIDENCE = 0.9
_STALE_INTERVALS = 4.0


@dataclass(frozen=True, slots=True)
class Forecast:
    """Where a level stands and when it is at its limit. `seconds` are the 10, 50 and 90 % bounds, None when full."""

    level: float
    confidence: float
    z: float
    seconds: tuple[float, float, float] | None

    def describe(self) -> str:
        if self.seconds is None:
            return f"is at {self.level:.0%} of its limit"
        early, middle, late = self.seconds
        return f"is at {self.level:.0%} of its limit and reaches it in {middle:.0f} s ({early:.0f} to {late:.0f} s)"

    def numbers(self) -> dict[str, Any]:
        bounds = [round(value, 1) for value in self.seconds] if self.seconds is not None else None
        return {"level": round(self.level, 4), "trend_z": round(self.z, 2), "seconds_to_limit": bounds}


class LevelTrend:
    """One gauge, as a share of its limit: its last points, coarser ones over a longer time, and its past climbs.

    A climb counts as forecast only when it exceeds what this gauge has come down from before: a sawtooth of a
    garbage collector rises beyond doubt as well, again and again.
    """

    __slots__ = ("_coarse", "_fills", "_fine", "_highest_climb", "_interval_s", "_low", "_peak", "_skipped", "_usual")

    def __init__(self, fills: bool) -> None:
        self._fills = fills
        self._fine: deque[tuple[float, float]] = deque(maxlen=_POINTS)
        self._coarse: deque[tuple[float, float]] = deque(maxlen=_POINTS)
        self._skipped = 0
        self._interval_s = 0.0
        self._low = float("inf")
        self._peak = 0.0
        self._highest_climb = 0.0
        self._usual = 0.0

    def add(self, at: float, level: float) -> None:
        if self._fine and at <= self._fine[-1][0]:
            return
        if self._fine:
            gap = at - self._fine[-1][0]
            self._interval_s = gap if not self._interval_s else 0.8 * self._interval_s + 0.2 * gap
        if len(self._fine) == _POINTS:
            self._usual = max(self._fine[0][1], self._usual * _FADE)
        self._fine.append((at, level))
        self._skipped += 1
        if self._skipped >= _COARSE:
            self._skipped = 0
            self._coarse.append((at, level))
        self._climb(level)

    def _climb(self, level: float) -> None:
        self._low = min(self._low, level)
        self._peak = max(self._peak, level)
        climb = self._peak - self._low
        if climb > 0 and self._peak - level > _RESET_SHARE * climb:
            self._highest_climb = max(climb, self._highest_climb * _FADE)
            self._low = self._peak = level

    def forecast(self, now: float, horizon_s: float, min_points: int) -> Forecast | None:
        """What the points say at `now`, None when they say nothing."""
        if not self._fine or now - self._fine[-1][0] > _STALE_INTERVALS * max(self._interval_s, 5.0):
            return None
        level = self._fine[-1][1]
        best: Forecast | None = None
        if self._fills and level >= _MIN_LEVEL and self._peak - self._low > _RUN_UP_FACTOR * self._highest_climb:
            for points in (self._fine, self._coarse):
                found = _trend(points, level, horizon_s, min_points)
                if found is not None and (best is None or found.confidence > best.confidence):
                    best = found
        return best or self._full(level)

    def _full(self, level: float) -> Forecast | None:
        recent = [value for _, value in self._fine][-_FULL_POINTS:]
        if len(self._fine) < _FULL_POINTS or min(recent) < _FULL or self._usual >= _USED_TO:
            return None
        return Forecast(level, _FULL_CONFIDENCE, 0.0, None)

    def dump(self) -> list[Any]:
        low = self._low if self._low != float("inf") else None
        return [
            self._fills,
            [list(point) for point in self._fine],
            [list(point) for point in self._coarse],
            self._skipped,
            self._interval_s,
            low,
            self._peak,
            self._highest_climb,
            self._usual,
        ]

    @classmethod
    def load(cls, state: list[Any]) -> LevelTrend:
        fills, fine, coarse, skipped, interval_s, low, peak, highest_climb, usual = state
        trend = cls(fills)
        trend._fine.extend((at, level) for at, level in fine)
        trend._coarse.extend((at, level) for at, level in coarse)
        trend._skipped, trend._interval_s, trend._peak = skipped, interval_s, peak
        trend._low = float("inf") if low is None else low
        trend._highest_climb, trend._usual = highest_climb, usual
        return trend


def _trend(points: deque[tuple[float, float]], level: float, horizon_s: float, min_points: int) -> Forecast | None:
    if len(points) < min_points:
        return None
    times, values = [at for at, _ in points], [value for _, value in points]
    z = mann_kendall_z(values)
    if z < _SIGNIFICANT_Z:
        return None
    rates = slopes(times, values)
    room = max(0.0, 1.0 - level)
    inside = sum(1 for rate in rates if rate > 0 and room / rate < horizon_s)
    bounds = tuple(_time_to_limit(room, _quantile(rates, q)) for q in (0.9, 0.5, 0.1))
    return Forecast(level, inside / len(rates), z, (bounds[0], bounds[1], bounds[2]))


def _time_to_limit(room: float, rate: float) -> float:
    return room / rate if rate > 0 else float("inf")


def _quantile(ordered: list[float], q: float) -> float:
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]
