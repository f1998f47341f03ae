"""`otel-monitor alerts test`: every channel is tried out on a real receiver, and what became of it is said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from otel_monitor.cli import main
from otel_monitor.settings_channels import TYPES
from otel_monitor_processors.alerts.alert import Alert
from tests.channels.alertmanager_server import Alertmanager, alertmanager_telling
from tests.channels.http_peer import Peer, answer, http_peer
from tests.channels.smtp_sink import Sink, smtp_sink
from tests.ports import free_port

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # Apprise's own import

seen: list[Alert] = []


@pytest.fixture
def sink() -> Iterator[Sink]:
    with smtp_sink() as sink:
        yield sink


@pytest.fixture
def alertmanager(peer: Peer) -> Iterator[Alertmanager]:
    with alertmanager_telling(peer.url) as server:
        yield server


class Trials:
    """Runs the command on these channels."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._config = folder / "monitor.json"
        self._capsys = capsys
        self.console = ""

    def __call__(self, channels: dict[str, Any], *words: str, code: int = 0, **settings: Any) -> str:
        self._config.write_text(json.dumps({"channels": channels, **settings}))
        assert main(["alerts", "test", "--config-file", str(self._config), *words]) == code
        printed = self._capsys.readouterr()
        self.console = printed.err
        return printed.out


@pytest.fixture
def trials(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Trials:
    return Trials(tmp_path, capsys)


def test_a_channel_of_every_type_delivers_its_test_message(
    trials: Trials,
    sink: Sink,
    alertmanager: Alertmanager,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    seen.clear()
    with http_peer() as hook, http_peer() as chat, http_peer(answer(202)) as pager, http_peer() as other:
        monkeypatch.setenv("CHAT_URL", chat.url)
        monkeypatch.setenv("PAGER_KEY", "0123456789abcdef0123456789abcdef")
        monkeypatch.setenv("OTHER_URL", other.url.replace("http://", "json://"))
        channels: dict[str, dict[str, Any]] = {
            "am": {"type": "alertmanager", "url": alertmanager.url},
            "chat": {"type": "slack", "url": "env:CHAT_URL"},
            "hook": {"type": "webhook", "url": hook.url},
            "log": {"type": "file", "path": str(tmp_path / "alerts.jsonl")},
            "mail": {
                "type": "email",
                "host": "127.0.0.1",
                "port": sink.port,
                "security": "none",
                "sender": "monitor@example.com",
                "recipients": ["ops@example.com"],
            },
            "on-call": {"type": "pagerduty", "routing_key": "env:PAGER_KEY", "url": pager.url},
            "others": {"type": "apprise", "urls": ["env:OTHER_URL"], "schemes": ["json"]},
            "own": {"type": "callable", "handler": f"{__name__}:seen.append"},
            "screen": {"type": "console"},
        }
        assert {channel["type"] for channel in channels.values()} == set(TYPES)
        said = trials(channels, enable_console_notifications=False)
    assert said.splitlines() == [
        "am (alertmanager): delivered: 1 alert",
        "chat (slack): delivered: HTTP 200 ok",
        "hook (webhook): delivered: HTTP 200 ok",
        f"log (file): delivered: {tmp_path}/alerts.jsonl",
        "mail (email): delivered: 1 of 1 recipients",
        "on-call (pagerduty): delivered: 1 event",
        "others (apprise): delivered",
        "own (callable): delivered: 1 alert handled",
        "screen (console): delivered",
    ]
    document = hook.requests[0].json()
    assert (document["test"], document["alerts"][0]["rule"]) == (True, "otel_monitor_test")
    assert chat.requests[0].json()["text"].startswith("[TEST] [FIRING:1] info otel_monitor_test")
    assert [request.json()["event_action"] for request in pager.requests] == ["trigger", "resolve"]
    assert "otel_monitor_test" in other.requests[0].json()["title"]
    assert [alert.rule for alert in seen] == ["otel_monitor_test"]
    assert sink.messages[0]["Subject"].startswith("[TEST] [FIRING:1] info otel_monitor_test")
    assert json.loads((tmp_path / "alerts.jsonl").read_text())["test"] is True
    assert "ALERT firing [info] otel_monitor_test channel=screen: This is a test" in trials.console
    assert alertmanager.all_active() == [], "it is resolved right after"


def test_what_cannot_be_delivered_is_said_and_tries_the_others(trials: Trials, peer: Peer) -> None:
    peer.will(answer(403, "go away"))
    channels = {
        "chat": {"type": "slack", "url": "env:NOT_SET_ANYWHERE"},
        "gone": {"type": "webhook", "url": f"http://127.0.0.1:{free_port()}/"},
        "hook": {"type": "webhook", "url": peer.url},
        "own": {"type": "callable", "handler": "nowhere:handler"},
    }
    said = trials(channels, "--output", "json", code=1, enable_console_notifications=False)
    assert [(item["channel"], item["delivered"], item["said"]) for item in json.loads(said)["items"]] == [
        ("chat", False, "channels.chat.url: env:NOT_SET_ANYWHERE is not set in the environment of this process"),
        ("gone", False, "ConnectionRefusedError: [Errno 111] Connection refused"),
        ("hook", False, "HTTP 403 go away"),
        ("own", False, "cannot import 'nowhere:handler': ModuleNotFoundError: No module named 'nowhere'"),
    ]


def test_only_the_named_channels_are_tried_and_an_unknown_one_is_wrong_usage(trials: Trials, peer: Peer) -> None:
    channels = {"one": {"type": "webhook", "url": peer.url}, "two": {"type": "webhook", "url": peer.url}}
    assert trials(channels, "two") == "two (webhook): delivered: HTTP 200 ok\n"
    assert len(peer.requests) == 1
    assert trials(channels, "three", "two", code=2) == ""
    assert trials.console == "otel-monitor: no channel 'three'; there is: console, one, two\n"
    assert len(peer.requests) == 1


def test_without_settings_the_console_is_all_there_is(trials: Trials) -> None:
    assert trials({}) == "console (console): delivered\n"
    assert trials({}, code=1, enable_console_notifications=False) == "no channel is configured\n"
