"""Lock metrics: what a database server itself counts of waits for locks, and of the work that gets done."""

from __future__ import annotations

import math
import re
from collections import OrderedDict, deque
from collections.abc import Sequence
from enum import StrEnum
from functools import lru_cache
from statistics import median
from typing import Any, NamedTuple

from otel_monitor_processors.classification import Category
from otel_monitor_processors.observation import MetricPoint
from otel_monitor_processors.statistics import log10_normal_tail

_MAX_SERVERS = 64
_MAX_SERIES = 64
_STEP_S = 5.0
_KEPT = 120
_RECENT = (2, 3, 6)
_LATEST = 3
_MIN_PAST = 4
_STALE = 3.0
"""A server that has missed so many of its exports says nothing any more."""
_LEAST_SPREAD = 0.35
_ROUGH = 1.2
"""Variance of the mean of the middle half against that of the mean."""
_NORMAL_MAD = 1.4826
_MANIFOLD = math.log(3.0)
"""Waits have to become at least three times as long for each piece of work; where that is not known, tenfold."""
_TENFOLD = math.log(10.0)
_SOME = 0.5
"""As many waiting sessions on average are worth a word."""
_FEW = 0.05
"""Of the usual, or of a waiting session: less than that is as good as nothing."""
_LOOKS = 1.0
_STEP_WORTH = 3.0
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "": 1e-3}
_LOCK = frozenset(("lock", "locks", "locked", "blocked", "rowlock", "rowlocks"))
_TIME = frozenset(("time", "duration", "seconds"))
_WORK = frozenset(("commit", "commits", "committed", "transaction", "transactions", "xact"))
_NO_WORK = frozenset(("rollback", "rollbacks", "rolled", "open", "active", "duration", "time", "limit", "max"))


class Role(StrEnum):
    """What a series tells of its server."""

    WAIT_TIME = "wait_time"
    WAITS = "waits"
    DEADLOCKS = "deadlocks"
    WORK = "work"
    ERRORS = "errors"
    """A client's count of operations that gave up on a lock, by the category that its instrumentation has found."""


class Rise(NamedTuple):
    """How far the waits of a server stand out: `score` as -log10 p, `factor` over the usual."""

    server: str
    score: float
    factor: float
    per_work: bool


@lru_cache(maxsize=4_096)
def role_of(name: str, attributes: tuple[tuple[str, str], ...]) -> Role | None:
    """What a series tells, by the words in its name and the values of its attributes; None: nothing of locks."""
    if any(value == Category.CONTENTION for _, value in attributes):
        return Role.ERRORS
    words = frozenset(re.split(r"[^a-z]+", " ".join((name, *(value for _, value in attributes))).lower()))
    if "deadlock" in words or "deadlocks" in words:
        return Role.DEADLOCKS
    if words & _LOCK:
        return Role.WAIT_TIME if words & _TIME else Role.WAITS
    if words & _WORK and not words & _NO_WORK:
        return Role.WORK
    return None


