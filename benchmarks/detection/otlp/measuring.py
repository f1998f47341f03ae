"""Metrics of processes, machines, pools and the database server, read when they are exported."""

from __future__ import annotations

import random

from benchmarks.detection.otlp import fragments
from benchmarks.detection.otlp.aggregates import Gauges
from benchmarks.detection.otlp.instrumentation import Instrumentation
from benchmarks.detection.otlp.naming import OURS
from benchmarks.detection.otlp.profile import Dialect
from benchmarks.detection.otlp.text import attributes
from benchmarks.detection.simulator.machine import Machine
from benchmarks.detection.simulator.node import Node
from benchmarks.detection.simulator.orchestrator import Orchestrator
from benchmarks.detection.simulator.worker import Worker
from benchmarks.detection.simulator.world import World

_JVM = ("io.opentelemetry.runtime-telemetry-java8", "2.20.1-alpha")
_SERVER = ("github.com/open-telemetry/opentelemetry-collector-contrib/receiver/sqlqueryreceiver", "0.158.0")


class Measurements:
    """Exports every node's metrics when they are due: each process in its own time."""

    def __init__(self, world: World, instrumentation: Instrumentation, rng: random.Random) -> None:
        self._world = world
        self._instrumentation = instrumentation
        self._profile = instrumentation.profile
        self._rng = rng
        self._due: dict[str, float] = {}
        self._busy: dict[str, tuple[float, float]] = {}

    def export(self, now: float) -> None:
        interval_s = self._profile.metric_interval_s
        for node in (*self._world.nodes(), self._world.database.node):
            due = self._due.setdefault(node.name, now + self._rng.random() * interval_s)
            if now < due or not node.alive or node.frozen_until > now:
                continue
            self._due[node.name] = now + interval_s - 0.5
            if node is self._world.database.node:
                self._export_server(node, now)
            else:
                self._export(node, now)

    def _export(self, node: Node, now: float) -> None:
        at = now + node.clock_offset_s
        gauges = Gauges(at)
        busy = self._busy_share(node, now)
        if self._profile.dialect is Dialect.FOREIGN:
            scope = _JVM
            _jvm(node, busy, gauges)
        else:
            scope = OURS
            _native(node, busy, gauges) if self._profile.dialect is Dialect.NATIVE else _older(node, busy, gauges)
            if isinstance(node, Orchestrator):
                self._fleet(node, now, gauges)
            elif isinstance(node, Worker):
                gauges.read("orchestrator.task.count", "{task}", node.slots.used, _STATES["running"], up_down=True)
        if "database" in node.pools:
            _pool(node, gauges, older=self._profile.dialect is Dialect.OLDER)
        metrics = [*self._instrumentation.aggregates(node).export(at), *gauges.export()]
        self._hand_over(node, {scope: metrics}, now)

    def _hand_over(self, node: Node, by_scope: dict[tuple[str, str], list[str]], now: float) -> None:
        count = sum(text.count('"timeUnixNano"') for texts in by_scope.values() for text in texts)
        self._instrumentation.counts["points"] += count
        outbox = self._instrumentation.outbox(node)
        self._instrumentation.collector.take_metrics(outbox.resource, by_scope, now)

    def _busy_share(self, node: Node, now: float) -> float:
        """CPU seconds of the process since the last export, as a share of what it might have used."""
        machine = node.machine
        busy_s, since = self._busy.get(node.name, (machine.busy_s, now - self._profile.metric_interval_s))
        self._busy[node.name] = (machine.busy_s, now)
        if machine.busy_s < busy_s or now <= since:
            return 0.0
        return min(1.0, (machine.busy_s - busy_s) / (now - since) / machine.capacity.cores)

    def _fleet(self, orchestrator: Orchestrator, now: float, gauges: Gauges) -> None:
        records = list(orchestrator.workers.values())
        busy = sum(bool(record.tasks or record.streams) for record in records)
        for state, count in (("available", len(records) - busy), ("busy", busy)):
            gauges.read("orchestrator.worker.count", "{worker}", count, _WORKERS[state], up_down=True)
        loads: list[int] = []
        for record in records[:200]:
            fragment = fragments.worker(record.worker.name)
            gauges.read("orchestrator.heartbeat.age", "s", max(0.0, now - record.last_seen), fragment)
            load = len(record.streams) if record.streams else len(record.tasks)
            loads.append(load)
            gauges.read("orchestrator.worker.assigned", "{task}", load, fragment)
        total = sum(loads)
        gauges.read("orchestrator.task.count", "{task}", len(orchestrator.pending), _STATES["pending"], up_down=True)
        gauges.read("orchestrator.task.count", "{task}", total, _STATES["assigned"], up_down=True)
        if len(loads) > 1 and total:
            mean = total / len(loads)
            variation = (sum((load - mean) ** 2 for load in loads) / len(loads)) ** 0.5 / mean
            gauges.read("orchestrator.load.imbalance", "1", variation)

    def _export_server(self, node: Node, now: float) -> None:
        """What a receiver asks the database server."""
        profile, database = self._profile, self._world.database
        if not profile.server_metrics or database.system == "sqlite":
            return
        gauges = Gauges(now)
        locks, machine = database.locks, node.machine
        if database.system == "mysql":
            aggregates = self._instrumentation.aggregates(node)
            aggregates.add("mysql.row_locks", locks.waits - self._seen(node, "waits", locks.waits), _KINDS["waits"])
            aggregates.add(
                "mysql.row_locks", 1e3 * (locks.wait_s - self._seen(node, "time", locks.wait_s)), _KINDS["time"]
            )
            gauges.read("mysql.threads", "1", database.active, _KINDS["running"], up_down=True)
            metrics = aggregates.export(now)
        else:
            gauges.read("postgresql.backends", "1", database.active + 5, up_down=True)
            gauges.read("postgresql.connection.max", "{connections}", 200)
            gauges.read("postgresql.database.locks", "{lock}", locks.waiting)
            metrics = []
        share = min(1.0, (machine.other_cores + machine.extra_cores + 0.05 * database.active) / machine.capacity.cores)
        gauges.read("system.cpu.utilization", "1", share)
        gauges.read("system.memory.utilization", "1", machine.memory / machine.capacity.memory, _USED_MEMORY)
        gauges.read("system.filesystem.utilization", "1", machine.disk / machine.capacity.disk, _USED_DISK)
        self._hand_over(node, {_SERVER: [*metrics, *gauges.export()]}, now)

    def _seen(self, node: Node, what: str, value: float) -> float:
        """The value when it was last read."""
        before, _ = self._busy.get(f"{node.name} {what}", (0.0, 0.0))
        self._busy[f"{node.name} {what}"] = (value, 0.0)
        return before


