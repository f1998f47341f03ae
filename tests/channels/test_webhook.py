"""A webhook gets each notification signed and with an idempotency key, and no server's conduct does harm."""

from __future__ import annotations

import json
import ssl
import time
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from otel_monitor.channels import signature
from otel_monitor.channels.channel import Channel, Delivered, Rejected, Retry
from otel_monitor.channels.http_target import HttpOptions, retry_after
from otel_monitor.channels.secret import PlainUrl, Secret
from otel_monitor.channels.webhook import WebhookChannel
from tests.channels.http_peer import (
    Behaviour,
    Peer,
    answer,
    drip,
    half_close,
    half_close_in_answer,
    hang,
    http_peer,
    raw,
)
from tests.channels.notifications import AT, HOSTILE, alert, hostile, notification, resolved
from tests.ports import free_port


def webhook(url: str, *, secret: Secret | None = None, format: str = "json", **options: Any) -> WebhookChannel:
    times = {"connect_timeout": 1.0, "read_timeout": 5.0, "timeout": 5.0}
    http = HttpOptions(**{"headers": {}, **times, **options})
    return WebhookChannel("hook", url=PlainUrl(url), options=http, secret=secret, format=format, clock=lambda: AT)


def test_a_notification_arrives_with_everything_it_says(peer: Peer) -> None:
    sent = notification(alert(), resolved(alert("cpu")))
    assert webhook(f"{peer.url}/hook?a=1").send(sent) == Delivered("HTTP 200 ok")
    (request,) = peer.requests
    assert request.path == "/hook?a=1"
    assert request.headers["content-type"] == "application/json; charset=utf-8"
    assert request.headers["idempotency-key"] == sent.id
    document = request.json()
    assert (document["id"], document["status"], document["severity"]) == (sent.id, "firing", "critical")
    first, second = document["alerts"]
    assert first["labels"] == {"service": "shop", "worker": "w3"}
    assert (first["value"], first["threshold"], first["confidence"], first["window_s"]) == (2.1, 0.5, 0.97, 60.0)
    assert first["traces"] == [{"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7"}]
    assert first["evidence"] == {"intervals_s": [0.5, 0.6], "missing": None}
    assert (second["state"], second["resolved_at"]) == ("resolved", "2025-11-24T16:01:30.000Z")


def test_the_same_notification_has_the_same_key_whenever_it_is_sent(peer: Peer) -> None:
    channel = webhook(peer.url)
    for sent in (notification(), notification(), notification(number=2)):
        channel.send(sent)
    first, again, other = (request.headers["idempotency-key"] for request in peer.requests)
    assert first == again != other


def test_a_receiver_can_check_the_signature(peer: Peer, secret_file: Path) -> None:
    webhook(peer.url, secret=Secret(f"file:{secret_file}")).send(notification())
    (request,) = peer.requests
    header, secret = request.headers[signature.HEADER.lower()], "s3cr3t-value"
    assert signature.verify(secret, request.body, header, AT + 100)
    assert not signature.verify(secret, request.body + b" ", header, AT)
    assert not signature.verify("another", request.body, header, AT)
    assert not signature.verify(secret, request.body, header, AT + 301)
    assert not signature.verify(secret, request.body, header.replace("t=1", "t=2"), AT)
    assert not any(signature.verify(secret, request.body, junk, AT) for junk in ("", "t=,v1=", "t=é,v1=ü", "v1"))


def test_a_secret_that_is_not_there_yet_is_waited_for(peer: Peer, tmp_path: Path) -> None:
    channel = webhook(peer.url, secret=Secret(f"file:{tmp_path / 'later'}", "channels.hook.secret"))
    receipt = channel.send(notification())
    assert isinstance(receipt, Retry)
    assert (
        receipt.reason == f"channels.hook.secret: file:{tmp_path / 'later'} cannot be read: No such file or directory"
    )
    (tmp_path / "later").write_text("now")
    assert isinstance(channel.send(notification()), Delivered)


def test_as_a_cloud_event_it_has_the_attributes_of_one(peer: Peer) -> None:
    sent = notification()
    webhook(peer.url, format="cloudevents").send(sent)
    (request,) = peer.requests
    event = request.json()
    assert request.headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert event.pop("data")["id"] == sent.id
    assert event == {
        "specversion": "1.0",
        "id": sent.id,
        "source": "/otel-monitor",
        "type": "otel_monitor.notification.firing",
        "subject": "{service=shop}",
        "time": "2025-11-24T16:00:00.000Z",
        "datacontenttype": "application/json",
    }


