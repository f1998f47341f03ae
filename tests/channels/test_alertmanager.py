"""A real Alertmanager shows an alert, keeps it while it fires, and ends it when it ends or when we do."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from dataclasses import replace
from typing import Any

from otel_monitor.channels.alertmanager import AlertmanagerChannel
from otel_monitor.channels.alertmanager_labels import label_set
from otel_monitor.channels.channel import Delivered, Refreshing, Rejected, Retry
from otel_monitor.channels.http_target import HttpOptions
from otel_monitor.channels.secret import PlainUrl
from otel_monitor_processors.alerts.alert import State
from otel_monitor_processors.alerts.rule import Severity
from tests.channels.alertmanager_server import Alertmanager
from tests.channels.http_peer import Handler, Peer, answer
from tests.channels.notifications import AT, HOSTILE, alert, fresh, hostile, notification, resolved
from tests.polling import eventually
from tests.processes import Processes

PROGRAM = """
import sys, time, threading
from otel_monitor.channels.alertmanager import AlertmanagerChannel
from otel_monitor.channels.http_target import HttpOptions
from otel_monitor.channels.secret import PlainUrl
from tests.channels.notifications import fresh, notification

channel = AlertmanagerChannel("am", url=PlainUrl(sys.argv[1]), options=HttpOptions({}), resend=0.5)
print(channel.send(notification(fresh("dies"))), flush=True)
wait = threading.Event()
while not wait.wait(max(0.0, channel.next_refresh() - time.time())):
    channel.refresh(time.time())
    print("refreshed", flush=True)
"""


def channel_to(url: str, resend: float = 0.5, **more: Any) -> AlertmanagerChannel:
    options = HttpOptions({}, timeout=5.0)
    return AlertmanagerChannel("am", url=PlainUrl(url), options=options, resend=resend, **more)


def statuses(told: Peer, rule: str) -> list[str]:
    """What the webhook behind Alertmanager was told about a rule, in order."""
    documents = [request.json() for request in list(told.requests)]
    return [document["status"] for document in documents if document["commonLabels"]["alertname"] == rule]


def test_it_shows_the_alert_and_resolves_it(alertmanager: Alertmanager, told: Peer) -> None:
    channel, fired = channel_to(f"{alertmanager.url}/", resend=60), fresh("shown")
    assert channel.send(notification(fired)) == Delivered("1 alert")
    shown = eventually(lambda: alertmanager.active().get("shown critical"))
    assert shown["labels"] == {"alertname": "shown", "severity": "critical", "service": "shop", "worker": "w3"}
    assert shown["annotations"]["summary"] == "no heartbeat for 2.1 s"
    assert shown["annotations"]["traces"] == "4bf92f3577b34da6a3ce929d0e0e4736"
    eventually(lambda: statuses(told, "shown") == ["firing"])
    done = replace(fired, state=State.RESOLVED, resolved_at=time.time())
    assert channel.send(notification(done, number=2)) == Delivered("1 alert")
    eventually(lambda: "shown critical" not in alertmanager.active())
    eventually(lambda: statuses(told, "shown") == ["firing", "resolved"])


def test_it_keeps_the_alert_while_it_is_refreshed_and_ends_it_when_not(alertmanager: Alertmanager, told: Peer) -> None:
    channel = channel_to(alertmanager.url)
    channel.send(notification(fresh("kept")))
    until = time.monotonic() + 3.0  # longer than the two seconds that it was posted for

    def refreshed_long_enough() -> bool:
        due = channel.next_refresh()
        assert due is not None
        if time.time() >= due:
            assert channel.refresh(time.time()) == Delivered("1 alert")
        assert "kept critical" in alertmanager.active()
        return time.monotonic() > until

    eventually(refreshed_long_enough)
    assert statuses(told, "kept") == ["firing"]
    eventually(lambda: statuses(told, "kept") == ["firing", "resolved"])


def test_it_ends_the_alert_of_a_program_that_was_killed(
    alertmanager: Alertmanager, told: Peer, processes: Processes
) -> None:
    env = {"PYTHONPATH": os.pathsep.join(sys.path)}
    program = processes.start("python", "-c", PROGRAM, alertmanager.url, env=env)
    program.wait_for("refreshed")
    assert "dies critical" in alertmanager.active()
    program.send(signal.SIGKILL)
    eventually(lambda: "dies critical" not in alertmanager.active())
    eventually(lambda: statuses(told, "dies") == ["firing", "resolved"])


def test_an_alert_that_becomes_worse_is_one_alert_at_a_time(alertmanager: Alertmanager, told: Peer) -> None:
    channel, fired = channel_to(alertmanager.url, resend=60), fresh("worse", severity=Severity.WARNING)
    channel.send(notification(fired))
    eventually(lambda: "worse warning" in alertmanager.active())
    channel.send(notification(replace(fired, severity=Severity.CRITICAL), number=2))
    eventually(lambda: {name for name in alertmanager.active() if name.startswith("worse")} == {"worse critical"})


def test_hostile_labels_are_taken_as_they_were_made_valid(alertmanager: Alertmanager) -> None:
    one = replace(hostile().alerts[0], fired_at=time.time(), active_at=time.time())
    assert channel_to(alertmanager.url).send(notification(one)) == Delivered("1 alert")
    shown = next(value for name, value in alertmanager.active().items() if name.startswith("x\r\nBcc"))
    assert all(name.replace("_", "").isalnum() for name in shown["labels"])
    assert len(shown["labels"]["long"]) == 1000


def refusing(rule: str) -> Any:
    """Alertmanager's answer to a batch: 400 when this rule is in it."""

    def behave(handler: Handler) -> None:
        sent = handler.peer.requests[-1].json()
        refused = any(alert["labels"]["alertname"] == rule for alert in sent)
        answer(400, f'bad "{rule}"')(handler) if refused else answer(200, "")(handler)

    return behave


