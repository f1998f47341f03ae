"""Switched off, otel-monitor is as if it were not installed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.startup.conftest import Launcher
from tests.startup.receiver import Receiver

STATE = """
    import json, logging, os, sys, threading
    from opentelemetry import metrics, trace
    from opentelemetry._logs import get_logger_provider

    sdk = trace.get_tracer_provider()
    print(json.dumps({
        "providers": [type(p).__name__ for p in (sdk, metrics.get_meter_provider(), get_logger_provider())],
        "threads": sorted(t.name for t in threading.enumerate() if t is not threading.main_thread()),
        "ours": sorted(name for name in os.environ if os.environ[name] == "otel_monitor"),
        "otlp": sorted(name for name in os.environ if os.environ[name] in ("otlp", "http/protobuf")),
        "hooks": [type(finder).__name__ for finder in sys.meta_path if type(finder).__module__.startswith("wrapt")],
        "filters": [
            name for name in list(logging.root.manager.loggerDict) for item in logging.getLogger(name).filters
            if type(item).__module__.startswith("otel_monitor")
        ],
        "started": getattr(sys.modules.get("otel_monitor.startup"), "_monitoring", None) is not None,
    }))
"""

OFF: dict[str, dict[str, str]] = {
    "OTEL_MONITOR_ENABLED": {"OTEL_MONITOR_ENABLED": "false"},
    "OTEL_SDK_DISABLED": {"OTEL_SDK_DISABLED": "true"},
    "inherited from a parent that had it on": {
        "OTEL_MONITOR_ENABLED": "0",
        "OTEL_PYTHON_DISTRO": "otel_monitor",
        "OTEL_PYTHON_CONFIGURATOR": "otel_monitor",
    },
}


@pytest.mark.parametrize("how", [*OFF, "settings file"])
def test_switched_off_it_leaves_nothing_behind(launch: Launcher, tmp_path: Path, how: str) -> None:
    settings = tmp_path / "off.json"
    settings.write_text('{"enabled": false}')
    run = launch(STATE, env=OFF.get(how, {"OTEL_MONITOR_CONFIG": str(settings)}))
    state = json.loads(run.stdout)
    assert run.lines == []
    assert state["providers"] == ["ProxyTracerProvider", "_ProxyMeterProvider", "ProxyLoggerProvider"]
    assert (state["threads"], state["ours"], state["otlp"], state["started"]) == ([], [], [], False)
    assert state["hooks"] == []
    assert state["filters"] == []


def test_it_can_be_switched_off_by_an_option_of_opentelemetry_instrument(launch: Launcher) -> None:
    run = launch(STATE, options=["--monitor_enabled", "false"])
    state = json.loads(run.stdout)
    assert (state["threads"], state["ours"], state["started"]) == ([], [], False)
    assert (
        launch("import os; print(os.environ['OTEL_MONITOR_WORKERS'])", options=["--monitor_workers", "a:B"]).stdout
        == "a:B\n"
    )


def test_switched_on_it_sets_up_all_three_providers_with_defaults_for_what_is_unset(launch: Launcher) -> None:
    run = launch(STATE, env={"OTEL_TRACES_EXPORTER": "console", "OTEL_METRICS_EXPORTER": "none"})
    state = json.loads(run.stdout)
    assert run.lines == []
    assert state["providers"] == ["TracerProvider", "MeterProvider", "LoggerProvider"]
    assert state["ours"] == ["OTEL_PYTHON_CONFIGURATOR", "OTEL_PYTHON_DISTRO"]
    assert state["otlp"] == ["OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_LOGS_EXPORTER"]
    assert state["started"]


@pytest.mark.parametrize("how", OFF)
def test_switched_off_the_other_distro_works_as_if_we_were_not_there(
    launch: Launcher, receiver: Receiver, opentelemetry_distro: Path, how: str
) -> None:
    env = {
        "PYTHONPATH": str(opentelemetry_distro),
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        **OFF[how],
    }
    run = launch(STATE, env=env)
    state = json.loads(run.stdout)
    assert (state["ours"], state["started"]) == ([], False)
    assert state["otlp"] == [
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        "OTEL_LOGS_EXPORTER",
        "OTEL_METRICS_EXPORTER",
        "OTEL_TRACES_EXPORTER",
    ]
    assert state["providers"] == ["TracerProvider", "MeterProvider", "LoggerProvider"]
    assert [line for line in run.lines if "otel-monitor:" in line] == []
