"""Beside other distros, configuration files and providers of others: it works, and says what is less than complete."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

from tests.startup.conftest import Launcher, distribution
from tests.startup.receiver import Receiver, attributes

FAILING = """
    import time
    from opentelemetry import trace
    from otel_monitor_processors.alerts.alert import State
    from otel_monitor_processors.otel.driver import current_driver

    def fail():
        with trace.get_tracer("test").start_as_current_span("work") as span:
            span.set_status(trace.StatusCode.ERROR, "broken")

    failures = 0
    engine = current_driver().engine
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and not any(alert.state is State.FIRING for alert in engine.alerts()):
        fail()
        failures += 1
        time.sleep(0.01)
    fail()
    print(failures + 1, len(engine.alerts()))
"""
ALERTING = {"OTEL_MONITOR_DEFAULT_DURATION": "0"}


def _marked(receiver: Receiver) -> list[str]:
    return [span.name for span in receiver.received.spans() if "otel_monitor.alert.rule" in attributes(span)]


def _alerts(receiver: Receiver) -> list[str]:
    return [
        record.event_name for record in receiver.received.logs() if record.event_name.startswith("otel_monitor.alert")
    ]


def _env(receiver: Receiver, **more: str) -> dict[str, str]:
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint, **ALERTING, **more}


def test_on_its_own_alerts_leave_and_the_spans_behind_them_are_marked(launch: Launcher, receiver: Receiver) -> None:
    run = launch(FAILING, env=_env(receiver))
    assert [line for line in run.lines if " ALERT " not in line] == []
    assert "ALERT firing" in run.stderr
    assert _alerts(receiver)
    assert _marked(receiver)
    assert len(receiver.received.spans()) == int(run.stdout.split()[0])


def test_beside_opentelemetry_distro_ours_is_taken_and_nothing_is_said(
    launch: Launcher, receiver: Receiver, opentelemetry_distro: Path
) -> None:
    run = launch(FAILING, env=_env(receiver, PYTHONPATH=str(opentelemetry_distro)))
    assert [line for line in run.lines if " ALERT " not in line] == []
    assert _marked(receiver)
    assert _alerts(receiver)


def test_when_the_user_has_chosen_another_distro_it_attaches_to_its_providers_and_says_so(
    launch: Launcher, receiver: Receiver, opentelemetry_distro: Path
) -> None:
    env = _env(receiver, PYTHONPATH=str(opentelemetry_distro), OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf")
    run = launch(FAILING, env={**env, "OTEL_PYTHON_DISTRO": "distro", "OTEL_PYTHON_CONFIGURATOR": "configurator"})
    ours = [line for line in run.lines if line.startswith("otel-monitor: ") and " ALERT " not in line]
    assert len(ours) == 1
    assert "the spans behind an alert are not marked" in ours[0]
    assert _alerts(receiver)
    assert _marked(receiver) == []
    assert len(receiver.received.spans()) == int(run.stdout.split()[0])


def test_a_program_that_initialises_by_itself_is_monitored_beside_opentelemetry_distro(
    launch: Launcher, receiver: Receiver, opentelemetry_distro: Path
) -> None:
    begin = "from opentelemetry.instrumentation.auto_instrumentation import initialize\ninitialize()\n"
    env = _env(receiver, PYTHONPATH=str(opentelemetry_distro), OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf")
    run = launch.plain(begin + _flat(FAILING), env=env)
    ours = [line for line in run.lines if line.startswith("otel-monitor: ") and " ALERT " not in line]
    assert len(ours) == 1
    assert "OTEL_PYTHON_DISTRO=otel_monitor" in ours[0]
    assert _alerts(receiver)
    assert run.seconds < 5


def test_a_program_that_initialises_by_itself_is_monitored_in_full_on_its_own(
    launch: Launcher, receiver: Receiver
) -> None:
    begin = "from opentelemetry.instrumentation.auto_instrumentation import initialize\ninitialize()\n"
    run = launch.plain(begin + _flat(FAILING), env=_env(receiver))
    assert [line for line in run.lines if " ALERT " not in line] == []
    assert _marked(receiver)


def test_with_a_configuration_file_of_the_sdk_it_attaches_afterwards_and_says_so(
    launch: Launcher, receiver: Receiver, opentelemetry_configuration: Path, tmp_path: Path
) -> None:
    run = launch(FAILING, env=_config_file(receiver.endpoint, opentelemetry_configuration, tmp_path))
    told = [line for line in run.lines if " ALERT " not in line]
    assert len(told) == 1, run.stderr
    assert "OTEL_CONFIG_FILE=" in told[0]
    assert "our processors run after the exporter's" in told[0]
    assert "Your code keeps running." in told[0]
    assert _alerts(receiver)
    assert len(receiver.received.spans()) == int(run.stdout.split()[0])


def test_with_a_configuration_file_too_a_dead_collector_costs_one_line(
    launch: Launcher, opentelemetry_configuration: Path, tmp_path: Path
) -> None:
    run = launch(FAILING, env=_config_file("http://127.0.0.1:9", opentelemetry_configuration, tmp_path))
    told = [line for line in run.lines if " ALERT " not in line and "OTEL_CONFIG_FILE=" not in line]
    assert len(told) == 1, run.stderr
    assert "connection refused" in told[0]
    assert run.seconds < 5


def test_a_configuration_file_without_its_package_is_said_in_one_line(launch: Launcher, tmp_path: Path) -> None:
    path = tmp_path / "sdk.yaml"
    path.write_text("file_format: '1.0'\n")
    run = launch("print('done')", env={"OTEL_CONFIG_FILE": str(path)})
    assert (run.code, run.stdout) == (0, "done\n")
    assert "pip install opentelemetry-configuration" in run.lines[0]
    assert "Traceback" not in run.stderr


def test_under_providers_of_the_program_itself_it_attaches_when_started_by_hand(
    launch: Launcher, receiver: Receiver
) -> None:
    begin = """
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        provider = TracerProvider()
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        trace.set_tracer_provider(provider)
        from otel_monitor import startup
        startup.start()
        startup.start()
    """
    run = launch.plain(_flat(begin) + _flat(FAILING), env=_env(receiver))
    told = [line for line in run.lines if " ALERT " not in line]
    assert len(told) == 1, run.stderr
    assert "no MeterProvider, LoggerProvider of an OpenTelemetry SDK is set" in told[0]
    assert "the spans behind an alert are not marked" in told[0]
    assert int(run.stdout.split()[1]) > 0
    assert len(receiver.received.spans()) == int(run.stdout.split()[0])


def test_without_any_provider_failures_are_still_detected_and_what_is_missing_is_said(launch: Launcher) -> None:
    program = """
        import time
        from otel_monitor import startup
        from otel_monitor_processors.observation import Operation, Outcome
        from otel_monitor_processors.otel.driver import current_driver

        startup.start()
        driver = current_driver()
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and not driver.engine.alerts():
            driver.observe(Operation(driver.now(), "w1", "process", Outcome.FAILED, 0.1))
            time.sleep(0.01)
    """
    run = launch.plain(program, env=ALERTING)
    assert run.code == 0
    told = [line for line in run.lines if " ALERT " not in line]
    assert len(told) == 1, run.stderr
    assert "no TracerProvider, MeterProvider, LoggerProvider of an OpenTelemetry SDK is set" in told[0]
    assert "start the program with opentelemetry-instrument" in told[0]
    assert " ALERT firing [critical] " in run.stderr


def test_an_instrumentation_that_fails_is_left_out_with_a_line_and_the_rest_works(
    launch: Launcher, receiver: Receiver, tmp_path: Path
) -> None:
    entry_points = """
        [opentelemetry_instrumentor]
        aaa_broken = broken_instrumentation:Instrumentor
    """
    source = """
        class Instrumentor:
            def instrument(self, **kwargs):
                raise ValueError("not today")
    """
    distribution(tmp_path / "packages", "broken-instrumentation", entry_points, source)
    run = launch(FAILING, env=_env(receiver, PYTHONPATH=str(tmp_path / "packages")))
    told = [line for line in run.lines if " ALERT " not in line]
    assert len(told) == 1, run.stderr
    assert "the instrumentation 'aaa_broken' failed and is left out (ValueError: not today)" in told[0]
    assert _marked(receiver)


def _flat(source: str) -> str:
    return dedent(source)


def _config_file(endpoint: str, packages: Path, folder: Path) -> dict[str, str]:
    path = folder / "sdk.yaml"
    path.write_text(dedent(CONFIG).replace("ENDPOINT", endpoint))
    return {"OTEL_CONFIG_FILE": str(path), "PYTHONPATH": str(packages), **ALERTING}


CONFIG = """
    file_format: "1.0"
    tracer_provider:
      processors:
        - batch: {exporter: {otlp_http: {endpoint: ENDPOINT/v1/traces}}}
    meter_provider:
      readers:
        - periodic: {exporter: {otlp_http: {endpoint: ENDPOINT/v1/metrics}}}
    logger_provider:
      processors:
        - batch: {exporter: {otlp_http: {endpoint: ENDPOINT/v1/logs}}}
"""


def test_it_can_be_stopped_and_started_again_on_the_same_providers(launch: Launcher) -> None:
    source = """
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        from otel_monitor import provider_internals, startup
        from otel_monitor_processors.otel import driver

        trace.set_tracer_provider(TracerProvider())
        provider = trace.get_tracer_provider()

        def observed():
            running = driver.current_driver()
            before = len(running.detection_s) + running.queue_size if running else 0
            with trace.get_tracer("test").start_as_current_span("work") as span:
                span.set_status(trace.StatusCode.ERROR, "broken")
            return bool(running) and len(running.detection_s) + running.queue_size > before

        for action in (startup.start, startup.start, startup.stop, startup.stop, startup.start):
            action()
            print(action.__name__, observed(), len(provider_internals.span_processors(provider)))
    """
    run = launch.plain(source)
    assert run.stdout.splitlines() == ["start True 1", "start True 1", "stop False 1", "stop False 1", "start True 1"]
