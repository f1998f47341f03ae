"""A worker that was silent and goes on is told from one that is lost, on virtual time."""

from __future__ import annotations

import pytest

from otel_monitor_processors.observation import Change, Heartbeat, Level, Membership
from otel_monitor_processors.patterns.verdict import Verdict, VerdictState
from tests.core.heartbeat_fleet import START, Fleet, verdicts_of


def silence(fleet: Fleet, worker: str, seconds: float, *, works: bool | None = None) -> list[Verdict]:
    """A worker sends no heartbeats; `works` tells whether its own telemetry goes on, if there is any."""
    verdicts: list[Verdict] = []
    for step in range(int(seconds) + 30):
        fleet.silent = {worker} if step >= 30 else set()
        if works is not None and (works or step < 30):
            verdicts += fleet.feed(Level(fleet.now, worker, "memory", 1.0, 2.0))
        verdicts += fleet.run(1.0)
    fleet.silent = set()
    return verdicts


@pytest.mark.parametrize(
    ("works", "why"),
    [
        (None, "paused (a stopped process, a frozen machine) or cut off"),
        (False, "paused (a stopped process, a frozen machine)"),
        (True, "it worked on, and was cut off or could not say so (a blocked loop or thread)"),
    ],
)
def test_a_worker_that_goes_on_after_a_silence_was_paused_or_cut_off(works: bool | None, why: str) -> None:
    fleet = Fleet(4)
    for step in range(3):
        fleet.feed(Membership(START, f"w{step}", "orchestrator", Change.JOINED))
    told = silence(fleet, "w1", 15.0, works=works)
    if works:  # only its orchestrator can know
        told += fleet.feed(Membership(fleet.now, "w1", "orchestrator", Change.LOST))
        for _ in range(4):
            fleet.silent = {"w1"}
            fleet.feed(Level(fleet.now, "w1", "memory", 1.0, 2.0))
            told += fleet.run(1.0)
        fleet.silent = set()
    assert [v.scope for v in told] == ["lost"]
    late = [v for v in fleet.run(60) if v.scope == "late"]
    assert [v.state for v in late] == [VerdictState.OPENED, VerdictState.CLOSED]
    assert late[0].sources == ("w1",)
    assert late[0].summary.startswith("w1 was silent for 1")
    assert late[0].summary.endswith(why)
    assert late[0].evidence["paused"]["w1"]["worked_on"] is works


def test_a_worker_that_is_started_anew_was_not_paused() -> None:
    fleet = Fleet(4)
    silence(fleet, "w1", 15.0, works=False)
    fleet.feed(Membership(fleet.now, "w1", "orchestrator", Change.JOINED))
    assert [v.scope for v in fleet.run(30)] == ["lost"]


def test_a_worker_that_registers_again_and_said_something_before_was_paused() -> None:
    fleet = Fleet(4)
    silence(fleet, "w1", 15.0, works=False)
    fleet.feed(Heartbeat(fleet.now, "w1", "w1", False, 0.1))
    fleet.now += 0.2
    verdicts = fleet.feed(Membership(fleet.now, "w1", "orchestrator", Change.JOINED))
    assert [v.scope for v in verdicts] == ["late"]
    assert verdicts[0].summary.endswith("goes on: paused (a stopped process, a frozen machine)")


def test_a_process_that_stood_still_says_so_itself() -> None:
    fleet = Fleet(0)
    for second in range(30):
        fleet.feed(Heartbeat(START + second, "w1", "w1", True, 0.01))
    fleet.engine.pause(11.2)
    verdicts = verdicts_of(fleet.engine.advance(START + 42)) + verdicts_of(fleet.engine.advance(START + 130))
    assert [(v.state, v.sources) for v in verdicts] == [(VerdictState.OPENED, ("w1",)), (VerdictState.CLOSED, ("w1",))]
    assert verdicts[0].summary == "this process stood still for 11.2 s"
