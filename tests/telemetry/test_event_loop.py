"""How late event loops are, measured from outside."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from otel_monitor.telemetry.event_loop import MAX_LOOPS, EventLoops
from otel_monitor_processors import drops
from otel_monitor_processors.observation import MetricPoint
from tests.polling import eventually
from tests.telemetry.recording import REFRESH, SOURCE, Process


@contextmanager
def running_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop that runs in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    eventually(loop.is_running)
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def block(loop: asyncio.AbstractEventLoop) -> threading.Event:
    """The loop does nothing else until the answered event is set."""
    release, blocked = threading.Event(), threading.Event()

    def wait() -> None:
        blocked.set()
        release.wait(30)

    loop.call_soon_threadsafe(wait)
    blocked.wait(10)
    return release


def test_an_idle_loop_answers_at_once() -> None:
    loops = EventLoops()
    with running_loop() as loop:
        loops.see(loop)
        assert loops.delays_s() == []
        (delay_s,) = eventually(loops.delays_s)
        assert 0.0 <= delay_s < 5.0


def test_a_blocked_loop_is_as_late_as_the_probe_that_has_not_come_back() -> None:
    loops = EventLoops()
    with running_loop() as loop:
        loops.see(loop)
        release = block(loop)
        loops.delays_s()
        sent = time.perf_counter()
        eventually(lambda: time.perf_counter() - sent > 0.2)
        (first,) = loops.delays_s()
        assert first >= 0.2
        (second,) = loops.delays_s()
        assert second > first
        release.set()
        eventually(lambda: loops.delays_s()[0] < 0.2, what="a fresh probe")


def test_a_closed_loop_is_forgotten_and_one_that_does_not_run_is_not_late() -> None:
    loops = EventLoops()
    with running_loop() as loop:
        loops.see(loop)
        loops.delays_s()
    assert loops.delays_s() == []
    stopped = asyncio.new_event_loop()
    loops.see(stopped)
    assert loops.delays_s() == loops.delays_s() == []
    stopped.close()


def test_a_loop_is_not_kept_alive() -> None:
    loops = EventLoops()
    loop = asyncio.new_event_loop()
    loops.see(loop)
    loop.close()
    del loop
    gc.collect()
    assert len(loops._probes) == 0


def test_at_most_so_many_loops_are_watched() -> None:
    before = drops.snapshot().get(("event_loops", "loop_limit"), 0)
    loops = EventLoops()
    many = [asyncio.new_event_loop() for _ in range(MAX_LOOPS + 1)]
    for loop in many:
        loops.see(loop)
        loops.see(loop)
    assert len(loops._probes) == MAX_LOOPS
    assert drops.snapshot()["event_loops", "loop_limit"] == before + 1
    for loop in many:
        loop.close()


def test_the_delay_of_loops_with_wrapped_calls_is_a_histogram_and_a_point_for_rules(process: Process) -> None:
    async def wrapped() -> None:
        process.call(REFRESH)

    with running_loop() as loop:
        asyncio.run_coroutine_threadsafe(wrapped(), loop).result(10)
        eventually(lambda: _points_of_a_tick(process))
        (point, *_) = process.driver.of(MetricPoint)
        assert (point.name, point.source, point.unit) == ("orchestrator.event_loop.delay", SOURCE, "s")
        assert process.values("orchestrator.event_loop.delay")[()] >= 1


def test_a_synchronous_call_is_seen_in_no_loop(process: Process) -> None:
    process.call(REFRESH)
    assert len(process.telemetry.loops._probes) == 0


def _points_of_a_tick(process: Process) -> list[MetricPoint]:
    process.driver.tick()
    return process.driver.of(MetricPoint)
