"""What a wrapped call costs, against the plain call and against a span and a histogram written by hand.

    python benchmarks/overhead.py [--rounds 25] [--calls 500] [--json]

All cases run in one process in interleaved rounds; the figures are medians, the ratios those of each round.
CPU is that of the whole process, with what the background threads do for the calls of a round: the SDK's
exporting processor takes the spans from its queue, the engine evaluates the observations with its default rules.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import statistics
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field

from opentelemetry.propagate import inject
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind

from otel_monitor.detection import build_engine
from otel_monitor.instrumentation import recorder
from otel_monitor.instrumentation.operation import Side
from otel_monitor.instrumentation.patching import NamedClass, patches
from otel_monitor.settings import Settings
from otel_monitor.telemetry import Telemetry
from otel_monitor_processors.observation import MetricPoint
from otel_monitor_processors.otel.driver import Driver
from otel_monitor_processors.otel.span import FlaggingSpanProcessor, MonitorSpanProcessor

BASELINE = "stock span and histogram"
_NOTHING = MetricPoint(0.0, "", "", (), 0.0)
_RESOURCE = Resource({"service.name": "benchmark", "service.instance.id": "benchmark-1"})


class _NowhereExporter(SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS


class Plain:
    def process_stream(self, stream_id: str) -> None: ...

    async def process_stream_async(self, stream_id: str) -> None: ...

    def stream_items(self, count: int) -> Iterator[int]:
        yield from range(count)

    async def stream_items_async(self, count: int) -> AsyncIterator[int]:
        for item in range(count):
            yield item


class Worker(Plain):
    def __init__(self) -> None:
        self.worker_id = "benchmark-1"

    def process_stream(self, stream_id: str) -> None: ...

    async def process_stream_async(self, stream_id: str) -> None: ...

    def refresh(self) -> None: ...

    def stream_items(self, count: int) -> Iterator[int]:
        yield from range(count)

    async def stream_items_async(self, count: int) -> AsyncIterator[int]:
        for item in range(count):
            yield item


class Orchestrator:
    def heartbeat(self, worker_id: str) -> None: ...

    def assign_stream(self, stream_id: str, worker_id: str, headers: dict[str, str]) -> None: ...


class HandWritten:
    """What a careful user would write without us."""

    def __init__(self, tracer_provider: TracerProvider, meter_provider: MeterProvider) -> None:
        self._tracer = tracer_provider.get_tracer("benchmark")
        self._histogram = meter_provider.get_meter("benchmark").create_histogram("process.duration", "s")

    def process_stream(self, stream_id: str) -> None:
        attributes = {
            "orchestrator.operation.name": "process",
            "orchestrator.worker.id": "benchmark-1",
            "orchestrator.task.name": "stream",
            "orchestrator.stream.id": stream_id,
        }
        started = time.perf_counter()
        with self._tracer.start_as_current_span("process stream", kind=SpanKind.CONSUMER, attributes=attributes):
            pass
        self._histogram.record(time.perf_counter() - started, {"orchestrator.operation.name": "process"})

    def assign_stream(self, stream_id: str, worker_id: str, headers: dict[str, str]) -> None:
        attributes = {
            "orchestrator.operation.name": "assign",
            "orchestrator.worker.id": worker_id,
            "orchestrator.task.name": "stream",
            "orchestrator.stream.id": stream_id,
            "orchestrator.assignment.reason": "new",
        }
        started = time.perf_counter()
        with self._tracer.start_as_current_span("assign stream", kind=SpanKind.PRODUCER, attributes=attributes):
            inject(headers)
        self._histogram.record(time.perf_counter() - started, {"orchestrator.operation.name": "assign"})


@dataclass
class Case:
    name: str
    run: Callable[[int], None]
    wall_us: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)


@dataclass
class System:
    """The providers and the driver of both sides."""

    stock_spans: TracerProvider
    stock_metrics: MeterProvider
    spans: TracerProvider
    metrics: MeterProvider
    driver: Driver

    def settle(self) -> None:
        """Let the background threads finish what the calls have left them."""
        self.stock_spans.force_flush()
        self.spans.force_flush()
        self.driver.observe(_NOTHING)


def make_system() -> System:
    driver = Driver(build_engine(Settings()))
    driver.start()
    stock_spans, spans = (TracerProvider(resource=_RESOURCE, shutdown_on_exit=False) for _ in range(2))
    stock_spans.add_span_processor(BatchSpanProcessor(_NowhereExporter()))
    spans.add_span_processor(MonitorSpanProcessor(driver, console=False))
    spans.add_span_processor(FlaggingSpanProcessor(BatchSpanProcessor(_NowhereExporter()), driver))
    stock_metrics, metrics = (
        MeterProvider([InMemoryMetricReader()], _RESOURCE, shutdown_on_exit=False) for _ in range(2)
    )
    recorder.install(Telemetry(spans, metrics, driver, Settings(), "benchmark-1", "benchmark"))
    for cls, side in ((Worker, Side.WORKER), (Orchestrator, Side.ORCHESTRATOR)):
        patches.add(NamedClass(cls, side, frozenset({__name__})))
    return System(stock_spans, stock_metrics, spans, metrics, driver)


def calls(function: Callable[..., object], *arguments: object) -> Callable[[int], None]:
    def run(count: int) -> None:
        for _ in range(count):
            function(*arguments)

    return run


def heartbeats(orchestrator: Orchestrator) -> Callable[[int], None]:
    def run(count: int) -> None:
        for number in range(count):
            orchestrator.heartbeat(_WORKERS[number % len(_WORKERS)])

    return run


def items(owner: Plain) -> Callable[[int], None]:
    def run(count: int) -> None:
        for _ in owner.stream_items(count):
            pass

    return run


async def _await(owner: Plain, count: int) -> None:
    for _ in range(count):
        await owner.process_stream_async("s1")


async def _iterate(owner: Plain, count: int) -> None:
    async for _ in owner.stream_items_async(count):
        pass


def make_cases(system: System, loop: asyncio.Runner) -> list[Case]:
    plain, worker, orchestrator = Plain(), Worker(), Orchestrator()
    by_hand = HandWritten(system.stock_spans, system.stock_metrics)
    return [
        Case("plain call", calls(plain.process_stream, "s1")),
        Case(BASELINE, calls(by_hand.process_stream, "s1")),
        Case("wrapped process", calls(worker.process_stream, "s1")),
        Case("wrapped process, async", lambda count: loop.run(_await(worker, count))),
        Case("wrapped operation", calls(worker.refresh)),
        Case("wrapped heartbeat", heartbeats(orchestrator)),
        Case(f"{BASELINE}, with headers", calls(by_hand.assign_stream, "s1", "w1", {})),
        Case("wrapped assign, with headers", calls(orchestrator.assign_stream, "s1", "w1", {})),
        Case("plain call, async", lambda count: loop.run(_await(plain, count))),
        Case("plain generator, an item", items(plain)),
        Case("wrapped generator, an item", items(worker)),
        Case("plain async generator, an item", lambda count: loop.run(_iterate(plain, count))),
        Case("wrapped async generator, an item", lambda count: loop.run(_iterate(worker, count))),
    ]


_WORKERS = [f"w{number}" for number in range(20)]


def measure(cases: list[Case], system: System, rounds: int, calls: int) -> None:
    for number in range(rounds + 1):
        for case in cases:
            gc.collect()
            system.settle()
            cpu, wall = time.process_time(), time.perf_counter()
            case.run(calls)
            wall = time.perf_counter() - wall
            system.settle()
            cpu = time.process_time() - cpu
            if number:  # the first round warms up
                case.wall_us.append(wall / calls * 1e6)
                case.cpu_us.append(cpu / calls * 1e6)


def _ratio(values: list[float], of: list[float]) -> float:
    """Round by round, since a shared machine is faster in some than in others."""
    return statistics.median(value / other for value, other in zip(values, of, strict=True))


def report(cases: list[Case], as_json: bool) -> None:
    baseline = next(case for case in cases if case.name == BASELINE)
    rows = [
        {
            "case": case.name,
            "wall_us": round(statistics.median(case.wall_us), 2),
            "cpu_us": round(statistics.median(case.cpu_us), 2),
            "wall_ratio": round(_ratio(case.wall_us, baseline.wall_us), 3),
            "cpu_ratio": round(_ratio(case.cpu_us, baseline.cpu_us), 3),
        }
        for case in cases
    ]
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    print(f"| case | wall, µs | CPU, µs | wall, of {BASELINE} | CPU, of {BASELINE} |")
    print("|---|---:|---:|---:|---:|")
    for row in rows:
        print(f"| {row['case']} | {row['wall_us']} | {row['cpu_us']} | {row['wall_ratio']} | {row['cpu_ratio']} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--calls", type=int, default=500, help="calls of each case in a round")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    system = make_system()
    with asyncio.Runner() as loop:
        cases = make_cases(system, loop)
        measure(cases, system, arguments.rounds, arguments.calls)
    report(cases, arguments.json)
    recorder.uninstall()
    system.driver.stop()


if __name__ == "__main__":
    main()
