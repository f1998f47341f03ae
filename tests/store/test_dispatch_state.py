"""Of the processes that share a store, one dispatches; it can be replaced, and none undoes another's work."""

from __future__ import annotations

import pytest

from otel_monitor.store.database import Database
from otel_monitor.store.dispatch_state import LEADS_S, Answer, DispatchState, Progress
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


def test_state_and_messages_are_kept_together(database: Database, first: DispatchState) -> None:
    assert first.progress() == Progress(0, 0, None)
    first.lead(START_S)
    assert first.commit(Progress(7, 2, {"groups": [1]}), [message("w1")], [], START_S)
    assert first.progress() == Progress(7, 2, {"groups": [1]})
    assert Outbox(database, 60.0).depth() == {"ops": 1}


def test_one_that_was_replaced_meanwhile_keeps_nothing(
    database: Database, first: DispatchState, second: DispatchState
) -> None:
    first.lead(START_S)
    second.lead(START_S + LEADS_S)
    assert not first.commit(Progress(7, 2, {}), [message("w1")], [], START_S)
    assert second.progress() == Progress(0, 0, None)
    assert Outbox(database, 60.0).depth() == {}


def test_requests_wait_for_whoever_leads_and_get_an_answer(first: DispatchState, second: DispatchState) -> None:
    seq = second.ask({"do": "acknowledge", "alert": "a1"}, START_S)
    first.lead(START_S)
    (request,) = first.requests(0)
    assert (request.seq, request.body["alert"]) == (seq, "a1")
    assert second.answer(seq) is None
    first.commit(Progress(0, seq, {}), [], [Answer(seq, {"ok": True})], START_S)
    assert second.answer(seq) == {"ok": True}
    assert first.requests(seq) == []
    first.retain(START_S + 1.0)
    assert second.answer(seq) is None
