"""Recordings for tests: lines as the Collector's file exporter writes them, and what a replay makes of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from otel_monitor.replay.ledger import Ledger
from otel_monitor.replay.lines import LineFile
from otel_monitor.replay.replay import replay
from otel_monitor_processors.engine import Engine, Transition
from otel_monitor_processors.observation import Observation

Json = dict[str, Any]

START_S = 1_800_000_000.0


def nanos(at_s: float) -> str:
    """A time as the Collector writes it."""
    return str(round(at_s * 1e9))


def attributes(values: Json) -> list[Json]:
    kinds = {str: "stringValue", bool: "boolValue", float: "doubleValue"}
    return [
        {"key": key, "value": {"intValue": str(value)} if type(value) is int else {kinds[type(value)]: value}}
        for key, value in values.items()
    ]


def resource(source: str, service: str = "shop") -> Json:
    return {"attributes": attributes({"service.name": service, "service.instance.id": source})}


def span(end_s: float, name: str = "work", kind: int = 2, seconds: float = 0.1, **more: Any) -> Json:
    """A span that was sent; `error` is its error.type, `given` its attributes, anything else a field of its own."""
    given, error = more.pop("given", {}), more.pop("error", "")
    number = round(end_s * 1e6) * 1_000 + len(name)
    made: Json = {
        "traceId": f"{number:032x}",
        "spanId": f"{number:016x}",
        "parentSpanId": "",
        "flags": 256,
        "name": name,
        "kind": kind,
        "startTimeUnixNano": nanos(end_s - seconds),
        "endTimeUnixNano": nanos(end_s),
        "attributes": attributes({**given, **({"error.type": error} if error else {})}),
        "status": {"code": 2, "message": error} if error else {},
    }
    return made | more


def log(at_s: float, severity: int = 9, body: str = "", event: str = "", **given: Any) -> Json:
    made: Json = {"timeUnixNano": nanos(at_s), "severityNumber": severity, "body": {"stringValue": body}}
    if event:
        made["eventName"] = event
    return made | {"attributes": attributes({key.replace("__", "."): value for key, value in given.items()})}


def beat(at_s: float, worker: str) -> Json:
    return log(at_s, event="orchestrator.worker.heartbeat", orchestrator__worker__id=worker)


def gauge(at_s: float, name: str, value: float, unit: str = "1", **given: Any) -> Json:
    return {"name": name, "unit": unit, "gauge": {"dataPoints": [point(at_s, value, **given)]}}


def total(at_s: float, name: str, value: float, start_s: float = 0.0, *, cumulative: bool = True, **given: Any) -> Json:
    """A sum that only grows."""
    made = point(at_s, value, **given) | {"startTimeUnixNano": nanos(start_s)}
    temporality = 2 if cumulative else 1
    return {
        "name": name,
        "unit": "1",
        "sum": {"dataPoints": [made], "aggregationTemporality": temporality, "isMonotonic": True},
    }


def histogram(at_s: float, name: str, count: int, value: float, *, cumulative: bool = True, **given: Any) -> Json:
    made = {
        "timeUnixNano": nanos(at_s),
        "startTimeUnixNano": nanos(START_S - 100.0),
        "count": str(count),
        "sum": value,
        "bucketCounts": [str(count)],
        "attributes": attributes({key.replace("__", "."): item for key, item in given.items()}),
    }
    return {
        "name": name,
        "unit": "s",
        "histogram": {"dataPoints": [made], "aggregationTemporality": 2 if cumulative else 1},
    }


def point(at_s: float, value: float, **given: Any) -> Json:
    return {
        "timeUnixNano": nanos(at_s),
        "asDouble": value,
        "attributes": attributes({key.replace("__", "."): item for key, item in given.items()}),
    }


def spans_line(source: str, *spans: Any) -> str:
    return _line("resourceSpans", "scopeSpans", "spans", source, spans)


def logs_line(source: str, *records: Any) -> str:
    return _line("resourceLogs", "scopeLogs", "logRecords", source, records)


def metrics_line(source: str, *metrics: Any) -> str:
    return _line("resourceMetrics", "scopeMetrics", "metrics", source, metrics)


def _line(kind: str, scopes: str, items: str, source: str, content: Sequence[Any]) -> str:
    group = {"resource": resource(source), scopes: [{"scope": {"name": "test"}, items: list(content)}]}
    return json.dumps({kind: [group]}) + "\n"


def fleet(seconds: int = 60, workers: int = 3, *, lost: str = "", lost_at: int = 30) -> list[str]:
    """A fleet that works, a line for each program and second; `lost` sends nothing more from `lost_at` on."""
    lines = []
    for second in range(seconds):
        at_s = START_S + second
        names = [f"w{number}" for number in range(workers)]
        alive = [name for name in names if name != lost or second < lost_at]
        lines.append(logs_line("boss", *(beat(at_s + 0.1, name) for name in alive)))
        lines += [spans_line(name, span(at_s + 0.5, "process order", 5), span(at_s + 0.6)) for name in alive]
        if second % 10 == 0:
            lines += [metrics_line(name, gauge(at_s, "process.cpu.utilization", 0.3)) for name in alive]
    return lines


def busy_fleet(seconds: int = 60, workers: int = 4, *, lost: str = "", lost_at: int = 30) -> list[str]:
    """A fleet that says everything there is to say: of every role, signal and kind of metric."""
    lines = []
    for second in range(seconds):
        at_s = START_S + second
        names = [f"w{number}" for number in range(workers)]
        alive = [name for name in names if name != lost or second < lost_at]
        changes = [("register", name) for name in names] if second == 0 else []
        changes += [("handle_failure", lost)] if lost and second == lost_at + 8 else []
        roles = [*changes, ("assign", alive[second % len(alive)]), ("rebalance", alive[0])]
        lines.append(logs_line("boss", *(beat(at_s + 0.1, name) for name in alive)))
        lines.append(spans_line("boss", *(_role(at_s + 0.2 + 0.01 * i, *role) for i, role in enumerate(roles))))
        lines += [spans_line(name, *_work(at_s + 0.3 + 0.01 * i, second)) for i, name in enumerate(alive)]
        if second % 5 == 0:
            lines += [metrics_line(name, *_metrics(at_s + 0.7, second)) for name in alive]
        if second % 7 == 3:
            lines.append(logs_line(alive[-1], log(at_s + 0.8, 17, "out of it", exception__type="ValueError")))
    return lines


def _role(at_s: float, role: str, worker: str) -> Json:
    kind = {"register": 2, "assign": 4}.get(role, 1)
    given = {"orchestrator.operation.name": role, "orchestrator.worker.id": worker, "orchestrator.task.id": f"{at_s}"}
    return span(at_s, f"{role} order", kind, 0.01, given=given)


def _work(at_s: float, second: int) -> list[Json]:
    process = {"orchestrator.operation.name": "process", "orchestrator.task.name": "order"}
    return [
        span(at_s, "process order", 5, given=process, error="builtins.ValueError" if second % 20 == 9 else ""),
        span(at_s + 0.05, "SELECT", 3, 0.02, given={"db.system.name": "postgresql", "server.address": "db-1"}),
        span(at_s + 0.06, "POST", 3, 0.03, given={"server.address": "bank", "http.response.status_code": 200}),
    ]


def _metrics(at_s: float, second: int) -> list[Json]:
    return [
        gauge(at_s, "process.cpu.utilization", 0.3),
        gauge(at_s, "system.memory.utilization", 0.5 + 0.01 * (second % 3)),
        gauge(at_s, "queue.usage", 5.0 + second % 4, "{item}"),
        gauge(at_s, "queue.limit", 50.0, "{item}"),
        total(at_s, "jobs.done", 10.0 * second, START_S - 9.0),
        total(at_s, "orchestrator.errors", 1.0, START_S + second - 4.0, cumulative=False),
        histogram(at_s, "db.client.operation.duration", 20 * second, 0.4 * second, db__system__name="postgresql"),
        histogram(at_s, "orchestrator.operation.duration", 10 * second, 1.0 * second),
    ]


class Recorder(Engine):
    """An engine that remembers what it was given."""

    def __init__(self) -> None:
        super().__init__([], [])
        self.seen: list[Observation] = []

    def observe(self, observations: Iterable[Observation]) -> list[Transition]:
        batch = list(observations)
        self.seen += batch
        return super().observe(batch)


@dataclass
class Played:
    """What came of a replay: the output objects, and what was said on stderr."""

    outputs: list[Json]
    said: list[str]

    @property
    def summary(self) -> Json:
        return self.outputs[-1]

    def of(self, kind: str) -> list[Json]:
        return [output for output in self.outputs if output["type"] == kind]


def play(
    folder: Path, *files: Sequence[str] | bytes, engine: Engine | None = None, every_s: float | None = None
) -> Played:
    """Replays files of these lines."""
    paths = []
    for number, content in enumerate(files):
        path = folder / f"{number}.jsonl"
        path.write_bytes(content if isinstance(content, bytes) else "".join(content).encode())
        paths.append(path)
    said: list[str] = []
    opened = [LineFile(str(path)) for path in paths]
    outputs = list(replay(opened, engine if engine is not None else Engine(), Ledger(said.append), every_s))
    return Played(outputs, [text.replace(f"{folder}/", "") for text in said])


def observed(folder: Path, *lines: str) -> list[Observation]:
    """What an engine sees of a recording, but for signs of life."""
    engine = Recorder()
    play(folder, lines, engine=engine)
    return [item for item in engine.seen if getattr(item, "observer", "") != item.source]
