"""What each role adds: heartbeats, membership, assignments, processing; as metrics and as observations."""

from __future__ import annotations

from typing import Any

import pytest

from otel_monitor.instrumentation import recorder
from otel_monitor.instrumentation.operation import Operation as Wrapped
from otel_monitor.settings import Settings
from otel_monitor.telemetry.fleet import MAX_LABELLED
from otel_monitor_processors.classification import Category
from otel_monitor_processors.observation import Assignment, Change, Heartbeat, Link, Membership, Operation
from tests.telemetry.recording import (
    ASSIGN,
    DEREGISTER,
    HANDLE_FAILURE,
    HEARTBEAT,
    PROCESS,
    REBALANCE,
    REGISTER,
    SEND_HEARTBEAT,
    SEND_REGISTER,
    SERVICE,
    SOURCE,
    Process,
    start_process,
)

WORKER = "orchestrator.worker.id"
REASON = "orchestrator.assignment.reason"


def beat(process: Process, worker: str, times: int, every_s: float = 1.0) -> None:
    for _ in range(times):
        process.clock.advance(every_s)
        process.call(HEARTBEAT, worker_id=worker)


# -- heartbeats -------------------------------------------------------------------------------------------


def test_a_heartbeat_is_the_workers_as_its_receiver_saw_it(process: Process) -> None:
    beat(process, "w1", 1)
    assert process.driver.of(Heartbeat) == [Heartbeat(process.clock.now, "w1", SOURCE)]
    assert not process.driver.observed


def test_a_heartbeat_counts_from_its_arrival_whatever_becomes_of_its_handler(process: Process) -> None:
    """A locked database must not look like a silent worker."""
    arrived = process.clock.now
    process.call(HEARTBEAT, worker_id="w1", body=lambda: process.clock.advance(5.0), error=OSError("locked"))
    (heartbeat,) = process.driver.of(Heartbeat)
    assert (heartbeat.at, heartbeat.ok) == (arrived, True)
    assert process.driver.all[0] == heartbeat


@pytest.mark.parametrize(("heartbeat", "worker"), [(HEARTBEAT, "w1"), (SEND_HEARTBEAT, SOURCE)])
def test_every_heartbeat_is_an_event_when_the_settings_ask_for_it(heartbeat: Wrapped, worker: str) -> None:
    process = start_process(settings=Settings(record_heartbeats=True))
    process.call(heartbeat, worker_id="w1")
    (event,) = process.events.get_finished_logs()
    assert event.log_record.event_name == "orchestrator.worker.heartbeat"
    assert dict(event.log_record.attributes or {}) == {WORKER: worker}
    recorder.uninstall()


def test_otherwise_a_heartbeat_is_no_event(process: Process) -> None:
    beat(process, "w1", 3)
    assert not process.events.get_finished_logs()


def test_intervals_are_measured_per_worker_by_the_receivers_clock(process: Process) -> None:
    beat(process, "w1", 3, every_s=0.5)
    beat(process, "w2", 2, every_s=4.0)
    points = process.points()["orchestrator.heartbeat.interval"]
    assert {key: (point.count, point.sum) for key, point in points.items()} == {
        ((WORKER, "w1"),): (2, 1.0),
        ((WORKER, "w2"),): (1, 4.0),
    }


def test_the_age_of_the_last_heartbeat_is_that_at_collection(process: Process) -> None:
    beat(process, "w1", 2)
    process.clock.advance(7.0)
    assert process.values("orchestrator.heartbeat.age") == {((WORKER, "w1"),): pytest.approx(7.0)}


def test_series_of_workers_are_limited_and_the_longest_age_is_kept(process: Process) -> None:
    for number in range(MAX_LABELLED + 20):
        for _ in range(2):
            process.clock.advance(0.1)
            process.call(HEARTBEAT, worker_id=f"w{number}")
    intervals, ages = process.values("orchestrator.heartbeat.interval"), process.values("orchestrator.heartbeat.age")
    assert len(intervals) == MAX_LABELLED + 1
    assert intervals[()] == 20
    assert len(ages) == MAX_LABELLED + 1
    assert ages[()] == pytest.approx(19 * 0.2)


def test_missed_heartbeats_are_counted_while_the_worker_is_silent(process: Process) -> None:
    beat(process, "w1", 10)
    process.clock.advance(3.5)
    process.driver.tick()
    assert process.values("orchestrator.heartbeat.missed") == {(): 2}


def test_a_worker_reports_its_own_heartbeats_and_whether_they_got_through(process: Process) -> None:
    process.call(SEND_HEARTBEAT)
    process.call(SEND_HEARTBEAT, error=ConnectionResetError())
    good, bad = process.driver.of(Heartbeat)
    assert (good.source, good.observer, good.ok) == (SOURCE, SOURCE, True)
    assert not bad.ok
    first, second = process.driver.of(Link)
    assert (first.source, first.peer, first.ok) == (SOURCE, "orchestrator", True)
    assert (second.ok, second.category) == (False, Category.NETWORK)
    assert second.trace is not None


