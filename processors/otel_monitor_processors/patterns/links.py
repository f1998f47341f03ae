"""Who reaches whom: pairs of sources with their calls, and the cut between two sides that explains the failures."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from otel_monitor_processors.observation import Link, TraceRef
from otel_monitor_processors.patterns.share import Share

_MAX_PAIRS = 4_096
_DEAD_SHARE = 0.8
_CROSS_SHARE = 0.45
_WITHIN_SHARE = 0.25
_MIN_SIDE = 2
_SWEEPS = 12
_BASE_LOG10 = 30.0 / math.log(10.0)
_CONFIDENT_LOG10 = 5.0
_MAX_TRACES = 5
Pair = tuple[str, str]
Weights = Mapping[Pair, tuple[int, int]]
"""Calls and failed calls of each pair."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Two sides that do not reach each other."""

    sides: tuple[tuple[str, ...], tuple[str, ...]]
    cross_failed: float
    within_failed: float
    log10_ratio: float
    confidence: float
    traces: tuple[TraceRef, ...]


class Links:
    """A sparse table of pairs; a pair that never worked says nothing of the network."""

    def __init__(self, window_s: float) -> None:
        self.dropped = 0
        self._window_s = window_s
        self._pairs: OrderedDict[Pair, Share] = OrderedDict()
        self._worked: set[Pair] = set()
        self._traces: list[TraceRef] = []

    def add(self, link: Link) -> None:
        pair = (link.source, link.peer)
        share = self._pairs.get(pair)
        if share is None:
            if len(self._pairs) >= _MAX_PAIRS:
                gone, _ = self._pairs.popitem(last=False)
                self._worked.discard(gone)
                self.dropped += 1
            share = self._pairs[pair] = Share(self._window_s)
        share.add(link.at, 1, not link.ok)
        if link.ok:
            self._worked.add(pair)
        elif link.trace is not None:
            self._traces = [link.trace, *self._traces[: _MAX_TRACES - 1]]

    def cut(self, now: float, min_events: int) -> Cut | None:
        """The cut that explains the failures of the window, None when none does."""
        weights: dict[Pair, tuple[int, int]] = {}
        failed = 0
        for pair, share in self._pairs.items():
            share.roll(now)
            if share.total and pair in self._worked:
                weights[pair] = (share.total, share.hits)
                failed += share.hits
        if failed < min_events:
            return None
        weights = _without_dead(weights)
        nodes = sorted({node for pair in weights for node in pair})
        if len(nodes) < 2 * _MIN_SIDE:
            return None
        side = _best_side(nodes, weights)
        return self._rated(nodes, side, weights)

    def _rated(self, nodes: list[str], side: set[str], weights: Weights) -> Cut | None:
        if min(len(side), len(nodes) - len(side)) < _MIN_SIDE:
            return None
        cross, cross_failed, within, within_failed = _counts(side, weights)
        if not cross or not within:
            return None
        cross_share, within_share = cross_failed / cross, within_failed / within
        if cross_share < _CROSS_SHARE or within_share > _WITHIN_SHARE:
            return None
        ratio = _log10_ratio(cross, cross_failed, within, within_failed)
        surplus = ratio - _BASE_LOG10 - len(nodes) * math.log10(2.0)
        if surplus <= 0:
            return None
        confidence = min(0.99, 0.5 + 0.5 * surplus / (surplus + _CONFIDENT_LOG10))
        others = set(nodes) - side
        sides = (tuple(sorted(side)), tuple(sorted(others)))
        return Cut(sides, cross_share, within_share, ratio, confidence, tuple(self._traces))

    def reset(self) -> None:
        self._pairs.clear()
        self._worked.clear()
        self._traces = []
        self.dropped = 0

    def dump(self) -> dict[str, Any]:
        return {
            "dropped": self.dropped,
            "pairs": [[list(pair), share.dump(), pair in self._worked] for pair, share in self._pairs.items()],
            "traces": [list(trace) for trace in self._traces],
        }

    def load(self, state: dict[str, Any]) -> None:
        self.reset()
        self.dropped = state["dropped"]
        for (source, peer), share, worked in state["pairs"]:
            self._pairs[source, peer] = Share.load(share)
            if worked:
                self._worked.add((source, peer))
        self._traces = [TraceRef(*trace) for trace in state["traces"]]


def _without_dead(weights: dict[Pair, tuple[int, int]]) -> dict[Pair, tuple[int, int]]:
    """Without nodes that fail on nearly all their pairs: a dead node is another finding."""
    totals: dict[str, list[int]] = {}
    for pair, (calls, failed) in weights.items():
        for node in pair:
            total = totals.setdefault(node, [0, 0, 0])
            total[0] += calls
            total[1] += failed
            total[2] += 1
    dead = {node for node, (calls, failed, pairs) in totals.items() if pairs > 1 and failed > _DEAD_SHARE * calls}
    return {pair: weight for pair, weight in weights.items() if not dead.intersection(pair)}


def _best_side(nodes: list[str], weights: Weights) -> set[str]:
    """A two-colouring that puts failing pairs across and working ones within: greedy, from the worst pair on."""
    gains: dict[str, list[tuple[str, float]]] = {node: [] for node in nodes}
    for (a, b), (calls, failed) in weights.items():
        gain = 2.0 * failed - calls
        gains[a].append((b, gain))
        gains[b].append((a, gain))
    worst = max(weights, key=lambda pair: weights[pair][1])
    side = {worst[0]}
    for _ in range(_SWEEPS):
        moved = False
        for node in nodes:
            inside = node in side
            across = sum(gain for other, gain in gains[node] if (other in side) != inside)
            within = sum(gain for other, gain in gains[node] if (other in side) == inside)
            if within > across:
                side ^= {node}
                moved = True
        if not moved:
            break
    return side


def _counts(side: set[str], weights: Weights) -> tuple[int, int, int, int]:
    cross = cross_failed = within = within_failed = 0
    for (a, b), (calls, failed) in weights.items():
        if (a in side) != (b in side):
            cross += calls
            cross_failed += failed
        else:
            within += calls
            within_failed += failed
    return cross, cross_failed, within, within_failed


def _log10_ratio(cross: int, cross_failed: int, within: int, within_failed: int) -> float:
    """Likelihood of two shares of failures, across and within, over that of one share everywhere."""
    pooled = _log_likelihood(cross_failed + within_failed, cross + within)
    split = _log_likelihood(cross_failed, cross) + _log_likelihood(within_failed, within)
    return (split - pooled) / math.log(10.0)


def _log_likelihood(hits: int, total: int) -> float:
    share = (hits + 0.5) / (total + 1.0)
    return hits * math.log(share) + (total - hits) * math.log(1.0 - share)
