"""A channel that is in trouble delays no other, loses nothing, and costs no memory without end."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from otel_monitor.alerting.tidying import Tidying
from otel_monitor.channels.http_target import HttpOptions
from otel_monitor.channels.secret import PlainUrl
from otel_monitor.channels.webhook import WebhookChannel
from otel_monitor.store.outbox import Place
from otel_monitor_processors import drops
from otel_monitor_processors.alerts.alert import State
from tests.alerting.services import AT_ONCE, START_S, Recorder, Timeline, fires, running, service
from tests.channels.http_peer import Behaviour, answer, half_close, hang, http_peer
from tests.polling import eventually
from tests.ports import free_port


def hook(url: str) -> WebhookChannel:
    options: dict[str, Any] = {"connect_timeout": 3.0, "read_timeout": 3.0, "timeout": 3.0, "allow_private": True}
    return WebhookChannel("hook", url=PlainUrl(url), options=HttpOptions(headers={}, **options))


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(hang, id="hangs"),
        pytest.param(answer(500), id="500"),
        pytest.param(answer(429, Retry_After="60"), id="429"),
        pytest.param(answer(400), id="400"),
        pytest.param(half_close, id="half-closes"),
    ],
)
def test_a_channel_in_trouble_delays_no_other(behaviour: Behaviour, tmp_path: Path) -> None:
    with http_peer(behaviour) as peer:
        tell_beside(hook(peer.url), tmp_path)
        assert peer.requests


def test_a_channel_that_refuses_connections_delays_no_other(tmp_path: Path) -> None:
    tell_beside(hook(f"http://127.0.0.1:{free_port()}"), tmp_path)


def tell_beside(troubled: WebhookChannel, tmp_path: Path) -> None:
    """Twenty alerts within a second: each reaches the good channel within a second, and none of the others is lost."""
    ops = Recorder()
    alerts = service(troubled, ops, path=tmp_path / "alerts.db")
    alerts.restore()
    alerts.start()
    began = {}
    for number in range(20):
        began[f"w{number}"] = time.time()
        alerts(fires(f"w{number}"))
        alerts.settle()
    eventually(lambda: len(ops.got) == 20, what="all messages to the good channel")
    delays = [at - began[name] for at, (name, _) in zip(ops.at, ops.told, strict=True)]
    assert max(delays) < 1.0
    outbox = alerts.keeper.shelf.outbox
    eventually(lambda: outbox.depth().get("hook", 0) + len(outbox.in_place(Place.DEAD)) == 20, what="each is kept")
    alerts.stop(0.5)


def test_a_receiver_that_comes_back_gets_everything_in_order(tmp_path: Path) -> None:
    with http_peer(answer(503), answer(500), answer(200)) as peer:
        alerts = service(hook(peer.url), path=tmp_path / "alerts.db")
        with running(alerts):
            alerts(fires("w1"))
            eventually(lambda: len(peer.requests) == 3, what="the third attempt")
        assert len({request.headers["idempotency-key"] for request in peer.requests}) == 1


def test_retry_after_is_heeded(tmp_path: Path) -> None:
    with http_peer(answer(429, Retry_After="1"), answer(200)) as peer:
        alerts = service(hook(peer.url), path=tmp_path / "alerts.db")
        with running(alerts):
            alerts(fires("w1"))
            eventually(lambda: peer.requests)
            began = time.monotonic()
            eventually(lambda: len(peer.requests) == 2, what="the second attempt")
        assert time.monotonic() - began > 0.9


def test_a_receiver_that_asks_to_be_left_alone_gets_no_other_message_either(tmp_path: Path) -> None:
    with http_peer(answer(429, Retry_After="1"), answer(200)) as peer:
        alerts = service(hook(peer.url), path=tmp_path / "alerts.db")
        with running(alerts):
            alerts(fires("w1"))
            eventually(lambda: peer.requests)
            began = time.monotonic()
            alerts(fires("w2"))
            eventually(lambda: len(peer.requests) == 3, what="both messages")
        assert time.monotonic() - began > 0.9
        told = [request.json()["alerts"][0]["labels"]["instance"] for request in peer.requests]
        assert told == ["w1", "w1", "w2"]


def test_in_memory_too_what_cannot_be_delivered_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otel_monitor.alerting.tidying._MOST_WAITING", 100)
    alerts = service(Recorder())
    for number in range(300):
        alerts(fires(f"w{number}"))
    now = time.time()
    while alerts.step(now):
        continue
    Tidying(60.0).run(alerts.keeper.shelf, now + 1.0, leads=True, handled=0)
    assert alerts.keeper.shelf.outbox.depth() == {"ops": 100}


def test_what_the_dispatcher_has_no_room_for_is_counted() -> None:
    before = drops.snapshot().get(("dispatcher", "decisions"), 0)
    alerts = service(Recorder(), route=replace(AT_ONCE, group_by=("rule",)))
    for number in range(10_010):
        alerts(fires(f"w{number}", START_S))
    while alerts.step(START_S):
        continue
    assert drops.snapshot()["dispatcher", "decisions"] == before + 10
    assert len(alerts.keeper.shelf.alerts.in_state([State.FIRING], limit=-1)) == 10_010, "no alert is lost by that"


def test_a_hundred_firing_alerts_take_their_turn_within_one_step(tmp_path: Path) -> None:
    line = Timeline(tmp_path / "alerts.db")
    for number in range(100):
        line.alerts(fires(f"w{number}", line.now))
    line.go(0.0)
    assert len(line.told) == 100
    line.close()