_STATES = {state: attributes(("state", state)) for state in ("pending", "assigned", "running")}
_WORKERS = {state: attributes(("orchestrator.worker.state", state)) for state in ("available", "busy", "offline")}
_KINDS = {kind: attributes(("kind", kind)) for kind in ("waits", "time", "running")}
_USED_MEMORY = attributes(("system.memory.state", "used"))
_USED_DISK = attributes(("system.filesystem.state", "used"), ("system.filesystem.mountpoint", "/"))
_OLD_USED = attributes(("state", "used"))
_OLD_DISK = attributes(("state", "used"), ("mountpoint", "/"), ("device", "/dev/vda1"))
_POOL = {
    state: attributes(("db.client.connection.pool.name", "main"), ("db.client.connection.state", state))
    for state in ("used", "idle")
}
_POOL_NAME = attributes(("db.client.connection.pool.name", "main"))
_OLD_POOL = {state: attributes(("pool.name", "main"), ("state", state)) for state in ("used", "idle")}
_OLD_POOL_NAME = attributes(("pool.name", "main"))
_HEAP = attributes(("jvm.memory.type", "heap"))


def _host_cpu(machine: Machine, busy: float) -> float:
    return min(1.0, busy + (machine.other_cores + machine.extra_cores) / machine.capacity.cores)


