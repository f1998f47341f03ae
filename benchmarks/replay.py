"""How quickly a recording is replayed, against decoding the same lines as JSON and nothing more.

    python benchmarks/replay.py [--seconds 60] [--rate 1000] [--workers 12] [--rounds 3] [--json]

The recording is one of a healthy fleet: `rate` spans a second (an assignment by the orchestrator, its processing
by a worker, two database calls), heartbeats as events, metrics every ten seconds. CPU time of one core; the
figures are the best of all rounds.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from otel_monitor.detection import build_engine
from otel_monitor.replay.ledger import Ledger
from otel_monitor.replay.lines import LineFile
from otel_monitor.replay.replay import replay
from otel_monitor.settings import Settings
from otel_monitor_processors.engine import Engine

START_NS = 1_800_000_000 * 10**9
SECOND_NS = 10**9


def attributes(**values: str | int) -> str:
    pairs = (
        f'{{"key":"{name.replace("__", ".")}","value":'
        + (f'{{"stringValue":"{value}"}}' if isinstance(value, str) else f'{{"intValue":"{value}"}}')
        + "}"
        for name, value in values.items()
    )
    return f"[{','.join(pairs)}]"


class Fleet:
    """Writes what an orchestrator and its workers would have exported."""

    def __init__(self, workers: int, rate: float) -> None:
        self.chance = random.Random(1)
        self.workers = [f"worker-{number}" for number in range(workers)]
        self.tasks_per_s = max(1, round(rate / 4))
        self.spans = 0

    def span(self, name: str, kind: int, end_ns: int, seconds: float, trace: int, parent: int, given: str) -> str:
        self.spans += 1
        return (
            f'{{"traceId":"{trace:032x}","spanId":"{self.chance.getrandbits(64):016x}","parentSpanId":"{parent:016x}",'
            f'"flags":257,"name":"{name}","kind":{kind},"startTimeUnixNano":"{end_ns - int(seconds * 1e9)}",'
            f'"endTimeUnixNano":"{end_ns}","attributes":{given},"status":{{}}}}'
        )

    def resource(self, name: str) -> str:
        given = attributes(
            service__name="shop",
            service__namespace="sales",
            service__instance__id=name,
            telemetry__sdk__language="python",
        )
        return f'{{"resource":{{"attributes":{given}}}'

    def second(self, second: int) -> Iterator[str]:
        """The lines of one second: one for each program and signal."""
        spans: dict[str, list[str]] = {}
        for _ in range(self.tasks_per_s):
            worker, trace = self.chance.choice(self.workers), self.chance.getrandbits(128)
            parent = trace % 2**60
            end_ns = START_NS + second * SECOND_NS + self.chance.randrange(SECOND_NS)
            assign = attributes(
                orchestrator__operation__name="assign",
                orchestrator__worker__id=worker,
                orchestrator__task__name="order",
                orchestrator__task__id=f"task-{trace % 100_000}",
                orchestrator__assignment__reason="new",
            )
            spans.setdefault("orchestrator", []).append(self.span("assign order", 4, end_ns, 0.002, trace, 0, assign))
            process = attributes(
                orchestrator__operation__name="process",
                orchestrator__worker__id=worker,
                orchestrator__task__name="order",
                orchestrator__task__id=f"task-{trace % 100_000}",
                messaging__system="rabbitmq",
                messaging__destination__name="orders",
            )
            own = spans.setdefault(worker, [])
            for statement in ("SELECT", "UPDATE"):
                query = attributes(
                    db__system__name="postgresql",
                    db__operation__name=statement,
                    db__namespace="shop",
                    server__address="db-1",
                    server__port=5432,
                )
                seconds = self.chance.expovariate(200.0)
                own.append(self.span(f"{statement} orders", 3, end_ns + 40_000_000, seconds, trace, parent, query))
            seconds = 0.05 + self.chance.expovariate(50.0)
            own.append(self.span("process order", 5, end_ns + 50_000_000, seconds, trace, parent, process))
        for name, written in spans.items():
            scope = '"scopeSpans":[{"scope":{"name":"shop"},"spans":[' + ",".join(written) + "]}]}"
            yield f'{{"resourceSpans":[{self.resource(name)},{scope}]}}\n'
        yield self.heartbeats(second)
        if second % 10 == 0:
            yield self.metrics(second)

    def heartbeats(self, second: int) -> str:
        at_ns = START_NS + second * SECOND_NS
        records = ",".join(
            f'{{"timeUnixNano":"{at_ns + self.chance.randrange(50_000_000)}","severityNumber":9,'
            f'"eventName":"orchestrator.worker.heartbeat","attributes":{attributes(orchestrator__worker__id=worker)}}}'
            for worker in self.workers
        )
        return f'{{"resourceLogs":[{self.resource("orchestrator")},"scopeLogs":[{{"logRecords":[{records}]}}]}}]}}\n'

    def share(self) -> float:
        return 0.2 + 0.2 * self.chance.random()

    def metrics(self, second: int) -> str:
        at = f'"timeUnixNano":"{START_NS + second * SECOND_NS}"'
        groups = []
        for worker in self.workers:
            shares = ",".join(
                f'{{"name":"{name}","unit":"1","gauge":{{"dataPoints":[{{{at},"asDouble":{self.share()}}}]}}}}'
                for name in ("process.cpu.utilization", "system.memory.utilization", "system.filesystem.utilization")
            )
            groups.append(f'{self.resource(worker)},"scopeMetrics":[{{"metrics":[{shares}]}}]}}')
        return f'{{"resourceMetrics":[{",".join(groups)}]}}\n'


def write(path: Path, seconds: int, fleet: Fleet) -> int:
    """Writes a recording; how many spans it holds."""
    with path.open("w", encoding="ascii") as file:
        for second in range(seconds):
            file.writelines(fleet.second(second))
    return fleet.spans


def cpu_s(run: Callable[[], object], rounds: int) -> float:
    taken = []
    for _ in range(rounds):
        began = time.process_time()
        run()
        taken.append(time.process_time() - began)
    return min(taken)


def decode(path: Path) -> None:
    with path.open("rb") as file:
        for line in file:
            json.loads(line)


def play(path: Path, engine: Engine) -> None:
    complaints: list[str] = []
    *_, summary = replay([LineFile(str(path))], engine, Ledger(complaints.append))
    if complaints or summary["malformed"] or summary["late"]:
        raise SystemExit(f"the recording is not what it should be: {complaints} {summary}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60, help="length of the recording")
    parser.add_argument("--rate", type=float, default=1_000.0, help="spans a second in the recording")
    parser.add_argument("--workers", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recording.jsonl"
        spans = write(path, given.seconds, Fleet(given.workers, given.rate))
        size = path.stat().st_size
        cases: dict[str, Callable[[], object]] = {
            "json.loads alone": lambda: decode(path),
            "replay, without rules and detectors": lambda: play(path, Engine([], [])),
            "replay": lambda: play(path, build_engine(Settings())),
        }
        taken = {name: cpu_s(run, given.rounds) for name, run in cases.items()}
    base = taken["json.loads alone"]
    rows = [
        {
            "case": name,
            "spans_per_s": round(spans / seconds),
            "us_per_span": round(seconds / spans * 1e6, 2),
            "ratio": round(seconds / base, 2),
        }
        for name, seconds in taken.items()
    ]
    if given.json:
        print(json.dumps({"spans": spans, "bytes": size, "cases": rows}, indent=2))
        return
    print(f"{spans:,} spans in {size:,} bytes\n")
    print("| case | spans/s | µs a span | of json.loads |")
    print("|---|---:|---:|---:|")
    for row in rows:
        print(f"| {row['case']} | {row['spans_per_s']:,} | {row['us_per_span']} | {row['ratio']} |")


if __name__ == "__main__":
    main()
