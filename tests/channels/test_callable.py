"""A user's handler is called with each alert; a slow or raising one is no trouble to anybody else."""

from __future__ import annotations

import asyncio
import threading
import time

from otel_monitor.channels.callable import CallableChannel
from otel_monitor.channels.channel import Delivered, Retry
from otel_monitor_processors.alerts.alert import Alert
from tests.channels.notifications import alert, notification
from tests.polling import eventually


def test_a_function_is_called_with_each_alert() -> None:
    seen: list[Alert] = []
    sent = notification(alert("one"), alert("two"))
    assert CallableChannel("c", seen.append).send(sent) == Delivered("2 alerts handled")
    assert tuple(seen) == sent.alerts


def test_a_coroutine_is_awaited() -> None:
    seen: list[str] = []

    async def handle(one: Alert) -> None:
        await asyncio.sleep(0)
        seen.append(one.rule)

    assert isinstance(CallableChannel("c", handle).send(notification()), Delivered)
    assert seen == ["worker_lost"]


def test_a_coroutine_can_run_in_the_programs_own_loop() -> None:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    where: list[object] = []

    async def handle(_: Alert) -> None:
        where.append(asyncio.get_running_loop())

    assert isinstance(CallableChannel("c", handle, loop=loop).send(notification()), Delivered)
    assert where == [loop]
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


def test_a_loop_that_stands_still_is_not_waited_for() -> None:
    loop = asyncio.new_event_loop()

    async def handle(_: Alert) -> None:
        raise AssertionError("the loop does not run")

    channel = CallableChannel("c", handle, loop=loop, timeout=0.1)
    assert isinstance(channel.send(notification()), Retry)
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


def test_one_that_raises_is_called_again_with_what_it_has_not_handled() -> None:
    calls: list[str] = []

    def handle(one: Alert) -> None:
        calls.append(one.rule)
        if calls == ["one", "two"]:
            raise KeyError("x\r\ny")

    channel, sent = CallableChannel("c", handle), notification(alert("one"), alert("two"), alert("three"))
    receipt = channel.send(sent)
    assert isinstance(receipt, Retry)
    assert receipt.reason.endswith("handle raised KeyError: 'x\\r\\ny'")
    assert isinstance(channel.send(sent), Delivered)
    assert calls == ["one", "two", "two", "three"]


def test_one_that_wants_to_end_the_program_does_not() -> None:
    def handle(_: Alert) -> None:
        raise SystemExit(3)

    receipt = CallableChannel("c", handle).send(notification())
    assert isinstance(receipt, Retry)
    assert receipt.reason.endswith("raised SystemExit: 3")


def test_one_that_hangs_is_left_alone_and_gets_nothing_more_until_it_is_back() -> None:
    go_on, calls = threading.Event(), []

    def handle(one: Alert) -> None:
        calls.append(one.rule)
        go_on.wait(30)

    channel, sent = CallableChannel("slow", handle, timeout=0.1), notification(alert("one"), alert("two"))
    began = time.monotonic()
    first, second = channel.send(sent), channel.send(sent)
    assert time.monotonic() - began < 2
    assert isinstance(first, Retry)
    assert first.reason.endswith("handle took longer than 0.1 s")
    assert isinstance(second, Retry)
    assert "has not come back" in second.reason
    assert sum("handler-slow" in thread.name for thread in threading.enumerate()) == 1
    go_on.set()
    eventually(lambda: isinstance(channel.send(sent), Delivered), what="the handler being back")
    assert calls == ["one", "two"]  # what it had finished late was not handed to it again


def test_a_coroutine_that_hangs_is_cancelled() -> None:
    cancelled = threading.Event()

    async def handle(_: Alert) -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    assert isinstance(CallableChannel("c", handle, timeout=0.1).send(notification()), Retry)
    assert cancelled.wait(10)
