"""Failure detection and alerting inside the OpenTelemetry pipeline, before export.

`Engine` and the value types are pure; the processors feed an engine from any provider of the SDK.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from otel_monitor_processors.alerts.alert import Alert, AlertTransition, State
    from otel_monitor_processors.alerts.rule import Comparison, NoData, Rule, Severity
    from otel_monitor_processors.classification import Category
    from otel_monitor_processors.engine import Engine, VerdictTransition
    from otel_monitor_processors.otel.driver import Driver
    from otel_monitor_processors.otel.log import MonitorLogRecordProcessor
    from otel_monitor_processors.otel.metric import MonitorMetricReader
    from otel_monitor_processors.otel.span import FlaggingSpanProcessor, MonitorSpanProcessor
    from otel_monitor_processors.patterns.verdict import Pattern, Verdict, VerdictState

_MODULES = {
    "Alert": "alerts.alert",
    "AlertTransition": "alerts.alert",
    "Category": "classification",
    "Comparison": "alerts.rule",
    "Driver": "otel.driver",
    "Engine": "engine",
    "FlaggingSpanProcessor": "otel.span",
    "MonitorLogRecordProcessor": "otel.log",
    "MonitorMetricReader": "otel.metric",
    "MonitorSpanProcessor": "otel.span",
    "NoData": "alerts.rule",
    "Pattern": "patterns.verdict",
    "Rule": "alerts.rule",
    "Severity": "alerts.rule",
    "State": "alerts.alert",
    "Verdict": "patterns.verdict",
    "VerdictState": "patterns.verdict",
    "VerdictTransition": "engine",
}

__all__ = [
    "Alert",
    "AlertTransition",
    "Category",
    "Comparison",
    "Driver",
    "Engine",
    "FlaggingSpanProcessor",
    "MonitorLogRecordProcessor",
    "MonitorMetricReader",
    "MonitorSpanProcessor",
    "NoData",
    "Pattern",
    "Rule",
    "Severity",
    "State",
    "Verdict",
    "VerdictState",
    "VerdictTransition",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for: the core must be usable without OpenTelemetry."""
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{module}"), name)
