"""Verdicts: what is concluded of the monitored system, how sure that is, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from otel_monitor_processors.observation import TraceRef


class Pattern(StrEnum):
    """The ways in which a system of orchestrators and workers fails."""

    CASCADING_FAILURES = "cascading_failures"
    RESOURCE_EXHAUSTION = "resource_exhaustion"
    NETWORK_PARTITION = "network_partition"
    DATABASE_CONTENTION = "database_contention"
    HEARTBEAT_DEGRADATION = "heartbeat_degradation"
    LOAD_IMBALANCE = "load_imbalance"


class VerdictState(StrEnum):
    """Where a verdict is in its life."""

    OPENED = "opened"
    UPDATED = "updated"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One conclusion about the monitored system. At most one is open per pattern and scope.

    `confidence` is the probability that the pattern is really there, `sources` are the instances it
    concerns, `root` the one it started from where that is known, `evidence` the numbers behind it, `summary`
    the same in words.
    """

    pattern: Pattern
    scope: str
    state: VerdictState
    at: float
    opened_at: float
    confidence: float
    sources: tuple[str, ...]
    summary: str
    window_s: float
    root: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    traces: tuple[TraceRef, ...] = ()

    def dump(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def load(cls, state: dict[str, Any]) -> Verdict:
        values = dict(state)
        values["pattern"] = Pattern(state["pattern"])
        values["state"] = VerdictState(state["state"])
        values["sources"] = tuple(state["sources"])
        values["traces"] = tuple(TraceRef(*trace) for trace in state["traces"])
        return cls(**values)
