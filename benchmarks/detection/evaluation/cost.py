"""What detection costs: time per span and per observation, memory per source."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.detection.evaluation import memory
from benchmarks.detection.evaluation.memory import Memory
from benchmarks.detection.evaluation.replaying import overhear, replay_lines
from benchmarks.detection.otlp.profile import Profile
from benchmarks.detection.scenarios.plan import Plan
from benchmarks.detection.scenarios.scenario import Scenario
from benchmarks.detection.scenarios.split import Split
from benchmarks.detection.simulator.shape import Shape
from otel_monitor.detection import build_engine
from otel_monitor.settings import Settings
from otel_monitor_processors.observation import Observation, Operation, Outcome

_SEED = Split.REPORT.healthy(1_000)[-1]
_SECONDS = 400.0
_SOURCES = 1_000
_PER_SOURCE = 60


@dataclass(frozen=True, slots=True)
class Cost:
    """Figures of one run."""

    spans: int
    records: int
    replay_us_per_record: float
    records_per_s: float
    engine_us_per_observation: float
    engine_us_per_span: float
    memory: Memory
    dump_bytes_per_source: float
    generation_times_real_time: float


def measure() -> Cost:
    """A busy fleet of a dozen, spans only, replayed once as a whole and once observation by observation."""
    began = time.process_time()
    scenario = _busy()
    lines = list(scenario.lines())
    generation_s = time.process_time() - began
    outcome = replay_lines("cost", lines)
    records = outcome.summary["spans"] + outcome.summary["metrics"] + outcome.summary["logs"]
    observations: list[Observation] = []
    overhear("cost", lines, observations.append)
    engine_s = _engine_s(observations)
    spans = max(1, outcome.summary["spans"])
    return Cost(
        outcome.summary["spans"],
        records,
        outcome.cpu_s / max(1, records) * 1e6,
        records / max(1e-9, outcome.cpu_s),
        engine_s / max(1, len(observations)) * 1e6,
        engine_s / spans * 1e6,
        memory.measure(),
        _dumped(),
        _SECONDS / generation_s,
    )


def _busy() -> Scenario:
    shape = Shape(workers=12, load=10.0, heartbeat_s=5.0, services=3)
    planned = Plan(_SEED, Split.REPORT, shape, Profile(metric_interval_s=15.0), 1.75e9, _SECONDS, tail_s=0.0)
    return Scenario(_SEED, planned)


def _engine_s(observations: list[Observation]) -> float:
    """CPU seconds of the engine with all rules and detectors: the best of three runs."""
    best = float("inf")
    for _ in range(3):
        engine = build_engine(Settings())
        gc.collect()
        began = time.process_time()
        for start in range(0, len(observations), 100):
            engine.observe(observations[start : start + 100])
        best = min(best, time.process_time() - began)
    return best


def _dumped() -> float:
    """Bytes of the dumped state, for each of a thousand sources."""
    engine = build_engine(Settings())
    for batch in _operations():
        engine.observe(batch)
    return len(engine.dump()) / _SOURCES


def _operations() -> Iterator[list[Observation]]:
    for second in range(_PER_SOURCE):
        at = 1.75e9 + second
        yield [
            Operation(at + number / _SOURCES, f"source-{number}", "process", Outcome.OK, 0.1, service="service")
            for number in range(_SOURCES)
        ]
