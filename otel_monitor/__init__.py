"""OpenTelemetry instrumentation for orchestrators and workers, with failure detection before export.

Names are imported when they are first used: a program that is instrumented from outside pays for none.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from otel_monitor.alerting.handlers import add_alert_handler
    from otel_monitor.instrumentation.api import instrument, operation, orchestrator, uninstrument, worker
    from otel_monitor.instrumentation.propagation import extract, inject

__all__ = [
    "add_alert_handler",
    "extract",
    "inject",
    "instrument",
    "operation",
    "orchestrator",
    "uninstrument",
    "worker",
]

_HOMES = {
    "add_alert_handler": "otel_monitor.alerting.handlers",
    "extract": "otel_monitor.instrumentation.propagation",
    "inject": "otel_monitor.instrumentation.propagation",
    "instrument": "otel_monitor.instrumentation.api",
    "operation": "otel_monitor.instrumentation.api",
    "orchestrator": "otel_monitor.instrumentation.api",
    "uninstrument": "otel_monitor.instrumentation.api",
    "worker": "otel_monitor.instrumentation.api",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("otel-monitor")
    elif name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
