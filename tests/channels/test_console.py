"""Alerts on the console are lines, coloured on a terminal, and nothing in them moves its cursor."""

from __future__ import annotations

import io
import os
import pty
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import pytest

from otel_monitor.channels.channel import Delivered, Retry
from otel_monitor.channels.console import ConsoleChannel
from otel_monitor_processors import drops
from otel_monitor_processors.alerts.alert import Alert, AlertTransition, State
from otel_monitor_processors.otel.console import ConsoleNotifier
from tests.channels.notifications import AT, alert, hostile, notification, resolved

LINE = (
    "otel-monitor: 16:00:00 ALERT firing [critical] worker_lost service=shop worker=w3: no heartbeat for 2.1 s "
    "(trace 4bf92f3577b34da6a3ce929d0e0e4736)\n"
)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, io.TextIOWrapper]]:
    """The two ends of a terminal: what it shows, and the stream that writes to it."""
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    shown, written = pty.openpty()
    with os.fdopen(written, "w") as stream:
        yield shown, stream
    os.close(shown)


def test_each_alert_is_a_line_as_it_is_written_at_once_elsewhere() -> None:
    stream = io.StringIO()
    assert ConsoleChannel("c", stream=stream).send(notification(alert(), resolved(alert("cpu")))) == Delivered()
    assert stream.getvalue() == (
        LINE
        + "otel-monitor: 16:00:00 ALERT resolved [critical] cpu service=shop worker=w3: "
        + "it fired for 90 s: no heartbeat for 2.1 s\n"
    )


def test_by_default_it_goes_to_what_is_stderr_then(capfd: pytest.CaptureFixture[str]) -> None:
    ConsoleChannel("c").send(notification())
    assert capfd.readouterr() == ("", LINE)


def test_a_program_without_a_console_goes_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", None)
    assert ConsoleChannel("c").send(notification()) == Delivered("there is no console")


def test_a_terminal_shows_it_in_colour(terminal: tuple[int, io.TextIOWrapper]) -> None:
    shown, stream = terminal
    ConsoleChannel("c", stream=stream).send(notification())
    assert b" \x1b[1;31mALERT firing [critical]\x1b[0m worker_lost " in os.read(shown, 4096)


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_whoever_wants_no_colour_gets_none(
    terminal: tuple[int, io.TextIOWrapper], monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    shown, stream = terminal
    monkeypatch.setenv(name, value)
    ConsoleChannel("c", stream=stream).send(notification())
    assert os.read(shown, 4096).replace(b"\r\n", b"\n") == LINE.encode()


def test_a_file_is_not_coloured_unless_that_is_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    stream = io.StringIO()
    ConsoleChannel("c", color="always", stream=stream).send(notification(resolved(alert())))
    assert "\x1b[32mALERT resolved [critical]\x1b[0m" in stream.getvalue()


def test_hostile_texts_stay_one_line_each_without_control_characters() -> None:
    stream = io.StringIO()
    ConsoleChannel("c", stream=stream).send(hostile())
    text = stream.getvalue()
    assert text.count("\n") == len(text.splitlines()) == 2
    assert not any(ord(character) < 32 or 0x7F <= ord(character) < 0xA0 for character in text.replace("\n", ""))
    assert not {"\u202e", "\u2028", "\ud800"} & set(text)
    assert all(len(line) <= 2000 for line in text.splitlines())


def test_a_pipe_that_nobody_reads_is_waited_for_only_so_long() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writing, b"x" * 65536)
    os.set_blocking(writing, True)
    with os.fdopen(writing, "w") as stream:
        began = time.monotonic()
        receipt = ConsoleChannel("c", stream=stream, timeout=0.1).send(notification())
        assert isinstance(receipt, Retry)
        assert time.monotonic() - began < 2
    os.close(reading)


def at_once(stream: io.TextIOBase, one: Alert) -> None:
    """What is written where no channel is configured."""
    ConsoleNotifier(stream)(AlertTransition(AT, one, State.PENDING, "it is so"))  # type: ignore[arg-type]  # all are


def test_the_line_that_is_written_at_once_is_the_same(terminal: tuple[int, io.TextIOWrapper]) -> None:
    plain = io.StringIO()
    at_once(plain, alert())
    assert plain.getvalue() == LINE
    shown, stream = terminal
    at_once(stream, alert())
    assert b" \x1b[1;31mALERT firing [critical]\x1b[0m worker_lost " in os.read(shown, 4096)


def test_hostile_texts_do_nothing_to_a_console_that_is_told_at_once() -> None:
    stream = io.StringIO()
    at_once(stream, hostile().alerts[0])
    text = stream.getvalue()
    assert text.count("\n") == len(text.splitlines()) == 1
    assert len(text) <= 2001
    assert all(character.isprintable() or character in "\ufffd\n" for character in text)


def test_a_pipe_that_nobody_reads_holds_up_what_is_told_at_once_no_longer_than_a_moment() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with os.fdopen(writing, "w") as stream:
        with suppress(BlockingIOError):
            while True:
                os.write(writing, b"x" * 4096)
        os.set_blocking(writing, True)
        before = drops.snapshot().get(("console", "not_written"), 0)
        began = time.monotonic()
        at_once(stream, alert())
        assert time.monotonic() - began < 2.0
        assert drops.snapshot()["console", "not_written"] == before + 1
    os.close(reading)


def test_a_console_that_has_gone_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        assert isinstance(ConsoleChannel("c", stream=stream).send(notification()), Retry)


def test_of_very_many_alerts_the_first_are_shown_and_the_rest_counted() -> None:
    stream = io.StringIO()
    many = [replace(alert(), id=str(index)) for index in range(50)]
    ConsoleChannel("c", stream=stream).send(notification(*many))
    assert stream.getvalue().splitlines()[-1] == "otel-monitor: … and 30 more"
