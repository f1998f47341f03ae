"""Rules on any metric that a program records with OpenTelemetry, in real programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.processes import Processes
from tests.startup.conftest import Launcher

SHOP = """
    import time
    from opentelemetry import metrics

    meter = metrics.get_meter("shop")
    jobs = meter.create_counter("jobs.failed")
    depth = meter.create_gauge("queue.depth")
    flight = meter.create_up_down_counter("jobs.in_flight")
    duration = meter.create_histogram("job.duration", unit="s", explicit_bucket_boundaries_advisory=[0.1, 1.0, 5.0])
    meter.create_observable_counter("bytes.read", [lambda _: [metrics.Observation(5000, {"disk": "a"})]])
    jobs.add(600, {"kind": "bad"})
    jobs.add(1, {"kind": "good"})
    depth.set(50, {"queue": "orders"})
    depth.set(5, {"queue": "mails"})
    flight.add(9)
    for number in range(100):
        duration.record(0.01 if number < 90 else 4.0)

    class Worker:
        def process_order(self, order_id):
            time.sleep(0.02)
            if order_id == 3:
                raise ValueError("no")

    worker = Worker()
    for number in range(5):
        try:
            worker.process_order(number)
        except ValueError:
            pass
"""
RULES: dict[str, tuple[str, float, dict[str, Any]]] = {
    "counter": ("jobs.failed", 9.9, {"aggregation": "rate", "attributes": {"kind": "bad"}}),
    "quiet_counter": ("jobs.failed", 9.9, {"aggregation": "rate", "attributes": {"kind": "good"}}),
    "observable": ("bytes.read", 80.0, {"aggregation": "rate"}),
    "gauge": ("queue.depth", 10.0, {"labels": {"team": "a"}}),
    "selected": ("queue.depth", 1.0, {"attributes": {"queue": "mails"}}),
    "up_down": ("jobs.in_flight", 9.0, {"comparison": ">="}),
    "p95": ("job.duration", 1.0, {"aggregation": "p95", "min_samples": 100}),
    "p90": ("job.duration", 0.11, {"aggregation": "p90"}),
    "greatest": ("job.duration", 4.0, {"aggregation": "max", "comparison": "=="}),
    "mean": ("job.duration", 0.4, {"aggregation": "mean"}),
    "too_few": ("job.duration", 1.0, {"aggregation": "p95", "min_samples": 101}),
    "number": ("job.duration.count", 1.6, {"aggregation": "rate"}),
    "our_histogram": ("orchestrator.operation.duration", 0.01, {"aggregation": "p95"}),
    "our_counter": ("orchestrator.errors", 0.0, {"aggregation": "rate"}),
}


@pytest.fixture
def launch(processes: Processes) -> Launcher:
    return Launcher(processes)


def test_a_program_is_judged_by_the_metrics_that_it_and_we_record(launch: Launcher, tmp_path: Path) -> None:
    path = tmp_path / "monitor.json"
    rules = {name: {"metric_name": metric, "threshold": limit, **more} for name, (metric, limit, more) in RULES.items()}
    path.write_text(json.dumps({"alert_rules": rules}))
    environment = {
        "OTEL_MONITOR_CONFIG": str(path),
        "OTEL_MONITOR_WORKERS": "__main__:Worker",
        "OTEL_RESOURCE_ATTRIBUTES": "service.name=shop,service.instance.id=shop-1",
    }
    told = [line.split("] ", 1)[1] for line in launch(SHOP, env=environment).lines if " ALERT firing [warning]" in line]
    found = {line.split()[0]: line for line in told}
    assert found.keys() == RULES.keys() - {"quiet_counter", "too_few", "p90"}
    said = "counter instance=shop-1 kind=bad service=shop: rate over 60 s of jobs.failed of shop-1 is 10 (> 9.9)"
    assert found["counter"] == said
    said = "gauge instance=shop-1 queue=orders service=shop team=a: queue.depth of shop-1 is 50 (> 10)"
    assert found["gauge"] == said
    assert "p95 over 60 s of job.duration of shop-1 is 2.5 (> 1)" in found["p95"]
    assert "otel_monitor.error.category=application" in found["our_counter"]


BROKEN = """
    import queue
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.resources import Resource
    from otel_monitor_processors import AlertTransition, Driver, Engine, MonitorMetricReader, Rule

    rule = Rule(name="deep", metric_name="queue.depth", threshold=10.0, labels=(("queue", "any"),))
    engine = Engine([rule], [], evaluation_interval_s=0.05)
    driver = Driver(engine)
    news = queue.Queue()
    driver.subscribe(lambda transition: news.put(transition.alert))
    reader = MonitorMetricReader(driver, interval_s=0.05, console=False)
    provider = MeterProvider([reader], Resource({"host.name": "h"}))
    depth = provider.get_meter("shop").create_gauge("queue.depth")

    def set_and_wait(name, value):
        depth.set(value, {"queue": name})
        alert = news.get(timeout=20.0)
        active = [f"{item.rule} {item.state}" for item in engine.alerts()]
        about = alert.summary if alert.rule == "rule_failed" else "-"
        print(f"{alert.rule} {alert.state} | {about} | {' '.join(active)}", flush=True)

    set_and_wait("orders", 50)
    set_and_wait("mails", 60)
    set_and_wait("mails", 5)
    set_and_wait("orders", 5)
    driver.stop()
"""


def test_a_rule_that_cannot_be_evaluated_keeps_its_state_and_raises_an_alert_of_its_own(launch: Launcher) -> None:
    run = launch.plain(BROKEN)
    assert run.code == 0, run.stderr
    problem = (
        "A rule cannot be evaluated; its alerts stay as they are: deep: EvaluationError: two series have the same "
        "labels (instance=h, queue=any) under the labels of the rule"
    )
    assert run.stdout.splitlines() == [
        "deep firing | - | deep firing",
        f"rule_failed firing | {problem} | deep firing rule_failed firing",
        f"rule_failed resolved | {problem} | deep firing",
        "deep resolved | - | ",
    ]
