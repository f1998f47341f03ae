"""PagerDuty gets an event for each alert, and the incident ends with it."""

from __future__ import annotations

from typing import Any

import pytest

from otel_monitor.channels.channel import Delivered, Rejected, Retry
from otel_monitor.channels.http_target import HttpOptions
from otel_monitor.channels.pagerduty import PagerDutyChannel
from otel_monitor.channels.secret import PlainUrl, Secret
from otel_monitor.channels.trial import send_test
from otel_monitor_processors.alerts.rule import Severity
from tests.channels.http_peer import Peer, answer, hang
from tests.channels.notifications import AT, alert, hostile, notification, resolved

KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture(autouse=True)
def _routing_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PD_KEY", KEY)


def pagerduty(peer: Peer, timeout: float = 5.0) -> PagerDutyChannel:
    options = HttpOptions({}, timeout=timeout)
    return PagerDutyChannel(
        "p", routing_key=Secret("env:PD_KEY"), url=PlainUrl(peer.url), options=options, clock=lambda: AT
    )


def events(peer: Peer) -> list[Any]:
    return [request.json() for request in peer.requests]


def test_an_alert_triggers_an_incident_and_resolves_the_same(peer: Peer) -> None:
    peer.will(answer(202, '{"status":"success"}'))
    channel, fired = pagerduty(peer), alert()
    assert channel.send(notification(fired)) == Delivered("1 event")
    assert channel.send(notification(resolved(fired), number=2)) == Delivered("1 event")
    trigger, resolve = events(peer)
    assert (trigger["event_action"], resolve["event_action"]) == ("trigger", "resolve")
    assert trigger["dedup_key"] == resolve["dedup_key"] == fired.fingerprint
    assert trigger["routing_key"] == KEY
    payload = trigger["payload"]
    assert payload["summary"] == "worker_lost service=shop worker=w3: no heartbeat for 2.1 s"
    assert (payload["source"], payload["component"], payload["class"]) == ("w3", "shop", "heartbeat_degradation")
    assert payload["timestamp"] == "2025-11-24T16:00:00.000Z"
    assert payload["custom_details"]["value"] == 2.1


@pytest.mark.parametrize(
    ("severity", "theirs"),
    [
        (Severity.INFO, "info"),
        (Severity.WARNING, "warning"),
        (Severity.CRITICAL, "error"),
        (Severity.EMERGENCY, "critical"),
    ],
)
def test_each_severity_has_its_own_there(peer: Peer, severity: Severity, theirs: str) -> None:
    pagerduty(peer).send(notification(alert(severity=severity)))
    assert events(peer)[0]["payload"]["severity"] == theirs


def test_sent_again_it_goes_on_where_it_was_interrupted(peer: Peer) -> None:
    rules = ["one", "two", "three"]
    sent = notification(*(alert(rule) for rule in rules))
    peer.will(answer(202), answer(429, "", Retry_After="5"), answer(202))
    channel = pagerduty(peer)
    assert channel.send(sent) == Retry("1 of 3 sent, then: HTTP 429", 5.0)
    assert channel.send(sent) == Delivered("3 events")
    assert [event["payload"]["custom_details"]["rule"] for event in events(peer)] == ["one", "two", "two", "three"]


def test_an_event_that_is_refused_holds_up_no_other_and_is_told(peer: Peer) -> None:
    peer.will(answer(400, '{"errors":["bad"]}'), answer(202))
    receipt = pagerduty(peer).send(notification(alert("one"), alert("two")))
    assert receipt == Rejected('1 of 2 rejected: one: HTTP 400 {"errors":["bad"]}')
    assert len(peer.requests) == 2


def test_all_events_of_a_notification_share_one_deadline(peer: Peer) -> None:
    peer.will(answer(202), hang)
    receipt = pagerduty(peer, timeout=0.5).send(notification(*(alert(f"rule{index}") for index in range(20))))
    assert isinstance(receipt, Retry)
    assert receipt.reason.startswith("1 of 20 sent, then: timeout")
    assert len(peer.requests) == 2


def test_the_key_is_never_in_a_receipt(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    peer.will(answer(400, f"no such key {KEY}"))
    assert pagerduty(peer).send(notification()) == Rejected("1 of 1 rejected: worker_lost: HTTP 400 no such key ***")
    monkeypatch.delenv("PD_KEY")
    assert isinstance(pagerduty(peer).send(notification()), Retry)


def test_hostile_texts_stay_within_the_limits_of_an_event(peer: Peer) -> None:
    assert isinstance(pagerduty(peer).send(hostile()), Delivered)
    resolve, trigger = peer.requests
    assert len(trigger.body) < 512_000
    payload = trigger.json()["payload"]
    assert len(payload["summary"]) <= 1024
    assert "\n" not in payload["summary"]
    assert len(trigger.json()["dedup_key"]) <= 255
    assert resolve.json()["event_action"] == "resolve"


def test_the_end_of_an_earlier_episode_does_not_end_the_incident_of_the_next(peer: Peer) -> None:
    earlier, now = resolved(alert(at=AT - 500)), alert()
    pagerduty(peer).send(notification(now, earlier))
    assert [event["event_action"] for event in events(peer)] == ["resolve", "trigger"]


def test_the_test_message_opens_an_incident_and_ends_it(peer: Peer) -> None:
    assert send_test(pagerduty(peer), AT) == Delivered("1 event")
    trigger, resolve = events(peer)
    assert trigger["payload"]["summary"].startswith("[TEST] otel_monitor_test channel=p: This is a test")
    assert (resolve["event_action"], resolve["dedup_key"]) == ("resolve", trigger["dedup_key"])
