"""Alerts and the steps of their life, as values."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

from otel_monitor_processors.alerts.rule import Labels, Severity
from otel_monitor_processors.observation import TraceRef

MAX_TRACES = 5
"""How many exemplar traces an alert carries."""


class State(StrEnum):
    """Where an alert is in its life. An inactive one is not kept."""

    INACTIVE = "inactive"
    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One episode of one rule on one label set.

    Its identity is the rule and the labels, never the value, the severity or the text; `id` tells the
    episodes of one identity apart by their start. `metric` is what its rule looks at, empty for a pattern.
    `due_at` is when a pending one fires if the condition goes on to hold. `sampled_at` is the time of the newest
    sample behind `value`, `sample_gap_s` the longest that was between two of this episode; `blind_since` says
    since when there has been no data, and `held` what the alert waits for or is kept by, in words.
    """

    id: str
    fingerprint: str
    rule: str
    labels: Labels
    severity: Severity
    state: State
    active_at: float
    fired_at: float | None = None
    resolved_at: float | None = None
    keep_since: float | None = None
    value: float
    threshold: float
    summary: str = ""
    held: str = ""
    traces: tuple[TraceRef, ...] = ()
    pattern: str = ""
    confidence: float | None = None
    window_s: float = 0.0
    evidence: Mapping[str, Any] = field(default_factory=dict)
    metric: str = ""
    due_at: float | None = None
    sampled_at: float | None = None
    sample_gap_s: float = 0.0
    blind_since: float | None = None

    def but(self, **changes: Any) -> Alert:
        """A copy with some fields changed, in a quarter of the time of `dataclasses.replace`."""
        copy = object.__new__(Alert)
        for get, put in _SLOTS:
            put(copy, get(self))
        for name, value in changes.items():
            _PUT[name](copy, value)
        return copy

    def dump(self) -> dict[str, Any]:
        """As JSON-compatible data."""
        return {name: getattr(self, name) for name in _FIELDS}

    @classmethod
    def load(cls, state: Mapping[str, Any]) -> Alert:
        """Take up what `dump` has given; fields of a later version are passed over."""
        values = {name: state[name] for name in _FIELDS if name in state}
        values["labels"] = tuple((name, value) for name, value in state["labels"])
        values["severity"] = Severity(state["severity"])
        values["state"] = State(state["state"])
        values["traces"] = tuple(TraceRef(*trace) for trace in state["traces"])
        return cls(**values)


_FIELDS = tuple(item.name for item in fields(Alert))
_PUT = {name: getattr(Alert, name).__set__ for name in _FIELDS}
_SLOTS = tuple((getattr(Alert, name).__get__, put) for name, put in _PUT.items())


@dataclass(frozen=True, slots=True)
class AlertTransition:
    """An alert has changed its state (or, `previous` being the same, its evidence) at `at`, for `reason`.

    `previous_severity` is there when the severity of the same alert has changed.
    """

    at: float
    alert: Alert
    previous: State
    reason: str
    previous_severity: Severity | None = None

    @property
    def is_news(self) -> bool:
        """Whether its state, severity or evidence has changed, and not merely what keeps it as it is."""
        changed = self.alert.state is not self.previous or self.previous_severity is not None
        return changed or bool(self.alert.pattern)


def fingerprint(rule: str, labels: Labels) -> str:
    """Identity of an alert: a digest of its rule and label set."""
    canonical = json.dumps({"labels": sorted(labels), "rule": rule}, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def episode_id(identity: str, active_at: float) -> str:
    """Identity of one episode. The same input gives the same ids wherever the engine runs."""
    return hashlib.sha256(f"{identity}@{active_at:.6f}".encode()).hexdigest()[:16]
