"""The engine that the settings describe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otel_monitor.settings import Settings
from otel_monitor_processors.alerts.defaults import Thresholds, default_rules
from otel_monitor_processors.alerts.rule import Rule
from otel_monitor_processors.engine import Engine
from otel_monitor_processors.measures import BUILT_IN, MEASURED_FOR_RULES
from otel_monitor_processors.patterns.catalogue import detectors
from otel_monitor_processors.patterns.verdict import Pattern

_GATES = {"time_window": "time_window_s"}
"""Where a setting and the gate that it sets have different names."""


def build_engine(settings: Settings) -> Engine:
    """An engine with the default rules at the settings' thresholds, the user's own rules, and the enabled detectors."""
    gates = {Pattern(name): _gates(given) for name, given in settings.patterns.items()}
    return Engine(rules(settings), detectors(gates, settings.pattern_window_size))


def rules(settings: Settings) -> tuple[Rule, ...]:
    """Every enabled rule, default and own."""
    thresholds = Thresholds(
        response_time_ms=(settings.response_time_warning, settings.response_time_critical),
        error_rate=(settings.error_rate_warning, settings.error_rate_critical),
        resource_usage_percent=(settings.resource_usage_warning, settings.resource_usage_critical),
        heartbeat_age_s=(settings.heartbeat_age_warning, settings.heartbeat_age_critical),
        duration_s=settings.default_duration,
    )
    return default_rules(thresholds, settings.alert_rules)


def reads_foreign_metrics(settings: Settings) -> bool:
    """Whether a rule names a metric that only a metric reader can see: neither built-in nor measured for rules."""
    names = {rule.metric_name for rule in rules(settings) if rule.metric_name is not None}
    return not names <= {*BUILT_IN, *MEASURED_FOR_RULES}


def _gates(given: Mapping[str, Any]) -> dict[str, Any]:
    return {_GATES.get(name, name): value for name, value in given.items()}
