"""Every harmless event happens, and breaks nothing for good."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmarks.detection.scenarios.background import BACKGROUNDS
from benchmarks.detection.scenarios.scenario import Scenario
from tests.simulator.stages import BEGIN_S, START, Witness, played_background

Check = Callable[[Scenario, Witness], object]

_BEGIN = START + BEGIN_S


def _count(times: list[float], low: float, high: float) -> int:
    return sum(low <= at < high for at in times)


def _members(what: str, at_least: int) -> Check:
    return lambda _scenario, witness: sum(kind == what and at >= _BEGIN for at, kind in witness.members) >= at_least


def _processed(witness: Witness, low: float, high: float) -> int:
    return sum(_count(times, low, high) for times in witness.processed_at.values())


def _busier(_scenario: Scenario, witness: Witness) -> bool:
    return _processed(witness, _BEGIN, _BEGIN + 60) > 1.15 * _processed(witness, _BEGIN - 60, _BEGIN)


def _quieter(_scenario: Scenario, witness: Witness) -> bool:
    return _processed(witness, _BEGIN + 30, _BEGIN + 90) < 0.5 * _processed(witness, _BEGIN - 60, _BEGIN)


def _failing(_scenario: Scenario, witness: Witness) -> bool:
    return sum(_count(times, _BEGIN, _BEGIN + 600) for times in witness.failed_at.values()) >= 2


def _slow_statements(_scenario: Scenario, witness: Witness) -> bool:
    before = sorted(took for at, took in witness.statements if at < _BEGIN)
    since = sorted(took for at, took in witness.statements if _BEGIN <= at < _BEGIN + 60)
    return since[len(since) // 2] > 1.15 * before[len(before) // 2]


def _late_heartbeat(_scenario: Scenario, witness: Witness) -> bool:
    return max(gap for gaps in witness.gaps.values() for at, gap in gaps if at >= _BEGIN) > 1.3


def _unreached(_scenario: Scenario, witness: Witness) -> bool:
    return sum(at >= _BEGIN for at, _, _ in witness.unreached) >= 1


def _happens(text: str) -> Check:
    return lambda _scenario, witness: witness.happened[text] >= 1


def _goes_on(_scenario: Scenario, witness: Witness) -> bool:
    """Nothing that the system itself would notice."""
    return _processed(witness, _BEGIN, _BEGIN + 60) > 0


_EFFECTS: dict[str, Check] = {
    "slow disk": _slow_statements,
    "one long collection of garbage": _goes_on,
    "backup job": _slow_statements,
    "flush of a cache": _slow_statements,
    "brief blip of the network": _unreached,
    "rotation of certificates": _unreached,
    "reload of a configuration": _late_heartbeat,
    "an expensive query": _slow_statements,
    "failover of the database": _failing,
    "a few deadlocks": lambda _scenario, witness: len(witness.locked_at) >= 1,
    "growth of a cache up to its limit": _goes_on,
    "restart of a worker": _members("left", 1),
    "rolling deployment": _members("left", 6),
    "scale-up": _members("joined", 1),
    "scale-down": _members("left", 1),
    "autoscaling": _members("joined", 1),
    "warm-up of a new worker": _members("joined", 1),
    "change of the leader": _late_heartbeat,
    "crash of a single worker": _members("lost", 1),
    "pause of the Collector": _goes_on,
    "outage of the Collector": _goes_on,
    "a clock that runs ahead": _goes_on,
    "noise in the logs": _happens("cannot parse header, using default"),
    "change of the sampling": _goes_on,
    "traffic spike": _busier,
    "cron burst": _busier,
    "poison batch that fails cleanly": _failing,
    "a single noisy client": _failing,
    "long tasks": lambda _scenario, witness: witness.happened["long"] >= 1,
    "idle night": _quieter,
    "batch job": _goes_on,
    "a heavier mix of tasks": _goes_on,
}


@pytest.mark.parametrize("name", list(BACKGROUNDS))
def test_an_event_has_its_effect_and_the_fleet_is_well_afterwards(name: str) -> None:
    scenario, witness, label = played_background(name)
    assert _EFFECTS[name](scenario, witness)
    assert label.faults == ()
    assert all(worker.alive for worker in scenario.world.workers)
    assert sum(len(orchestrator.pending) for orchestrator in scenario.world.orchestrators) < 20
    assert not scenario.world.parts.killed_for_memory


def test_there_are_twenty_kinds_of_events_and_some_are_kept_for_reporting() -> None:
    assert len(BACKGROUNDS) >= 20
    assert sum(event.held_out for event in BACKGROUNDS.values()) >= 2
