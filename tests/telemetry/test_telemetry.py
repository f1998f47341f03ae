"""Installing and removing, periodic duties, what otel-monitor says of itself, and forks."""

from __future__ import annotations

import contextvars
import gc
import json
import os
import threading
import weakref
from typing import Any

import pytest
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NoOpTracerProvider

from otel_monitor.instrumentation import recorder
from otel_monitor.settings import Settings
from otel_monitor.telemetry import Telemetry
from otel_monitor.telemetry.observables import Observables
from otel_monitor_processors import drops, guard
from otel_monitor_processors.observation import MetricPoint
from otel_monitor_processors.otel.driver import Driver
from tests.telemetry.recording import ASSIGN, HEARTBEAT, PROCESS, REFRESH, REGISTER, SOURCE, Process, start_process


def test_everything_reaches_the_real_driver(process: Process) -> None:
    driver = Driver()
    recorder.install(
        Telemetry(process.tracer_provider, MeterProvider(shutdown_on_exit=False), driver, Settings(), "a", "b")
    )
    process.call(HEARTBEAT, worker_id="w1")
    process.call(PROCESS, error=ValueError())
    assert driver.queue_size == 0  # a failed call is judged at once
    assert driver.detection_s
    recorder.uninstall()
    driver.stop()


def test_after_uninstalling_what_was_recorded_is_still_exported(process: Process) -> None:
    process.call(REFRESH)
    recorder.uninstall()
    assert sum(process.values("orchestrator.operation.duration").values()) == 1
    assert "orchestrator.worker.count" not in process.points()


def test_another_installation_on_the_same_provider_answers_in_its_place(process: Process) -> None:
    process.call(REGISTER, worker_id="w1")
    second = Telemetry(
        process.tracer_provider, process.telemetry._meter_provider, process.driver, Settings(), SOURCE, "b"
    )
    recorder.install(second)
    process.call(REGISTER, worker_id="w2")
    process.call(REGISTER, worker_id="w3")
    assert process.values("orchestrator.worker.count")[("orchestrator.worker.state", "available"),] == 2
    assert process.values("orchestrator.worker.registrations") == {(): 3}


def test_the_driver_does_not_keep_a_removed_installation_alive() -> None:
    process = start_process()
    driver = process.driver
    recorder.uninstall()
    gone = weakref.ref(process.telemetry)
    Observables.of(process.telemetry._meter_provider).silence()
    del process
    gc.collect()
    assert gone() is None
    driver.tick()


def test_a_removed_installation_samples_no_more(process: Process) -> None:
    process.call(ASSIGN, stream_id="s1", worker_id="w1")
    process.call(ASSIGN, stream_id="s2", worker_id="w2")
    recorder.uninstall()
    process.driver.tick()
    assert not process.driver.of(MetricPoint)


def test_imbalance_and_what_each_worker_holds_are_points_for_rules_and_detectors(process: Process) -> None:
    process.driver.tick()
    assert not process.driver.of(MetricPoint)
    for stream, worker in (("s1", "w1"), ("s2", "w1"), ("s3", "w1"), ("s4", "w2")):
        process.call(ASSIGN, stream_id=stream, worker_id=worker)
    process.driver.tick()
    at, held = process.clock.now, "orchestrator.worker.assigned"
    assert process.driver.of(MetricPoint) == [
        MetricPoint(at, SOURCE, "orchestrator.load.imbalance", (), 0.5, "1", "fleet"),
        MetricPoint(at, SOURCE, held, (("orchestrator.worker.id", "w1"),), 3, "{task}", "fleet"),
        MetricPoint(at, SOURCE, held, (("orchestrator.worker.id", "w2"),), 1, "{task}", "fleet"),
    ]


def test_resources_are_sampled_at_the_monitoring_interval() -> None:
    process = start_process(settings=Settings(monitoring_interval=7.0))
    assert [interval for interval, _ in process.driver.periodic] == [1.0, 7.0]
    recorder.uninstall()


def test_otel_monitor_counts_its_own_drops_errors_queue_and_detection(process: Process) -> None:
    drops.count("fleet", "worker_limit", 3)
    guard.reraise_errors(enabled=False)
    guard.inject_fault("recorder.enter", ValueError())
    call = recorder.begin(REFRESH, (), {}, attach=False)
    assert call is not None
    assert recorder.enter(call) is None
    recorder.end(call, None)
    process.driver.queue_size = 5
    process.driver.detection_s.extend([0.01, 0.02])
    process.driver.tick()
    assert process.values("otel_monitor.self.dropped")[("component", "fleet"), ("reason", "worker_limit")] >= 3
    assert process.values("otel_monitor.self.errors")[("component", "recorder"), ("reason", "enter")] >= 1
    assert process.values("otel_monitor.self.queue.size") == {(("component", "driver"),): 5}
    assert process.values("otel_monitor.self.detection.duration") == {(("component", "driver"),): 2}


