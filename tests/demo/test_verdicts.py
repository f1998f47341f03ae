"""The nine faults as real processes: what is recognised in the whole system, what is not said, which rules fire."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.processes import Processes, Program

Json = dict[str, Any]
WHOLE_SYSTEM = "whole system"


@dataclass(frozen=True)
class Case:
    """A fault, what must be said of whom, and what must not be said at all."""

    fault: str
    seconds: int
    pattern: str
    sources: frozenset[str] | None = None
    root: str | None = None
    never: frozenset[str] = frozenset()
    before: str = ""
    """A pattern that must not be said earlier."""
    rules: frozenset[str] = frozenset()
    """The user's own rules that must fire in the programs."""
    spreads: bool = False
    """Whether it takes others along where the machine has too few processors: then those named first count."""

    @property
    def patterns(self) -> set[str]:
        """A worker that computes without end may be said to be short of a processor, or of time to answer."""
        return {self.pattern, "resource_exhaustion"} if self.fault == "cpu" else {self.pattern}


def case(
    fault: str,
    seconds: int,
    pattern: str,
    *sources: str,
    root: str | None = None,
    never: str = "",
    before: str = "",
    rules: str = "",
) -> Case:
    named, fired = frozenset(sources) or None, frozenset(rules.split())
    return Case(fault, seconds, pattern, named, root, frozenset(never.split()), before, fired, fault == "cpu")


CASES = (
    case(
        "kill9", 26, "heartbeat_degradation", "w3", "w4",
        never="cascading_failures network_partition database_contention load_imbalance",
    ),
    case("partition", 28, "network_partition", "w3", "w4", never="cascading_failures database_contention"),
    case("sigstop", 28, "heartbeat_degradation", "w3", never="cascading_failures database_contention"),
    case(
        "dblock", 26, "database_contention",
        never="heartbeat_degradation cascading_failures network_partition load_imbalance resource_exhaustion",
        rules="slow_operations failing_operations",
    ),
    case(
        "skew", 32, "load_imbalance", "w1",
        never="cascading_failures network_partition database_contention", rules="uneven_load",
    ),
    # A machine that is busy with other tests disturbs every rhythm: it takes more time to tell.
    case("jitter", 48, "heartbeat_degradation", "w3", "w4", never="cascading_failures database_contention"),
    case("cascade", 36, "cascading_failures", root="s24", never="network_partition database_contention"),
    case(
        "cpu", 36, "heartbeat_degradation", "w2",
        never="cascading_failures network_partition database_contention", rules="blocked_event_loop",
    ),
    case(
        "oom", 38, "resource_exhaustion", "w2",
        never="cascading_failures network_partition database_contention",
        before="heartbeat_degradation", rules="memory_runs_out",
    ),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=[case.fault for case in CASES])
def test_a_fault_ends_in_the_right_verdict(case: Case, processes: Processes) -> None:
    run, document = played(case.fault, case.seconds, processes)
    assert document["fault"] == case.fault
    assert document["expected"] == case.pattern
    verdicts = of_the_whole_system(document)
    after = [verdict for verdict in verdicts if verdict["delay_s"] >= 0]
    right = [verdict for verdict in after if verdict["pattern"] in case.patterns and verdict["state"] != "closed"]
    assert right, run
    if case.sources is not None:
        named: set[str] = set().union(*(verdict["sources"] for verdict in (right[:1] if case.spreads else right)))
        assert case.sources <= named, run
        assert case.spreads or named == case.sources, run
    if case.root is not None:
        assert case.root in {verdict["root"] for verdict in right}, run
    assert {verdict["pattern"] for verdict in verdicts} & case.never == set(), run
    others = [verdict["at"] for verdict in after if verdict["pattern"] == case.before]
    assert right[0]["at"] <= min(others, default=right[0]["at"]), run
    fired = [alert for alert in document["alerts"] if alert["state"] == "firing"]
    assert case.rules <= {alert["rule"] for alert in fired if alert["delay_s"] >= 0}, run
    for alert in document["alerts"]:
        assert set(alert) == {"rule", "pattern", "severity", "state", "at", "delay_s", "summary"}
        assert alert["at"] == pytest.approx(document["injected_at"] + alert["delay_s"], abs=0.01)
        assert alert["severity"] in {"info", "warning", "critical", "emergency"}
        assert alert["summary"]


def test_a_healthy_fleet_has_neither_verdict_nor_alert_and_a_kept_one_says_where_its_files_are(
    processes: Processes, tmp_path: Path
) -> None:
    run, document = played("none", 24, processes, "--keep")
    assert document == {"fault": "none", "injected_at": None, "alerts": [], "expected": None, "verdicts": []}
    (directory,) = tmp_path.glob("otel-monitor-demo-*")
    assert f"kept: {directory}" in run.stderr
    assert (directory / "fleet.db").exists()
    assert "registered as w1" in (directory / "w1.log").read_text()
    assert "alert_rules" in json.loads((directory / "otel-monitor.json").read_text())


def of_the_whole_system(document: Json) -> list[Json]:
    return [verdict for verdict in document["verdicts"] if verdict["reporter"] == WHOLE_SYSTEM]


def played(fault: str, seconds: int, processes: Processes, *more: str) -> tuple[Program, Json]:
    run = processes.run(
        *(sys.executable, "-m", "otel_monitor", "demo", fault, "--seconds", str(seconds), "--output", "json", *more),
        env={"TMPDIR": str(processes.folder), "OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        timeout_s=seconds + 60,
    )
    assert run.returncode == 0, run
    return run, json.loads(run.stdout)
