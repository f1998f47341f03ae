"""A webhook leads where it was configured to lead: no redirect and no name server brings it to an inner address."""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from otel_monitor.channels.address import Gate, parse
from otel_monitor.channels.channel import Delivered, Rejected, Retry
from otel_monitor.channels.http_target import Answer, HttpOptions, HttpTarget
from otel_monitor.channels.secret import PlainUrl, Secret
from tests.channels.http_peer import Peer, answer, http_peer


def post(url: str, **options: Any) -> object:
    http = HttpOptions(**{"headers": {}, "timeout": 5.0, **options})
    got = HttpTarget("it", PlainUrl(url), http).post(
        b"{}", {"Content-Type": "application/json", "Idempotency-Key": "1"}
    )
    return got.receipt(0.0) if isinstance(got, Answer) else got


@contextmanager
def names(monkeypatch: pytest.MonkeyPatch, known: dict[str, list[str]]) -> Iterator[list[str]]:
    """A name server for these names: at each question the next of its addresses, the last for ever."""
    asked: list[str] = []

    def look_up(host: str, port: int, **_: object) -> list[tuple[Any, ...]]:
        asked.append(host)
        there = known[host].pop(0) if len(known[host]) > 1 else known[host][0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (there, port))]

    with monkeypatch.context() as patch:
        patch.setattr("socket.getaddrinfo", look_up)
        yield asked


PUBLIC = "93.184.216.34"


class NetworkWithAPublicServer(socket.socket):
    """Connections to the public address arrive at loopback, as if the peer stood there."""

    def connect(self, where: Any) -> None:
        super().connect(("127.0.0.1", where[1]) if where[0] == PUBLIC else where)


def port_of(peer: Peer) -> int:
    return int(peer.url.rpartition(":")[2])


def test_a_redirect_is_not_followed_unless_that_is_configured(peer: Peer) -> None:
    peer.will(answer(307, "", Location=f"{peer.url}/there"), answer())
    assert post(peer.url) == Rejected("HTTP 307: a redirect, which is not followed")
    assert len(peer.requests) == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_that_is_followed_posts_the_same_again(peer: Peer, status: int) -> None:
    peer.will(answer(status, "", Location="/there"), answer())
    assert isinstance(post(peer.url, follow_redirects=True), Delivered)
    first, second = peer.requests
    assert (second.path, second.body) == ("/there", first.body)
    assert second.headers["idempotency-key"] == "1"


