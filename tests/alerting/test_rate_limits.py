"""A channel's limit holds whatever its type; what it holds back says so, and is told when there is room again."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from otel_monitor.alerting.assembly import dispatcher_of, service_of
from otel_monitor.cli import main
from otel_monitor.settings import Settings
from otel_monitor.settings_channels import TYPES
from otel_monitor_processors.alerts.alert import State
from otel_monitor_processors.alerts.decision import Stage
from otel_monitor_processors.alerts.dispatcher import Dispatcher
from otel_monitor_processors.alerts.rate_limit import RateLimit
from tests.alerting.services import AT_ONCE, START_S, fires, resolves
from tests.channels.http_peer import http_peer
from tests.channels.test_channel_settings import EXAMPLES
from tests.polling import eventually

EACH_AT_ONCE = [{"group_by": ["instance"], "group_wait": 0, "group_interval": 0.05}]


def test_every_type_of_channel_heeds_its_limit(tmp_path: Path) -> None:
    config = tmp_path / "monitor.json"
    limit = {"rate_limit": {"notifications": 1, "period": 60}}
    channels = {name: {**example, **limit} for name, example in EXAMPLES.items()}
    assert {channel["type"] for channel in channels.values()} == set(TYPES)
    config.write_text(json.dumps({"channels": channels, "routes": EACH_AT_ONCE}))
    dispatcher = dispatcher_of(Settings.from_file(config))()
    held_back = fires("w2", START_S)
    for transition in (fires("w1", START_S), held_back):
        dispatcher.take(transition)
    assert sorted(item.channel for item in dispatcher.advance(START_S)) == sorted(channels)
    held = {
        decision.channel: decision.reason.partition(" until ")[0]
        for decision in dispatcher.decisions(held_back.alert.id)
        if decision.stage is Stage.RATE_LIMIT and decision.held
    }
    assert set(held) == set(channels)
    assert all(f"rate limited: {name} takes 1 notification in 60 s" in said for name, said in held.items())
    assert dispatcher.advance(START_S + 59.0) == []
    later = dispatcher.advance(START_S + 60.0)
    assert sorted(item.channel for item in later) == sorted(channels)
    assert {alert.id for item in later for alert in item.alerts} == {held_back.alert.id}
    assert all(alert.state is State.FIRING for item in later for alert in item.alerts)


def test_what_a_limit_holds_back_is_shown_and_told_when_there_is_room_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with http_peer() as limited, http_peer() as free:
        hooks: dict[str, Any] = {
            "limited": {"type": "webhook", "url": limited.url, "rate_limit": {"notifications": 1, "period": 2}},
            "free": {"type": "webhook", "url": free.url},
        }
        config = tmp_path / "monitor.json"
        store = tmp_path / "alerts.db"
        config.write_text(json.dumps({"channels": hooks, "routes": EACH_AT_ONCE, "store_path": str(store)}))
        alerts = service_of(Settings.from_file(config), "shop")
        alerts.restore()
        alerts.start()
        alerts(fires("w1"))
        eventually(lambda: limited.requests and free.requests)
        second = fires("w2")
        alerts(second)
        eventually(lambda: len(free.requests) == 2)
        assert len(limited.requests) == 1
        shown = ""

        def is_shown() -> bool:
            nonlocal shown
            assert main(["alerts", "show", second.alert.id, "--config-file", str(config)]) == 0
            shown = capsys.readouterr().out
            return "rate limit" in shown

        eventually(is_shown)
        assert "rate limit (limited): rate limited: limited takes 1 notification in 2 s" in shown, shown
        assert "rate limit (free)" not in shown
        eventually(lambda: len(limited.requests) == 2, what="the message that was held back")
        assert time.time() - second.at > 1.5
        assert limited.requests[1].json()["alerts"][0]["id"] == second.alert.id
        alerts.stop(5.0)


def test_who_has_heard_of_the_end_does_not_hear_of_it_again_while_another_is_limited() -> None:
    limits = {"limited": RateLimit(1, 60.0)}
    dispatcher = Dispatcher(["limited", "free"], AT_ONCE, rate_limits=limits)
    raised = fires("w1", START_S)
    dispatcher.take(raised)
    told = dispatcher.advance(START_S)
    dispatcher.take(resolves(raised, START_S + 1.0))
    for second in range(1, 62):
        told += dispatcher.advance(START_S + second)
    assert [(item.channel, item.reason, round(item.at - START_S)) for item in told] == [
        ("limited", "first", 0),
        ("free", "first", 0),
        ("free", "all resolved", 1),
        ("limited", "all resolved", 60),
    ]
    assert dispatcher.alerts() == [], "nobody is owed a word"