def test_values_beyond_the_limit_of_series_are_counted_as_dropped(process: Process) -> None:
    for number in range(2_010):
        process.telemetry.metrics.errors.add(1, (f"category {number}",))
    process.points()
    assert process.values("otel_monitor.self.dropped")[("component", "metrics"), ("reason", "series_limit")] == 10


def test_a_callback_that_fails_is_contained(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    guard.reraise_errors(enabled=False)
    monkeypatch.setattr(process.telemetry.fleet, "counts", lambda now: 1 / 0)
    process.call(REGISTER, worker_id="w1")
    points = process.points()
    assert "orchestrator.worker.count" not in points
    assert "orchestrator.worker.registrations" in points


@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
def test_a_forked_child_starts_with_an_empty_fleet_and_its_own_name(process: Process) -> None:
    process.call(REGISTER, worker_id="w1")
    process.call(ASSIGN, stream_id="s1", worker_id="w1")
    told = _in_child(lambda: _state_of(process))
    assert told["source"] != SOURCE
    assert told["source"] == told["resource"]
    assert told["workers"] == {}
    assert told["tasks"] == {}
    assert told["assignments"] == []
    assert process.telemetry.source == SOURCE
    assert process.values("orchestrator.task.assignments")


@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
def test_calls_are_recorded_in_a_child_that_was_forked_while_the_locks_were_held(process: Process) -> None:
    metrics: Any = process.telemetry.metrics
    with process.telemetry.fleet._lock, process.telemetry.tasks._lock, metrics.operation_duration._lock:
        told = _in_child(lambda: {"spans": _recorded_in_another_thread(process)})
    assert told == {"spans": 1}


def _state_of(process: Process) -> dict[str, Any]:
    telemetry = process.telemetry
    aggregates: Any = telemetry.metrics.assignments
    return {
        "source": telemetry.source,
        "resource": process.tracer_provider.resource.attributes["service.instance.id"],
        "workers": telemetry.fleet.counts(0.0),
        "tasks": telemetry.tasks.counts(),
        "assignments": list(aggregates.drain()),
    }


def _recorded_in_another_thread(process: Process) -> int:
    thread = threading.Thread(target=process.call, args=(ASSIGN,), kwargs={"stream_id": "s1", "worker_id": "w1"})
    thread.start()
    thread.join(10)
    return len(process.spans)


def _in_child(tell: Any) -> dict[str, Any]:
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(write, json.dumps(tell()).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        told: dict[str, Any] = json.loads(answer.read())
    os.waitpid(child, 0)
    return told


def test_providers_that_record_nothing_are_enough() -> None:
    process = start_process()
    recorder.install(Telemetry(NoOpTracerProvider(), NoOpMeterProvider(), process.driver, Settings(), SOURCE, "b"))
    process.call(PROCESS, error=ValueError())
    recorder.uninstall()
    assert len(process.driver.observed) == 1
    assert not process.spans


def test_a_meter_provider_that_was_shut_down_is_left_alone() -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    provider.shutdown()
    process = start_process()
    recorder.install(
        Telemetry(TracerProvider(shutdown_on_exit=False), provider, process.driver, Settings(), SOURCE, "b")
    )
    process.call(PROCESS)
    recorder.uninstall()
    assert not process.spans


OUR_HOOKS = [
    "event_loop.probe",
    "metrics.observe",
    "recorder.begin",
    "recorder.description",
    "recorder.end",
    "recorder.enter",
    "recorder.exception",
    "recorder.leave",
    "sampling.pulse",
    "sampling.resources",
    "telemetry.fork",
]


@pytest.mark.parametrize("hook", OUR_HOOKS)
def test_a_fault_in_a_hook_stays_inside(process: Process, hook: str) -> None:
    guard.reraise_errors(enabled=False)
    guard.inject_fault(hook, RuntimeError("broken"))
    contextvars.copy_context().run(_use_everything, process)


def _use_everything(process: Process) -> None:
    for error in (None, ValueError()):
        call = recorder.begin(PROCESS, (), {"stream_id": "s1"}, attach=False)
        if call is not None:
            recorder.leave(call, recorder.enter(call))
            recorder.end(call, error)
    process.driver.tick()
    process.telemetry.sampling.sample_resources()
    process.points()


def test_every_hook_of_ours_is_tried() -> None:
    components = {hook.partition(".")[0] for hook in OUR_HOOKS}
    assert sorted(site for site in guard.SITES if site.partition(".")[0] in components) == OUR_HOOKS
