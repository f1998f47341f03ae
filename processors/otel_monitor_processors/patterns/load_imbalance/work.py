"""Who does how much of one kind of work, and who does more of it than usual."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from enum import IntEnum
from typing import Any

from otel_monitor_processors.patterns.load_imbalance.part import Part, There
from otel_monitor_processors.patterns.load_imbalance.suspicion import Look, Return, Suspicion
from otel_monitor_processors.patterns.load_imbalance.usual import Block, Usual

_MAX_WORKERS = 2_048
_SUSPECT_AT = 2.0
_BLOCK_S = 60.0
_BLOCK_MOST_S = 180.0
_GONE_S = 3600.0
_SMOOTHING = 0.25
_PRESENT_S = 90.0
_SETTLING_S = 30.0


class Doubt(IntEnum):
    """How far what happens now may be learnt as usual: at once, later, or not at all."""

    NONE = 0
    SLIGHT = 1
    GRAVE = 2


class Work:
    """The workers of one fleet, at most 2,048."""

    def __init__(self) -> None:
        self.dropped = 0
        self.usual = Usual()
        self.rate = 0.0
        """Calls a second, lately."""
        self._total = 0.0
        self._counted_at = 0.0
        self._suspects: dict[str, Look] = {}
        self._parts: OrderedDict[str, Part] = OrderedDict()
        self._return = Return()
        self._stale = True
        self._start: float | None = None
        self._start_total = 0.0
        self._block: dict[str, float] = {}
        self._settles_at: float | None = None

    # -- what is done -----------------------------------------------------------------------------------

    def add(self, at: float, calls: Mapping[str, float]) -> None:
        """Count what workers have done within a moment."""
        before = self._total
        self._total = total = before + sum(calls.values())
        self._counted_at = at
        block, suspect_at = self._block, _SUSPECT_AT * self.usual.dispersion
        for name, count in calls.items():
            part = self._parts.get(name) or self._join(name, at, before)
            part.add(at, count, before, total)
            block[name] = block.get(name, 0.0) + count
            if part.excess > suspect_at and name not in self._suspects:
                self._suspects[name] = Look(part.calls, total)

    def _join(self, name: str, at: float, mark: float) -> Part:
        if len(self._parts) >= _MAX_WORKERS:
            gone, _ = self._parts.popitem(last=False)
            self._suspects.pop(gone, None)
            self._block.pop(gone, None)
            self.dropped += 1
        part = self._parts[name] = Part(at, mark, 1.0 / (len(self._parts) + 1))
        self._stale = True
        if self._start is None:
            self._start = at
        if self.usual.known:
            self._settles_at = at + _SETTLING_S
        return part

    def changed(self, name: str, at: float) -> None:
        """A worker has come or gone: the shares are to be reckoned anew, and may swing for a while."""
        if name in self._parts:
            self._stale = True
            self._settles_at = at + _SETTLING_S

    def unsettle(self, now: float) -> None:
        """Something else moves the shares: what is seen now is no evidence."""
        self._settles_at = max(now, self._settles_at or now)

    @property
    def size(self) -> int:
        """How many workers are known."""
        return len(self._parts)

    @property
    def suspects(self) -> list[str]:
        """Who seems to do too much, once there is a past to compare with."""
        return list(self._suspects) if self.usual.known else []

    def present(self, since: float, now: float, there: There) -> list[str]:
        """Who has done something or shown itself since a time."""
        return [name for name, part in self._parts.items() if part.last >= since or there(name, since, now)]

    # -- what is usual ----------------------------------------------------------------------------------

    def roll(self, now: float, there: There, doubt: Doubt) -> None:
        """Let time pass: what is older than some minutes becomes the past, if nothing is suspected."""
        if self._stale:
            self._share_out(now, there)
        if self._start is None or now - self._start < _BLOCK_S:
            return
        done = self._total - self._start_total
        if done < 2.0 * len(self._parts) and now - self._start < _BLOCK_MOST_S:
            return
        if self.usual.may_learn(self._parts, now, calm=doubt is not Doubt.GRAVE):
            block = self._block_until(now, self._start, there)
            if self.usual.take(block, self._parts, learn=doubt is Doubt.NONE):
                self.unsettle(now)  # what looked unusual before that was compared with nothing
        lately = done / (now - self._start)
        self.rate = lately if self.rate == 0.0 else self.rate + _SMOOTHING * (lately - self.rate)
        self._block = {}
        self._start, self._start_total = now, self._total
        for name in [name for name, part in self._parts.items() if now - part.last > _GONE_S]:
            del self._parts[name]
            self._suspects.pop(name, None)
        self._share_out(now, there)

    def _block_until(self, now: float, start: float, there: There) -> Block:
        calls = {
            name: self._block.get(name, 0.0)
            for name, part in self._parts.items()
            if part.first <= start and (name in self._block or there(name, start, now))
        }
        return Block(start, now, calls)

    def _share_out(self, now: float, there: There) -> None:
        """Reckon every worker's usual share among those that are there."""
        self._stale = False
        size = len(self._parts)
        weights = {name: self.usual.weight(part, size) for name, part in self._parts.items()}
        since = now - _PRESENT_S
        present = sum(weights[name] for name in self.present(since, now, there))
        for name, part in self._parts.items():
            part.catch_up(self._total)
            weight = weights[name]
            part.share = weight / max(present, weight) if present > 0.0 else 1.0 / size

    # -- what is not ------------------------------------------------------------------------------------

    def suspicions(
        self, now: float, there: There, least_calls: float, *, stands: bool, delayed: bool
    ) -> tuple[list[Suspicion], int]:
        """The workers with an excess that is not over yet, of `least_calls` each, and how many workers are there.

        The shares are reckoned among those that are there. While they settle after somebody has come or gone, only
        what `stands` already does so. Counts that are `delayed` tell nothing yet of the time after the last of them.
        """
        if self._settles_at is not None and not stands:
            if now < self._settles_at:
                return [], 0
            self._calm_down(list(self._suspects))
            self._settles_at = None
        self._calm_down([name for name in self._suspects if self._is_over(name)])
        parts = [self._parts[name] for name in self._suspects]
        if not any(part.calls >= least_calls for part in parts):
            return [], 0
        present = self.present(min(part.since for part in parts), now, there)
        share = sum(self._parts[name].share for name in present)
        if share <= 0.0:
            return [], 0
        found = [self._suspicion(name, share) for name in self._suspects]
        found = self._without_backlog(found, self._counted_at if delayed else now, stands=stands)
        return [suspicion for suspicion in found if suspicion.calls >= least_calls], len(present)

    def _without_backlog(self, found: list[Suspicion], now: float, *, stands: bool) -> list[Suspicion]:
        usual = self.usual
        if stands:
            if not self._return.is_over(found, usual.rate, usual.dispersion, now):
                return found
            self._return.over(now)
            self._calm_down(list(self._suspects))
            return []
        return [] if self._return.is_backlog(found, usual.rate, now) else found

    def _suspicion(self, name: str, present: float) -> Suspicion:
        part = self._parts[name]
        share = min(1.0, part.share / present) if present < 1.0 else part.share
        return Suspicion(name, part.calls, self._total - part.since_all, share, part.since, part.last)

    def _is_over(self, name: str) -> bool:
        part, look = self._parts[name], self._suspects[name]
        part.catch_up(self._total)
        return part.excess <= 0.0 or look.is_over(part, self._total, self.usual.dispersion)

    def _calm_down(self, names: list[str]) -> None:
        for name in names:
            self._parts[name].calm_down(self._total)
            del self._suspects[name]

    # -- state ------------------------------------------------------------------------------------------

    def dump(self) -> dict[str, Any]:
        return {
            "dropped": self.dropped,
            "usual": self.usual.dump(),
            "rate": self.rate,
            "total": [self._total, self._counted_at],
            "suspects": [[name, look.calls, look.total, look.over] for name, look in self._suspects.items()],
            "parts": [[name, *part.dump()] for name, part in self._parts.items()],
            "return": self._return.dump(),
            "stale": self._stale,
            "start": [self._start, self._start_total],
            "block": list(self._block.items()),
            "settles": self._settles_at,
        }

    @classmethod
    def load(cls, state: dict[str, Any]) -> Work:
        work = cls()
        work.dropped, work.rate, work._stale = state["dropped"], state["rate"], state["stale"]
        work.usual, work._return = Usual.load(state["usual"]), Return.load(state["return"])
        work._total, work._counted_at = state["total"]
        for name, calls, total, over in state["suspects"]:
            look = work._suspects[name] = Look(calls, total)
            look.over = over
        for name, *values in state["parts"]:
            work._parts[name] = Part.load(values)
        work._start, work._start_total = state["start"]
        work._block = dict(state["block"])
        work._settles_at = state["settles"]
        return work
