"""Findings: what a detector sees at one moment, before rival explanations are compared."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from otel_monitor_processors.observation import TraceRef
from otel_monitor_processors.patterns.verdict import Pattern

Interests = Mapping[type[Any], Callable[[Any], bool | None]]
"""Operations come as tallies, a second of a source at a time; all else comes one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Evidence for one pattern in one scope, as it stands at an evaluation.

    `confidence` is the probability that the pattern is there, judged by this detector alone. `sources` are
    the instances concerned, `explains` those whose troubles of other kinds would follow from this one (None:
    everybody's). A `sure` finding needs no second look. `kind` names the sort of evidence, `score` its strength:
    what the confidence was calibrated on.
    """

    pattern: Pattern
    scope: str
    confidence: float
    sources: tuple[str, ...]
    summary: str
    window_s: float
    root: str = ""
    explains: frozenset[str] | None = frozenset()
    sure: bool = False
    kind: str = ""
    score: float = 0.0
    evidence: Mapping[str, Any] = field(default_factory=dict)
    traces: tuple[TraceRef, ...] = ()


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

    It touches no clock: time is the observations' own and what `findings` is given. Observations arrive in
    event-time order, `findings` is called about every second of it.
    """

    pattern: Pattern
    gates: Gates
    dropped: int

    def interests(self) -> Interests:
        """What it wants to see: for each kind of observation, and for `Tally`, the method that takes it in.

        A method that returns True asks for `findings` at once.
        """

    def findings(self, now: float) -> Iterable[Finding]:
        """Everything that speaks for the pattern at `now`."""

    def pause(self, gap_s: float) -> None:
        """The observer itself stood still for `gap_s` seconds: whatever did not arrive then proves nothing."""

    def reset(self) -> None:
        """Forget everything."""

    def dump(self) -> dict[str, Any]:
        """The whole state as JSON-compatible data."""

    def load(self, state: dict[str, Any]) -> None:
        """Take up a state that `dump` has given."""
