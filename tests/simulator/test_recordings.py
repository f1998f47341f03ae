"""What is recorded: valid OTLP, the same for the same seed, and nothing that could not have been recorded."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator

import pytest
from google.protobuf.json_format import Parse
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from benchmarks.detection.evaluation.replaying import overhear, replay_lines
from benchmarks.detection.otlp.profile import Dialect, Profile, Signal, draw_profile
from benchmarks.detection.scenarios.background import BACKGROUNDS
from benchmarks.detection.scenarios.mechanism import MECHANISMS
from benchmarks.detection.scenarios.plan import Happening
from benchmarks.detection.scenarios.scenario import Scenario
from benchmarks.detection.scenarios.split import Split
from benchmarks.detection.simulator.shape import Shape
from otel_monitor_processors.observation import (
    Assignment,
    DatabaseOperation,
    Heartbeat,
    Level,
    Link,
    Membership,
    Observation,
    Operation,
)
from tests.simulator.stages import BEGIN_S, SEED, START, planned, played_mechanism

_REQUESTS = {
    "resourceSpans": ExportTraceServiceRequest,
    "resourceMetrics": ExportMetricsServiceRequest,
    "resourceLogs": ExportLogsServiceRequest,
}


def _short(profile: Profile, happens: str | None = None, seconds: float = 90.0, seed: int = SEED) -> Scenario:
    plan = planned(Shape(workers=5, heartbeat_s=1.0, services=3), profile, seconds)
    if happens is not None:
        item = MECHANISMS.get(happens) or BACKGROUNDS[happens]
        (plan.faults if happens in MECHANISMS else plan.backgrounds).append(Happening(item, seconds / 2))
    return Scenario(seed, plan)


def _digest(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _records(lines: Iterable[str]) -> Iterator[tuple[str, str, float]]:
    """The source, kind and time of every span and log record."""
    for line in lines:
        for groups in json.loads(line).values():
            for group in groups:
                resource = {item["key"]: item["value"]["stringValue"] for item in group["resource"]["attributes"]}
                source = resource.get("service.instance.id", resource.get("host.name", ""))
                for scope in [*group.get("scopeSpans", ()), *group.get("scopeLogs", ())]:
                    for span in scope.get("spans", ()):
                        yield source, "span", int(span["endTimeUnixNano"]) / 1e9
                    for log in scope.get("logRecords", ()):
                        yield source, "log", int(log["timeUnixNano"]) / 1e9


@pytest.mark.parametrize("dialect", list(Dialect))
def test_every_line_is_one_export_request(dialect: Dialect) -> None:
    kinds: Counter[str] = Counter()
    scenario = _short(Profile(dialect=dialect, exception_events=True, heartbeat_spans=True), "failover of the database")
    for line in scenario.lines():
        (kind,) = json.loads(line)
        kinds[kind] += 1
        if kinds[kind] <= 25:
            Parse(line, _REQUESTS[kind]())
    assert set(kinds) == set(_REQUESTS)


@pytest.mark.parametrize("dialect", list(Dialect))
def test_the_command_reads_all_of_it_without_a_complaint(dialect: Dialect) -> None:
    scenario = _short(Profile(dialect=dialect))
    outcome = replay_lines("test", scenario.lines())
    counts = scenario.instrumentation.counts
    assert outcome.complaints == []
    assert outcome.summary["malformed"] == outcome.summary["late"] == 0
    for ours, theirs in (("spans", "spans"), ("points", "metrics"), ("logs", "logs")):
        assert outcome.summary[theirs] == pytest.approx(counts[ours], rel=0.02)


def test_the_same_seed_gives_the_same_recording_whatever_was_made_before() -> None:
    profile = draw_profile(Scenario(SEED).world.rng, heartbeat_s=1.0)
    first = _digest(_short(profile, "a hot row").lines())
    list(_short(Profile(), "poison task", seed=SEED + 1).lines())
    assert _digest(_short(profile, "a hot row").lines()) == first
    assert _digest(_short(profile, "a hot row", seed=SEED + 1).lines()) != first


def test_the_instrumentation_does_not_change_what_happens() -> None:
    ends = []
    for profile in (
        Profile(),
        Profile(dialect=Dialect.FOREIGN, sampling=0.1, late_share=0.2, late_up_to_s=30.0, loss=0.05),
        Profile(dialect=Dialect.OLDER, signals=frozenset({Signal.LOGS}), span_batch_s=5.0),
    ):
        scenario = _short(profile, "jitter")
        for _ in scenario.lines():
            pass
        fault = scenario.label().faults[0]
        done = [orchestrator.done_tasks for orchestrator in scenario.world.orchestrators]
        ends.append((fault.onset, fault.end, fault.sources, done, scenario.world.simulation.events))
    assert ends[0] == ends[1] == ends[2]


def test_the_dead_record_nothing_after_their_death_and_lose_what_they_had_not_sent() -> None:
    scenario = _short(Profile(span_batch_s=5.0), "crash of a single worker", seconds=120.0)
    lines = list(scenario.lines())
    (dead,) = [worker for worker in scenario.world.workers if worker.died_at is not None]
    assert dead.died_at is not None
    mine = sorted(at for source, _, at in _records(lines) if source == dead.name)
    back = dead.started_at
    assert any(at < dead.died_at for at in mine)
    assert not [at for at in mine if dead.died_at < at < back]
    assert not [at for at in mine if dead.died_at - 0.05 < at < dead.died_at]


@pytest.mark.parametrize(
    ("signals", "kinds"),
    [
        ({Signal.SPANS}, {Operation, Link, DatabaseOperation, Assignment}),
        ({Signal.METRICS}, {Level}),
        ({Signal.LOGS}, {Heartbeat}),
    ],
)
def test_each_signal_alone_tells_its_part(signals: set[Signal], kinds: set[type[Observation]]) -> None:
    heard: Counter[type[Observation]] = Counter()
    scenario = _short(Profile(signals=frozenset(signals)))
    overhear("test", scenario.lines(), lambda observation: heard.update([type(observation)]))
    assert kinds <= set(heard)


def test_members_links_and_levels_name_the_nodes_of_the_system() -> None:
    scenario = _short(Profile(), "rolling deployment")
    sources = set()
    members = Counter[str]()

    def hear(observation: Observation) -> None:
        sources.add(observation.source)
        if type(observation) is Membership:
            members[str(observation.change)] += 1

    overhear("test", scenario.lines(), hear)
    assert sources <= {node.name for node in scenario.nodes()}
    assert members["joined"] >= 3
    assert members["left"] >= 3


def test_sampling_keeps_whole_traces_and_their_share() -> None:
    all_of_them = _short(Profile())
    few = _short(Profile(sampling=0.1))
    for _ in all_of_them.lines():
        pass
    traces: dict[str, set[str]] = {}
    parents: dict[str, set[str]] = {}
    for line in few.lines():
        for group in json.loads(line).get("resourceSpans", ()):
            for scope in group["scopeSpans"]:
                for span in scope["spans"]:
                    traces.setdefault(span["traceId"], set()).add(span["spanId"])
                    if span["parentSpanId"]:
                        parents.setdefault(span["traceId"], set()).add(span["parentSpanId"])
    share = few.instrumentation.counts["spans"] / all_of_them.instrumentation.counts["spans"]
    assert 0.03 < share < 0.25
    complete = sum(parents.get(trace, set()) <= spans for trace, spans in traces.items())
    assert complete > 0.9 * len(traces)


def test_late_batches_come_late_and_lost_ones_never() -> None:
    late = _short(Profile(late_share=0.3, late_up_to_s=30.0))
    outcome = replay_lines("late", late.lines())
    assert late.instrumentation.collector.held_batches > 10
    assert outcome.summary["late"] > 0
    lossy = _short(Profile(loss=0.2))
    outcome = replay_lines("lossy", lossy.lines())
    assert outcome.summary["spans"] < 0.95 * lossy.instrumentation.counts["spans"]


def test_a_paused_collector_writes_it_all_later_and_a_dead_one_loses_it() -> None:
    shares = {}
    for event in ("pause of the Collector", "outage of the Collector"):
        scenario = _short(Profile(), event, seconds=200.0)
        outcome = replay_lines(event, scenario.lines())
        shares[event] = outcome.summary["spans"] / scenario.instrumentation.counts["spans"]
    assert shares["pause of the Collector"] > 0.98
    assert shares["outage of the Collector"] < 0.96


def test_a_wrong_clock_shifts_what_its_machine_records_and_nothing_else() -> None:
    scenario = _short(Profile())
    wrong = scenario.world.workers[0]
    wrong.clock_offset_s = 20.0
    times: dict[str, list[float]] = {}
    for source, _, at in _records(scenario.lines()):
        times.setdefault(source, []).append(at)
    assert max(times[wrong.name]) > START + 100.0
    assert max(at for source, found in times.items() if source != wrong.name for at in found) < START + 115.0


def test_a_level_reaches_its_limit_where_the_label_says_so() -> None:
    profile = Profile(signals=frozenset({Signal.METRICS}), metric_interval_s=5.0)
    scenario, _, label = played_mechanism("file descriptors leak", profile)
    again = Scenario(scenario.seed, scenario.plan)
    worst: dict[str, tuple[float, float]] = {}

    def hear(observation: Observation) -> None:
        if type(observation) is Level and "file_descriptor" in observation.resource:
            share = observation.value / observation.limit
            worst[observation.source] = max(worst.get(observation.source, (0.0, 0.0)), (share, observation.at))

    overhear("test", again.lines(), hear)
    fault = label.faults[0]
    assert fault.limit_at is not None
    share, at = worst[fault.sources[0]]
    assert share > 0.9
    assert fault.onset < at <= fault.end + 5.0


def test_a_recording_is_made_many_times_faster_than_it_lasts() -> None:
    scenario = _short(Profile(), seconds=BEGIN_S)
    for _ in scenario.lines():
        pass
    assert scenario.world.simulation.events < 400 * BEGIN_S  # events a second that 50 times real time can afford


def test_failing_and_healthy_scenarios_of_every_split_are_planned() -> None:
    for split in Split:
        for seed in (*split.failing(12), *split.healthy(3)):
            plan = Scenario(seed).plan
            assert plan.split is split
            assert bool(plan.faults) == (seed in split.failing(12))
            assert all(split in item.splits for item in plan.mechanisms)
