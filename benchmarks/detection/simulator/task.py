"""Tasks: the kinds of work that a system has, and single pieces of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from benchmarks.detection.simulator.database import Statement
from benchmarks.detection.simulator.trace import Span


@dataclass(frozen=True, slots=True)
class Kind:
    """What tasks of one name do."""

    name: str
    seconds: float
    """Computing, on a whole core; half of the tasks need between half and twice as much."""
    statements: tuple[Statement, ...] = ()
    calls: tuple[str, ...] = ()
    """Services that it asks, one after the other."""
    peers: int = 0
    """Other workers that it fetches something from."""
    mistake_share: float = 0.0
    """So often it fails in its own right."""
    memory: float = 0.0
    """What it holds while it runs, in bytes."""
    garbage: float = 0.0


@dataclass(slots=True, eq=False)
class Task:
    """One piece of work."""

    id: str
    kind: Kind
    created_at: float
    stream: str | None = None
    span: Span | None = None
    """The span that gave it to its worker."""
    attempt: int = 1
    reason: str = "new"
    kills: bool = False
    """Whoever runs it dies."""
    fails: bool = False
    """Its input is bad: it fails wherever it runs."""
    stretch: float = 1.0
    worker: str | None = None
    """Who has it, as the orchestrator knows."""
    assigned_at: float = 0.0
    tried: list[str] = field(default_factory=list)
