"""What the parts of one system share."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from benchmarks.detection.simulator.database import Database
from benchmarks.detection.simulator.facts import Observer
from benchmarks.detection.simulator.failure import TOO_MANY_FILES, Failure
from benchmarks.detection.simulator.kernel import Body, Simulation
from benchmarks.detection.simulator.names import Names
from benchmarks.detection.simulator.network import Network
from benchmarks.detection.simulator.node import End, Node
from benchmarks.detection.simulator.service import Calls, Service
from benchmarks.detection.simulator.trace import Span


@dataclass(slots=True)
class Parts:
    """The surroundings of every orchestrator and worker."""

    simulation: Simulation
    rng: random.Random
    names: Names
    network: Network
    observer: Observer
    database: Database
    calls: Calls
    services: dict[str, Service]
    database_retries: int = 1
    peers: list[Node] = field(default_factory=list)
    """Workers that serve data to other workers."""
    killed_for_memory: list[tuple[float, str]] = field(default_factory=list)

    def out_of_memory(self, node: Node) -> None:
        """The kernel ends whoever is above the limit of its container."""
        if node.alive and node.machine.memory > node.machine.capacity.memory:
            self.killed_for_memory.append((self.simulation.now, node.name))
            node.kill(End.EXIT)

    def fetch(self, node: Node, parent: Span) -> Body[Failure | None]:
        """Fetch a piece of data from some other worker."""
        others = [peer for peer in self.peers if peer is not node and peer.alive]
        if not others:
            return None
        if node.broken_for_calls:
            return TOO_MANY_FILES
        peer = self.rng.choice(others)
        began = self.simulation.now
        span = self.observer.span(node, parent)
        failure = yield from self.network.request(node, peer, "peer", 2.0, lambda: _hand_over(peer))
        self.observer.called(node, peer.name, peer, "/blocks", span, began, failure)
        return failure


def _hand_over(peer: Node) -> Body[Failure | None]:
    yield 0.002 * peer.machine.stretch()
    return None
