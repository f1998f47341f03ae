"""`otel-monitor alerts`: on the store of a running process or a stopped one, for people and for programs."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from otel_monitor.alerting.assembly import service_of
from otel_monitor.alerting.service import AlertService
from otel_monitor.channels.text import rfc3339
from otel_monitor.cli import main
from otel_monitor.settings import Settings
from otel_monitor_processors.alerts.alert import AlertTransition
from tests.alerting.services import fires
from tests.channels.http_peer import Peer, answer, http_peer
from tests.polling import eventually


@pytest.fixture
def peer() -> Iterator[Peer]:
    with http_peer() as peer:
        yield peer


@pytest.fixture
def config(tmp_path: Path, peer: Peer) -> Path:
    path = tmp_path / "monitor.json"
    document = {
        "store_path": str(tmp_path / "alerts.db"),
        "channels": {"hook": {"type": "webhook", "url": peer.url, "allow_private": True}},
        "routes": [{"matchers": ["rule=slow"], "group_by": ["instance"], "group_wait": 0, "group_interval": 0.05}],
    }
    path.write_text(json.dumps(document))
    return path


class Program:
    """The process that raises alerts, running or not."""

    def __init__(self, config: Path) -> None:
        self.config = config
        self.alerts: AlertService | None = None

    def start(self) -> None:
        self.alerts = service_of(Settings.from_file(self.config), "shop")
        self.alerts.restore()
        self.alerts.start()

    def raises(self, name: str) -> AlertTransition:
        assert self.alerts is not None
        raised = fires(name)
        self.alerts(raised)
        self.alerts.settle()
        return raised

    def stop(self) -> None:
        if self.alerts is not None:
            self.alerts.stop(5.0)


@pytest.fixture(params=["running", "stopped"])
def program(request: pytest.FixtureRequest, config: Path, peer: Peer) -> Iterator[Program]:
    program = Program(config)
    program.start()
    program.raises("w1")
    eventually(lambda: peer.requests)
    if request.param == "stopped":
        program.stop()
    yield program
    program.stop()


class Command:
    def __init__(self, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._config = config
        self._capsys = capsys

    def __call__(self, *words: str, code: int = 0) -> str:
        """What it prints, to stderr where it fails."""
        assert main(["alerts", *words, "--config-file", str(self._config)]) == code
        printed = self._capsys.readouterr()
        return printed.out if code == 0 else printed.err

    def json(self, *words: str) -> Any:
        return json.loads(self(*words, "--output", "json"))


@pytest.fixture
def command(config: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(config, capsys)


def test_what_fires_is_listed_and_found_by_the_beginning_of_its_id(program: Program, command: Command) -> None:
    (item,) = command.json("list")["items"]
    assert (item["rule"], item["labels"], item["state"], item["held_by"]) == (
        *("slow", {"instance": "w1"}, "firing"),
        [],
    )
    assert item["stale_since"] is None
    story = command.json("show", item["id"][:6])
    assert [step["to"] for step in story["history"]] == ["firing"]
    assert "sent to hook" in story["decisions"][-1]["reason"]
    assert [message["channel"] for message in story["notifications"]] == ["hook"]


def test_an_acknowledged_alert_says_by_whom(program: Program, command: Command, peer: Peer) -> None:
    (item,) = command.json("list")["items"]
    command("acknowledge", item["id"], "--author", "eve", "--comment", "on it", "--for", "2h")
    assert "acknowledged by eve (on it) until" in command("list")
    assert "held    acknowledgement: acknowledged by eve" in command("show", item["id"])
    eventually(lambda: peer.requests[-1].json()["reason"] == "acknowledged", what="the channel to be told")
    assert "no longer acknowledged" in command("acknowledge", item["id"], "--withdraw")


def test_an_alert_resolved_by_hand_is_told_and_listed_as_such(program: Program, command: Command, peer: Peer) -> None:
    (item,) = command.json("list")["items"]
    command("resolve", item["id"], "--author", "eve")
    assert command.json("list")["items"] == []
    assert [item["state"] for item in command.json("list", "--state", "resolved")["items"]] == ["resolved"]
    assert "firing -> resolved: resolved by eve" in command("show", item["id"])
    if program.alerts is not None and program.alerts.keeper.is_open:
        eventually(lambda: peer.requests[-1].json()["status"] == "resolved", what="the channel to be told")


def test_a_silence_holds_back_what_it_matches_until_it_is_expired(program: Program, command: Command) -> None:
    answer = command.json("silence", "instance=~w.*", "--for", "1h", "--comment", "planned", "--author", "eve")
    (silence,) = command.json("silences")["items"]
    assert (silence["id"], silence["state"], silence["matchers"]) == (answer["id"], "active", ['instance=~"w.*"'])
    assert "silenced by eve (planned) until" in command("list")
    command("silence", "--expire", answer["id"])
    assert command.json("silences")["items"][0]["state"] == "expired"


def test_everything_wrong_with_a_silence_is_said_at_once(program: Program, command: Command) -> None:
    said = command("silence", "instance", "--author", "eve", code=2)
    assert "'instance' is no matcher" in said
    assert "--for: required" in said
    assert "--comment: required" in said


def test_an_alert_of_a_process_that_is_not_heard_of_any_more_is_shown_as_it_stood(
    program: Program, command: Command, tmp_path: Path
) -> None:
    heard_at = time.time() - 400.0
    with sqlite3.connect(tmp_path / "alerts.db", timeout=10.0) as connection:
        connection.execute("UPDATE owner SET alive_at = ?", (heard_at,))
    connection.close()
    (item,) = command.json("list")["items"]
    assert item["stale_since"] == rfc3339(heard_at)
    said = f"as it stood at {rfc3339(heard_at)}: nothing has been heard of shop since"
    assert f"    {said}" in command("list").splitlines()
    assert said in command("show", item["id"]).splitlines()


def test_an_alert_that_there_is_not_is_said(program: Program, command: Command) -> None:
    assert command("show", "nothing", code=1) == "otel-monitor: there is no alert 'nothing'\n"


def test_dead_letters_are_listed_and_sent_again(config: Path, command: Command, peer: Peer) -> None:
    peer.will(answer(400))
    program = Program(config)
    program.start()
    program.raises("w1")
    eventually(lambda: peer.requests)
    program.stop()
    (letter,) = command.json("dead-letters")["items"]
    assert letter["place"] == "dead"
    assert "400" in letter["said"]
    peer.will(answer(200))
    assert command("resend", "--all") == "1 sent again\n"
    assert len(peer.requests) == 2
    assert command("dead-letters") == "there are no dead letters\n"
    assert "there is no dead letter 99" in command("resend", "99", code=1)


def test_without_a_store_the_way_to_one_is_said(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["alerts", "list"]) == 1
    assert "no store_path is set" in capsys.readouterr().err
    config = tmp_path / "monitor.json"
    config.write_text(json.dumps({"store_path": str(tmp_path / "none.db")}))
    assert main(["alerts", "list", "--config-file", str(config)]) == 1
    assert "there is no alert store" in capsys.readouterr().err
    assert not (tmp_path / "none.db").exists()
    config.write_text("{")
    assert main(["alerts", "list", "--config-file", str(config)]) == 2


def test_who_has_to_be_asked_is_waited_for(config: Path, command: Command) -> None:
    program = Program(config)
    program.start()
    raised = program.raises("w1")
    began = time.monotonic()
    command("acknowledge", raised.alert.id)
    assert time.monotonic() - began < 3.0
    program.stop()
