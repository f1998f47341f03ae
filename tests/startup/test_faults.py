"""Every hook of ours raises, one after another: the program never notices."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.processes import Processes
from tests.startup import fault_runner
from tests.startup.conftest import NOBODY

PROGRAM = """
import asyncio, copy, logging, os, pickle, sys, time
from opentelemetry import _logs, metrics, trace


class Fleet:
    def __init__(self):
        self.workers = {}

    def register_worker(self, worker_id, address):
        self.workers[worker_id] = address
        return len(self.workers)

    def receive_heartbeat(self, worker_id):
        return self.workers[worker_id]

    def assign_task(self, task_id, worker_id, headers):
        return task_id, worker_id, headers["x"]

    def rebalance(self):
        return self.register_worker("w9", "nowhere")

    def handle_worker_failure(self, worker_id, reason):
        return self.workers.pop(worker_id), reason

    @classmethod
    def describe(cls, text):
        return f"{cls.__name__}: {text}"

    @staticmethod
    def twice(number):
        return 2 * number

    def progress(self):
        got = yield 1
        yield got
        return 3


class Worker:
    worker_id = "w1"

    def process_stream(self, stream_id, headers=None):
        if stream_id == "bad":
            raise ConnectionRefusedError(111, "no database")
        return stream_id.upper()

    async def process_job(self, job_id):
        await asyncio.sleep(0)
        return job_id * 2

    async def results(self):
        for number in range(3):
            yield number

    def send_heartbeat(self):
        return "alive"

    def handle_task(self, task):
        time.sleep(0.001)
        return task


async def asynchronous(worker):
    print(await worker.process_job("j1"), [number async for number in worker.results()])
    task = asyncio.ensure_future(worker.process_job("j2"))
    await asyncio.sleep(0)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        print("cancelled")


def main():
    fleet, worker = Fleet(), Worker()
    print(fleet.register_worker("w1", "here"), fleet.register_worker(worker_id="w2", address="there"))
    for _ in range(3):
        print(fleet.receive_heartbeat("w1"), worker.send_heartbeat())
    print(fleet.assign_task("t1", "w1", {"x": "y"}), fleet.rebalance(), fleet.describe("all"), Fleet.twice(4))
    generator = fleet.progress()
    print(next(generator), generator.send("two"))
    try:
        next(generator)
    except StopIteration as stop:
        print("returned", stop.value)
    for stream in ["good", "bad"] * 15:
        try:
            print(worker.process_stream(stream, headers={"traceparent": "nonsense"}))
        except ConnectionRefusedError as error:
            print("error", error)
    try:
        fleet.receive_heartbeat("nobody")
    except KeyError as error:
        print("no such worker", error)
    print(fleet.handle_worker_failure("w2", reason="heartbeat_timeout"))
    print(pickle.loads(pickle.dumps(worker)).handle_task("t2"), copy.deepcopy(fleet).workers["w1"])
    asyncio.run(asynchronous(worker))
    with trace.get_tracer("foreign").start_as_current_span("foreign"):
        _logs.get_logger("foreign").emit(body="foreign", severity_number=_logs.SeverityNumber.ERROR)
    metrics.get_meter("foreign").create_counter("foreign.count").add(1)
    sys.stdout.flush()
    if os.fork() == 0:
        print(worker.process_stream("child"))
        sys.exit(4)
    print(os.waitstatus_to_exitcode(os.wait()[1]))
    import multiprocessing
    child = multiprocessing.get_context("fork").Process(target=fleet.register_worker, args=("w3", "elsewhere"))
    child.start()
    child.join()
    print(child.exitcode)


main()
sys.exit(7)
"""

PARTS = 3
ENVIRONMENT = {
    "OTEL_EXPORTER_OTLP_ENDPOINT": NOBODY,
    "OTEL_EXPORTER_OTLP_TIMEOUT": "1",  # with our bounded end at fault, the SDK's own end takes its place
    "OTEL_MONITOR_ORCHESTRATORS": "__main__:Fleet",
    "OTEL_MONITOR_WORKERS": "__main__:Worker",
    "OTEL_MONITOR_DEFAULT_DURATION": "0",
    "OTEL_MONITOR_ALERT_RULES": json.dumps({"foreign": {"metric_name": "foreign.count", "threshold": 0}}),
    "OTEL_MONITOR_RECORD_HEARTBEATS": "true",
}
HIT = {"recorder.begin", "recorder.end", "span.on_end", "log.on_emit", "driver.work", "driver.start"}
HIT |= {"startup.pipeline", "startup.configured", "preflight.examine", "delivery.settle", "shutdown.run"}


@pytest.mark.parametrize("part", range(PARTS))
def test_a_fault_in_any_hook_never_reaches_the_program(processes: Processes, tmp_path: Path, part: int) -> None:
    program, report = tmp_path / "program.py", tmp_path / "report.json"
    program.write_text(PROGRAM)
    arguments = (fault_runner.__file__, program, report, str(part), str(PARTS))
    runner = processes.run(sys.executable, *arguments, env=ENVIRONMENT, timeout_s=300)
    assert runner.returncode == 0, str(runner)
    runs = json.loads(report.read_text())
    plain, sound = runs.pop(fault_runner.WITHOUT_US), runs[fault_runner.NO_FAULT]
    assert plain["code"] == 7
    differing = [site for site, run in runs.items() if (run["code"], run["stdout"]) != (plain["code"], plain["stdout"])]
    assert differing == [], json.dumps({site: runs[site] for site in differing}, indent=1)[:4000]
    assert [site for site, run in runs.items() if "Traceback" in run["stderr"]] == []
    assert len(sound["sites"]) > 60
    assert sorted(site for site in HIT if site in runs and not runs[site]["hits"]) == []
