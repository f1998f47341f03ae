"""Alerts and the steps of their life, as values."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
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
    episodes of one identity apart by their start.
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


@dataclass(frozen=True, slots=True)
class AlertTransition:
    """An alert has changed its state (or, `previous` being the same, its evidence) at `at`, for `reason`."""

    at: float
    alert: Alert
    previous: State
    reason: str


def fingerprint(rule: str, labels: Labels) -> str:
    """Identity of an alert: a digest of its rule and label set."""
    canonical = json.dumps({"labels": sorted(labels), "rule": rule}, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def episode_id(identity: str, active_at: float) -> str:
    """Identity of one episode. The same input gives the same ids wherever the engine runs."""
    return hashlib.sha256(f"{identity}@{active_at:.6f}".encode()).hexdigest()[:16]
