"""Verdicts: what the detectors conclude, how sure they are, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from otel_monitor_processors.observation import Observation, TraceRef


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
    concerns, `evidence` the numbers behind it, `summary` the same in words.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Gates:
    """What a pattern needs at least, on top of its evidence; they can be set at run time.

    `min_events` observations of a source, `failure_rate_threshold` as the share of the known sources that is
    affected, both within `time_window_s`.
    """

    enabled: bool = True
    min_events: int = 5
    time_window_s: float = 60.0
    failure_rate_threshold: float = 0.0


class Detector(Protocol):
    """Recognises one failure pattern in a stream of observations.

    It touches no clock: time is the observations' own and what `verdicts` is given. Observations arrive in
    event-time order, `verdicts` is called about every second of it.
    """

    pattern: Pattern
    gates: Gates
    dropped: int

    def observe(self, observation: Observation) -> bool:
        """Take in one observation. True: `verdicts` should be asked at once."""

    def verdicts(self, now: float) -> Iterable[Verdict]:
        """What has opened, changed or closed by `now` since the last call."""

    def pause(self, gap_s: float) -> None:
        """The observer itself stood still for `gap_s` seconds: whatever did not arrive then proves nothing."""

    def reset(self) -> None:
        """Forget everything."""

    def dump(self) -> dict[str, Any]:
        """The whole state as JSON-compatible data."""

    def load(self, state: dict[str, Any]) -> None:
        """Take up a state that `dump` has given."""
