"""Why a worker gets a task: told by the caller, or known from what happened before."""

from __future__ import annotations

import pytest

from otel_monitor.telemetry.fleet import Fleet
from otel_monitor.telemetry.tasks import Reason, Tasks
from otel_monitor_processors import drops


@pytest.fixture
def fleet() -> Fleet:
    fleet = Fleet()
    for worker in ("w1", "w2", "w3"):
        fleet.joined(worker, 0.0)
    return fleet


@pytest.fixture
def tasks(fleet: Fleet) -> Tasks:
    return Tasks(fleet)


def give(
    tasks: Tasks, task: str, worker: str, reason: str | None = None, in_rebalance: bool = False
) -> tuple[str, int | None]:
    plan = tasks.plan(task, worker, reason, in_rebalance)
    tasks.assigned(task, worker, plan, 0.0)
    return plan.reason.value, plan.attempt


def test_a_task_nobody_had_is_new(tasks: Tasks) -> None:
    assert give(tasks, "s1", "w1") == ("new", 1)


def test_the_same_task_to_the_same_worker_is_a_retry(tasks: Tasks) -> None:
    give(tasks, "s1", "w1")
    assert give(tasks, "s1", "w1") == ("retry", 2)
    assert give(tasks, "s1", "w1") == ("retry", 3)


def test_a_task_whose_worker_was_lost_fails_over(tasks: Tasks, fleet: Fleet) -> None:
    give(tasks, "s1", "w1")
    fleet.lost("w1")
    assert give(tasks, "s1", "w2") == ("failover", 2)
    assert give(tasks, "s1", "w2") == ("retry", 3)


def test_a_task_fails_over_even_to_the_worker_that_was_lost_and_is_back(tasks: Tasks, fleet: Fleet) -> None:
    give(tasks, "s1", "w1")
    fleet.lost("w1")
    fleet.joined("w1", 1.0)
    assert give(tasks, "s1", "w1") == ("failover", 2)


def test_a_task_moved_by_rebalancing_is_no_attempt_more(tasks: Tasks) -> None:
    give(tasks, "s1", "w1")
    assert give(tasks, "s1", "w2", in_rebalance=True) == ("rebalance", 1)


def test_what_the_caller_says_counts_first(tasks: Tasks) -> None:
    give(tasks, "s1", "w1")
    assert give(tasks, "s1", "w2", reason="failover", in_rebalance=True) == ("failover", 2)


def test_a_reason_that_is_none_of_ours_is_passed_over(tasks: Tasks) -> None:
    assert give(tasks, "s1", "w1", reason="because") == ("new", 1)


def test_a_second_living_worker_with_the_same_task_is_a_duplicate(tasks: Tasks, fleet: Fleet) -> None:
    give(tasks, "s1", "w1")
    assert tasks.plan("s1", "w2", None, in_rebalance=False).duplicate
    assert not tasks.plan("s1", "w2", None, in_rebalance=True).duplicate
    assert not tasks.plan("s1", "w1", None, in_rebalance=False).duplicate
    fleet.lost("w1")
    assert not tasks.plan("s1", "w2", None, in_rebalance=False).duplicate


def test_a_task_without_an_id_is_new_and_its_attempt_unknown(tasks: Tasks) -> None:
    plan = tasks.plan(None, "w1", None, in_rebalance=False)
    assert (plan.reason, plan.attempt) == (Reason.NEW, None)


def test_tasks_are_pending_once_their_worker_is_gone(tasks: Tasks, fleet: Fleet) -> None:
    assert tasks.counts() == {}
    for task, worker in (("s1", "w1"), ("s2", "w1"), ("s3", "w2")):
        give(tasks, task, worker)
    fleet.lost("w1")
    assert tasks.counts() == {"pending": 2, "assigned": 1, "running": 0}
    give(tasks, "s1", "w2")
    assert tasks.counts() == {"pending": 1, "assigned": 2, "running": 0}


def test_a_moved_task_is_its_new_workers_alone(tasks: Tasks, fleet: Fleet) -> None:
    give(tasks, "s1", "w1")
    give(tasks, "s1", "w2", in_rebalance=True)
    assert dict(fleet.assigned()) == {"w1": 0, "w2": 1, "w3": 0}


def test_a_task_has_waited_since_it_was_assigned_here_once(tasks: Tasks) -> None:
    plan = tasks.plan("s1", "w1", None, in_rebalance=False)
    tasks.assigned("s1", "w1", plan, 10.0)
    assert tasks.started("s1", 12.5) == (2.5, False)
    tasks.ended("s1")
    assert tasks.started("s1", 13.0) == (None, False)


def test_a_task_that_runs_twice_at_once_is_noticed(tasks: Tasks) -> None:
    assert tasks.started("s1", 0.0) == (None, False)
    assert tasks.started("s1", 0.0) == (None, True)
    assert tasks.counts()["running"] == 2
    tasks.ended("s1")
    tasks.ended("s1")
    tasks.ended("s1")
    assert tasks.counts() == {}


def test_work_without_an_id_is_running_too(tasks: Tasks) -> None:
    tasks.started(None, 0.0)
    assert tasks.counts()["running"] == 1
    tasks.ended(None)
    tasks.ended(None)
    assert tasks.counts() == {}


def test_beyond_its_limit_the_oldest_task_leaves_and_is_counted(fleet: Fleet) -> None:
    before = drops.snapshot()
    tasks = Tasks(fleet, limit=2)
    for task in ("s1", "s2", "s1", "s3"):
        give(tasks, task, "w1")
        tasks.started(task, 0.0)
    assert tasks.counts() == {"pending": 0, "assigned": 2, "running": 3}
    assert dict(fleet.assigned())["w1"] == 2
    after = drops.snapshot()
    for reason in ("task_limit", "running_limit"):
        assert after["tasks", reason] == before.get(("tasks", reason), 0) + 1
