"""The evidence on who reaches whom, as a graph: broken ways against ways that work, since a given time."""

from __future__ import annotations

import math
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

from otel_monitor_processors.observation import ORCHESTRATOR_PEER
from otel_monitor_processors.patterns.network_partition.activity import Fleet, Member
from otel_monitor_processors.patterns.network_partition.links import Edge, Links, Pair
from otel_monitor_processors.patterns.network_partition.sides import Graph, best_side, single_culprits
from otel_monitor_processors.statistics import log10_choose, log10_poisson_tail

COUNTED = "\0counted"
"""The peer of failures known by their number alone: those of a worker's own messages to its orchestrator."""
UNRATED = (ORCHESTRATOR_PEER, COUNTED)

_WINDOWS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
_WORKS = -2.5
_SILENT = -2.0
_CONTRADICTS = -12.0
_FIRST = 1.2
_MOST = 9.0
_PRIOR_FAILURES = 0.3
_PRIOR_S = 300.0
_GIVEN_UP = 3.0
"""What it says that the other side has given up the one who calls in vain: two that tell the same independently."""
_PATIENCE_S = 5.0
_CALLS_IN_VAIN = 3
_SETTLED_S = 3.0
"""What gets through so soon after trouble began was under way already, or had only been handed over."""
_SPREAD_S = 6.0
_ENOUGH = 20.0
_RIVALS = 1.5
"""What speaks as well for single culprits weighs more: there are more of them."""
_SERVICE = 0.5
"""A service may have several instances behind one name."""
_LOG10_E = math.log10(math.e)
_MIN_KNOWN_S = 30.0
_ANSWERED = 0.85
"""What fails at once has mostly been refused by somebody: the network is there."""
_REFUSED = 0.7
_AS_BEFORE = 0.4
_TELLING = 3.0
"""So many seconds with a sign of life should there have been, for none to mean anything."""
_STIRS = 0.34


@dataclass(slots=True)
class Broken:
    """A way between two nodes that does not work."""

    pair: Pair
    source: str
    peer: str
    edge: Edge
    weight: float
    unrated: bool


@dataclass(slots=True)
class Cut:
    """The best cut of a window: `side` is one of its two sides, `score` its evidence in decades, less its rivals'."""

    side: frozenset[str]
    score: float
    since: float
    nodes: frozenset[str]
    crossing: list[Broken] = field(default_factory=list)
    proven: frozenset[str] = frozenset()
    """Nodes of the side that reach out in vain, or are known to be alive."""
    evidence: float = 0.0
    rivals: float = 0.0


def broken_ways(links: Links, fleet: Fleet, now: float) -> list[Broken]:
    """Every pair that does not work now, as far as it is known, with what each is worth."""
    found = []
    for pair, edge in links.failing():
        source, peer = pair
        unrated = peer in UNRATED and not edge.rated
        if unrated:
            if now - edge.ended > _patience_s(edge):
                continue
            weight = 0.0
        else:
            if not edge.ok and not _is_known(fleet, peer, now):
                continue  # it never worked: that says nothing of the network
            weight = edge.surprises * edge.log10_odds * (1.0 - _ANSWERED * edge.quick / edge.run)
        node = fleet.node(source, ORCHESTRATOR_PEER if peer == COUNTED else peer)
        if node not in fleet.members and peer not in UNRATED:
            weight *= _SERVICE
        if node != source:
            found.append(Broken(pair, source, node, edge, weight, unrated))
    return found


