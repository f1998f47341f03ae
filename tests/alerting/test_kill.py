"""Killed at 200 random moments, nothing that was acknowledged is lost, out of order, or told twice as something new."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.alerting import mortal
from tests.channels.http_peer import Request, http_peer
from tests.channels.smtp_sink import parsed
from tests.ports import free_port
from tests.processes import Processes

LANES, KILLS = 40, 5


class Mailbox:
    """Keeps what it receives, and looks into it only in the end."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.envelopes.append(envelope)
        return "250 taken"


@contextmanager
def mail_server() -> Iterator[tuple[Mailbox, int]]:
    mailbox, port = Mailbox(), free_port()
    controller = Controller(mailbox, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield mailbox, port
    finally:
        controller.stop()


class Told(NamedTuple):
    """One alert in one message that a receiver got."""

    message: str
    name: str
    state: str


def test_nothing_that_was_kept_is_lost_or_overtaken_by_two_hundred_kills(
    processes: Processes, repository: Path
) -> None:
    folder = processes.folder
    with http_peer() as peer, mail_server() as (mailbox, smtp_port):
        run = processes.run(
            *("python", Path(mortal.__file__), folder, peer.url.rpartition(":")[2], str(smtp_port)),
            *(str(LANES), str(KILLS)),
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
            for message in map(parsed, mailbox.envelopes)
            for name in set(re.findall(r"instance=(\S+)", message["Subject"]))
        ]
    kept = [line.split() for path in folder.glob("*.kept") for line in path.read_text().splitlines()]
    assert len(kept) > LANES * KILLS, "too little has happened to prove anything"
    assert_complete_and_in_order(kept, by_http)
    assert_complete_and_in_order(kept, by_mail)
    for store in folder.glob("*.db"):
        with sqlite3.connect(store) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert connection.execute("SELECT count(*) FROM outbox WHERE state <> 'delivered'").fetchone() == (0,)
        connection.close()


def is_whole(request: Request) -> bool:
    """Who is killed while it sends has sent a part, which no receiver takes for a message."""
    return len(request.body) == int(request.headers["content-length"])


def assert_complete_and_in_order(kept: Iterable[list[str]], told: Iterable[Told]) -> None:
    once: dict[str, Told] = {}
    for item in told:
        assert once.setdefault(item.message, item) == item, "the same id says the same"
    order: dict[str, list[str]] = {}
    for item in once.values():
        order.setdefault(item.name, []).append(item.state)
    assert {name: states for name, states in order.items() if states not in (["firing"], ["firing", "resolved"])} == {}
    assert [(state, name) for state, name in kept if state not in order.get(name, [])] == []
