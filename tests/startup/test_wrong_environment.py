"""A wrong variable costs a line, not telemetry."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.startup.conftest import Launcher, distribution
from tests.startup.receiver import Receiver

PROGRAM = """
    import logging, os
    from opentelemetry import _logs, metrics, trace
    with trace.get_tracer("test").start_as_current_span("span"):
        _logs.get_logger_provider().get_logger("test").emit(event_name="event", body="happened")
    metrics.get_meter("test").create_counter("orders").add(1)
    print(os.environ.get(os.environ.get("SHOW", ""), "unset"))
"""

WRONG: dict[str, tuple[dict[str, str], str, str]] = {
    # what: the environment, what its line must hold, what is lost
    "exporter misspelt": ({"OTEL_TRACES_EXPORTER": "otpl"}, "no exporter 'otpl' (did you mean 'otlp'?)", "traces"),
    "one of two exporters": ({"OTEL_TRACES_EXPORTER": "otlp,jaegr"}, "no exporter 'jaegr'", ""),
    "package missing": (
        {"OTEL_METRICS_EXPORTER": "prometheus"},
        "pip install opentelemetry-exporter-prometheus",
        "metrics",
    ),
    "exporter of logs": ({"OTEL_LOGS_EXPORTER": "file"}, "use one of console, otlp, otlp_proto_grpc", "logs"),
    "protocol": ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, "http/json is not one of grpc, http/protobuf", ""),
    "protocol of a signal": (
        {"OTEL_EXPORTER_OTLP_LOGS_PROTOCOL": "carrier-pigeon"},
        "http/protobuf is used instead",
        "",
    ),
    "sampler": ({"OTEL_TRACES_SAMPLER": "allways_on"}, "(did you mean 'always_on'?)", ""),
    "ratio": (
        {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "50%"},
        "not a number from 0 to 1",
        "",
    ),
    "id generator": ({"OTEL_PYTHON_ID_GENERATOR": "xray"}, "xray is not one of random", ""),
    "queue size": ({"OTEL_BSP_MAX_QUEUE_SIZE": "many"}, "OTEL_BSP_MAX_QUEUE_SIZE=many is not a whole number", ""),
    "queue below a batch": ({"OTEL_BSP_MAX_QUEUE_SIZE": "100"}, "batches of 100 are used", ""),
    "limit": ({"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "a few"}, "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT=a few is not a whole", ""),
    "interval": ({"OTEL_METRIC_EXPORT_INTERVAL": "0"}, "OTEL_METRIC_EXPORT_INTERVAL=0 is not a number above 0", ""),
    "timeout": ({"OTEL_EXPORTER_OTLP_TIMEOUT": "10s"}, "OTEL_EXPORTER_OTLP_TIMEOUT=10s is not a number above 0", ""),
    "compression": ({"OTEL_EXPORTER_OTLP_COMPRESSION": "zip"}, "zip is not one of none, gzip, deflate", ""),
    "exemplars": ({"OTEL_METRICS_EXEMPLAR_FILTER": "some"}, "some is not one of trace_based", ""),
    "setting of ours": ({"OTEL_MONITOR_MONITORING_INTERVAL": "often"}, "expected a number, got 'often'", ""),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_variable_is_said_in_one_line_and_the_rest_works(
    launch: Launcher, receiver: Receiver, what: str
) -> None:
    environment, told, lost = WRONG[what]
    run = launch(PROGRAM, env={"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint, **environment})
    assert run.code == 0
    assert len(run.lines) == 1, run.stderr
    assert run.lines[0].startswith("otel-monitor: ")
    assert told in run.lines[0]
    assert "Your code keeps running" in run.lines[0]
    received = receiver.received
    assert ("span" in received.span_names()) == (lost != "traces")
    assert ("orders" in received.metric_names()) == (lost != "metrics")
    assert ("event" in {record.event_name for record in received.logs()}) == (lost != "logs")


def test_the_program_sees_the_environment_as_the_user_set_it(launch: Launcher, receiver: Receiver) -> None:
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
        "OTEL_TRACES_EXPORTER": "otpl",
        "SHOW": "OTEL_TRACES_EXPORTER",
    }
    assert launch(PROGRAM, env=env).stdout == "otpl\n"


@pytest.fixture
def bad_exporters(tmp_path: Path) -> str:
    """A folder for PYTHONPATH with one exporter that cannot be imported, and one that cannot be made."""
    importing = """
        [opentelemetry_traces_exporter]
        unimportable = bad_import:Exporter
    """
    distribution(tmp_path / "packages", "bad-import", importing, "import not_installed\n")
    making = """
        [opentelemetry_traces_exporter]
        unmakeable = bad_maker:Exporter
    """
    source = """
        from opentelemetry.sdk.trace.export import SpanExporter
        class Exporter(SpanExporter):
            def __init__(self):
                raise ValueError("no licence")
    """
    distribution(tmp_path / "packages", "bad-maker", making, source)
    return str(tmp_path / "packages")


def test_an_exporter_whose_package_is_broken_is_named_with_its_error(
    launch: Launcher, receiver: Receiver, bad_exporters: str
) -> None:
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint, "PYTHONPATH": bad_exporters}
    run = launch(PROGRAM, env={**env, "OTEL_TRACES_EXPORTER": "unimportable"})
    assert len(run.lines) == 1, run.stderr
    assert "'unimportable' cannot be imported (ModuleNotFoundError: No module named 'not_installed')" in run.lines[0]
    assert "pip install --force-reinstall bad-import" in run.lines[0]
    assert "orders" in receiver.received.metric_names()


def test_an_exporter_that_cannot_be_made_costs_a_line_and_no_traceback(
    launch: Launcher, receiver: Receiver, bad_exporters: str
) -> None:
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint, "PYTHONPATH": bad_exporters}
    run = launch(PROGRAM, env={**env, "OTEL_TRACES_EXPORTER": "unmakeable"})
    assert (run.code, run.stdout) == (0, "unset\n")
    assert "Traceback" not in run.stderr
    assert "could not be set up (ValueError: no licence)" in run.lines[0]
    assert "your code keeps running" in run.lines[0]