# -- membership -------------------------------------------------------------------------------------------


def test_a_worker_that_has_registered_is_a_member(process: Process) -> None:
    process.call(REGISTER, worker_id="w1")
    (member,) = process.driver.of(Membership)
    assert (member.source, member.observer, member.change) == ("w1", SOURCE, Change.JOINED)
    assert member in process.driver.observed
    assert process.values("orchestrator.worker.registrations") == {(): 1}
    assert process.values("orchestrator.worker.count")[("orchestrator.worker.state", "available"),] == 1


def test_a_registration_that_failed_makes_no_member(process: Process) -> None:
    process.call(REGISTER, worker_id="w1", error=ValueError())
    assert not process.driver.of(Membership)
    assert "orchestrator.worker.registrations" not in process.points()


def test_a_worker_that_has_deregistered_has_left_in_good_order(process: Process) -> None:
    process.call(REGISTER, worker_id="w1")
    process.call(DEREGISTER, worker_id="w1")
    _, left = process.driver.of(Membership)
    assert (left.source, left.change, left.reason) == ("w1", Change.LEFT, "deregistered")
    assert "orchestrator.worker.failures" not in process.points()


def test_a_worker_tells_of_its_own_registration_and_of_the_link(process: Process) -> None:
    process.call(SEND_REGISTER)
    (member,) = process.driver.of(Membership)
    (link,) = process.driver.of(Link)
    assert (member.source, member.observer) == (SOURCE, SOURCE)
    assert (link.peer, link.service) == ("orchestrator", SERVICE)
    assert "orchestrator.worker.registrations" not in process.points()


@pytest.mark.parametrize(
    ("given", "silent_s", "reason"),
    [("oom", 0.0, "oom"), ("broken pipe", 0.0, "error"), (None, 10.0, "heartbeat_timeout"), (None, 0.5, "error")],
)
def test_a_failure_has_the_reason_that_was_given_or_that_is_known(
    process: Process, given: str | None, silent_s: float, reason: str
) -> None:
    beat(process, "w1", 10)
    process.clock.advance(silent_s)
    process.call(HANDLE_FAILURE, worker_id="w1", reason=given)
    assert process.values("orchestrator.worker.failures") == {(("orchestrator.failure.reason", reason),): 1}
    assert (process.span.attributes or {})["orchestrator.failure.reason"] == reason
    (lost,) = process.driver.of(Membership)
    assert (lost.source, lost.change, lost.reason) == ("w1", Change.LOST, reason)


def test_a_worker_is_lost_before_its_handler_gives_its_tasks_away(process: Process) -> None:
    process.call(ASSIGN, stream_id="s1", worker_id="w1")
    changes: list[int] = []

    def give_away() -> None:
        changes.append(len(process.driver.of(Membership)))
        process.call(ASSIGN, stream_id="s1", worker_id="w2")

    process.call(HANDLE_FAILURE, worker_id="w1", body=give_away)
    assert changes == [1]
    assert process.driver.of(Assignment)[-1].reason == "failover"


def test_several_handlers_of_one_failure_are_one_failure(process: Process) -> None:
    process.call(HANDLE_FAILURE, worker_id="w1", body=lambda: process.call(HANDLE_FAILURE, worker_id="w1"))
    assert len(process.driver.of(Membership)) == 1
    assert sum(process.values("orchestrator.worker.failures").values()) == 1
    assert len(process.spans) == 2


# -- assignments ------------------------------------------------------------------------------------------


def test_an_assignment_is_counted_by_its_reason_and_observed(process: Process) -> None:
    process.call(ASSIGN, stream_id="s1", worker_id="w1")
    process.call(ASSIGN, stream_id="s1", worker_id="w1")
    assert process.values("orchestrator.task.assignments") == {((REASON, "new"),): 1, ((REASON, "retry"),): 1}
    assert process.values("orchestrator.task.retries") == {((REASON, "retry"),): 1}
    first, second = process.driver.of(Assignment)
    assert (first.source, first.observer, first.task, first.task_id, first.reason) == (
        "w1",
        SOURCE,
        "stream",
        "s1",
        "new",
    )
    assert second.reason == "retry"
    assert process.driver.of(Link)[0].peer == "w1"


def test_an_assignment_that_failed_gives_nobody_a_task(process: Process) -> None:
    process.call(ASSIGN, stream_id="s1", worker_id="w1", error=ConnectionRefusedError())
    assert not process.driver.of(Assignment)
    assert "orchestrator.task.assignments" not in process.points()
    (link,) = process.driver.of(Link)
    assert (link.peer, link.ok) == ("w1", False)


