"""Apprise is let in through a filter: what it may do, and what of it may be seen."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence

import pytest

from otel_monitor.channels.apprise import SCHEMES, AppriseChannel, filtered
from otel_monitor.channels.channel import Delivered, Receipt, Rejected, Retry
from otel_monitor.channels.secret import Secret
from tests.channels.http_peer import Peer, answer, hang, http_peer
from tests.channels.notifications import hostile, notification
from tests.polling import eventually

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # Apprise's own import

QUERY = "?%2BX-Token=h3ader-s3cret&-key=qu3ry-s3cret&retry=5&wait=9&redirect=yes&attach=file:///etc/passwd"


def channel(monkeypatch: pytest.MonkeyPatch, urls: Sequence[str], timeout: float = 20.0) -> AppriseChannel:
    for index, url in enumerate(urls):
        monkeypatch.setenv(f"APPRISE_{index}", url)
    references = [Secret(f"env:APPRISE_{index}", f"channels.a.urls.{index}") for index in range(len(urls))]
    return AppriseChannel("a", urls=references, schemes=["json"], timeout=timeout)


def url_of(peer: Peer, query: str = QUERY) -> str:
    return peer.url.replace("http://", "json://us3r:p4ssword@") + "/hook" + query


def test_a_notification_goes_to_a_service_that_apprise_knows(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert channel(monkeypatch, [url_of(peer)]).send(notification()) == Delivered()
    (request,) = peer.requests
    document = request.json()
    assert document["title"] == "[FIRING:1] critical worker_lost service=shop"
    assert "no heartbeat for 2.1 s" in document["message"]
    assert (document["type"], document["attachments"]) == ("failure", [])
    assert request.headers["x-token"] == "h3ader-s3cret"
    assert request.path == "/hook?key=qu3ry-s3cret"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, Rejected("env:APPRISE_0: HTTP 400")),
        (500, Retry("env:APPRISE_0: HTTP 500")),
        (429, Retry("env:APPRISE_0: HTTP 429")),
    ],
)
def test_it_is_tried_once_whatever_its_url_says_and_the_status_decides(
    peer: Peer, monkeypatch: pytest.MonkeyPatch, status: int, expected: Receipt
) -> None:
    peer.will(answer(status, "no"))
    assert channel(monkeypatch, [url_of(peer)]).send(notification()) == expected
    assert len(peer.requests) == 1


def test_no_secret_is_in_any_log_receipt_or_repr(
    peer: Peer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.NOTSET)
    caplog.set_level(logging.NOTSET, "apprise")
    peer.will(answer(500, "h3ader-s3cret"))
    it = channel(monkeypatch, [url_of(peer)])
    shown = f"{it.send(notification())} {it!r} {caplog.text}"
    assert not any(secret in shown for secret in ("h3ader", "qu3ry", "us3r", "p4ssword"))
    logging.getLogger("apprise").warning("of the program's own use")
    assert "of the program's own use" in caplog.text


def test_a_redirect_is_not_followed(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    with http_peer() as other:
        peer.will(answer(307, "", Location=f"{other.url}/x"))
        assert not isinstance(channel(monkeypatch, [url_of(peer)]).send(notification()), Delivered)
        assert other.requests == []


def test_a_service_that_has_taken_it_does_not_get_it_again(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    with http_peer(answer(503), answer()) as other:
        it = channel(monkeypatch, [url_of(peer), url_of(other)])
        assert it.send(notification()) == Retry("env:APPRISE_1: HTTP 503")
        assert it.send(notification()) == Delivered()
        assert (len(peer.requests), len(other.requests)) == (1, 2)


def test_one_that_hangs_is_left_alone(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    peer.will(hang)
    it = channel(monkeypatch, [url_of(peer)], timeout=0.3)
    assert it.send(notification()) == Retry("timeout: Apprise took longer than 0.3 s")
    peer.stopping.set()
    peer.will(answer())
    eventually(lambda: isinstance(it.send(notification()), Delivered), what="Apprise being back")


def test_hostile_texts_mention_nobody(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(channel(monkeypatch, [url_of(peer, "")]).send(hostile()), Delivered)
    document = peer.requests[0].json()
    assert "@everyone" not in document["title"] + document["message"]
    assert "\n" not in document["title"]


@pytest.mark.parametrize("url", ["json://host", "syslog://", "dbus://", "http://host/cfg", "s3cret", "", "JSON://h"])
def test_only_allowed_schemes_are_spoken_and_the_refusal_shows_nothing_else(url: str) -> None:
    with pytest.raises(ValueError, match="is not among the allowed ones") as caught:
        filtered(url, SCHEMES)
    assert "s3cret" not in str(caught.value)


def test_what_controls_apprise_is_taken_out_of_a_url() -> None:
    assert filtered(f"json://h{QUERY}&RETRY=3&a=b%26c", ["json"]) == (
        "json://h?+X-Token=h3ader-s3cret&-key=qu3ry-s3cret&a=b%26c&retry=0"
    )


def test_a_missing_secret_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    it = channel(monkeypatch, ["json://h"])
    del os.environ["APPRISE_0"]
    assert it.send(notification()) == Retry(
        "channels.a.urls.0: env:APPRISE_0 is not set in the environment of this process"
    )
