"""Processes that share a store tell each alert once, and one takes over when another is killed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from otel_monitor.store.claim import Claim, is_claimed
from otel_monitor.store.database import Database
from otel_monitor.store.dispatch_state import LEADS_S, DispatchState
from otel_monitor.store.forks import LONGEST_WAIT_S, is_safe
from tests.alerting import sharer
from tests.channels.http_peer import Peer, http_peer
from tests.polling import eventually


class Sharer:
    """One such program."""

    def __init__(self, store: Path, url: str, repository: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(sharer.__file__), str(store), url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"PYTHONPATH": str(repository)},
        )
        self.name = self.line().partition(" is ready")[0]

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def say(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{text}\n")
        self.process.stdin.flush()

    def raises(self, name: str) -> None:
        self.say(name)
        assert self.line() == f"kept {name}\n"

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def peer() -> Iterator[Peer]:
    with http_peer() as peer:
        yield peer


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "alerts.db"


@pytest.fixture
def pair(store: Path, peer: Peer, repository: Path) -> Iterator[tuple[Sharer, Sharer]]:
    both = Sharer(store, peer.url, repository), Sharer(store, peer.url, repository)
    yield both
    for one in both:
        one.end()


def told(peer: Peer) -> list[str]:
    return [alert["labels"]["instance"] for request in peer.requests for alert in request.json()["alerts"]]


def leader(store: Path) -> str:
    database = Database(store)
    try:
        return DispatchState(database, "looking on").leader(time.time())
    finally:
        database.close()


def test_two_tell_each_alert_once_and_the_other_goes_on_when_one_is_killed(
    pair: tuple[Sharer, Sharer], store: Path, peer: Peer
) -> None:
    assert {one.name for one in pair} == {"sharer", "sharer-2"}
    for number in range(10):
        pair[number % 2].raises(f"w{number}")
    eventually(lambda: len(told(peer)) == 10, what="ten messages")
    first = leader(store)
    killed, heir = sorted(pair, key=lambda one: one.name != first)
    killed.end()
    heir.raises("after")
    eventually(lambda: "after" in told(peer), LEADS_S + 10.0, what="the message of who has taken over")
    assert leader(store) == heir.name != killed.name
    assert sorted(told(peer)) == sorted([*(f"w{number}" for number in range(10)), "after"])


def test_a_forked_child_has_a_name_of_its_own_and_what_it_raises_is_told(
    store: Path, peer: Peer, repository: Path
) -> None:
    parent = Sharer(store, peer.url, repository)
    try:
        parent.raises("of the parent")
        parent.say("fork")
        parent.raises("after the fork")
        eventually(lambda: len(told(peer)) == 3, what="three messages")
        assert sorted(told(peer)) == ["after the fork", "of the child", "of the parent"]
        database = Database(store)
        with database.reading() as connection:
            owners = [name for (name,) in connection.execute("SELECT name FROM owner ORDER BY name")]
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        database.close()
        assert owners == ["sharer", "sharer-2"]
    finally:
        parent.end()


def test_a_fork_waits_until_no_thread_is_inside_of_the_database(store: Path) -> None:
    database = Database(store)
    inside, leave = threading.Event(), threading.Event()

    def use() -> None:
        with database.transaction():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=use)
    thread.start()
    assert inside.wait(10)
    threading.Timer(0.1, leave.set).start()
    assert child_finds_it_safe()
    thread.join()
    inside.clear()
    leave.clear()
    stuck = threading.Thread(target=use)
    stuck.start()
    assert inside.wait(10)
    began = time.monotonic()
    assert not child_finds_it_safe()
    assert time.monotonic() - began < LONGEST_WAIT_S + 1.0
    leave.set()
    stuck.join()
    database.close()


def child_finds_it_safe() -> bool:
    child = os.fork()
    if child == 0:
        os._exit(0 if is_safe() else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_name_is_free_again_when_its_holder_has_gone(store: Path) -> None:
    first, second = Claim(store, "shop"), Claim(store, "shop")
    assert (first.name, second.name) == ("shop", "shop-2")
    assert first.holds()
    first.release()
    assert not first.holds()
    assert not is_claimed(store, "shop")
    third = Claim(store, "shop")
    assert third.name == "shop"
    assert is_claimed(store, "shop")
    assert not is_claimed(store, "shop-3")
    for one in (second, third):
        one.release()
