"""Calls between services: who calls whom, and how often that fails."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from otel_monitor_processors.patterns.share import Share

_MAX_EDGES = 2_048
_FLOOR = 0.005
Edge = tuple[str, str]
"""The calling service, and the one that is called."""


class Calls:
    """Calls by edge. Peers that are instances of a known service count as that service."""

    def __init__(self, window_s: float) -> None:
        self.window_s = window_s
        self.dropped = 0
        self.edges: OrderedDict[Edge, Share] = OrderedDict()
        self.suspects: dict[Edge, None] = {}
        """Edges with failures in the window."""
        self.well: dict[Edge, int] = {}
        """Calls since the last time that went well, by the name of the peer."""
        self._failed: dict[Edge, int] = {}

    def add(self, edge: Edge, calls: int, failures: int) -> None:
        """Count calls along an edge; whatever their error means but contention, those that failed did not go well."""
        if edge not in self.well and edge not in self._failed and len(self.well) + len(self._failed) >= _MAX_EDGES:
            self.dropped += 1
            return
        if calls > failures:
            self.well[edge] = self.well.get(edge, 0) + calls - failures
        if failures:
            self._failed[edge] = self._failed.get(edge, 0) + failures

    def roll(self, now: float, service_of: dict[str, str]) -> None:
        """Take in what has been counted since the last time."""
        failed = self._failed
        for key in [*self.well, *(key for key in failed if key not in self.well)]:
            failures = failed.get(key, 0)
            calls = self.well.get(key, 0) + failures
            edge = (key[0], service_of.get(key[1], key[1]))
            share = self.edges.get(edge)
            if share is None:
                if len(self.edges) >= _MAX_EDGES:
                    old, _ = self.edges.popitem(last=False)
                    self.suspects.pop(old, None)
                    self.dropped += 1
                share = self.edges[edge] = Share(self.window_s)
            share.add(now, calls, failures)
            if failures:
                self.suspects[edge] = None
        self.well.clear()
        self._failed.clear()
        for edge in list(self.suspects):
            share = self.edges[edge]
            share.roll(now)
            share.frozen = self.score(edge) > 3.0
            if not share.hits:
                share.frozen = False
                del self.suspects[edge]

    def seen_from(self, callers: list[str]) -> int:
        """How many calls of these were seen in the window."""
        return sum(share.total for (caller, _), share in self.edges.items() if caller in callers)

    def score(self, edge: Edge) -> float:
        """How improbable so many failures on an edge are by chance, as -log10 p."""
        share = self.edges.get(edge)
        return -share.log10_p(_FLOOR) if share is not None else 0.0

    def reset(self) -> None:
        self.edges.clear()
        self.suspects.clear()
        self.well.clear()
        self._failed.clear()
        self.dropped = 0

    def dump(self) -> dict[str, Any]:
        return {
            "dropped": self.dropped,
            "edges": [[*edge, share.dump()] for edge, share in self.edges.items()],
            "suspects": [list(edge) for edge in self.suspects],
            "well": [[*edge, calls] for edge, calls in self.well.items()],
            "failed": [[*edge, calls] for edge, calls in self._failed.items()],
        }

    def load(self, state: dict[str, Any]) -> None:
        self.reset()
        self.dropped = state["dropped"]
        for caller, peer, share in state["edges"]:
            self.edges[caller, peer] = Share.load(share)
        self.suspects = dict.fromkeys((caller, peer) for caller, peer in state["suspects"])
        self.well.update(((caller, peer), calls) for caller, peer, calls in state["well"])
        self._failed.update(((caller, peer), calls) for caller, peer, calls in state["failed"])