def _weighed(way: Broken, fleet: Fleet, since: float, now: float) -> Broken:
    """Where only failures are on record, their number in the window against the rate of the time before it."""
    if not way.unrated:
        return way
    edge, member = way.edge, fleet.members.get(way.source)
    lately = [at for at in edge.recent if at >= since]
    count = len(lately)
    if count == len(edge.recent):
        count = max(count, edge.run if edge.first >= since else count)
    before = edge.run - count + edge.failed
    known_s = max(0.0, since - member.first) if member is not None else 0.0
    expected = (before + _PRIOR_FAILURES) / (known_s + _PRIOR_S) * (now - since)
    counted = min(count, 1.0 + (lately[-1] - lately[0]) / 2.0 if lately else 0.0, 5.0)
    surprise = -log10_poisson_tail(counted, expected) if counted > expected else 0.0
    if member is not None and member.given_up >= edge.first - _PATIENCE_S and count >= _CALLS_IN_VAIN:
        surprise += _GIVEN_UP
    answered = 1.0 - _ANSWERED * edge.quick / edge.run
    return replace(way, weight=max(0.1, min(_MOST, surprise) - _FIRST) * answered)


def _patience_s(edge: Edge) -> float:
    """After how long without a further failure messages have got through again, where only failures are on record."""
    return 60.0 if edge.run < 2 else min(90.0, 15.0 + 3.0 * edge.spacing_s)


def _is_known(fleet: Fleet, peer: str, now: float) -> bool:
    member = fleet.members.get(peer)
    return member is not None and member.first < now - _MIN_KNOWN_S


def best_cut(links: Links, fleet: Fleet, now: float, window_s: float) -> Cut | None:
    """The cut with the most evidence, in windows from half of `window_s` to sixteen times as long.

    It is sought between those who give and take work, and among all that they need besides.
    """
    broken = broken_ways(links, fleet, now)
    core = _core(links, fleet)
    best: Cut | None = None
    before = -1
    for factor in _WINDOWS:
        since = now - factor * window_s
        recent = [_weighed(way, fleet, since, now) for way in broken if way.edge.last >= since]
        if len(recent) == before and best is not None and best.score > _ENOUGH:
            continue  # nothing that the shorter window did not have
        before = len(recent)
        among = [way for way in recent if way.peer in core]
        for ways, nodes in ((among, core), (recent, None)):
            if (
                ways
                and (nodes is not None or best is None or best.score < _ENOUGH)
                and (nodes is not None or (len(among) < len(recent) and not fleet.sole_narrator))
            ):
                cut = _cut(ways, links, fleet, since, nodes)
                if cut is not None and (best is None or cut.score > best.score):
                    best = cut
    return best


def _core(links: Links, fleet: Fleet) -> frozenset[str]:
    """Workers, and whoever has to do with them: those called by their own names, and their callers."""
    core = {name for name, member in fleet.members.items() if member.worker} | set(fleet.observers)
    for source, peer in links.pairs():
        if peer in fleet.members:
            core |= {source, peer}
    return frozenset(core | {ORCHESTRATOR_PEER})


def _cut(broken: list[Broken], links: Links, fleet: Fleet, since: float, core: frozenset[str] | None) -> Cut | None:
    graph = _graph(broken, links, fleet, since, core)
    if not graph.broken:
        return None
    side, evidence = best_side(graph)
    if evidence <= 0.0:
        return None
    crossing = [way for way in broken if (way.source in side) != (way.peer in side)]
    unexplained = sum(way.weight for way in broken if (way.source in side) == (way.peer in side))
    spread_s = max(way.edge.last for way in crossing) - max(since, min(way.edge.first for way in crossing))
    if len(side) > len(graph.weights) / 2:
        side = frozenset(graph.weights) - side
    witness = Witness(broken, links, fleet, since)
    if fleet.sole_narrator:
        proven = frozenset(graph.weights)  # nobody else would tell
    else:
        proven = frozenset(node for node in side if witness.is_cut_off(node))
    others = graph.weights.keys() - side
    well = [node for node in others if node not in fleet.observers and _has_company(graph, node, others)]
    rivals = single_culprits(graph, [*proven, *(node for node in well if witness.is_cut_off(node))])
    price = log10_choose(len(graph.weights), len(side))
    score = (evidence - price - _RIVALS * rivals - 0.5 * unexplained) * min(1.0, spread_s / _SPREAD_S) ** 2
    return Cut(side, score, since, frozenset(graph.weights), crossing, proven, evidence, rivals)


