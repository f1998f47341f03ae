"""Slack and its like get a readable message in which foreign text has no effect."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from otel_monitor.channels.channel import Delivered, Rejected, Retry
from otel_monitor.channels.http_target import HttpOptions
from otel_monitor.channels.secret import Secret
from otel_monitor.channels.slack import SlackChannel
from tests.channels.http_peer import Behaviour, Peer, answer
from tests.channels.notifications import AT, alert, hostile, notification, resolved


@pytest.fixture
def slack(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> SlackChannel:
    monkeypatch.setenv("SLACK_URL", f"{peer.url}/services/T0/B0/s3cret")
    return SlackChannel("s", url=Secret("env:SLACK_URL"), options=HttpOptions({}, timeout=5), clock=lambda: AT)


def test_each_alert_is_an_attachment_in_the_colour_of_its_severity(peer: Peer, slack: SlackChannel) -> None:
    assert slack.send(notification(alert(), resolved(alert("cpu")))) == Delivered("HTTP 200 ok")
    (request,) = peer.requests
    assert request.path == "/services/T0/B0/s3cret"
    message = request.json()
    assert message["text"] == "[FIRING:1] critical cpu, worker_lost service=shop"
    firing, calm, footer = message["attachments"]
    assert (firing["color"], firing["title"]) == ("#d00000", "FIRING critical worker_lost")
    assert "summary: `no heartbeat for 2.1 s`\nlabels: `service=shop worker=w3`\n" in firing["text"]
    assert (calm["color"], calm["title"]) == ("#2eb886", "RESOLVED critical cpu")
    assert notification(alert(), resolved(alert("cpu"))).id in footer["text"]


def test_hostile_texts_are_no_mentions_no_links_no_markup(peer: Peer, slack: SlackChannel) -> None:
    assert isinstance(slack.send(hostile()), Delivered)
    (request,) = peer.requests
    message = request.json()
    texts = [
        message["text"],
        *(item[key] for item in message["attachments"] for key in item if key in {"title", "text"}),
    ]
    assert message["mrkdwn"] is False
    for text in texts:
        assert not set("<>\x00\x1b\u202e\r\ud800") & set(text)
        assert "@everyone" not in text
        assert "](" not in text
        assert "://" not in text
        assert len(text) <= 3002
    # whatever a value holds, it stands between exactly the two backticks that we have put there
    rows = [row for item in message["attachments"][:-1] for row in item["text"].split("\n")]
    assert all(row.count("`") == 2 and row.endswith("`") for row in rows if row != "…")


def test_of_very_many_alerts_the_first_are_shown_and_the_rest_counted(peer: Peer, slack: SlackChannel) -> None:
    slack.send(notification(*(replace(alert(), id=str(index)) for index in range(30))))
    attachments = peer.requests[0].json()["attachments"]
    assert len(attachments) == 11
    assert attachments[-1]["text"].startswith("… and 20 more\n")


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        (answer(429, "rate_limited", Retry_After="30"), Retry("HTTP 429 rate_limited", 30.0)),
        (answer(404, "no_service"), Rejected("HTTP 404 no_service")),
        (answer(400, "invalid_payload"), Rejected("HTTP 400 invalid_payload")),
    ],
)
def test_what_slack_answers_decides(peer: Peer, slack: SlackChannel, behaviour: Behaviour, expected: object) -> None:
    peer.will(behaviour)
    assert slack.send(notification()) == expected


def test_an_answer_that_repeats_the_path_does_not_give_it_away(peer: Peer, slack: SlackChannel) -> None:
    peer.will(answer(404, "no /services/T0/B0/s3cret here"))
    assert slack.send(notification()) == Rejected("HTTP 404 no *** here")


def test_its_url_is_a_secret(slack: SlackChannel, tmp_path: Path) -> None:
    assert repr(slack) == "SlackChannel('s', env:SLACK_URL)"
    (tmp_path / "url").write_text("not a url with s3cret")
    broken = SlackChannel("s", url=Secret(f"file:{tmp_path}/url"), options=HttpOptions({}))
    assert broken.send(notification()) == Rejected(f"file:{tmp_path}/url: a URL has no spaces or control characters")
