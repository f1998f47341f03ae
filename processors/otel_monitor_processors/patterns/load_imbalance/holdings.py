"""What each worker holds: streams or tasks that are its own, as its orchestrator reports them now and then."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

from otel_monitor_processors.patterns.load_imbalance.excess import Excess, Odds, strongest
from otel_monitor_processors.patterns.load_imbalance.part import There
from otel_monitor_processors.patterns.load_imbalance.suspicion import Suspicion

_MAX_WORKERS = 1_024
_MIN_WORKERS = 3
_AT_ONCE_S = 0.25
"""What is read within such a time is one report."""
_MIN_HELD = 8.0
_DEPARTS_AT = 2.0
_BEGINS_S = 60.0
_BEGUN_S = 3.0
_SETTLING_S = 30.0
_LASTS_S = 6.0
_LASTS_REPORTS = 3
_LASTS_SURELY_S = 10.0
_SETTLED_S = 1800.0
_MEMORY_REPORTS = 30.0
_KNOWN_REPORTS = 3.0
_MOST_CHURN = 0.1
"""Where more of what is held changes from report to report, it is a queue: how long that is tells who is slow."""
_CONCENTRATION = 50.0
"""However many are held: they are moved in lots, and tell no more than so many that are given one by one."""
_PATIENCE = 3.5
_SLACK_S = 5.0


class Holdings:
    """The reports of one orchestrator on at most 1,024 workers.

    A report is compared with the shares that are usual, and counts when the ones after it say the same: what is
    held stays, so that reports are no independent evidence. The least of them is what is known.
    """

    def __init__(self) -> None:
        self.dropped = 0
        self._fresh: dict[str, float] = {}
        self._fresh_at = -math.inf
        self._held: dict[str, float] = {}
        self._at = -math.inf
        self._interval_s = 0.0
        self._first = math.inf
        self._usual: dict[str, float] = {}
        self._reports = 0.0
        self._dispersion = 1.0
        self._churn = 0.0
        self._settles_at = -math.inf
        self._since: float | None = None
        self._departed: list[Excess] = []

    def add(self, worker: str, at: float, held: float) -> None:
        """A point of the report of a moment."""
        if at > self._fresh_at + _AT_ONCE_S:
            self._fresh = {}
            self._fresh_at = at
        if len(self._fresh) < _MAX_WORKERS:
            self._fresh[worker] = held
        else:
            self.dropped += 1

    def close(self, there: There) -> None:
        """The report is complete."""
        report, at = self._fresh, self._fresh_at
        self._fresh = {}
        since = at - _SETTLING_S
        held = {name: count for name, count in sorted(report.items()) if count > 0.0 or there(name, since, at)}
        if self._at > -math.inf:
            gap_s = at - self._at
            self._interval_s += (gap_s - self._interval_s) * (0.2 if self._interval_s else 1.0)
        self._first = min(self._first, at)
        before, self._held, self._at = self._held, held, at
        if held.keys() != before.keys():
            self.unsettle(at)
        elif at >= self._settles_at:
            self._compare(before)

    def unsettle(self, at: float) -> None:
        """Somebody has come or gone, or something else moves what is held."""
        self._settles_at = at + (_BEGUN_S if at - self._first < _BEGINS_S else _SETTLING_S)
        self._since = None
        self._departed = []

    def _compare(self, before: Mapping[str, float]) -> None:
        excess = self._excess() if self._reports >= _KNOWN_REPORTS else None
        if excess is None or excess.score < _DEPARTS_AT:
            self._since = None
            self._departed = []
            self._learn(before)
        elif self._since is None:
            self._since = self._at
            self._departed = [excess]
        elif self._at - self._since > _SETTLED_S:
            self._usual, self._reports, self._since = {}, 0.0, None
            self._departed = []
        else:
            self._departed = [*self._departed[-1:], excess]

    def _excess(self) -> Excess | None:
        total = sum(self._held.values())
        if total < _MIN_HELD or len(self._held) < _MIN_WORKERS:
            return None
        shares = self._shares()
        since = self._since if self._since is not None else self._at
        suspicions = [Suspicion(name, held, total, shares[name], since, math.inf) for name, held in self._held.items()]
        return strongest(suspicions, Odds(len(self._held), self._dispersion, _CONCENTRATION))

    def _shares(self) -> dict[str, float]:
        """What is usual for each of those that are there; for one that is new, what is for the others."""
        known = [self._usual[name] for name in self._held if name in self._usual]
        mean = sum(known) / len(known) if known and sum(known) > 0.0 else 1.0
        weights = {name: max(0.5 * mean, self._usual.get(name, mean)) for name in self._held}
        total = sum(weights.values())
        return {name: weight / total for name, weight in weights.items()}

    def _learn(self, before: Mapping[str, float]) -> None:
        total = sum(self._held.values())
        if total < _MIN_HELD:
            return
        self._reports += 1.0
        weight = 1.0 / min(self._reports, _MEMORY_REPORTS)
        shares = self._shares()
        changed = sum(abs(count - before[name]) for name, count in self._held.items())
        self._churn += weight * (changed / total - self._churn)
        expected = {name: total * share for name, share in shares.items()}
        squared = sum((count - expected[name]) ** 2 / expected[name] for name, count in self._held.items())
        found = squared / max(1, len(shares) - 1)
        self._dispersion = max(1.0, self._dispersion + weight * (found - self._dispersion))
        usual = {name: self._usual.get(name, shares[name]) for name in self._held}
        self._usual = {name: share + weight * (self._held[name] / total - share) for name, share in usual.items()}

    @property
    def is_new(self) -> bool:
        """Whether there is a report that was not looked at."""
        return bool(self._fresh)

    @property
    def size(self) -> int:
        """How many workers the last report was about."""
        return len(self._held)

    def suspects(self) -> Collection[str]:
        """Who holds more than usual just now."""
        return [item.worker for item in self._departed[-1].suspicions] if self._departed else []

    def excess(self, now: float) -> Excess | None:
        """Who holds too much, and has for a while: the last report's, as strong as the weakest lately."""
        since, departed = self._since, self._departed
        if since is None or len(departed) < 2 or self._churn > _MOST_CHURN:
            return None
        if now - self._at > _PATIENCE * self._interval_s + _SLACK_S:
            return None
        lasts_s = self._at - since
        if lasts_s < (_LASTS_S if self._interval_s * (_LASTS_REPORTS - 1) <= _LASTS_SURELY_S else _LASTS_SURELY_S):
            return None
        suspicions = tuple(item._replace(since=since, until=self._at) for item in departed[-1].suspicions)
        return Excess(min(excess.score for excess in departed), suspicions)

    def dump(self) -> list[Any]:
        departed = [[excess.score, [list(item)[:5] for item in excess.suspicions]] for excess in self._departed]
        times = [time if math.isfinite(time) else None for time in (self._fresh_at, self._at, self._settles_at)]
        return [
            [self.dropped, self._reports, self._dispersion, self._churn, self._interval_s],
            [*times, self._first if math.isfinite(self._first) else None, self._since],
            [list(held.items()) for held in (self._fresh, self._held, self._usual)],
            departed,
        ]

    @classmethod
    def load(cls, state: list[Any]) -> Holdings:
        holdings = cls()
        numbers, times, tables, departed = state
        holdings.dropped, holdings._reports, holdings._dispersion, holdings._churn, holdings._interval_s = numbers
        fresh_at, at, settles_at = (-math.inf if time is None else time for time in times[:3])
        holdings._fresh_at, holdings._at, holdings._settles_at = fresh_at, at, settles_at
        holdings._first = math.inf if times[3] is None else times[3]
        holdings._since = times[4]
        holdings._fresh, holdings._held, holdings._usual = (dict(table) for table in tables)
        for score, items in departed:
            suspicions = tuple(
                Suspicion(worker, held, total, share, since, math.inf) for worker, held, total, share, since in items
            )
            holdings._departed.append(Excess(score, suspicions))
        return holdings
