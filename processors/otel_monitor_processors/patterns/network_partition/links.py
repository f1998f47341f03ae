"""Who reaches whom: a table of pairs, and for each the calls that have failed since it last worked."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

from otel_monitor_processors.observation import TraceRef

MAX_PAIRS = 4_096
_MEMORY = 1_000
_PRIOR_CALLS = 20.0
_PRIOR_FAILED = 0.2
_RAREST = 0.003
_APART_S = 3.0
_AT_ONCE_S = 0.3
_RECENT = 8
_MOST = 5.0
_NEVER = -math.inf
Pair = tuple[str, str]


class Edge:
    """One pair: its past in numbers, and the run of failures since it last worked.

    Times are when calls began: what was asked for during a hiccup of a second fails all at once, however long
    each call waits. `first` and `last` are the run's first and last call, `ended` when that one was given up.
    """

    __slots__ = ("ended", "failed", "first", "last", "last_ok", "ok", "quick", "recent", "run", "trace")

    def __init__(self) -> None:
        self.ok = 0
        self.failed = 0
        self.last_ok = _NEVER
        self.run = 0
        self.quick = 0
        """How many of the run failed at once: somebody refused them, or there is no way at all."""
        self.recent: tuple[float, ...] = ()
        """When the run's last eight calls began."""
        self.first = 0.0
        self.last = _NEVER
        self.ended = _NEVER
        self.trace: TraceRef | None = None
        """Of the last failure."""

    def fail(self, began: float, ended: float, calls: int, trace: TraceRef | None) -> bool:
        """So many calls have failed; whether the pair does not work since then, as far as one knows."""
        if began < self.last_ok:
            self.failed += calls
            return False
        if not self.run:
            self.first = began
        self.run += calls
        if ended - began < _AT_ONCE_S:
            self.quick += calls
        self.recent = (*self.recent, *([began] * min(calls, _RECENT)))[-_RECENT:]
        self.first = min(self.first, began)
        self.last = max(self.last, began)
        self.ended = max(self.ended, ended)
        self.trace = trace or self.trace
        return True

    def fade(self) -> None:
        """The past weighs half from now on."""
        self.ok //= 2
        self.failed //= 2

    def give_up(self) -> None:
        """The run is over: it belongs to the past."""
        self.failed += self.run
        self.run = self.quick = 0
        self.recent = ()

    @property
    def rated(self) -> bool:
        """Whether calls that got through are on record, too: then one failure is a surprise already."""
        return self.ok > 2

    @property
    def surprises(self) -> float:
        """How many failures count: those close together have one cause."""
        return min(float(self.run), 1.0 + (self.last - self.first) / _APART_S, _MOST)

    @property
    def log10_odds(self) -> float:
        """How much a failure speaks for a broken way rather than for what is usual for this pair."""
        share = (self.failed + _PRIOR_FAILED) / (self.ok + self.failed + _PRIOR_CALLS)
        return -math.log10(max(_RAREST, share))

    @property
    def spacing_s(self) -> float:
        """How far apart the failures of the run are."""
        return (self.last - self.first) / (self.run - 1) if self.run > 1 else 0.0

    def dump(self) -> list[Any]:
        last_ok = self.last_ok if self.last_ok > _NEVER else None
        run = [self.first, self.last, self.ended, self.quick, self.recent] if self.run else None
        return [self.ok, self.failed, last_ok, self.run, run, list(self.trace) if self.trace else None]

    @classmethod
    def load(cls, state: list[Any]) -> Edge:
        edge = cls()
        edge.ok, edge.failed, last_ok, edge.run, run, trace = state
        if last_ok is not None:
            edge.last_ok = last_ok
        if run is not None:
            edge.first, edge.last, edge.ended, edge.quick, recent = run
            edge.recent = tuple(recent)
        edge.trace = TraceRef(*trace) if trace else None
        return edge


class Links:
    """A sparse table of pairs, at most 4,096: the one seen first is let go first."""

    def __init__(self) -> None:
        self.dropped = 0
        self.news = False
        """Whether a call has failed since somebody last looked."""
        self._edges: dict[Pair, Edge] = {}
        self._failing: dict[Pair, Edge] = {}

    def work(self, source: str, peer: str, began: float) -> None:
        """A call has got through."""
        pair = (source, peer)
        edge = self._edges.get(pair)
        if edge is None:
            edge = self._new(pair)
        if edge.ok >= _MEMORY:
            edge.fade()
        edge.ok += 1
        if began > edge.last_ok:
            edge.last_ok = began
        if edge.run and began >= edge.last:
            edge.give_up()
            del self._failing[pair]

    def fail(
        self, source: str, peer: str, began: float, ended: float, calls: int = 1, trace: TraceRef | None = None
    ) -> None:
        """Calls have not reached the peer."""
        pair = (source, peer)
        edge = self._edges.get(pair)
        if edge is None:
            edge = self._new(pair)
        if edge.fail(began, ended, calls, trace):
            self._failing[pair] = edge
            self.news = True

    def forgive(self, pairs: Iterable[Pair]) -> None:
        """Let go of runs of failures that have come to nothing."""
        for pair in pairs:
            edge = self._failing.pop(pair, None)
            if edge is not None:
                edge.give_up()

    def _new(self, pair: Pair) -> Edge:
        if len(self._edges) >= MAX_PAIRS:
            oldest = next(iter(self._edges))
            del self._edges[oldest]
            self._failing.pop(oldest, None)
            self.dropped += 1
        edge = self._edges[pair] = Edge()
        return edge

    def failing(self) -> list[tuple[Pair, Edge]]:
        """The pairs that have not worked since they last failed."""
        return list(self._failing.items())

    def working(self, since: float) -> Iterator[tuple[Pair, Edge]]:
        """The pairs that have worked since then, and not failed afterwards."""
        return ((pair, edge) for pair, edge in self._edges.items() if edge.last_ok >= since and not edge.run)

    def pairs(self) -> Iterable[Pair]:
        return self._edges

    def __len__(self) -> int:
        return len(self._failing)

    def reset(self) -> None:
        self._edges.clear()
        self._failing.clear()
        self.news = False
        self.dropped = 0

    def dump(self) -> dict[str, Any]:
        return {
            "dropped": self.dropped,
            "news": self.news,
            "pairs": [[*pair, edge.dump()] for pair, edge in self._edges.items()],
            "failing": [list(pair) for pair in self._failing],
        }

    def load(self, state: dict[str, Any]) -> None:
        self.reset()
        self.dropped, self.news = state["dropped"], state["news"]
        self._edges = {(source, peer): Edge.load(edge) for source, peer, edge in state["pairs"]}
        self._failing = {(source, peer): self._edges[source, peer] for source, peer in state["failing"]}
