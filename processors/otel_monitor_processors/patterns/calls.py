"""Calls between services: who calls whom, and how often that fails."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from otel_monitor_processors.classification import Category
from otel_monitor_processors.observation import Link
from otel_monitor_processors.patterns.share import Share

_MAX_EDGES = 2_048
_FLOOR = 0.005
_UNREACHED = (Category.NETWORK, Category.TIMEOUT, Category.WORKER_LOST)
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
        self._fresh: dict[Edge, list[int]] = {}

    def add(self, link: Link) -> None:
        """Count a call; whatever its error means but contention, it did not go well."""
        key = (link.service or link.source, link.peer)
        fresh = self._fresh.get(key)
        if fresh is None:
            if len(self._fresh) >= _MAX_EDGES:
                self.dropped += 1
                return
            fresh = self._fresh[key] = [0, 0]
        fresh[0] += 1
        if link.category is not None and link.category is not Category.CONTENTION:
            fresh[1] += 1

    def roll(self, now: float, service_of: dict[str, str]) -> None:
        """Take in what has been counted since the last time."""
        for (caller, peer), (calls, failures) in self._fresh.items():
            edge = (caller, service_of.get(peer, peer))
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
        self._fresh.clear()
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
        self._fresh.clear()
        self.dropped = 0

    def dump(self) -> dict[str, Any]:
        return {
            "dropped": self.dropped,
            "edges": [[*edge, share.dump()] for edge, share in self.edges.items()],
            "suspects": [list(edge) for edge in self.suspects],
            "fresh": [[*edge, *counts] for edge, counts in self._fresh.items()],
        }

    def load(self, state: dict[str, Any]) -> None:
        self.reset()
        self.dropped = state["dropped"]
        for caller, peer, share in state["edges"]:
            self.edges[caller, peer] = Share.load(share)
        self.suspects = dict.fromkeys((caller, peer) for caller, peer in state["suspects"])
        self._fresh = {(caller, peer): [calls, failures] for caller, peer, calls, failures in state["fresh"]}