def test_the_culprit_of_a_batch_is_named_and_all_others_are_posted(peer: Peer) -> None:
    peer.will(refusing("bad"))
    rules = ["a", "b", "c", "bad", "d", "e", "f", "g"]
    channel = channel_to(peer.url, clock=lambda: AT)
    receipt = channel.send(notification(*(alert(rule) for rule in rules)))
    assert receipt == Rejected('1 of 8 alerts refused: bad: HTTP 400 bad "bad"')
    batches = [[item["labels"]["alertname"] for item in request.json()] for request in peer.requests]
    assert batches == [rules, rules[:4], ["a", "b"], ["c", "bad"], ["c"], ["bad"], rules[4:]]
    peer.requests.clear()
    assert channel.refresh(AT + 1) == Delivered("7 alerts")
    assert [item["labels"]["alertname"] for item in peer.requests[0].json()] == [
        rule for rule in rules if rule != "bad"
    ]


def test_large_batches_are_posted_in_pieces(peer: Peer) -> None:
    channel = channel_to(peer.url, clock=lambda: AT)
    assert channel.send(notification(*(alert(f"r{index}") for index in range(150)))) == Delivered("150 alerts")
    assert [len(request.json()) for request in peer.requests] == [64, 64, 22]


def times(peer: Peer) -> list[tuple[str, str]]:
    return [(item["startsAt"], item["endsAt"]) for request in peer.requests for item in request.json()]


def test_what_fires_ends_by_itself_after_four_intervals_and_what_is_resolved_ended_then(peer: Peer) -> None:
    now = [AT]
    channel, fired = channel_to(peer.url, resend=60, clock=lambda: now[0]), alert()
    channel.send(notification(fired))
    now[0] = AT + 60
    channel.refresh(now[0])
    now[0] = AT + 100
    channel.send(notification(resolved(fired, after_s=90), number=2))
    start = "2025-11-24T16:00:00.000Z"
    assert times(peer) == [
        (start, "2025-11-24T16:04:00.000Z"),
        (start, "2025-11-24T16:05:00.000Z"),
        (start, "2025-11-24T16:01:30.000Z"),
    ]


def test_it_is_due_while_anything_is_to_be_told_and_says_resolved_for_a_quarter_of_an_hour(peer: Peer) -> None:
    now = [AT]
    channel, fired = channel_to(peer.url, resend=60, clock=lambda: now[0]), alert()
    assert isinstance(channel, Refreshing)
    assert channel.next_refresh() is None
    channel.send(notification(fired))
    assert channel.next_refresh() == AT + 60
    channel.send(notification(resolved(fired, after_s=0), number=2))
    told = 0
    while (due := channel.next_refresh()) is not None:
        now[0] = due
        peer.requests.clear()
        channel.refresh(due)
        told += len(times(peer))
    assert told == 15


def test_what_fires_no_longer_elsewhere_is_no_longer_told(peer: Peer) -> None:
    channel, one, two = channel_to(peer.url, clock=lambda: AT), alert("one"), alert("two")
    channel.send(notification(one, two))
    peer.requests.clear()
    assert channel.refresh(AT + 1, active={two.id}) == Delivered("1 alert")
    assert [item["labels"]["alertname"] for item in peer.requests[0].json()] == ["two"]


def test_after_a_restart_it_goes_on_telling_what_fires(peer: Peer) -> None:
    channel = channel_to(peer.url, clock=lambda: AT)
    channel.resume([alert("one"), resolved(alert("two"))])
    assert channel.next_refresh() == AT
    assert channel.refresh(AT) == Delivered("1 alert")
    assert [item["labels"]["alertname"] for item in peer.requests[0].json()] == ["one"]


def test_an_alertmanager_that_is_down_is_told_at_the_next_time(peer: Peer) -> None:
    channel = channel_to(peer.url, resend=60, clock=lambda: AT)
    channel.send(notification())
    peer.will(answer(503), answer(200))
    assert channel.refresh(AT + 60) == Retry("HTTP 503 ok")
    assert channel.next_refresh() == AT + 120
    assert channel.refresh(AT + 120) == Delivered("1 alert")


def test_the_end_of_an_earlier_episode_does_not_end_the_next(peer: Peer) -> None:
    channel = channel_to(peer.url, resend=60, clock=lambda: AT)
    channel.send(notification(alert(), resolved(alert(at=AT - 500))))
    assert times(peer) == [("2025-11-24T16:00:00.000Z", "2025-11-24T16:04:00.000Z")]


def test_labels_are_made_valid_and_stay_apart() -> None:
    labels = (
        ("a.b", "1"),
        ("a_b", "2"),
        ("1x", "3"),
        ("", "4"),
        ("empty", ""),
        ("severity", "5"),
        ("é", "6"),
        ("__n", "7"),
    )
    assert dict(label_set(alert("r", labels))) == {
        "alertname": "r",
        "severity": "critical",
        "a_b": "1",
        "a_b_2": "2",
        "_1x": "3",
        "_": "4",
        "exported_severity": "5",
        "__2": "6",
        "__n": "7",
    }
    assert HOSTILE not in json.dumps(dict(label_set(hostile().alerts[0])))
