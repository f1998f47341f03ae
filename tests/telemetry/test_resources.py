"""What the process uses of its limits: the container's, its own, or the host's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from otel_monitor.telemetry.cgroup import Cgroup, Usage
from otel_monitor.telemetry.resources import Resources, Sample
from otel_monitor_processors.observation import Level
from tests.polling import eventually
from tests.telemetry.recording import SERVICE, SOURCE, Process


def no_container(tmp_path: Path) -> Cgroup:
    return Cgroup(tmp_path / "absent", tmp_path / "absent")


def container(tmp_path: Path, **files: str) -> Cgroup:
    for name, text in files.items():
        (tmp_path / name.replace("_", ".", 1)).write_text(text)
    return Cgroup(tmp_path, tmp_path / "absent")


def busy(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        sum(range(1000))


def test_a_process_is_measured_against_the_host(tmp_path: Path) -> None:
    resources = Resources(no_container(tmp_path), tmp_path)
    busy(0.3)
    sample = resources.sample()
    assert sample.process_memory == pytest.approx(psutil.Process().memory_info().rss, rel=0.2)
    assert sample.process_threads is not None
    assert sample.process_threads >= 1
    assert sample.process_files is not None
    assert sample.process_files >= 3
    memory, disk = sample.levels["memory"], sample.levels["disk"]
    assert sample.share_of("memory") == memory.value / memory.limit
    assert memory == Usage(sample.process_memory or 0.0, psutil.virtual_memory().total)
    assert 0.0 < disk.value < disk.limit
    cpu = sample.levels["cpu"]
    assert cpu.limit == len(os.sched_getaffinity(0))
    assert 0.05 < cpu.value <= cpu.limit
    assert sample.process_cpu == pytest.approx(cpu.value / cpu.limit)
    for share in (sample.system_cpu, sample.system_memory, sample.system_filesystem):
        assert share is not None
        assert 0.0 <= share <= 1.0


def test_the_first_sample_knows_no_cpu_time_yet(tmp_path: Path) -> None:
    sample = Resources(no_container(tmp_path), tmp_path).sample()
    assert (sample.process_cpu, sample.system_cpu) == (None, None)
    assert "cpu" not in sample.levels


def test_file_descriptors_are_measured_against_their_limit(tmp_path: Path) -> None:
    resources = Resources(no_container(tmp_path), tmp_path)
    before = resources.sample().levels["file_descriptors"]
    with (tmp_path / "one").open("w"), (tmp_path / "two").open("w"):
        during = resources.sample().levels["file_descriptors"]
    assert during.value == before.value + 2
    assert during.limit == before.limit > during.value


def test_in_a_container_its_limits_count_not_the_hosts(tmp_path: Path) -> None:
    limits = container(
        tmp_path, memory_max="1000000", memory_current="930000", cpu_max="50000 100000", pids_max="10", pids_current="9"
    )
    (tmp_path / "cpu.stat").write_text("usage_usec 0\n")
    resources = Resources(limits, tmp_path)
    busy(0.2)
    (tmp_path / "cpu.stat").write_text("usage_usec 60000000\n")
    sample = resources.sample()
    assert sample.levels["memory"] == Usage(930_000.0, 1_000_000.0)
    assert sample.system_memory == pytest.approx(0.93)
    assert sample.levels["threads"] == Usage(9.0, 10.0)
    assert sample.levels["cpu"].limit == 0.5
    assert sample.system_cpu is not None
    assert sample.system_cpu > 1.0  # the fabricated container has used a minute of CPU time meanwhile


_CHILD = """
import json, resource, sys
from pathlib import Path
which, megabytes = getattr(resource, sys.argv[1]), int(sys.argv[2])
from otel_monitor.telemetry.cgroup import Cgroup
from otel_monitor.telemetry.resources import Resources
resource.setrlimit(which, (megabytes << 20, resource.getrlimit(which)[1]))
resources = Resources(Cgroup(Path("/nonexistent"), Path("/nonexistent")))
ballast = b"x" * (100 << 20)
usage = resources.sample().levels["memory"]
print(json.dumps([usage.value, usage.limit]))
"""


@pytest.mark.parametrize("which", ["RLIMIT_AS", "RLIMIT_DATA", "RLIMIT_RSS"])
def test_a_limit_of_the_processs_own_counts_when_it_is_tighter(which: str) -> None:
    megabytes = 400
    output = subprocess.run(
        [sys.executable, "-c", _CHILD, which, str(megabytes)],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=60,
    ).stdout
    value, limit = json.loads(output)
    assert limit == megabytes << 20
    assert 100 << 20 < value < limit


def test_samples_become_levels_and_gauges(process: Process) -> None:
    eventually(lambda: _sampled(process), 10.0, "a sample with CPU time")
    levels: dict[str, Any] = {level.resource: level for level in process.driver.of(Level)}
    assert {"cpu", "memory", "disk", "file_descriptors"} <= set(levels)
    for level in levels.values():
        assert (level.source, level.service, level.at) == (SOURCE, SERVICE, process.clock.now)
        assert 0.0 <= level.value <= level.limit
    points = process.points()
    for name in (
        "process.cpu.utilization",
        "process.memory.usage",
        "process.memory.utilization",
        "process.thread.count",
        "process.unix.file_descriptor.count",
        "process.unix.file_descriptor.utilization",
        "system.cpu.utilization",
        "system.memory.utilization",
        "system.filesystem.utilization",
    ):
        (point,) = points[name].values()
        assert point.value >= 0, name


def _sampled(process: Process) -> Sample | None:
    process.telemetry.sampling.sample_resources()
    sample = process.telemetry.sampling.resources
    return sample if sample is not None and sample.process_cpu is not None else None
