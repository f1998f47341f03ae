"""What the demo's programs are started with: `opentelemetry-instrument` and environment variables, nothing else."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from otel_monitor.demo.fleet import ORCHESTRATOR, FleetError, Launch

CONFIGURATION: dict[str, Any] = {
    "monitoring_interval": 0.5,
    "enable_console_notifications": True,
    "alert_rules": {
        "slow_operations": {
            "metric_name": "response_time",
            "aggregation": "p90",
            "threshold": 450.0,
            "duration": 2,
            "window": 5,
            "min_samples": 5,
            "severity": "warning",
            "description": "Operations are slow",
        },
        "failing_operations": {
            "metric_name": "error_rate",
            "threshold": 0.2,
            "duration": 2,
            "window": 5,
            "min_samples": 5,
            "severity": "critical",
            "description": "Operations fail",
        },
        "memory_runs_out": {
            "metric_name": "memory_usage",
            "threshold": 50.0,
            "duration": 1,
            "window": 5,
            "severity": "critical",
            "description": "Half of the memory is used",
        },
        "uneven_load": {
            "metric_name": "orchestrator.load.imbalance",
            "threshold": 1.0,
            "duration": 3,
            "window": 5,
            "severity": "warning",
            "description": "One worker carries the others' load",
        },
        "blocked_event_loop": {
            "metric_name": "orchestrator.event_loop.delay",
            "aggregation": "p90",
            "threshold": 0.25,
            "duration": 3,
            "window": 5,
            "severity": "warning",
            "description": "The event loop is blocked",
        },
    },
}
"""The demo's configuration file: rules a user would write, their durations cut to a run of a minute."""

_INTERVALS = {
    "OTEL_BSP_SCHEDULE_DELAY": "500",
    "OTEL_BLRP_SCHEDULE_DELAY": "250",
    "OTEL_METRIC_EXPORT_INTERVAL": "1000",
}


def instrumented(endpoint: str, directory: Path, protocol: str = "http/protobuf") -> Launch:
    """Start programs under `opentelemetry-instrument`, exporting to `endpoint`."""
    configuration = directory / "otel-monitor.json"
    prefix = [_opentelemetry_instrument(), sys.executable]

    def launch(name: str) -> tuple[Sequence[str], Mapping[str, str]]:
        if not configuration.exists():
            configuration.write_text(json.dumps(CONFIGURATION, indent=1) + "\n", encoding="utf-8")
        environment = _clean_environment() | _INTERVALS | _classes(name)
        environment |= {
            "OTEL_SERVICE_NAME": _service(name),
            "OTEL_RESOURCE_ATTRIBUTES": f"service.instance.id={name},service.namespace=demo",
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            "OTEL_MONITOR_CONFIG": str(configuration),
        }
        return prefix, environment

    return launch


def plain(_name: str) -> tuple[Sequence[str], Mapping[str, str]]:
    """Start programs as their developer does, without any instrumentation."""
    return [sys.executable], _clean_environment()


def _classes(name: str) -> dict[str, str]:
    if name == ORCHESTRATOR:
        return {"OTEL_MONITOR_ORCHESTRATORS": "__main__:Orchestrator"}
    return {"OTEL_MONITOR_WORKERS": "__main__:Worker"}


def _service(name: str) -> str:
    return "demo-orchestrator" if name == ORCHESTRATOR else "demo-worker"


def _clean_environment() -> dict[str, str]:
    """This process's environment without its telemetry settings: they are the demo's, not the programs'."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    return environment | {"PYTHONUNBUFFERED": "1"}


def _opentelemetry_instrument() -> str:
    beside = Path(sys.executable).with_name("opentelemetry-instrument")
    found = str(beside) if beside.exists() else shutil.which("opentelemetry-instrument")
    if found is None:
        raise FleetError("opentelemetry-instrument is not installed here: pip install opentelemetry-instrumentation")
    return found
