"""Of the processes that share a store, one dispatches; it can be replaced, and none undoes another's work."""

from __future__ import annotations

import pytest

from otel_monitor.store.database import Database
from otel_monitor.store.dispatch_state import LEADS_S, Answer, DispatchState, Entry, Progress, Snapshot
from otel_monitor.store.outbox import Outbox
from tests.store.alerts import START_S, message


@pytest.fixture
def database() -> Database:
    return Database(None)


@pytest.fixture
def first(database: Database) -> DispatchState:
    return DispatchState(database, "first")


@pytest.fixture
def second(database: Database) -> DispatchState:
    return DispatchState(database, "second")


def test_one_leads_as_long_as_it_says_so(first: DispatchState, second: DispatchState) -> None:
    assert first.lead(START_S)
    assert not second.lead(START_S + 5.0)
    assert first.lead(START_S + 5.0)
    assert not second.lead(START_S + LEADS_S + 4.0)
    assert second.lead(START_S + LEADS_S + 5.0)
    assert not first.lead(START_S + LEADS_S + 6.0)


def test_one_that_resigns_is_replaced_at_once(first: DispatchState, second: DispatchState) -> None:
    assert first.lead(START_S)
    second.resign()
    assert not second.lead(START_S)
    first.resign()
    assert second.lead(START_S)


def test_progress_and_messages_are_kept_together(database: Database, first: DispatchState) -> None:
    assert first.progress() == Progress(0, 0, 0)
    first.lead(START_S)
    kept = first.commit(Progress(7, 2), [message("w1")], [], START_S)
    assert kept == first.progress() == Progress(7, 2, 1)
    assert first.journal(0) == [Entry(START_S, Progress(7, 2, 1))]
    assert Outbox(database, 60.0).depth() == {"ops": 1}


def test_the_state_takes_the_place_of_the_journal_up_to_it(first: DispatchState) -> None:
    first.lead(START_S)
    assert first.snapshot() == Snapshot(Progress(), None)
    early = first.commit(Progress(7, 2), [], [], START_S)
    late = first.commit(Progress(9, 2), [], [], START_S + 1.0)
    assert early is not None
    assert late is not None
    assert first.keep(Snapshot(early, {"groups": ["ä" * 1_000]}))
    assert first.snapshot() == Snapshot(early, {"groups": ["ä" * 1_000]})
    assert first.journal(early.entry) == [Entry(START_S + 1.0, late)]
    assert first.keep(Snapshot(late, {}))
    assert first.journal(0) == []
    assert first.progress() == late


def test_a_leader_writes_no_more_than_every_few_seconds(database: Database, first: DispatchState) -> None:
    first.lead(START_S)
    with database.reading() as connection:
        before = connection.total_changes
        assert all(first.lead(START_S + second) for second in (1.0, 2.0, 4.9))
        assert connection.total_changes == before
        assert first.lead(START_S + 5.0)
        assert connection.total_changes == before + 1


def test_a_clock_that_is_set_back_keeps_nobody_from_leading(first: DispatchState, second: DispatchState) -> None:
    first.lead(START_S + 86_400.0)
    assert second.lead(START_S)


def test_one_that_was_replaced_meanwhile_keeps_nothing(
    database: Database, first: DispatchState, second: DispatchState
) -> None:
    first.lead(START_S)
    second.lead(START_S + LEADS_S)
    assert first.commit(Progress(7, 2), [message("w1")], [], START_S) is None
    assert not first.keep(Snapshot(Progress(7, 2, 1), {}))
    assert second.progress() == Progress()
    assert Outbox(database, 60.0).depth() == {}


def test_requests_wait_for_whoever_leads_and_get_an_answer(first: DispatchState, second: DispatchState) -> None:
    seq = second.ask({"do": "acknowledge", "alert": "a1"}, START_S)
    first.lead(START_S)
    (request,) = first.requests(0)
    assert (request.seq, request.body["alert"]) == (seq, "a1")
    assert second.answer(seq) is None
    progress = first.commit(Progress(0, seq), [], [Answer(seq, {"ok": True})], START_S)
    assert progress is not None
    assert second.answer(seq) == {"ok": True}
    assert first.requests(seq) == []
    first.retain(START_S + 1.0)
    assert second.answer(seq) is not None, "whoever takes over has to see it again"
    first.keep(Snapshot(progress, {}))
    first.retain(START_S + 1.0)
    assert second.answer(seq) is None
