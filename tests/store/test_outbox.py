"""The outbox: at least once, in order within a group, later after a failure, never twice at the same time."""

from __future__ import annotations

import random

import pytest

from otel_monitor.store.database import Database
from otel_monitor.store.outbox import LEASE_S, Outbox, Place, enqueue
from otel_monitor_processors.alerts.notification import Notification
from tests.store.alerts import START_S, message

DAY_S = 86_400.0


@pytest.fixture
def database() -> Database:
    return Database(None)


@pytest.fixture
def outbox(database: Database) -> Outbox:
    return Outbox(database, DAY_S, random.Random(1))


def put(database: Database, *messages: Notification) -> None:
    with database.transaction() as connection:
        enqueue(connection, messages, START_S)


def test_messages_leave_in_their_order_each_channels_own(database: Database, outbox: Outbox) -> None:
    put(database, message("w1"), message("w2", channel="mail"), message("w3"))
    first = outbox.lease("ops", START_S)
    assert first is not None
    assert (first.notification, first.place, first.attempts) == (message("w1"), Place.SENDING, 1)
    second = outbox.lease("ops", START_S)
    assert second is not None
    assert second.notification == message("w3")
    assert outbox.lease("ops", START_S) is None
    assert outbox.depth() == {"ops": 2, "mail": 1}


def test_the_same_message_is_queued_once(database: Database, outbox: Outbox) -> None:
    put(database, message("w1"))
    put(database, message("w1"))
    assert outbox.depth() == {"ops": 1}


def test_within_a_group_none_overtakes(database: Database, outbox: Outbox) -> None:
    put(database, message("w1"), message("w1", number=2), message("w2"))
    first = outbox.lease("ops", START_S)
    other = outbox.lease("ops", START_S)
    assert first is not None
    assert other is not None
    assert other.notification == message("w2")
    assert outbox.failed(first, START_S, "refused", 30.0) == START_S + 30.0
    assert outbox.lease("ops", START_S + 29.0) is None
    assert not outbox.has_due("ops", START_S + 29.0)
    assert outbox.has_due("ops", START_S + 30.0)
    again = outbox.lease("ops", START_S + 30.0)
    assert again is not None
    assert (again.notification, again.attempts, again.said) == (message("w1"), 2, "refused")
    outbox.delivered(again, START_S + 30.0, "200")
    after = outbox.lease("ops", START_S + 30.0)
    assert after is not None
    assert after.notification == message("w1", number=2)


def test_a_message_whose_sender_has_died_is_due_again_when_its_lease_has_ended(
    database: Database, outbox: Outbox
) -> None:
    put(database, message("w1"))
    assert outbox.lease("ops", START_S) is not None
    assert outbox.next_due("ops") == START_S + LEASE_S
    assert outbox.lease("ops", START_S + LEASE_S - 1.0) is None
    again = outbox.lease("ops", START_S + LEASE_S)
    assert again is not None
    assert again.notification.id == message("w1").id


def test_failures_wait_longer_and_longer_and_never_the_same(database: Database, outbox: Outbox) -> None:
    put(database, message("w1"))
    now, waits = START_S, []
    for _ in range(12):
        leased = outbox.lease("ops", now)
        assert leased is not None
        again = outbox.failed(leased, now, "refused", None)
        assert again is not None
        waits.append(again - now)
        now = again
    assert all(0.0 <= wait <= min(300.0, 2.0**number) for number, wait in enumerate(waits))
    assert len(set(waits)) == len(waits)
    assert max(waits) > 60.0


def test_a_message_that_is_too_old_is_given_up_and_can_be_sent_again(database: Database, outbox: Outbox) -> None:
    put(database, message("w1"))
    leased = outbox.lease("ops", START_S + DAY_S)
    assert leased is not None
    assert outbox.failed(leased, START_S + DAY_S, "refused", 10.0) is None
    (dead,) = outbox.in_place(Place.DEAD)
    assert dead.said == "given up after attempt 1: refused"
    assert outbox.resend(dead.seq, START_S + DAY_S)
    assert not outbox.resend(dead.seq, START_S + DAY_S)
    assert outbox.lease("ops", START_S + DAY_S) is not None


def test_what_ended_long_ago_is_deleted(database: Database, outbox: Outbox) -> None:
    put(database, message("w1"), message("w2"), message("w3"))
    for end in (outbox.delivered, outbox.dead):
        leased = outbox.lease("ops", START_S)
        assert leased is not None
        end(leased, START_S, "so it went")
    assert outbox.retain(START_S, START_S) == 0
    assert outbox.retain(START_S + 1.0, START_S) == 1
    assert outbox.retain(START_S + 1.0, START_S + 1.0) == 1
    assert outbox.depth() == {"ops": 1}


def test_without_messages_nothing_is_due(outbox: Outbox) -> None:
    assert outbox.next_due("ops") is None
    assert not outbox.has_due("ops", START_S)
