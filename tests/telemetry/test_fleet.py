"""The fleet, on a clock by hand."""

from __future__ import annotations

import pytest

from otel_monitor.telemetry.fleet import MAX_LABELLED, Fleet
from otel_monitor_processors import drops


def beating(fleet: Fleet, worker: str, every_s: float, times: int, start: float = 0.0) -> float:
    """The worker beats; answers the time of the last heartbeat."""
    at = start
    for number in range(times):
        at = start + number * every_s
        fleet.heartbeat(worker, at)
    return at


def test_the_first_heartbeat_has_no_interval_and_the_next_ones_have() -> None:
    fleet = Fleet()
    assert fleet.heartbeat("w1", 10.0) == (None, ("w1",))
    assert fleet.heartbeat("w1", 11.5) == (1.5, ("w1",))


def test_a_clock_that_goes_back_gives_no_negative_interval() -> None:
    fleet = Fleet()
    fleet.heartbeat("w1", 10.0)
    assert fleet.heartbeat("w1", 9.0)[0] == 0.0


def test_a_worker_is_late_after_two_of_its_own_intervals() -> None:
    fleet = Fleet()
    last = beating(fleet, "fast", 1.0, 10)
    beating(fleet, "slow", 30.0, 10, start=last - 270.0)
    assert not fleet.is_late("fast", last + 1.9)
    assert fleet.is_late("fast", last + 2.1)
    assert not fleet.is_late("slow", last + 50.0)
    assert fleet.is_late("slow", last + 61.0)


def test_a_worker_whose_rhythm_is_not_known_is_never_late() -> None:
    fleet = Fleet()
    last = beating(fleet, "w1", 1.0, 3)
    assert not fleet.is_late("w1", last + 1e6)
    assert not fleet.is_late("nobody", 0.0)


def test_heartbeats_in_a_bunch_are_no_rhythm() -> None:
    fleet = Fleet()
    last = beating(fleet, "w1", 0.000_1, 20)
    assert not fleet.is_late("w1", last + 0.15)
    assert fleet.take_missed(last + 1.0) == 9


def test_one_long_gap_does_not_change_what_a_worker_is_expected_to_do() -> None:
    fleet = Fleet()
    last = beating(fleet, "w1", 1.0, 20)
    fleet.heartbeat("w1", last + 300.0)
    assert fleet.is_late("w1", last + 303.0)


def test_a_rhythm_that_has_changed_for_good_is_learned() -> None:
    fleet = Fleet()
    last = beating(fleet, "w1", 1.0, 20)
    last = beating(fleet, "w1", 10.0, 30, start=last + 10.0)
    assert not fleet.is_late("w1", last + 15.0)


def test_heartbeats_that_have_not_come_are_missed_once_each() -> None:
    fleet = Fleet()
    last = beating(fleet, "w1", 1.0, 10)
    assert fleet.take_missed(last + 1.5) == 0
    assert fleet.take_missed(last + 2.5) == 1
    assert fleet.take_missed(last + 2.9) == 0
    assert fleet.take_missed(last + 5.5) == 3
    fleet.heartbeat("w1", last + 5.6)
    assert fleet.take_missed(last + 6.0) == 0


def test_a_worker_that_is_lost_misses_nothing_more() -> None:
    fleet = Fleet()
    last = beating(fleet, "w1", 1.0, 10)
    fleet.lost("w1")
    assert fleet.take_missed(last + 100.0) == 0


def test_a_worker_is_available_busy_or_offline() -> None:
    fleet = Fleet()
    assert fleet.counts(0.0) == {}
    for worker in ("idle", "busy", "lost", "silent"):
        beating(fleet, worker, 1.0, 10)
    fleet.add_assigned("busy", 2)
    fleet.lost("lost")
    for worker in ("idle", "busy"):
        fleet.heartbeat(worker, 20.0)
    assert fleet.counts(20.0) == {"available": 1, "busy": 1, "offline": 2}


def test_a_lost_worker_that_beats_again_is_back() -> None:
    fleet = Fleet()
    last = beating(fleet, "w1", 1.0, 10)
    fleet.lost("w1")
    assert fleet.heartbeat("w1", last + 60.0) == (None, ("w1",))
    assert fleet.counts(last + 60.0)["offline"] == 0


def test_a_worker_is_lost_once() -> None:
    fleet = Fleet()
    assert fleet.lost("w1")
    assert not fleet.lost("w1")
    fleet.joined("w1", 5.0)
    assert fleet.lost("w1")


def test_a_worker_that_leaves_is_gone() -> None:
    fleet = Fleet()
    fleet.joined("w1", 0.0)
    fleet.left("w1")
    fleet.left("w1")
    assert fleet.counts(1.0) == {}


def test_ages_are_those_of_the_last_heartbeats() -> None:
    fleet = Fleet()
    beating(fleet, "w1", 1.0, 5)
    fleet.heartbeat("w2", 2.0)
    fleet.heartbeat("gone", 0.0)
    fleet.lost("gone")
    fleet.joined("never beat", 3.0)
    assert dict(fleet.ages(10.0)) == {"w1": 6.0, "w2": 8.0}


def test_beyond_the_limit_the_longest_age_and_the_most_tasks_stand_without_an_id() -> None:
    fleet = Fleet()
    for number in range(MAX_LABELLED + 3):
        fleet.heartbeat(f"w{number}", float(number))
        fleet.add_assigned(f"w{number}", number)
    ages, assigned = dict(fleet.ages(1000.0)), dict(fleet.assigned())
    assert len(ages) == len(assigned) == MAX_LABELLED + 1
    assert ages[None] == 1000.0 - MAX_LABELLED
    assert assigned[None] == MAX_LABELLED + 2


def test_only_the_first_workers_stand_on_histograms_by_their_id() -> None:
    fleet = Fleet()
    keys = {fleet.heartbeat(f"w{number}", 0.0)[1] for number in range(MAX_LABELLED + 50)}
    assert len(keys) == MAX_LABELLED + 1
    assert (None,) in keys


def test_beyond_its_limit_the_longest_silent_worker_leaves_and_is_counted() -> None:
    before = drops.snapshot().get(("fleet", "worker_limit"), 0)
    fleet = Fleet(limit=3)
    for worker in ("w1", "w2", "w3", "w1", "w4"):
        fleet.heartbeat(worker, 0.0)
    assert set(dict(fleet.ages(0.0))) == {"w1", "w3", "w4"}
    assert drops.snapshot()["fleet", "worker_limit"] == before + 1


@pytest.mark.parametrize(
    ("tasks", "imbalance"),
    [([6, 6, 6, 6], 0.0), ([21, 1, 1, 1], 1.443), ([5], None), ([0, 0], None), ([], None)],
)
def test_imbalance_is_the_coefficient_of_variation(tasks: list[int], imbalance: float | None) -> None:
    fleet = Fleet()
    for number, count in enumerate(tasks):
        fleet.add_assigned(f"w{number}", count)
    assert fleet.imbalance() == (None if imbalance is None else pytest.approx(imbalance, abs=1e-3))


def test_a_lost_worker_counts_for_no_balance() -> None:
    fleet = Fleet()
    for worker in ("w1", "w2", "w3"):
        fleet.add_assigned(worker, 4)
    fleet.lost("w3")
    assert fleet.imbalance() == 0.0
