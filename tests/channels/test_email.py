"""Alerts by email: over TLS or not, logged in or not, to several recipients, in threads, and never by trickery."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from email.message import EmailMessage
from typing import Any

import pytest

from otel_monitor.channels.channel import Delivered, Rejected, Retry
from otel_monitor.channels.email import EmailChannel
from otel_monitor.channels.email_message import email_message
from otel_monitor.channels.secret import Secret
from tests.channels.notifications import alert, hostile, notification, resolved
from tests.channels.smtp_sink import PASSWORD, USER, Sink, authenticated, smtp_sink, starttls
from tests.ports import free_port

ANNE, BOB, EVE = "anne@example.com", "bob@example.com", "eve@example.com"


@pytest.fixture
def sink() -> Iterator[Sink]:
    with smtp_sink() as sink:
        yield sink


def email(port: int, **options: Any) -> EmailChannel:
    values = {"host": "127.0.0.1", "sender": "monitor@example.com", "recipients": [ANNE, BOB], "security": "none"}
    return EmailChannel("mail", **{**values, "port": port, "timeout": 5.0, **options})


def part(message: EmailMessage, kind: str) -> str:
    body = message.get_body((kind,))
    assert body is not None
    return str(body.get_content()).replace("\r\n", "\n")


def test_a_message_goes_to_all_recipients_as_text_and_html(sink: Sink) -> None:
    sent = notification(alert(), resolved(alert("cpu <usage>")))
    assert email(sink.port).send(sent) == Delivered("2 of 2 recipients")
    (envelope,), (message,) = sink.envelopes, sink.messages
    assert (envelope.mail_from, envelope.rcpt_tos) == ("monitor@example.com", [ANNE, BOB])
    assert message["Subject"] == "[FIRING:1] critical cpu <usage>, worker_lost service=shop"
    assert (message["From"], message["To"]) == ("otel-monitor <monitor@example.com>", f"{ANNE}, {BOB}")
    assert message["Auto-Submitted"] == "auto-generated"
    text, html = part(message, "plain"), part(message, "html")
    assert "FIRING critical worker_lost\n  summary: no heartbeat for 2.1 s\n  labels: service=shop worker=w3\n" in text
    assert "value: 2.1, threshold 0.5, window 60 s" in text
    assert "pattern: heartbeat_degradation, confidence 0.97" in text
    assert "traces: 4bf92f3577b34da6a3ce929d0e0e4736" in text
    assert "<h4>RESOLVED critical cpu &lt;usage&gt;</h4>" in html


def test_all_messages_of_a_group_are_one_thread_and_each_has_its_own_id(sink: Sink) -> None:
    channel = email(sink.port)
    first, second, other = notification(), notification(number=2), notification(group_key="{service=other}")
    for sent in (first, second, second, other):
        channel.send(sent)
    messages = sink.messages
    ids = [message["Message-ID"] for message in messages]
    assert ids == [f"<{sent.id}@example.com>" for sent in (first, second, second, other)]
    threads = [message["References"] for message in messages]
    assert threads[0] == threads[1] == threads[2] != threads[3]
    assert [message["In-Reply-To"] for message in messages] == threads


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")  # it does not see that all is in TLS
@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_it_logs_in_over_tls(
    security: str,
    ca_file: str,
    server_context: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("SMTP_PASSWORD", PASSWORD)
    tls = starttls(server_context) if security == "starttls" else {"ssl_context": server_context}
    login = authenticated(over_tls=security == "starttls")
    with smtp_sink(**tls, **login) as sink:
        options = {"security": security, "username": USER, "ca_file": ca_file, "host": "localhost"}
        channel = email(sink.port, password=Secret("env:SMTP_PASSWORD"), **options)
        assert channel.send(notification()) == Delivered("2 of 2 recipients")
        assert sink.sessions[0].authenticated
        monkeypatch.setenv("SMTP_PASSWORD", "wr0ng-s3cret")
        refused = channel.send(notification(number=2))
        assert isinstance(refused, Rejected)
        assert refused.reason.startswith("log in: 535")
        assert "wr0ng" not in refused.reason
        assert len(sink.envelopes) == 1
    assert PASSWORD not in caplog.text + repr(channel)


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_certificate_that_is_not_trusted_gets_no_message(security: str, server_context: ssl.SSLContext) -> None:
    tls = starttls(server_context) if security == "starttls" else {"ssl_context": server_context}
    with smtp_sink(**tls) as sink:
        receipt = email(sink.port, security=security, host="localhost").send(notification())
        assert isinstance(receipt, Retry)
        assert "CERTIFICATE_VERIFY_FAILED" in receipt.reason
        assert sink.envelopes == []


def test_without_starttls_at_the_server_nothing_is_sent_in_the_clear(sink: Sink) -> None:
    receipt = email(sink.port, security="starttls").send(notification())
    assert receipt == Rejected("127.0.0.1: STARTTLS extension not supported by server.")
    assert sink.envelopes == []


def test_a_recipient_who_is_refused_for_good_is_named_and_the_others_have_it(sink: Sink) -> None:
    sink.refuse[BOB] = "550 no such user"
    assert email(sink.port).send(notification()) == Delivered(f"1 of 2 recipients; refused: {BOB}: 550 no such user")
    assert sink.envelopes[0].rcpt_tos == [ANNE]


def test_a_recipient_who_is_refused_for_now_gets_it_later_and_the_others_only_once(sink: Sink) -> None:
    sink.refuse |= {BOB: "451 later", EVE: "550 no such user"}
    channel = email(sink.port, recipients=[ANNE, BOB, EVE])
    first = channel.send(notification())
    assert first == Retry(f"refused for now: {EVE}: 550 no such user; {BOB}: 451 later")
    assert isinstance(channel.send(notification()), Retry)
    del sink.refuse[BOB]
    assert channel.send(notification()) == Delivered("2 of 3 recipients")
    assert [envelope.rcpt_tos for envelope in sink.envelopes] == [[ANNE], [BOB]]
    assert len({message["Message-ID"] for message in sink.messages}) == 1


def test_when_the_last_is_refused_for_good_in_the_end_it_is_rejected(sink: Sink) -> None:
    sink.refuse |= {ANNE: "550 unknown", BOB: "451 later"}
    channel = email(sink.port)
    assert isinstance(channel.send(notification()), Retry)
    sink.refuse[BOB] = "550 unknown"
    assert channel.send(notification()) == Rejected(f"all recipients refused: {BOB}: 550 unknown")


def test_when_all_are_refused_for_good_it_is_rejected(sink: Sink) -> None:
    sink.refuse |= {ANNE: "550 unknown\x1b[2J", BOB: "553 no"}
    receipt = email(sink.port).send(notification())
    assert receipt == Rejected(f"all recipients refused: {ANNE}: 550 unknown\ufffd[2J; {BOB}: 553 no")


@pytest.mark.parametrize(("reply", "expected"), [("451 busy", Retry("451 busy")), ("554 spam", Rejected("554 spam"))])
def test_what_the_server_says_to_the_message_decides(sink: Sink, reply: str, expected: object) -> None:
    sink.at_data = reply
    assert email(sink.port).send(notification()) == expected


def test_hostile_texts_add_no_header_no_recipient_and_no_markup(sink: Sink) -> None:
    assert email(sink.port, recipients=[ANNE]).send(hostile()) == Delivered("1 of 1 recipients")
    (envelope,), (message,) = sink.envelopes, sink.messages
    assert envelope.rcpt_tos == [ANNE]
    assert sorted(message.keys()) == sorted(email_message(notification(), "m@example.com", [ANNE]).keys())
    assert message["Bcc"] is None
    assert "\n" not in message["Subject"]
    assert len(message["Subject"]) <= 200
    assert "<script" not in part(message, "html")
    assert "&lt;script&gt;" in part(message, "html")
    assert isinstance(envelope.content, bytes)
    assert all(len(line) <= 998 for line in envelope.content.split(b"\r\n"))
    assert not set(part(message, "plain")) & {"\x1b", "\x00", "\u202e", "\r"}


def test_a_server_that_hangs_in_the_middle_is_left(sink: Sink) -> None:
    sink.hang_at_data = threading.Event()
    began = time.monotonic()
    receipt = email(sink.port, timeout=0.5).send(notification())
    assert isinstance(receipt, Retry)
    assert time.monotonic() - began < 3


@pytest.mark.parametrize(
    "greeting",
    [
        b"",
        b"\x00\xff\x00 garbage\r\n",
        b"220 hello\r\n",
        b"220-" + b"x" * 100_000 + b"\r\n",
        b"554 go away\r\n",
        b"421 x\r\n",
    ],
    ids=["close", "garbage", "close-after-greeting", "endless-greeting", "unwelcome", "busy"],
)
def test_a_server_that_speaks_no_smtp_does_no_harm(greeting: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            connection, _ = server.accept()
            with connection, suppress(OSError):
                connection.settimeout(5)
                connection.sendall(greeting)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(4096):
                    pass

        thread = threading.Thread(target=greet, daemon=True)
        thread.start()
        receipt = email(server.getsockname()[1]).send(notification())
        thread.join(10)
    assert isinstance(receipt, Rejected if greeting.startswith(b"554") else Retry)


def test_a_greeting_a_byte_at_a_time_does_not_stretch_the_deadline() -> None:
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            connection, _ = server.accept()
            with connection, suppress(OSError):
                while not stop.wait(0.02):
                    connection.sendall(b"2")

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        began = time.monotonic()
        receipt = email(server.getsockname()[1], timeout=0.4).send(notification())
        assert isinstance(receipt, Retry)
        assert receipt.reason.startswith("timeout")
        assert time.monotonic() - began < 3
        thread.join(10)
        stop.set()


def test_a_refused_connection_and_an_unusable_password_are_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(email(free_port()).send(notification()), Retry)
    monkeypatch.setenv("UMLAUT", "pässwört")
    receipt = email(1, username="u", password=Secret("env:UMLAUT", "channels.mail.password")).send(notification())
    assert receipt == Retry(
        "channels.mail.password: env:UMLAUT has other characters than printable ASCII, which cannot be sent"
    )
    receipt = email(1, username="u", password=Secret("env:NOT_SET_ANYWHERE", "channels.mail.password")).send(
        notification()
    )
    assert receipt == Retry(
        "channels.mail.password: env:NOT_SET_ANYWHERE is not set in the environment of this process"
    )
