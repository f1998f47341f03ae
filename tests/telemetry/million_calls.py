"""A million calls with a hundred thousand worker ids, in a process of its own: prints what they cost in memory."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import psutil
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from otel_monitor.detection import build_engine
from otel_monitor.instrumentation import recorder
from otel_monitor.settings import Settings
from otel_monitor.telemetry import Telemetry
from otel_monitor_processors import drops
from otel_monitor_processors.otel.driver import Driver
from tests.telemetry.recording import ASSIGN, HEARTBEAT, PROCESS, REGISTER

CALLS = 1_000_000
WORKERS = 100_000
_SHARE = dict.fromkeys(range(0, 1000, 20), ASSIGN) | dict.fromkeys(range(1, 1000, 20), PROCESS) | {2: REGISTER}
"""Which of a thousand calls are no heartbeats."""


def _peak_bytes() -> int:
    """The most resident memory of this program; `ru_maxrss` would count the parent's that it was forked from."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def main() -> None:
    reader = InMemoryMetricReader()
    driver = Driver(build_engine(Settings()))
    driver.start()
    tracer_provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    meter_provider = MeterProvider([reader], shutdown_on_exit=False)
    recorder.install(Telemetry(tracer_provider, meter_provider, driver, Settings(), "host-1", "fleet"))
    reader.get_metrics_data()
    before = psutil.Process().memory_info().rss
    for number in range(CALLS):
        worker = f"worker-{number * 7919 % WORKERS}"
        call = recorder.begin(
            _SHARE.get(number % 1000, HEARTBEAT), (), {"worker_id": worker, "stream_id": f"stream-{number}"}
        )
        recorder.end(call, None)  # type: ignore[arg-type]  # telemetry is installed: there is a call
        if number % 100_000 == 0:
            reader.get_metrics_data()
    peak = _peak_bytes()
    dropped = {"/".join(key): count for key, count in drops.snapshot().items()}
    json.dump({"added_bytes": peak - before, "dropped": dropped}, sys.stdout)
    recorder.uninstall()
    driver.stop()


if __name__ == "__main__":
    main()
