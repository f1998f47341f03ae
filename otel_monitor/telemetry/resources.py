"""How much of its limited resources this process uses: sampled in the background, never by a call.

Inside a container the container's limits count, not the host's, and the process's own limits (`ulimit`)
where they are tighter.
"""

from __future__ import annotations

import os
import resource
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import psutil

from otel_monitor.telemetry.cgroup import Cgroup, Usage


@dataclass(frozen=True, slots=True)
class Sample:
    """What one sampling found. What is not known, or not yet, is None."""

    process_cpu: float | None = None
    process_memory: float | None = None
    process_threads: float | None = None
    process_files: float | None = None
    system_cpu: float | None = None
    system_memory: float | None = None
    system_filesystem: float | None = None
    mountpoint: str = ""
    levels: dict[str, Usage] = field(default_factory=dict)
    """By resource: `cpu` in CPUs, `memory` and `disk` in bytes, `file_descriptors`, `threads`."""

    def share_of(self, resource: str) -> float | None:
        """How much of the tightest limit of a resource is used; None where it is not known."""
        return _share(self.levels.get(resource))


_MIN_ELAPSED_S = 0.1  # the kernel counts CPU time in steps of 10 ms


class _CpuTimes(NamedTuple):
    at: float
    process_s: float
    container_s: float | None


class Resources:
    """Samples this process and what it runs in; `last` may be read by any thread."""

    def __init__(self, cgroup: Cgroup | None = None, folder: Path | None = None) -> None:
        self._cgroup = cgroup if cgroup is not None else Cgroup()
        self._folder = folder if folder is not None else Path.cwd()
        self._mountpoint = _mountpoint(self._folder)
        self._process = psutil.Process()
        self._times = self._cpu_times()
        psutil.cpu_percent()  # the first answer is meaningless, the next one is since now
        self.last = Sample()

    def sample(self) -> Sample:
        """Read everything anew. Shares of CPU time are those since the last time."""
        process_cpu, container_cpu, host_cpu = self._cpu()
        memory, container_memory = self._process.memory_info(), self._cgroup.memory()
        files = Usage(self._process.num_fds(), _soft_limit(resource.RLIMIT_NOFILE) or 0.0)
        disk = self._disk()
        levels = {
            "cpu": _tightest(process_cpu, container_cpu),
            "memory": _tightest(
                container_memory, *_memory_usages(memory.rss, memory.vms, getattr(memory, "data", 0.0))
            ),
            "disk": disk,
            "file_descriptors": _tightest(files),
            "threads": self._cgroup.threads(),
        }
        self.last = Sample(
            process_cpu=_share(process_cpu),
            process_memory=memory.rss,
            process_threads=self._process.num_threads(),
            process_files=files.value,
            system_cpu=_share(container_cpu) if container_cpu is not None else host_cpu,
            system_memory=_share(container_memory or _host_memory()),
            system_filesystem=_share(disk),
            mountpoint=self._mountpoint,
            levels={name: usage for name, usage in levels.items() if usage is not None},
        )
        return self.last

    def _cpu(self) -> tuple[Usage | None, Usage | None, float | None]:
        """CPUs in use by this process, by its container where that has a quota, and the share of the host's."""
        before, now = self._times, self._cpu_times()
        elapsed_s = now.at - before.at
        if elapsed_s < _MIN_ELAPSED_S:
            return None, None, None
        self._times = now
        host = psutil.cpu_percent() / 100.0
        quota = self._cgroup.cpus()
        limit = min(_cpus(), quota) if quota is not None else _cpus()
        process = Usage((now.process_s - before.process_s) / elapsed_s, limit)
        if quota is None or now.container_s is None or before.container_s is None:
            return process, None, host
        return process, Usage((now.container_s - before.container_s) / elapsed_s, limit), host

    def _cpu_times(self) -> _CpuTimes:
        times = self._process.cpu_times()
        return _CpuTimes(time.monotonic(), times.user + times.system, self._cgroup.cpu_seconds())

    def _disk(self) -> Usage | None:
        try:
            usage = shutil.disk_usage(self._folder)
        except OSError:
            return None
        return Usage(usage.used, usage.used + usage.free)  # as df does: what only root may use counts as neither


def _memory_usages(resident: float, virtual: float, data: float) -> Iterator[Usage | None]:
    """This process's memory against the host's and against each limit of its own."""
    yield Usage(resident, psutil.virtual_memory().total)
    for which, used in (
        (resource.RLIMIT_RSS, resident),
        (resource.RLIMIT_AS, virtual),
        (resource.RLIMIT_DATA, data),
    ):
        limit = _soft_limit(which)
        yield Usage(used, limit) if limit is not None else None


def _host_memory() -> Usage:
    memory = psutil.virtual_memory()
    return Usage(memory.total - memory.available, memory.total)


def _cpus() -> float:
    if hasattr(os, "sched_getaffinity"):
        return float(len(os.sched_getaffinity(0)))  # what a cpuset leaves, too
    return float(os.cpu_count() or 1)


def _soft_limit(which: int) -> float | None:
    soft, _ = resource.getrlimit(which)
    return None if soft == resource.RLIM_INFINITY else float(soft)


def _mountpoint(folder: Path) -> str:
    path = folder.resolve()
    return str(next((parent for parent in (path, *path.parents) if parent.is_mount()), path))


def _share(usage: Usage | None) -> float | None:
    return usage.value / usage.limit if usage is not None and usage.limit > 0 else None


def _tightest(*usages: Usage | None) -> Usage | None:
    limited = [usage for usage in usages if usage is not None and usage.limit > 0]
    return max(limited, key=lambda usage: usage.value / usage.limit, default=None)
