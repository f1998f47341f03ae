"""The spread of failures: a service fails, then those that call it, then those that call them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from otel_monitor_processors.observation import ORCHESTRATOR_PEER
from otel_monitor_processors.patterns.cascading_failures.calls import Calls, Edge
from otel_monitor_processors.patterns.cascading_failures.failing_services import FailingServices
from otel_monitor_processors.statistics import log10_choose

FAILING = 1.0
"""-log10 p from which a service counts as failing."""
_GENTLE_S = 45.0
_MOST = 24
_WELL_SEEN = 30
_ITSELF = 2.0
_GONE_SHARE = 0.8
_SLOWER = 3.0
_NOTABLE = 0.2
_LATELY_S = 20.0
_EXPECTED = 5.0
"""So many answers should have been seen, for none to mean that it is gone."""
_ELSEWHERE = 3.0
_ELSEWHERE_HITS = 3
_ELSEWHERE_SHARE = 0.03
_LAST_S = 12.0
_LAST_OWN_S = 1.5


@dataclass(frozen=True, slots=True)
class Spread:
    """Services that fail together; `score` is -log10 p of the one but worst, less where there is doubt."""

    score: float
    services: tuple[str, ...]
    root: str
    lasting_s: float
    edges: tuple[Edge, ...] = ()
    """Calls that fail, from caller to callee."""
    doubt: str = ""
    """What explains it just as well."""
    linked: bool = True

    @property
    def kind(self) -> str:
        return "doubtful" if self.doubt else "spread" if self.linked else "unlinked"

    def dump(self) -> list[Any]:
        return [
            self.score,
            list(self.services),
            self.root,
            self.lasting_s,
            [list(edge) for edge in self.edges],
            self.doubt,
            self.linked,
        ]

    @classmethod
    def load(cls, state: list[Any]) -> Spread:
        score, services, root, lasting_s, edges, doubt, linked = state
        return cls(score, tuple(services), root, lasting_s, tuple((a, b) for a, b in edges), doubt, linked)


class Spreads:
    """Looks for spreads among the services and the calls between them."""

    def __init__(self, failing: FailingServices, calls: Calls) -> None:
        self._failing = failing
        self._calls = calls
        self._shared_at = 0.0
        self._shared_why = ""

    def reset(self) -> None:
        self._shared_at = 0.0
        self._shared_why = ""

    def dump(self) -> list[Any]:
        return [self._shared_at, self._shared_why]

    def load(self, state: list[Any]) -> None:
        self._shared_at, self._shared_why = state

    def worst(self, now: float) -> Spread | None:
        """The worst spread at the moment, if there is any."""
        scores = self._scores(now)
        if len(scores) < 2:
            return None
        edges = [edge for edge in self._calls.suspects if edge[0] in scores and self._calls.score(edge) >= FAILING]
        between = [edge for edge in edges if edge[1] in scores and edge[0] != edge[1]]
        groups = [group for group in _components(scores, between + self._siblings(scores)) if len(group) >= 2]
        if groups:
            spreads = [self._spread(group, scores, edges, now) for group in groups]
            return max(spreads, key=lambda spread: spread.score)
        return self._unlinked(scores, edges, now)

    def _siblings(self, scores: dict[str, float]) -> list[Edge]:
        """Pairs of failing services that fail the same caller, which need not call that a failure of its own."""
        callees: dict[str, list[str]] = {}
        for caller, callee in self._calls.suspects:
            if caller not in scores and callee in scores and self._calls.score((caller, callee)) >= FAILING:
                callees.setdefault(caller, []).append(callee)
        return [(first, other) for first, *others in callees.values() for other in others]

    def _scores(self, now: float) -> dict[str, float]:
        scores: dict[str, float] = {}
        for name in self._failing.suspects:
            service = self._failing.services[name]
            score = service.score
            service.freeze(score > 2.0)
            if score > 2.0 and service.failing_since is None:
                service.failing_since = now
            if score >= FAILING and now - service.seen_since >= _GENTLE_S:
                scores[name] = score
        return dict(sorted(scores.items(), key=lambda item: (-item[1], item[0]))[:_MOST])

    def _spread(self, group: list[str], scores: dict[str, float], edges: list[Edge], now: float) -> Spread:
        mine = tuple(edge for edge in edges if edge[0] in group)
        root, at_fault = self._root(group, mine, scores, now)
        doubt = self._shared(group, {*group, root}, mine, now, linked=True)
        if not at_fault:
            doubt = doubt or f"{root} answers well, and is not reached by all"
        return self._made(group, scores, root, mine, doubt, linked=True)

    def _unlinked(self, scores: dict[str, float], edges: list[Edge], now: float) -> Spread:
        group = list(scores)
        doubt = self._shared(group, set(group), tuple(edges), now, linked=False)
        if self._calls.seen_from(group) >= _WELL_SEEN:
            doubt = doubt or "none calls another that fails"
        return self._made(group, scores, group[0], tuple(edges), doubt, linked=False)

    def _shared(
        self, group: list[str], concerned: set[str], edges: tuple[Edge, ...], now: float, *, linked: bool
    ) -> str:
        """What these have in common that would make them fail without each other; it may lie a moment back."""
        why = ""
        if self._failing.database_shares_in(group):
            why = "their database fails"
        elif self._elsewhere(concerned, edges):
            why = "others do not reach each other either"
        elif not any(self._failing.services[name].fails_itself for name in group):
            why = "all that fails is to reach others"
        if why:
            self._shared_at, self._shared_why = now, why
        elif not linked and self._shared_why and now - self._shared_at <= self._failing.window_s:
            why = self._shared_why
        return why

    def _made(
        self, group: list[str], scores: dict[str, float], root: str, edges: tuple[Edge, ...], doubt: str, linked: bool
    ) -> Spread:
        failing = self._failing
        ordered = sorted(group, key=lambda name: (-scores[name], name))
        lasting = sorted((failing.lasting_s(name) for name in group), reverse=True)[1]
        need_s = _LAST_OWN_S if all(failing.services[name].only_logs_own for name in ordered[:2]) else _LAST_S
        if lasting < need_s:
            doubt = doubt or "it may be over in a moment"
        score = max(0.0, scores[ordered[1]] - log10_choose(len(failing.services), 2))
        return Spread(score, tuple(sorted(group)), root, lasting, edges, doubt, linked)

    def _root(
        self, group: list[str], edges: tuple[Edge, ...], scores: dict[str, float], now: float
    ) -> tuple[str, bool]:
        """What is called by those that fail and is at fault itself, and whether it is that alone."""
        passing_on = {name for name in group if self._passes_on(name)}
        failed: dict[str, int] = {}
        for caller, callee in edges:
            if callee not in passing_on or caller == callee:
                failed[callee] = failed.get(callee, 0) + self._calls.edges[caller, callee].hits
        leaves = sorted(failed, key=lambda leaf: (-failed[leaf], leaf))
        if not leaves:
            return max(group, key=lambda name: scores[name]), True
        leaves = [leaf for leaf in leaves if failed[leaf] >= _NOTABLE * failed[leaves[0]]]
        itself = [leaf for leaf in leaves if leaf not in passing_on and scores.get(leaf, 0.0) >= _ITSELF]
        if itself:
            return max(itself, key=lambda leaf: scores[leaf]), True
        return leaves[0], len(leaves) == 1 and self._is_at_fault(leaves[0], edges, now)

    def _passes_on(self, name: str) -> bool:
        """Whether a notable part of its failures is that what it calls has failed."""
        outward = sum(self._calls.edges[edge].hits for edge in self._calls.suspects if edge[0] == name)
        return outward > _NOTABLE * self._failing.services[name].spans.hits

    def _elsewhere(self, concerned: set[str], edges: tuple[Edge, ...]) -> bool:
        """Whether others fail to reach each other, too: then it is the network, or more than one is gone."""
        calls = self._calls
        most = max((calls.edges[edge].hits for edge in edges), default=0)
        return any(
            (caller == callee or callee not in concerned)
            and calls.edges[caller, callee].hits >= max(_ELSEWHERE_HITS, _ELSEWHERE_SHARE * most)
            and calls.score((caller, callee)) >= _ELSEWHERE
            for caller, callee in calls.suspects
        )

    def _is_at_fault(self, leaf: str, edges: tuple[Edge, ...], now: float) -> bool:
        """Whether it answers nobody, or far more slowly than it used to."""
        if leaf == ORCHESTRATOR_PEER:
            return False
        service = self._failing.services.get(leaf)
        if service is not None:
            service.roll(now)
            if service.slowness >= _SLOWER:
                return True
            if service.spans.since(now - _LATELY_S)[0] or service.usual(_LATELY_S, now) < _EXPECTED:
                return False  # it answers, or so few of its answers are seen that their absence means nothing
        lately = [self._calls.edges[edge].since(now - _LATELY_S) for edge in edges if edge[1] == leaf]
        calls = sum(events for events, _ in lately)
        return calls >= 2 and sum(hits for _, hits in lately) >= _GONE_SHARE * calls


def _components(names: dict[str, float], edges: list[Edge]) -> list[list[str]]:
    """The services that failing calls connect."""
    group = {name: name for name in names}

    def top(name: str) -> str:
        while group[name] != name:
            name = group[name]
        return name

    for caller, callee in edges:
        group[top(caller)] = top(callee)
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(top(name), []).append(name)
    return list(found.values())
