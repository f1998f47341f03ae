"""Limits of containers, in fabricated hierarchies of both versions."""

from __future__ import annotations

from pathlib import Path

import pytest

from otel_monitor.telemetry.cgroup import Cgroup, Usage


def fabricate(root: Path, membership: str, files: dict[str, str]) -> Cgroup:
    for name, text in files.items():
        path = root / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / "self").write_text(membership)
    return Cgroup(root / "cgroup", root / "self")


V2 = "0::/\n"
V1 = "5:memory:/job\n4:pids:/job\n3:cpu,cpuacct:/job\n0::/\n"


def test_the_limits_of_version_2(tmp_path: Path) -> None:
    cgroup = fabricate(
        tmp_path,
        V2,
        {
            "memory.max": "1000\n",
            "memory.current": "900\n",
            "memory.stat": "anon 500\ninactive_file 300\n",
            "cpu.max": "50000 100000\n",
            "cpu.stat": "usage_usec 2500000\nuser_usec 1\n",
            "pids.max": "100\n",
            "pids.current": "42\n",
        },
    )
    assert cgroup.memory() == Usage(600.0, 1000.0)
    assert cgroup.cpus() == 0.5
    assert cgroup.cpu_seconds() == 2.5
    assert cgroup.threads() == Usage(42.0, 100.0)


def test_the_limits_of_version_1(tmp_path: Path) -> None:
    cgroup = fabricate(
        tmp_path,
        V1,
        {
            "memory/job/memory.limit_in_bytes": "1000\n",
            "memory/job/memory.usage_in_bytes": "900\n",
            "memory/job/memory.stat": "cache 1\ntotal_inactive_file 300\n",
            "cpu/job/cpu.cfs_quota_us": "150000\n",
            "cpu/job/cpu.cfs_period_us": "100000\n",
            "cpuacct/job/cpuacct.usage": "2500000000\n",
            "pids/job/pids.max": "100\n",
            "pids/job/pids.current": "42\n",
        },
    )
    assert cgroup.memory() == Usage(600.0, 1000.0)
    assert cgroup.cpus() == 1.5
    assert cgroup.cpu_seconds() == 2.5
    assert cgroup.threads() == Usage(42.0, 100.0)


@pytest.mark.parametrize(
    "files",
    [
        {},
        {
            "memory.max": "max\n",
            "memory.current": "5\n",
            "cpu.max": "max 100000\n",
            "pids.max": "max\n",
            "pids.current": "5\n",
        },
        {"memory/job/memory.limit_in_bytes": "9223372036854771712\n", "memory/job/memory.usage_in_bytes": "5\n"},
        {"cpu/job/cpu.cfs_quota_us": "-1\n", "cpu/job/cpu.cfs_period_us": "100000\n"},
        {"memory.max": "garbage", "memory.current": "", "cpu.max": "1", "pids.max": "\0"},
        {"memory.max": "0\n", "memory.current": "5\n", "cpu.max": "5 0"},
    ],
    ids=["nothing", "max", "v1 without limit", "v1 without quota", "garbage", "zero"],
)
def test_without_a_limit_there_is_none(tmp_path: Path, files: dict[str, str]) -> None:
    cgroup = fabricate(tmp_path, V1, files)
    assert (cgroup.memory(), cgroup.cpus(), cgroup.threads()) == (None, None, None)


def test_the_tightest_limit_of_all_ancestors_holds(tmp_path: Path) -> None:
    cgroup = fabricate(
        tmp_path,
        "0::/pod/container\n",
        {
            "pod/memory.max": "2000",
            "pod/memory.current": "1900",
            "pod/container/memory.max": "1000",
            "pod/container/memory.current": "400",
            "pod/cpu.max": "100000 100000",
            "pod/container/cpu.max": "200000 100000",
        },
    )
    assert cgroup.memory() == Usage(1900.0, 2000.0)
    assert cgroup.cpus() == 1.0


def test_in_a_container_the_root_of_the_hierarchy_is_the_containers_own(tmp_path: Path) -> None:
    cgroup = fabricate(tmp_path, "0::/../../kubepods/pod7\n", {"memory.max": "1000", "memory.current": "100"})
    assert cgroup.memory() == Usage(100.0, 1000.0)


def test_a_mixed_hierarchy_is_read_where_each_controller_lives(tmp_path: Path) -> None:
    cgroup = fabricate(
        tmp_path,
        "4:memory:/job\n0::/unit\n",
        {"memory/job/memory.limit_in_bytes": "1000", "memory/job/memory.usage_in_bytes": "1", "unit/cpu.max": "5 10"},
    )
    assert cgroup.memory() == Usage(1.0, 1000.0)
    assert cgroup.cpus() == 0.5


def test_no_cgroups_at_all_are_no_limits(tmp_path: Path) -> None:
    cgroup = Cgroup(tmp_path / "absent", tmp_path / "absent too")
    assert (cgroup.memory(), cgroup.cpus(), cgroup.cpu_seconds(), cgroup.threads()) == (None, None, None, None)