class _Server:
    """One server's steps of five seconds: for each role what its series said together, a second."""

    __slots__ = ("every_s", "last", "newest", "now", "past", "run", "step")

    def __init__(self) -> None:
        self.step = -1
        self.run = 0
        self.every_s = _STEP_S
        self.newest = 0.0
        self.now: dict[Role, dict[float, float]] = {}
        self.past: deque[dict[Role, float]] = deque(maxlen=_KEPT)
        self.last: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}

    def add(self, role: Role, point: MetricPoint) -> None:
        step = int(point.at // _STEP_S)
        if step > self.step:
            self.close()
            if not self.reports(point.at):
                self.run = 0
            self.step = step
        key = (point.name, point.attributes)
        before = self.last.get(key)
        if before is None and len(self.last) >= _MAX_SERIES:
            return
        self.last[key] = point.at
        self.newest = max(self.newest, point.at)
        if before is None or point.at <= before:
            return
        self.every_s = point.at - before
        value = point.value
        if role is Role.WAIT_TIME:
            value *= _SECONDS.get(point.unit, 1e-3)
        if role is not Role.WAITS:
            value /= point.at - before
        moments = self.now.setdefault(role, {})
        moments[point.at] = moments.get(point.at, 0.0) + value

    def close(self) -> None:
        """The step is over. A moment in which many waits end at once, after a standstill, counts for little."""
        if self.now:
            self.past.append({role: _middle(list(moments.values())) for role, moments in self.now.items()})
            self.now = {}
            self.run += 1

    def reports(self, at: float) -> bool:
        """Whether it has been heard of lately: what came before a gap tells nothing of what is."""
        return at - self.newest <= _STEP_S + _STALE * max(_STEP_S, self.every_s)


class LockMetrics:
    """The servers whose metrics speak of locks; at most 64 of them."""

    def __init__(self) -> None:
        self.dropped = 0
        self._servers: OrderedDict[str, _Server] = OrderedDict()
        self._rises: dict[str, tuple[int, Rise]] = {}

    def take(self, role: Role, point: MetricPoint) -> None:
        """A point of a series that has a role."""
        server = self._servers.get(point.source)
        if server is None:
            if len(self._servers) >= _MAX_SERVERS:
                self._servers.popitem(last=False)
                self.dropped += 1
            server = self._servers[point.source] = _Server()
        server.add(role, point)

    def rises(self, now: float) -> list[Rise]:
        """The servers where sessions now wait for each other much more than before, the worst first."""
        found = []
        for name, server in self._servers.items():
            known = self._rises.get(name)
            if known is None or known[0] != server.step:
                known = self._rises[name] = (server.step, _rise(name, server.past, server.run))
            if known[1].score > 0.0 and server.reports(now):
                found.append(known[1])
        return sorted(found, key=lambda rise: -rise.score)

    def reset(self) -> None:
        self._servers.clear()
        self._rises.clear()
        self.dropped = 0

    def dump(self) -> list[Any]:
        return [
            [
                name,
                [server.step, server.run, server.every_s, server.newest],
                [[role, list(moments.items())] for role, moments in server.now.items()],
                [list(step.items()) for step in server.past],
                [[series, list(map(list, labels)), at] for (series, labels), at in server.last.items()],
            ]
            for name, server in self._servers.items()
        ]

    def load(self, state: list[Any]) -> None:
        for name, step, now, past, last in state:
            server = self._servers[name] = _Server()
            server.step, server.run, server.every_s, server.newest = step
            server.now = {Role(role): dict(moments) for role, moments in now}
            server.past.extend({Role(role): value for role, value in item} for item in past)
            server.last = {(series, tuple((k, v) for k, v in labels)): at for series, labels, at in last}


def _rise(name: str, steps: Sequence[dict[Role, float]], run: int) -> Rise:
    """Compares the last steps, `run` at most, with those before."""
    best = Rise(name, 0.0, 1.0, per_work=False)
    kinds = [role for role in (Role.WAIT_TIME, Role.WAITS, Role.DEADLOCKS) if any(role in step for step in steps)]
    if Role.WAIT_TIME in kinds and Role.WAITS in kinds:
        kinds.remove(Role.WAITS)
    for role in kinds:
        waits = [step[role] for step in steps if role in step]
        work = [step.get(Role.WORK, 0.0) for step in steps if role in step]
        for recent in [recent for recent in _RECENT if recent <= run]:
            rise = _compare(name, waits, work, recent)
            if rise.score > best.score:
                best = rise
    return best


def _compare(name: str, waits: list[float], work: list[float], recent: int) -> Rise:
    nothing = Rise(name, 0.0, 1.0, per_work=False)
    old = [(w, c) for w, c in zip(waits[:-recent], work[:-recent], strict=True) if w > 0.0 or c > 0.0]
    per_work = sum(c > 0 for _, c in old) > len(old) / 2
    if not per_work:
        old = list(zip(waits[:-recent], work[:-recent], strict=True))
    if len(old) < _MIN_PAST:
        return nothing
    few = max(_FEW * _middle([w for w, _ in old if w > 0.0]), _FEW)
    little = max(_FEW * _middle([c for _, c in old if c > 0.0]), 1e-9)

    def size(wait: float, count: float) -> float:
        return math.log((wait + few) / (count + little)) if per_work else math.log(wait + few)

    sizes = [size(w, c) for w, c in old]
    middle = _middle(sizes)
    spread = max(_LEAST_SPREAD, _NORMAL_MAD * median([abs(value - middle) for value in sizes]))
    now = _middle([size(w, c) for w, c in zip(waits[-recent:], work[-recent:], strict=True)])
    latest = _middle([size(w, c) for w, c in zip(waits[-_LATEST:], work[-_LATEST:], strict=True)])
    if latest - middle < _MANIFOLD / 2.0:
        return nothing  # it is over
    level = _middle(waits[-recent:])
    if now - middle < (_MANIFOLD if per_work else _TENFOLD) or level < _middle([w for w, _ in old]):
        return nothing
    if not per_work and level < _SOME:
        return nothing
    z = (now - middle) / (spread * math.sqrt(_ROUGH / recent + _ROUGH / len(old))) * len(old) / (len(old) + 2.0)
    score = min(-log10_normal_tail(z) - _LOOKS, _STEP_WORTH * recent)
    return Rise(name, max(0.0, score), math.exp(now - middle), per_work)


def _middle(values: Sequence[float]) -> float:
    """The mean of the middle half: nearly as exact as the mean, not moved by one burst or gap. Of two the lesser."""
    if len(values) == 2:
        return min(values)
    cut = len(values) // 4 if len(values) != 3 else 1
    inner = sorted(values)[cut : len(values) - cut]
    return sum(inner) / len(inner) if inner else 0.0
