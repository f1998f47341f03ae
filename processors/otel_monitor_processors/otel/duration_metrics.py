"""Histograms of the durations of operations as counts of operations, by name and outcome."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from otel_monitor_processors.classification import Category, classify_attributes, reports_error
from otel_monitor_processors.observation import OperationCount
from otel_monitor_processors.otel import attributes as names
from otel_monitor_processors.otel.increases import Increase
from otel_monitor_processors.otel.levels import Labels

_OPERATIONS = re.compile(
    r"orchestrator\.operation\.duration|(http|rpc)\.server(\.request|\.call)?\.duration|messaging\.process\.duration"
)
_DATABASE = re.compile(r"db\.client\.operations?\.duration|db\.client\.connections\.use_time")
_NAMES = (names.OPERATION_NAME, "http.route", "http.target", "rpc.method", "messaging.destination.name")
_SYSTEMS = ("db.system.name", "db.system")
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}


class _Meaning(NamedTuple):
    """What the points of one series count."""

    name: str
    category: Category | None
    database: bool


def operation_count(
    source: str, service: str, metric: str, unit: str, labels: Labels, increase: Increase, at_s: float
) -> OperationCount | None:
    """What one point of a histogram counts; None where it is no histogram of operations' durations."""
    meaning = _meaning(metric, labels)
    if meaning is None:
        return None
    busy_s = max(0.0, increase.value * _SECONDS.get(unit, 1.0))
    return OperationCount(
        at_s, source, meaning.name, increase.events, busy_s, meaning.category, meaning.database, service
    )


@lru_cache(maxsize=4_096)
def _meaning(metric: str, labels: Labels) -> _Meaning | None:
    database = _DATABASE.fullmatch(metric) is not None
    if not database and _OPERATIONS.fullmatch(metric) is None:
        return None
    attributes = dict(labels)
    name = next((attributes[key] for key in (_SYSTEMS if database else _NAMES) if key in attributes), metric)
    category = classify_attributes(attributes) if reports_error(attributes) else None
    return _Meaning(name, category, database)
