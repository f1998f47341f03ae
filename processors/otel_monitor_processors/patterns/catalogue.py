"""All detectors, the causes first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from otel_monitor_processors.patterns.cascading_failures.detector import CascadingFailures
from otel_monitor_processors.patterns.database_contention.detector import DatabaseContention
from otel_monitor_processors.patterns.finding import Detector
from otel_monitor_processors.patterns.heartbeat_degradation.detector import HeartbeatDegradation
from otel_monitor_processors.patterns.load_imbalance.detector import LoadImbalance
from otel_monitor_processors.patterns.network_partition.detector import NetworkPartition
from otel_monitor_processors.patterns.resource_exhaustion.detector import ResourceExhaustion
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
    chosen = gates or {}
    for detector in made:
        detector.gates = replace(detector.gates, **chosen.get(detector.pattern, {}))
    return tuple(detector for detector in made if detector.gates.enabled)
