"""Two sides: the cut through a graph of pairs that best explains which of them fail and which work."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_STARTS = 3
_SWEEPS = 12
_MAX_DEAD = 64
_PRICE = 0.5


@dataclass(slots=True)
class Graph:
    """Nodes, and between them evidence in decades: above zero for a way that is broken, below for one that works."""

    weights: dict[str, dict[str, float]]
    broken: dict[str, float]
    """For each node, how much speaks for broken ways from or to it."""

    @classmethod
    def empty(cls) -> Graph:
        return cls({}, {})

    def add(self, a: str, b: str, weight: float) -> None:
        if a == b:
            return
        for here, there in ((a, b), (b, a)):
            others = self.weights.setdefault(here, {})
            others[there] = others.get(there, 0.0) + weight
            if weight > 0:
                self.broken[here] = self.broken.get(here, 0.0) + weight


def best_side(graph: Graph) -> tuple[frozenset[str], float]:
    """One side of the cut with the most evidence across, and how much that is: greedy, from several starts."""
    starts = sorted(graph.broken, key=lambda node: (-graph.broken[node], node))[:_STARTS]
    best: frozenset[str] = frozenset()
    most = 0.0
    for start in starts:
        for side in ({start}, _coloured(graph, start)):
            _improve(graph, side)
            evidence = across(graph, side)
            if evidence > most + 1e-9:
                best, most = frozenset(side), evidence
    return best, most


def across(graph: Graph, side: Iterable[str]) -> float:
    """The evidence on the pairs between a side and the rest."""
    inside = set(side)
    return sum(
        weight for node in inside for other, weight in graph.weights.get(node, {}).items() if other not in inside
    )


def _coloured(graph: Graph, start: str) -> set[str]:
    """Every second node along what is broken."""
    colours = {start: True}
    waiting = [start]
    while waiting:
        node = waiting.pop()
        for other, weight in sorted(graph.weights[node].items()):
            if other not in colours and weight != 0.0:
                colours[other] = colours[node] != (weight > 0)
                waiting.append(other)
    return {node for node, colour in colours.items() if colour}


def _improve(graph: Graph, side: set[str]) -> None:
    nodes = sorted(graph.weights)
    for _ in range(_SWEEPS):
        moved = False
        for node in nodes:
            inside = node in side
            gain = sum(
                weight if (other in side) == inside else -weight for other, weight in graph.weights[node].items()
            )
            if gain > 1e-9:
                side ^= {node}
                moved = True
        if not moved:
            return


def single_culprits(graph: Graph, alive: Iterable[str]) -> float:
    """How much is explained by nodes that are dead or slow, each by itself, rather than by a cut.

    `alive` are known not to be. Each has its price: a cut explains several at once.
    """
    known = set(alive)
    gone: set[str] = set()
    total = 0.0
    for _ in range(_MAX_DEAD):
        best, most = "", 0.0
        for node in graph.broken:
            if node in known or node in gone:
                continue
            explained = sum(weight for other, weight in graph.weights[node].items() if other not in gone)
            if explained > most or (explained == most and node < best):
                best, most = node, explained
        if most <= _PRICE:
            break
        gone.add(best)
        total += most - _PRICE
    return total
