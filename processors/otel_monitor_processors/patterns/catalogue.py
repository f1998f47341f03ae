"""All detectors, the causes first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otel_monitor_processors.patterns.cascading_failures import CascadingFailures
from otel_monitor_processors.patterns.database_contention import DatabaseContention
from otel_monitor_processors.patterns.finding import Detector, Gates
from otel_monitor_processors.patterns.heartbeat_degradation import HeartbeatDegradation
from otel_monitor_processors.patterns.load_imbalance import LoadImbalance
from otel_monitor_processors.patterns.network_partition import NetworkPartition
from otel_monitor_processors.patterns.resource_exhaustion import ResourceExhaustion
from otel_monitor_processors.patterns.verdict import Pattern


def detectors(gates: Mapping[Pattern, Mapping[str, Any]] | None = None, memory: int = 100) -> tuple[Detector, ...]:
    """One detector per pattern. `gates` overrides fields of `Gates`; a pattern that is not enabled has none."""
    made: tuple[Detector, ...] = (
        DatabaseContention(),
        ResourceExhaustion(),
        NetworkPartition(),
        HeartbeatDegradation(memory=memory),
        CascadingFailures(),
        LoadImbalance(),
    )
    return tuple(
        _gated(detector, dict((gates or {}).get(detector.pattern, {})))
        for detector in made
        if (gates or {}).get(detector.pattern, {}).get("enabled", True)
    )


def _gated(detector: Detector, given: dict[str, Any]) -> Detector:
    if given:
        values = {name: getattr(detector.gates, name) for name in Gates.__slots__} | given
        rebuilt: Detector = type(detector)(Gates(**values))  # type: ignore[call-arg]  # every detector takes its gates first
        return rebuilt
    return detector
