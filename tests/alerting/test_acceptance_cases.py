"""Alertmanager's acceptance tests in which a delivery fails or several programs tell, on virtual time.

Store, leadership, dispatcher, outbox and couriers are the real ones. Facts from its tests `TestRetry`,
`TestWebhookTimeout`, `TestClusterDeduplication`, `TestClusterVSInstance`, `TestResolved` (Apache-2.0).
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from otel_monitor.alerting import tidying
from otel_monitor.alerting.service import AlertService
from otel_monitor.channels.channel import Delivered, Receipt, Retry
from otel_monitor.channels.http_target import HttpOptions
from otel_monitor.channels.secret import PlainUrl
from otel_monitor.channels.webhook import WebhookChannel
from otel_monitor.store.dispatch_state import LEADS_S
from otel_monitor.testing.clock import VirtualClock
from otel_monitor_processors.alerts.alert import AlertTransition, State
from otel_monitor_processors.alerts.dispatcher import Dispatcher
from otel_monitor_processors.alerts.notification import Notification
from otel_monitor_processors.alerts.route import Route
from tests.alerting.services import fires, resolves
from tests.alerting.virtual import Hook, Programs, Share
from tests.alerts.notification_cases import alert_of, by_case, channels_of, compare, dispatcher_of, events_of
from tests.alerts.timeline import Case
from tests.channels.http_peer import Handler, answer, hang, http_peer

THREE = ("first", "second", "third")
RETRY = Route(group_by=("alertname",), group_wait_s=1.0, group_interval_s=2.0, repeat_interval_s=3.0)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "alerts.db"


@pytest.fixture
def opened() -> Iterator[list[AlertService]]:
    """Services that are closed in the end."""
    services: list[AlertService] = []
    yield services
    for one in services:
        one.keeper.close()


# -- every case, by the whole service, of one program and of three ----------------------------------------


@by_case
@pytest.mark.parametrize("names", [THREE[:1], THREE], ids=["one", "three"])
def test_one_program_and_three_tell_the_same(
    case: Case, names: tuple[str, ...], store: Path, clock: VirtualClock, opened: list[AlertService]
) -> None:
    hooks = [Hook(name, clock) for name in channels_of(case)]
    step_s = case["route"]["group_wait"] / 20.0
    programs = Programs(store, clock, hooks, dispatcher_of(case), names=names, step_s=step_s)
    opened += programs.running
    silences: list[str] = []
    for event in events_of(case):
        programs.until(event["at"])
        if "silence" in event:
            silences.append(str(programs.ask(silence_of(event))["id"]))
        elif "expire" in event:
            assert programs.ask({"do": "expire_silence", "id": silences[event["expire"]]})["ok"]
        else:
            programs.push(AlertTransition(event["at"], alert_of(event), State.INACTIVE, "so it is"))
    programs.until(case["until"])
    compare(case, [item for hook in hooks for item in hook.got])


def silence_of(event: dict[str, Any]) -> dict[str, Any]:
    starts_at, ends_at = event["active"]
    silence = {"matchers": event["silence"], "starts_at": starts_at, "ends_at": ends_at}
    return {"do": "silence", "silence": silence | {"author": "ann", "comment": "known"}}


# -- retries ----------------------------------------------------------------------------------------------


def retry_case(
    store: Path, clock: VirtualClock, opened: list[AlertService], rng: random.Random
) -> tuple[Programs, Hook, Hook]:
    """`b` fails until 4.5; one alert fires at 1."""

    def fails(_: Notification) -> Receipt:
        return Retry("HTTP 500") if clock() < 4.5 else Delivered()

    good, bad = Hook("a", clock), Hook("b", clock, fails)
    programs = Programs(store, clock, [good, bad], lambda: Dispatcher(["a", "b"], RETRY), rng=rng)
    opened += programs.running
    programs.until(1.0)
    programs.push(fires("w1", 1.0))
    return programs, good, bad


def test_a_channel_that_fails_is_tried_until_it_takes_the_message_and_no_other_is_told_again_for_that(
    store: Path, clock: VirtualClock, opened: list[AlertService]
) -> None:
    programs, good, bad = retry_case(store, clock, opened, Share(0.6))
    programs.until(6.5)
    assert good.got_at == pytest.approx([2.0, 6.0], abs=0.1)
    assert bad.tried_at == pytest.approx([2.0, 2.6, 3.8, 6.2], abs=0.1)
    assert bad.got_at == pytest.approx([6.2], abs=0.1)
    assert [item.reason for item in bad.got] == ["first"]


@pytest.mark.parametrize("seed", range(20))
def test_whatever_the_jitter_the_repeat_interval_counts_from_when_the_channel_was_reached(
    store: Path, clock: VirtualClock, opened: list[AlertService], seed: int
) -> None:
    programs, good, bad = retry_case(store, clock, opened, random.Random(seed))
    programs.until(40.0)
    assert good.got_at == pytest.approx([2.0 + 4.0 * count for count in range(10)], abs=0.1)
    first, *later = bad.got_at
    assert first >= 4.5
    assert [item.reason for item in bad.got] == ["first", *["repeat interval"] * len(later)]
    assert all(3.0 <= after - before <= 5.1 for before, after in pairwise(bad.got_at)), "at its first look past three"


def test_what_a_channel_missed_comes_once_and_in_order_when_it_is_back(
    store: Path, clock: VirtualClock, opened: list[AlertService]
) -> None:
    back_at = 2_000.0
    hook = Hook("a", clock, lambda _: Delivered() if clock() >= back_at else Retry("refused"))
    programs = Programs(store, clock, [hook], lambda: Dispatcher(["a"], RETRY), step_s=1.0)
    opened += programs.running
    programs.until(1.0)
    raised = fires("w1", 1.0)
    programs.push(raised)
    programs.until(900.0)
    programs.push(resolves(raised, 900.0))
    programs.until(back_at + 400.0)
    assert [item.reason for item in hook.got] == ["first", "all resolved"]


def test_what_is_noted_of_late_deliveries_is_forgotten_again_in_memory(
    clock: VirtualClock, opened: list[AlertService]
) -> None:
    hook = Hook("a", clock, lambda _: Delivered() if len(hook.tried_at) % 2 == 0 else Retry("refused"))
    programs = Programs(None, clock, [hook], lambda: Dispatcher(["a"], RETRY))
    opened += programs.running
    programs.until(1.0)
    programs.push(fires("w1", 1.0))
    programs.until(200.0)
    assert len(hook.got) > 30
    with programs.running[0].keeper.shelf.database.reading() as connection:
        assert connection.execute("SELECT count(*) FROM request").fetchone()[0] < 20


def test_who_takes_over_counts_the_repeat_interval_from_when_the_channel_was_reached(
    store: Path, clock: VirtualClock, opened: list[AlertService]
) -> None:
    hook = Hook("a", clock, lambda _: Delivered() if clock() >= 4.5 else Retry("refused"))
    route = replace(RETRY, repeat_interval_s=30.0)
    programs = Programs(store, clock, [hook], lambda: Dispatcher(["a"], route), names=THREE[:2], rng=Share(0.9))
    opened += programs.running
    programs.until(1.0)
    programs.push(fires("w1", 1.0))
    programs.until(5.0)
    assert hook.got_at == pytest.approx([4.7], abs=0.1)
    programs.kill(programs.running[0])
    programs.until(40.0)
    assert hook.got_at == pytest.approx([4.7, 36.0], abs=0.1), "at the first look that is thirty seconds later"


def test_who_takes_over_does_not_send_a_repetition_that_was_left_out(
    store: Path, clock: VirtualClock, opened: list[AlertService]
) -> None:
    hook = Hook("a", clock, lambda _: Delivered() if clock() >= 4.5 else Retry("refused"))
    programs = Programs(store, clock, [hook], lambda: Dispatcher(["a"], RETRY), names=THREE[:2], rng=Share(0.6))
    opened += programs.running
    programs.until(1.0)
    programs.push(fires("w1", 1.0))
    programs.until(7.0)
    assert hook.got_at == pytest.approx([6.2], abs=0.1), "the repetition of 6.0 would have said the same"
    programs.kill(programs.running[0])
    programs.until(40.0)
    assert 6.2 < hook.got_at[1] <= 7.0 + LEADS_S + 1.0
    assert all(after - before >= 3.0 for before, after in pairwise(hook.got_at))


def test_a_webhook_that_does_not_answer_in_time_is_tried_again_soon_and_then_not_once_more(
    store: Path, clock: VirtualClock, opened: list[AlertService]
) -> None:
    def answer_from_three(handler: Handler) -> None:
        (hang if clock() < 3.0 else answer())(handler)

    with http_peer(answer_from_three) as peer:
        options = HttpOptions(headers={}, timeout=1.0, allow_private=True)
        webhook = WebhookChannel("a", url=PlainUrl(peer.url), options=options, clock=clock)

        def over_http(notification: Notification) -> Receipt:
            receipt = webhook.send(notification)
            if isinstance(receipt, Retry):
                assert receipt.reason.startswith("timeout")
                clock.advance(0.5)  # that is how long it has waited
            return receipt

        hook = Hook("a", clock, over_http)
        route = Route(group_by=("alertname",), group_wait_s=1.0, group_interval_s=60.0, repeat_interval_s=60.0)
        programs = Programs(store, clock, [hook], lambda: Dispatcher(["a"], route), rng=Share(0.3))
        opened += programs.running
        programs.until(1.0)
        programs.push(fires("w1", 1.0))
        programs.until(100.0)
        keys = {request.headers["idempotency-key"] for request in peer.requests}
    assert hook.tried_at == pytest.approx([2.0, 2.8, 3.9], abs=0.1)
    assert len(hook.got_at) == 1
    assert 3.0 <= hook.got_at[0] <= 4.0
    assert keys == {hook.got[0].id}, "whoever had heard it after all can tell"


# -- several programs -------------------------------------------------------------------------------------


def test_of_three_programs_that_see_the_same_alert_exactly_one_tells(
    store: Path, clock: VirtualClock, opened: list[AlertService]
) -> None:
    hook = Hook("a", clock)
    route = Route(group_by=(), group_wait_s=1.0, group_interval_s=1.0, repeat_interval_s=3_600.0)
    programs = Programs(store, clock, [hook], lambda: Dispatcher(["a"], route), names=THREE)
    opened += programs.running
    programs.until(1.0)
    programs.push(fires("w1", 1.0))
    programs.until(60.0)
    assert hook.got_at == pytest.approx([2.0], abs=0.1)
    (alert,) = hook.got[0].firing
    assert (alert.rule, alert.active_at) == ("slow", 1.0)


@pytest.mark.parametrize("killed_at", [1.5, 2.5])
def test_when_the_one_that_tells_is_killed_another_does_and_nothing_is_told_twice(
    store: Path, clock: VirtualClock, opened: list[AlertService], killed_at: float
) -> None:
    hook = Hook("a", clock)
    route = Route(group_by=("instance",), group_wait_s=1.0, group_interval_s=1.0, repeat_interval_s=3_600.0)
    programs = Programs(store, clock, [hook], lambda: Dispatcher(["a"], route), names=THREE)
    opened += programs.running
    programs.until(1.0)
    programs.push(fires("w1", 1.0))
    programs.until(killed_at)
    programs.kill(programs.running[0])
    programs.until(3.0)
    programs.push(fires("w2", 3.0))
    programs.until(60.0)
    told = [dict(alert.labels)["instance"] for item in hook.got for alert in item.alerts]
    assert sorted(told) == ["w1", "w2"]
    assert hook.got_at[-1] <= 3.0 + LEADS_S + 1.1


def test_alerts_whose_program_is_not_heard_of_any_more_are_told_as_resolved(
    store: Path, clock: VirtualClock, opened: list[AlertService], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tidying, "ABANDONED_AFTER_S", 10.0)  # Alertmanager's `resolve_timeout`
    monkeypatch.setattr(tidying, "EVERY_S", 0.5)
    hook = Hook("a", clock)
    route = Route(group_by=("alertname",), group_wait_s=1.0, group_interval_s=5.0)
    programs = Programs(store, clock, [hook], lambda: Dispatcher(["a"], route), names=THREE[:2])
    opened += programs.running
    _, silent = programs.running
    programs.until(1.0)
    programs.push(*(fires(name, 1.0) for name in ("v1", "v2", "v3")), to=[silent])
    programs.hang(silent)
    monkeypatch.setattr(tidying, "_AWAKE_FOR_S", 1.0)
    programs.until(30.0)
    firing, resolved = hook.got
    assert (len(firing.firing), len(resolved.resolved)) == (3, 3)
    assert 2.0 <= hook.got_at[0] <= 2.5
    assert 12.0 <= hook.got_at[1] <= 13.0
    assert all(
        alert.active_at == 1.0 and alert.resolved_at == pytest.approx(11.0, abs=0.7) for alert in resolved.alerts
    )