def test_another_server_does_not_get_the_headers_that_were_meant_for_the_first(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTH", "Bearer abcdef")
    with http_peer() as other:
        peer.will(answer(307, "", Location=f"{other.url}/x"))
        sent = post(peer.url, follow_redirects=True, headers={"Authorization": Secret("env:AUTH")})
        assert isinstance(sent, Delivered)
        assert peer.requests[0].headers["authorization"] == "Bearer abcdef"
        assert "authorization" not in other.requests[0].headers


def test_redirects_in_a_circle_come_to_an_end(peer: Peer) -> None:
    peer.will(answer(307, "", Location="/"))
    assert post(peer.url, follow_redirects=True) == Rejected("more than 3 redirects")
    assert len(peer.requests) == 4


@pytest.mark.parametrize("location", ["ftp://127.0.0.1/", "http://[::1", "http://a b/", "file:///etc/passwd"])
def test_a_redirect_to_no_http_address_is_refused(peer: Peer, location: str) -> None:
    peer.will(answer(307, "", Location=location))
    assert isinstance(post(peer.url, follow_redirects=True), Rejected)
    assert len(peer.requests) == 1


@pytest.mark.parametrize(
    "inner", ["127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "[::1]",
              "[fe80::1]", "[fd00::1]", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "224.0.0.1"]
)  # fmt: skip
def test_a_redirect_from_a_public_server_to_an_inner_address_is_refused(
    peer: Peer, monkeypatch: pytest.MonkeyPatch, inner: str
) -> None:
    peer.will(answer(307, "", Location=f"http://{inner}:{port_of(peer)}/"))
    monkeypatch.setattr("socket.socket", NetworkWithAPublicServer)
    refused = post(f"http://{PUBLIC}:{port_of(peer)}/", follow_redirects=True)
    assert isinstance(refused, Rejected)
    assert "is not a public address: where that is meant, set allow_private to true" in refused.reason
    assert len(peer.requests) == 1


def test_a_redirect_from_a_public_server_to_a_name_that_leads_inside_is_refused(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer.will(answer(307, "", Location=f"http://innocent.example.com:{port_of(peer)}/"))
    monkeypatch.setattr("socket.socket", NetworkWithAPublicServer)
    with names(monkeypatch, {"innocent.example.com": ["127.0.0.1"]}):
        assert isinstance(post(f"http://{PUBLIC}:{port_of(peer)}/", follow_redirects=True), Rejected)
    assert len(peer.requests) == 1


@pytest.mark.parametrize("inner", ["127.0.0.1", "169.254.169.254", "10.0.0.1"])
def test_a_public_name_that_leads_to_an_inner_address_is_not_connected_to(
    peer: Peer, monkeypatch: pytest.MonkeyPatch, inner: str
) -> None:
    with names(monkeypatch, {"hooks.example.com": [inner]}):
        refused = post(f"http://hooks.example.com:{port_of(peer)}/")
    assert refused == Rejected(
        f"hooks.example.com leads to {inner}, which is not a public address: "
        "where that is meant, set allow_private to true"
    )
    assert peer.requests == []


def test_the_address_that_was_checked_is_the_one_connected_to(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    with names(monkeypatch, {"rebinding.internal": ["127.0.0.1", "192.0.2.1"]}) as asked:
        assert isinstance(post(f"http://rebinding.internal:{port_of(peer)}/"), Delivered)
    assert asked == ["rebinding.internal"]
    assert peer.requests[0].headers["host"] == f"rebinding.internal:{port_of(peer)}"


def test_with_allow_private_any_name_may_lead_inside(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    with names(monkeypatch, {"hooks.example.com": ["127.0.0.1"]}):
        assert isinstance(post(f"http://hooks.example.com:{port_of(peer)}/", allow_private=True), Delivered)


def test_a_name_server_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = threading.Event()
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: gone.wait(30) and [])
    target = HttpTarget("it", PlainUrl("http://slow.example.com/"), HttpOptions({}, timeout=0.2))
    for _ in range(3):
        assert target.post(b"", {}) == Retry("timeout: the name slow.example.com was not resolved in time")
    assert sum("resolver-it" in thread.name for thread in threading.enumerate()) == 1
    gone.set()


@pytest.mark.parametrize(
    ("configured", "there", "allowed"),
    [
        ("http://hooks.example.com/", "93.184.216.34", True),
        ("http://hooks.example.com/", "2606:2800:220:1::1", True),
        ("http://hooks.example.com/", "127.0.0.1", False),
        ("http://hooks.example.com/", "::1", False),
        ("http://hooks.example.com/", "100.64.1.1", False),
        ("http://localhost/", "127.0.0.1", True),
        ("http://localhost/", "::1", True),
        ("http://alertmanager:9093/", "172.18.0.3", True),
        ("http://alertmanager.monitoring.svc.cluster.local/", "100.64.1.1", True),
        ("http://10.0.0.1/", "10.0.0.2", True),
        ("http://10.0.0.1/", "169.254.169.254", False),
        ("http://localhost/", "169.254.169.254", False),
        ("http://169.254.169.254/", "169.254.169.254", True),
        ("http://localhost/", "224.0.0.1", False),
        ("http://localhost/", "0.0.0.0", False),
        ("http://93.184.216.34/", "127.0.0.1", False),
    ],
)
def test_what_may_be_connected_to_follows_from_what_is_configured(configured: str, there: str, allowed: bool) -> None:
    assert Gate(parse(configured), allow_private=False).allows(ipaddress.ip_address(there)) is allowed


@pytest.mark.parametrize(
    "url",
    ["", "hook", "ftp://a/", "http://", "http://a:x/", "http://a:99999/", "http://[::1/", "http://u:p@a/",
     "http://a b/", "http://a/\r\nX: y", "http://a\x00/", "http://ex ample/", "http://-/%/ ", "http://a..b/", "https://.a/"],
)  # fmt: skip
def test_what_is_no_address_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse(url)
    assert not url or url not in str(caught.value)


def test_names_and_paths_are_encoded_as_http_wants_them() -> None:
    there = parse("https://bücher.example/päth?q=ü&a=%20#f")
    assert (there.host, there.target) == ("xn--bcher-kva.example", "/p%C3%A4th?q=%C3%BC&a=%20")
    assert parse("http://[2001:db8::1]:8080").host_header == "[2001:db8::1]:8080"