def test_an_applications_own_error_says_nothing_about_the_link(process: Process) -> None:
    process.call(ASSIGN, stream_id="s1", worker_id="w1", error=KeyError("s1"))
    (link,) = process.driver.of(Link)
    assert link.ok


def test_a_task_given_to_a_second_worker_is_a_duplicate(process: Process) -> None:
    process.call(ASSIGN, stream_id="s1", worker_id="w1")
    process.call(ASSIGN, stream_id="s1", worker_id="w2")
    assert process.values("orchestrator.task.duplicates") == {((REASON, "new"),): 1}


def test_an_assignment_without_a_worker_is_counted_but_nobodys(process: Process) -> None:
    process.call(ASSIGN, stream_id="s1")
    assert process.values("orchestrator.task.assignments") == {((REASON, "new"),): 1}
    assert not process.driver.of(Assignment)


def test_a_rebalance_counts_what_it_has_moved(process: Process) -> None:
    for stream in ("s1", "s2", "s3"):
        process.call(ASSIGN, stream_id=stream, worker_id="w1")

    def move() -> None:
        process.call(ASSIGN, stream_id="s1", worker_id="w2")
        process.call(ASSIGN, stream_id="s2", worker_id="w1")
        process.call(ASSIGN, stream_id="s4", worker_id="w2")

    process.call(REBALANCE, body=move)
    assert process.values("orchestrator.rebalance.moved") == {(): 1}
    assert process.values("orchestrator.rebalance.duration") == {(): 1}
    assert [assignment.reason for assignment in process.driver.of(Assignment)[3:]] == ["rebalance"] * 3
    process.call(ASSIGN, stream_id="s5", worker_id="w2")
    assert process.driver.of(Assignment)[-1].reason == "new"


def test_tasks_per_worker_and_their_imbalance_are_measured(process: Process) -> None:
    process.call(REGISTER, worker_id="w2")
    for number in range(4):
        process.call(ASSIGN, stream_id=f"s{number}", worker_id="w1")
    assert process.values("orchestrator.worker.assigned") == {((WORKER, "w1"),): 4, ((WORKER, "w2"),): 0}
    assert process.values("orchestrator.load.imbalance") == {(): pytest.approx(1.0)}
    assert process.values("orchestrator.task.count")[("state", "assigned"),] == 4


# -- processing -------------------------------------------------------------------------------------------


def test_processing_is_measured_by_the_tasks_name_and_error(process: Process) -> None:
    process.call(PROCESS, stream_id="s1")
    process.call(PROCESS, stream_id="s2", error=MemoryError())
    name = ("orchestrator.task.name", "stream")
    assert process.values("orchestrator.task.process.duration") == {
        (name,): 1,
        (("error.type", "MemoryError"), name): 1,
    }


def test_a_task_assigned_in_the_same_process_has_waited_since_then(process: Process) -> None:
    process.call(ASSIGN, stream_id="s1", worker_id="w1")
    process.clock.advance(2.0)
    process.call(PROCESS, stream_id="s1")
    (point,) = process.points()["orchestrator.task.queue.duration"].values()
    assert (point.count, point.sum) == (1, pytest.approx(2.0))


def test_a_task_is_running_while_it_is_processed(process: Process) -> None:
    seen: list[dict[Any, Any]] = []
    process.call(PROCESS, stream_id="s1", body=lambda: seen.append(process.values("orchestrator.task.count")))
    assert seen[0][("state", "running"),] == 1
    assert not process.values("orchestrator.task.count")


def test_a_task_that_runs_twice_at_once_is_a_duplicate(process: Process) -> None:
    process.call(PROCESS, stream_id="s1", body=lambda: process.call(PROCESS, stream_id="s1"))
    assert process.values("orchestrator.task.duplicates") == {(): 1}


@pytest.mark.parametrize(("given", "attempt"), [(2, 2), (0, 1), (-1, 1)])
def test_the_attempt_is_counted_from_one(process: Process, given: int, attempt: int) -> None:
    process.call(PROCESS, attempt=given)
    assert (process.span.attributes or {})["orchestrator.task.attempt"] == attempt


def test_every_call_is_an_operation_of_this_process(process: Process) -> None:
    for wrapped in (REGISTER, HEARTBEAT, ASSIGN, REBALANCE, HANDLE_FAILURE, PROCESS, DEREGISTER, SEND_HEARTBEAT):
        process.call(wrapped, worker_id="w1", stream_id="s1")
    operations = process.driver.of(Operation)
    assert [operation.source for operation in operations] == [SOURCE] * 8
    assert [operation.name for operation in operations] == [
        "register",
        "heartbeat",
        "assign",
        "rebalance",
        "handle_failure",
        "process",
        "deregister",
        "heartbeat",
    ]