def _has_company(graph: Graph, node: str, others: AbstractSet[str]) -> bool:
    """Whether it gets through to two others of its own side: then it is not what fails."""
    reached = [other for other, weight in graph.weights[node].items() if weight <= _WORKS and other in others]
    return len(reached) >= 2


class Witness:
    """Tells of nodes whether they are cut off, rather than dead, slow, or in need of others that are."""

    def __init__(self, broken: list[Broken], links: Links, fleet: Fleet, since: float) -> None:
        self._fleet = fleet
        self._since = since
        self._out: dict[str, list[Broken]] = {}
        self._in: dict[str, list[Broken]] = {}
        for way in broken:
            self._out.setdefault(way.source, []).append(way)
            self._in.setdefault(way.peer, []).append(way)
        self._named = {peer for _, peer in links.pairs()}
        self._reaches: dict[str, dict[str, float]] = {}
        for (source, peer), edge in links.working(since):
            if source in self._in:
                self._reaches.setdefault(source, {})[fleet.node(source, peer)] = edge.last_ok

    def is_cut_off(self, node: str) -> bool:
        """Whether it has given a sign of life itself since it is not reached, or reaches nobody."""
        if node not in self._fleet.members or self.is_dependency(node):
            return False
        own = self._out.get(node, [])
        if any(way.edge.run > 1 and way.edge.last - way.edge.first > 2.0 for way in own) or len(own) > 1:
            return True
        return bool(self._in.get(node)) and self._is_alive(node, self._in[node])

    def is_dependency(self, node: str) -> bool:
        """Whether others need it, or the service that it is an instance of, and it needs nobody to give it work."""
        member = self._fleet.members.get(node)
        if member is None:
            return True
        if member.worker or node in self._named or member.service not in self._named:
            return False
        siblings = self._fleet.of_service(member.service)
        return all(
            sibling in self._out or self._fleet.members[sibling].last < self._since
            for sibling in siblings
            if sibling != node
        )

    def _is_alive(self, node: str, ways: list[Broken]) -> bool:
        """Whether it goes on as before while others do not reach it, and is not reached by its own calls either."""
        first = min(way.edge.first for way in ways)
        failed, quick = sum(way.edge.run for way in ways), sum(way.edge.quick for way in ways)
        if quick > _REFUSED * failed:
            return False
        reached = self._reaches.get(node, {})
        if any(reached.get(way.source, 0.0) > first + 1.0 for way in ways):
            return False
        member = self._fleet.members[node]
        until = member.last + 1.0
        lived_s = until - first - 1.0
        lived = member.seconds_alive(first + 1.0, until)
        usual = member.seconds_alive(first - lived_s, first)
        if until <= first + 4.0 or lived < max(2, _AS_BEFORE * usual):
            return False
        return not _is_asleep(member, ways, max(lived / lived_s, usual / lived_s))


def _is_asleep(member: Member, ways: list[Broken], usual: float) -> bool:
    """Whether it does nothing just while others call it: then it is paused again and again, and not cut off.

    `usual` is the share of seconds in which it gives a sign of life.
    """
    waited: set[int] = set()
    for way in ways:
        took_s = way.edge.ended - way.edge.last
        for began in way.edge.recent:
            waited.update(range(int(began) + 1, int(began + took_s) + 1))
    expected = usual * len(waited)
    return expected >= _TELLING and member.alive_in(waited) < _STIRS * expected