def _native(node: Node, busy: float, gauges: Gauges) -> None:
    machine, capacity = node.machine, node.machine.capacity
    gauges.read("process.cpu.utilization", "1", busy)
    gauges.read("process.memory.usage", "By", float(int(machine.memory)), up_down=True)
    gauges.read("process.thread.count", "{thread}", int(machine.thread_count), up_down=True)
    gauges.read("process.thread.limit", "{thread}", capacity.threads)
    gauges.read("process.unix.file_descriptor.count", "{file_descriptor}", int(machine.files), up_down=True)
    gauges.read("process.unix.file_descriptor.limit", "{file_descriptor}", capacity.files)
    gauges.read("system.cpu.utilization", "1", _host_cpu(machine, busy))
    gauges.read("system.memory.utilization", "1", machine.memory / capacity.memory, _USED_MEMORY)
    gauges.read("system.filesystem.utilization", "1", machine.disk / capacity.disk, _USED_DISK)


def _older(node: Node, busy: float, gauges: Gauges) -> None:
    machine, capacity = node.machine, node.machine.capacity
    gauges.read("process.runtime.cpython.cpu.utilization", "1", busy)
    gauges.read("process.runtime.cpython.memory", "By", float(int(machine.memory)), _RSS, up_down=True)
    gauges.read("process.runtime.cpython.thread_count", "{thread}", int(machine.thread_count), up_down=True)
    gauges.read("process.threads.count", "{thread}", int(machine.thread_count))
    gauges.read("process.threads.max", "{thread}", capacity.threads)
    gauges.read("process.open_file_descriptor.count", "{count}", int(machine.files), up_down=True)
    gauges.read("process.open_file_descriptor.max", "{count}", capacity.files)
    gauges.read("system.cpu.utilization", "1", _host_cpu(machine, busy), _OLD_USED)
    gauges.read("system.memory.usage", "By", float(int(machine.memory)), _OLD_USED)
    gauges.read("system.memory.utilization", "1", machine.memory / capacity.memory, _OLD_USED)
    gauges.read("system.filesystem.utilization", "1", machine.disk / capacity.disk, _OLD_DISK)


_RSS = attributes(("type", "rss"))


def _jvm(node: Node, busy: float, gauges: Gauges) -> None:
    machine, capacity = node.machine, node.machine.capacity
    gauges.read("jvm.cpu.recent_utilization", "1", busy)
    gauges.read("process.runtime.jvm.memory.usage", "By", float(int(machine.memory)), _HEAP, up_down=True)
    gauges.read("process.runtime.jvm.memory.limit", "By", capacity.memory, _HEAP, up_down=True)
    gauges.read("jvm.thread.count", "{thread}", int(machine.thread_count), up_down=True)
    gauges.read("jvm.thread.limit", "{thread}", capacity.threads)
    gauges.read("jvm.file_descriptor.count", "{file_descriptor}", int(machine.files), up_down=True)
    gauges.read("jvm.file_descriptor.limit", "{file_descriptor}", capacity.files, up_down=True)
    gauges.read("k8s.pod.cpu_limit_utilization", "1", _host_cpu(machine, busy))
    gauges.read("k8s.pod.memory_limit_utilization", "1", machine.memory / capacity.memory)
    gauges.read("k8s.pod.filesystem.usage", "By", float(int(machine.disk)))
    gauges.read("k8s.pod.filesystem.capacity", "By", capacity.disk)


def _pool(node: Node, gauges: Gauges, *, older: bool) -> None:
    pool = node.pools["database"]
    used = min(pool.used, pool.capacity)
    idle = pool.capacity - used
    if older:
        gauges.read("db.client.connections.usage", "{connection}", used, _OLD_POOL["used"], up_down=True)
        gauges.read("db.client.connections.usage", "{connection}", idle, _OLD_POOL["idle"], up_down=True)
        gauges.read("db.client.connections.max", "{connection}", pool.capacity, _OLD_POOL_NAME, up_down=True)
        gauges.read("db.client.connections.pending_requests", "{request}", pool.waiting, _OLD_POOL_NAME, up_down=True)
        return
    gauges.read("db.client.connection.count", "{connection}", used, _POOL["used"], up_down=True)
    gauges.read("db.client.connection.count", "{connection}", idle, _POOL["idle"], up_down=True)
    gauges.read("db.client.connection.max", "{connection}", pool.capacity, _POOL_NAME, up_down=True)
    gauges.read("db.client.connection.pending_requests", "{request}", pool.waiting, _POOL_NAME, up_down=True)
