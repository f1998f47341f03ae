"""The labels of series, and what is said of them."""

from __future__ import annotations

from functools import lru_cache

from otel_monitor_processors.alerts.rule import Labels, Rule
from otel_monitor_processors.operation_windows import Key

_MAX_CACHED = 2_000


def series_labels(service: str, source: str, **more: str) -> Labels:
    """The labels of one series: `instance`, `service` where it is known, and what else tells it apart."""
    pairs = {"instance": source, "service": service, **more}
    return tuple(sorted((name, value) for name, value in pairs.items() if value))


@lru_cache(maxsize=_MAX_CACHED)
def operation_labels(key: Key) -> Labels:
    service, source, operation = key
    return series_labels(service, source, operation=operation)


def described(rule: Rule, what: str) -> str:
    return f"{rule.description}: {what}" if rule.description else what