def _graph(broken: list[Broken], links: Links, fleet: Fleet, since: float, core: frozenset[str] | None) -> Graph:
    """What works counts only if it did so after something had failed at one of its ends: it may be over by now."""
    directed: dict[Pair, float] = {}
    onset: dict[Pair, float] = {}
    troubled: dict[str, float] = {}
    for way in broken:
        pair, first = (way.source, way.peer), max(since, way.edge.first)
        directed[pair] = max(directed.get(pair, 0.0), way.weight)
        onset[pair] = min(onset.get(pair, first), first)
        for node in pair:
            troubled[node] = min(troubled.get(node, first), first)
    works = _working(links, fleet, since, core, directed, onset, troubled)
    for name, member in fleet.members.items():
        if member.heard > troubled.get(member.observer, math.inf):
            _heard(name, member.heard, member.observer, directed, onset, works)
    if any(way.unrated for way in broken):
        _unconcerned(fleet, broken, since, directed, works)
    graph = Graph.empty()
    for (one, other), weight in (*directed.items(), *works.items()):
        graph.add(one, other, weight)
    return graph


def _working(
    links: Links,
    fleet: Fleet,
    since: float,
    core: frozenset[str] | None,
    directed: dict[Pair, float],
    onset: dict[Pair, float],
    troubled: dict[str, float],
) -> dict[Pair, float]:
    """The pairs that have worked after something had failed at one of their ends, and what that is worth."""
    works: dict[Pair, float] = {}
    for (source, peer), edge in links.working(since):
        node = fleet.node(source, peer)
        pair, back = (source, node), (node, source)
        if source == node or pair in directed or (core is not None and node not in core):
            continue
        if (member := fleet.members.get(node)) is not None and member.given_up >= edge.last_ok:
            continue  # handed over, not arrived: the peer was given up afterwards
        if edge.last_ok > min(troubled.get(source, math.inf), troubled.get(node, math.inf)):
            denies = back in directed and edge.last_ok > onset[back] + _SETTLED_S
            works[pair] = _CONTRADICTS if denies else _WORKS
    return works


def _heard(
    name: str,
    heard: float,
    observer: str,
    directed: dict[Pair, float],
    onset: dict[Pair, float],
    works: dict[Pair, float],
) -> None:
    """A heartbeat that was received denies that its sender is cut off, unless nothing reaches that one."""
    pair, back = (name, observer), (observer, name)
    if not observer or back in directed:
        return
    if pair in directed:
        if heard > onset[pair] + _SETTLED_S:
            works[back] = min(works.get(back, 0.0), _CONTRADICTS)
    elif pair not in works:
        works[pair] = _WORKS


def _unconcerned(
    fleet: Fleet, broken: list[Broken], since: float, directed: dict[Pair, float], works: dict[Pair, float]
) -> None:
    """Where only failed messages are on record, whoever is alive and records none gets through.

    That is worth as much as it would be improbable if everybody failed alike, and only some of it were recorded.
    """
    alike: dict[tuple[str, str, bool], list[int]] = {}
    for way in broken:
        if way.unrated and way.source in fleet.members:
            count = sum(at >= since for at in way.edge.recent)
            key = (fleet.members[way.source].service, way.peer, way.pair[1] == COUNTED)
            alike.setdefault(key, []).append(count)
    silent: dict[Pair, float] = {}
    for (service, hub, counted), counts in alike.items():
        mean = sum(counts) / len(counts) - 1.0  # those with none are left out of it
        for name in fleet.of_service(service):
            pair = (name, hub)
            if name == hub or pair in directed or pair in works or (hub, name) in directed:
                continue
            last = fleet.members[name].exported if counted else fleet.members[name].last
            if last >= since + 1.0 and fleet.node(name, ORCHESTRATOR_PEER) == hub:
                silent[pair] = min(silent.get(pair, 0.0), max(_SILENT, -mean * _LOG10_E))
    works |= silent


def healed(cut: Cut, links: Links, fleet: Fleet, now: float) -> bool:
    """Whether calls between the sides get through again."""
    last = max(way.edge.last for way in cut.crossing)
    if now - max(way.edge.ended for way in cut.crossing) < 5.0:
        return False
    through = 0
    for (source, peer), _ in links.working(last + 1.0):
        node = fleet.node(source, peer)
        through += (source in cut.side) != (node in cut.side) and node in cut.nodes and source in cut.nodes
    return through >= 2