@pytest.mark.parametrize("format", ["json", "cloudevents"])
def test_hostile_labels_are_values_of_strict_json_of_bounded_size(peer: Peer, format: str) -> None:
    assert isinstance(webhook(peer.url, format=format).send(hostile()), Delivered)
    (request,) = peer.requests

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    document = json.loads(request.body.decode("ascii"), parse_constant=refuse)
    json.dumps(document, ensure_ascii=False).encode("utf-8")  # no lone surrogates
    labels = document.get("data", document)["alerts"][0]["labels"]
    assert labels[HOSTILE.replace("\x00", "\ufffd").replace("\ud800", "\ufffd")].startswith("x\r\nBcc:")
    assert b"\\u0000" not in request.body
    assert len(request.body) < 100_000
    assert len(request.headers) <= 8


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        (answer(204, ""), Delivered("HTTP 204")),
        (answer(500, "broken"), Retry("HTTP 500 broken")),
        (answer(503, "", Retry_After="17"), Retry("HTTP 503", 17.0)),
        (answer(429, "slow down", Retry_After=formatdate(AT + 90, usegmt=True)), Retry("HTTP 429 slow down", 90.0)),
        (answer(429, "", Retry_After="999999999999"), Retry("HTTP 429", 3600.0)),
        (answer(408, "", Retry_After="soon"), Retry("HTTP 408")),
        (answer(400, "bad <b>\r\n\x1b[2J"), Rejected("HTTP 400 bad <b> \ufffd[2J")),
        (answer(401, ""), Rejected("HTTP 401")),
        (answer(410, ""), Rejected("HTTP 410")),
        (half_close_in_answer, Delivered("HTTP 200 half")),
    ],
)
def test_what_is_answered_decides(peer: Peer, behaviour: Behaviour, expected: object) -> None:
    peer.will(behaviour)
    assert webhook(peer.url).send(notification()) == expected


@pytest.mark.parametrize(
    "behaviour",
    [
        half_close,
        raw(b""),
        raw(b"\x00\xff garbage \r\n\r\n"),
        raw(b"HTTP/1.1 abc\r\n\r\n"),
        raw(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000),
        raw(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000 + b"\r\n"),
    ],
    ids=["half-close", "close", "garbage", "status", "endless-header", "many-headers"],
)
def test_what_is_no_answer_is_tried_again(peer: Peer, behaviour: Behaviour) -> None:
    peer.will(behaviour)
    assert isinstance(webhook(peer.url).send(notification()), Retry)


@pytest.mark.parametrize(
    ("behaviour", "options"),
    [
        (hang, {"read_timeout": 0.4, "timeout": 5.0}),
        (hang, {"read_timeout": 5.0, "timeout": 0.4}),
        (drip, {"read_timeout": 5.0, "timeout": 0.4}),
    ],
)
def test_however_slow_a_server_is_the_time_is_bounded(
    peer: Peer, behaviour: Behaviour, options: dict[str, Any]
) -> None:
    peer.will(behaviour)
    began = time.monotonic()
    receipt = webhook(peer.url, **options).send(notification())
    assert isinstance(receipt, Retry)
    assert receipt.reason.startswith("timeout")
    assert time.monotonic() - began < 3


def test_a_refused_connection_and_an_unknown_name_are_tried_again() -> None:
    for url in (f"http://127.0.0.1:{free_port()}/", "http://nobody.invalid/"):
        assert isinstance(webhook(url).send(notification()), Retry)


def test_a_server_that_echoes_what_it_gets_does_not_bring_secrets_into_the_receipt(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK_AUTH", "Bearer t0p-s3cret")
    peer.will(answer(500, "you sent 'Bearer t0p-s3cret', t0p-s3cret"))
    receipt = webhook(peer.url, headers={"Authorization": Secret("env:HOOK_AUTH")}).send(notification())
    assert peer.requests[0].headers["authorization"] == "Bearer t0p-s3cret"
    assert receipt == Retry("HTTP 500 you sent '***', ***")


def test_over_tls_only_a_trusted_certificate_will_do(ca_file: str, server_context: ssl.SSLContext) -> None:
    with http_peer(context=server_context) as peer:
        untrusted = webhook(peer.url).send(notification())
        assert isinstance(untrusted, Retry)
        assert "CERTIFICATE_VERIFY_FAILED" in untrusted.reason
        assert peer.requests == []
        assert webhook(peer.url, ca_file=ca_file).send(notification()) == Delivered("HTTP 200 ok")


def test_a_server_that_is_slow_within_tls_is_broken_off_too(ca_file: str, server_context: ssl.SSLContext) -> None:
    with http_peer(drip, context=server_context) as peer:
        receipt = webhook(peer.url, ca_file=ca_file, timeout=0.5).send(notification())
        assert isinstance(receipt, Retry)
        assert receipt.reason.startswith("timeout")


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, None), ("0", 0.0), (" 7 ", 7.0), ("-1", None), ("1.5", None), ("²", None), ("Mon, 99 Foo", None)],
)
def test_retry_after_says_seconds_or_nothing(value: str | None, expected: float | None) -> None:
    assert retry_after(value, AT) == expected


def test_a_date_in_the_past_is_now_and_a_far_one_an_hour() -> None:
    assert retry_after(formatdate(AT - 50, usegmt=True), AT) == 0.0
    assert retry_after(formatdate(AT + 90_000, usegmt=True), AT) == 3600.0


def test_it_is_a_channel_that_shows_no_secret() -> None:
    channel: Channel = webhook("https://hooks.example.com/x?token=abc&b=c#f")
    assert repr(channel) == "WebhookChannel('hook', https://hooks.example.com/x?token=***&b=***)"
