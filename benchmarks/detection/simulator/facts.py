"""What an instrumentation in the programs could see: one method is one kind of fact."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from benchmarks.detection.simulator.failure import Failure
from benchmarks.detection.simulator.node import Node
from benchmarks.detection.simulator.trace import Span

if TYPE_CHECKING:
    from benchmarks.detection.simulator.database import Database, Statement
    from benchmarks.detection.simulator.task import Task


class Observer(Protocol):
    """Is told what happens in a process, at the time when it has ended; `began` is when it began."""

    def span(self, node: Node, parent: Span | None) -> Span:
        """The ids of a span that begins here now."""

    def registered(self, orchestrator: Node, worker: Node, span: Span, began: float, failure: Failure | None) -> None:
        """The worker has asked to join, and (without a failure) was taken in."""

    def deregistered(self, orchestrator: Node, worker: Node, span: Span, began: float) -> None:
        """The worker has left in good order."""

    def heartbeat_sent(self, worker: Node, orchestrator: Node, began: float, failure: Failure | None) -> None:
        """The worker knows what became of its heartbeat."""

    def heartbeat_received(self, orchestrator: Node, worker: Node) -> None:
        """The orchestrator begins to handle it."""

    def heartbeat_handled(self, orchestrator: Node, worker: Node, began: float, failure: Failure | None) -> None:
        """The orchestrator has handled it."""

    def assigned(
        self, orchestrator: Node, worker: Node, task: Task, span: Span, began: float, failure: Failure | None
    ) -> None:
        """The orchestrator has given the task to the worker, or could not."""

    def rebalanced(self, orchestrator: Node, span: Span, began: float, moved: int) -> None:
        """The orchestrator has shared its streams out anew."""

    def lost(self, orchestrator: Node, worker: Node, span: Span, began: float, reason: str) -> None:
        """The orchestrator has given the worker up and its tasks to others."""

    def processed(
        self, worker: Node, task: Task, span: Span, began: float, waited_s: float, failure: Failure | None
    ) -> None:
        """The worker has run the task."""

    def database(
        self,
        client: Node,
        database: Database,
        statement: Statement,
        span: Span,
        began: float,
        failure: Failure | None,
        lock_wait_s: float,
    ) -> None:
        """A statement has ended."""

    def called(
        self, caller: Node, service: str, target: Node, path: str, span: Span, began: float, failure: Failure | None
    ) -> None:
        """A call of another service has ended, as its caller sees it."""

    def served(self, server: Node, path: str, span: Span, began: float, failure: Failure | None) -> None:
        """The same, as the one that was called sees it."""

    def logged(self, node: Node, severity: int, text: str, failure: Failure | None = None) -> None:
        """The program has written a line into its log."""

    def said_goodbye(self, node: Node) -> None:
        """The process ends in good order: it flushes what it has recorded."""
