"""The limits of the container that a process runs in, as cgroup v1 or v2 tells them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
SELF = Path("/proc/self/cgroup")
_UNLIMITED_BYTES = 1 << 60


@dataclass(frozen=True, slots=True)
class Usage:
    """How much of a limit all processes of a cgroup use together, in the limit's unit."""

    value: float
    limit: float


class Cgroup:
    """The cgroup of this process, from `root` (the mounted hierarchies) and `membership` (which of them it is in).

    A limit may stand on any ancestor; the tightest holds. Inside a container the hierarchy is usually
    mounted so that the container's own cgroup is the root, whatever path the membership names.
    """

    def __init__(self, root: Path = ROOT, membership: Path = SELF) -> None:
        self._root = root
        self._paths = _membership(membership)

    def memory(self) -> Usage | None:
        """Memory that cannot be reclaimed at once, of the tightest limit; None without a limit."""
        return _tightest(self._memory_usages())

    def threads(self) -> Usage | None:
        """Threads and processes of the tightest limit."""
        return _tightest(
            Usage(current, limit)
            for folder in self._folders("pids")
            if (limit := _number(folder / "pids.max")) is not None
            and (current := _number(folder / "pids.current")) is not None
        )

    def cpus(self) -> float | None:
        """How many CPUs the quota gives; None without a quota."""
        quotas = [quota for folder in self._folders("cpu") if (quota := _quota(folder)) is not None]
        return min(quotas, default=None)

    def cpu_seconds(self) -> float | None:
        """CPU time that the cgroup has used so far."""
        for folder in self._folders("cpu"):
            microseconds = _field(folder / "cpu.stat", "usage_usec")
            if microseconds is not None:
                return microseconds / 1e6
        for folder in self._folders("cpuacct"):
            nanoseconds = _number(folder / "cpuacct.usage")
            if nanoseconds is not None:
                return nanoseconds / 1e9
        return None

    def _memory_usages(self) -> Iterator[Usage]:
        for folder in self._folders("memory"):
            for limit_file, usage_file, cache in (
                ("memory.max", "memory.current", "inactive_file"),
                ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
            ):
                limit, current = _number(folder / limit_file), _number(folder / usage_file)
                if limit is not None and current is not None and 0 < limit < _UNLIMITED_BYTES:
                    reclaimable = _field(folder / "memory.stat", cache) or 0.0
                    yield Usage(max(0.0, current - reclaimable), limit)

    def _folders(self, controller: str) -> Iterator[Path]:
        """This process's folders in the hierarchy of `controller`, from its own up to the root."""
        for hierarchy, path in (
            (self._root / controller, self._paths.get(controller)),
            (self._root, self._paths.get("")),
        ):
            if path is None or not hierarchy.is_dir():
                continue
            parts = [part for part in path.split("/") if part and part != ".."]
            for depth in range(len(parts), -1, -1):
                folder = hierarchy.joinpath(*parts[:depth])
                if folder.is_dir():
                    yield folder


def _membership(path: Path) -> dict[str, str]:
    """Paths by controller; of cgroup v2 under the empty name."""
    paths: dict[str, str] = {"": "/"}
    for line in _read(path).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, cgroup = rest.partition(":")
        for controller in controllers.split(","):
            paths[controller] = cgroup
    return paths


def _quota(folder: Path) -> float | None:
    quota, _, period = _read(folder / "cpu.max").strip().partition(" ")
    if not quota:
        quota, period = _read(folder / "cpu.cfs_quota_us").strip(), _read(folder / "cpu.cfs_period_us").strip()
    if quota.isdecimal() and period.isdecimal() and int(period) > 0 and int(quota) > 0:
        return int(quota) / int(period)
    return None


def _number(path: Path) -> float | None:
    text = _read(path).strip()
    return float(text) if text.isdecimal() else None


def _field(path: Path, name: str) -> float | None:
    for line in _read(path).splitlines():
        key, _, value = line.partition(" ")
        if key == name and value.strip().isdecimal():
            return float(value)
    return None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


def _tightest(usages: Iterator[Usage]) -> Usage | None:
    return max(usages, key=lambda usage: usage.value / usage.limit, default=None)
