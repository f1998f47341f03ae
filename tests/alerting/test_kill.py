"""Killed at 200 random moments, nothing that was acknowledged is lost, out of order, or told twice as something new."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.alerting import mortal
from tests.channels.http_peer import Request, http_peer
from tests.channels.smtp_sink import smtp_sink
from tests.processes import Processes

LANES, KILLS = 40, 5
SHARED_LANES, SHARED_KILLS, CROWD = 4, 8, 3


class Told(NamedTuple):
    """One alert in one message that a receiver got."""

    message: str
    name: str
    state: str


@pytest.mark.parametrize(
    ("lanes", "kills", "crowd"),
    [
        pytest.param(LANES, KILLS, 1, id="two-hundred-kills"),
        pytest.param(SHARED_LANES, SHARED_KILLS, CROWD, id="of-three-that-share-a-store"),
    ],
)
def test_nothing_that_was_kept_is_lost_or_overtaken(
    processes: Processes, repository: Path, lanes: int, kills: int, crowd: int
) -> None:
    folder = processes.folder
    with http_peer() as peer, smtp_sink() as sink:
        run = processes.run(
            *("python", Path(mortal.__file__), folder, peer.url.rpartition(":")[2], str(sink.port)),
            *(str(lanes), str(kills), str(crowd)),
            env={"PYTHONPATH": str(repository)},
            timeout_s=150,
        )
        assert run.returncode == 0, run
        by_http = [
            Told(document["id"], alert["labels"]["instance"], alert["state"])
            for document in (request.json() for request in peer.requests if is_whole(request))
            for alert in document["alerts"]
        ]
        by_mail = [
            Told(message["Message-ID"], name, "firing" if "FIRING" in message["Subject"] else "resolved")
            for message in sink.messages
            for name in set(re.findall(r"instance=(\S+)", message["Subject"]))
        ]
    kept = [line.split() for path in folder.glob("*.kept") for line in path.read_text().splitlines()]
    assert len(kept) > lanes * kills, "too little has happened to prove anything"
    for told in (by_http, by_mail):
        order = in_order(told)
        # What is over before a dead leader has been replaced was never told, as with a group that waits.
        brief = {name for state, name in kept if state == "resolved" and name not in order} if crowd > 1 else set()
        lost = [(state, name) for state, name in kept if name not in brief and state not in order.get(name, [])]
        assert lost == []
        assert len(order) > 3 * lanes, "too little has been told to prove anything"
    for store in folder.glob("*.db"):
        with sqlite3.connect(store) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert connection.execute("SELECT count(*) FROM outbox WHERE state <> 'delivered'").fetchone() == (0,)
        connection.close()


def is_whole(request: Request) -> bool:
    """Who is killed while it sends has sent a part, which no receiver takes for a message."""
    return len(request.body) == int(request.headers["content-length"])


def in_order(told: Iterable[Told]) -> dict[str, list[str]]:
    """What was told of each alert, duplicates aside, which have the same id."""
    once: dict[str, Told] = {}
    for item in told:
        assert once.setdefault(item.message, item) == item, "the same id says the same"
    order: dict[str, list[str]] = {}
    for item in once.values():
        order.setdefault(item.name, []).append(item.state)
    assert {name: states for name, states in order.items() if states not in (["firing"], ["firing", "resolved"])} == {}
    return order
