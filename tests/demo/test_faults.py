"""Every fault really does to the fleet what it says, and is mended again."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from otel_monitor.demo.fault_names import FaultName
from otel_monitor.demo.faults import FAULTS, Cascade, Cpu, Dblock, Jitter, Kill9, Oom, Partition, Sigstop, Skew
from otel_monitor.demo.fleet import MEMORY_LIMIT_BYTES, Fleet
from otel_monitor.demo.fleet_state import look
from tests.demo.fleets import all_available, is_lost, items, running_fleet, told, until, worker


def test_every_name_has_its_fault() -> None:
    assert set(FAULTS) == set(FaultName)


def test_killed_workers_are_lost_and_their_streams_go_to_the_others() -> None:
    async def play() -> None:
        async with running_fleet() as fleet:
            fault = Kill9()
            await fault.inject(fleet, 10)
            await until(lambda: is_lost(fleet, "w3", "w4"), "the loss of w3 and w4")
            await until(lambda: set(fleet.owners().values()) == {"w1", "w2"}, "the failover")
            assert worker(fleet, "w3").process == "SIGKILL"
            await fault.heal(fleet)
            assert fleet.restart_dead_workers() == ["w3", "w4"]
            await until(lambda: len(set(fleet.owners().values())) == 4, "the return of w3 and w4")

    asyncio.run(play())


def test_partitioned_workers_are_lost_and_go_on_processing() -> None:
    async def play() -> None:
        async with running_fleet() as fleet:
            fault = Partition()
            await fault.inject(fleet, 10)
            await until(lambda: is_lost(fleet, "w3", "w4"), "the loss of w3 and w4")
            before = items(fleet, "w3")
            await until(lambda: items(fleet, "w3") > before + 5, "further work of w3")
            await until(lambda: look(fleet).processed_twice > 0, "a stream with two workers")
            assert worker(fleet, "w3").process == "running"
            assert fleet.proxies["w3"].dropped_bytes > 0
            assert told(fleet, "w3", "heartbeat not answered") > 0
            assert told(fleet, "w3", "orchestrator not reached") == 0, "the connection stays open"
            await fault.heal(fleet)
            await until(lambda: all_available(fleet), "the return of w3 and w4")

    asyncio.run(play())


def test_a_paused_worker_is_lost_and_registers_again_when_it_goes_on() -> None:
    async def play() -> None:
        async with running_fleet() as fleet:
            fault = Sigstop()
            await fault.inject(fleet, 10)
            await until(lambda: is_lost(fleet, "w3"), "the loss of w3")
            assert worker(fleet, "w3").process == "paused"
            assert not is_lost(fleet, "w4")
            await fault.heal(fleet)
            await until(lambda: all_available(fleet), "the return of w3")
            assert told(fleet, "w3", "registered as w3") == 2

    asyncio.run(play())


def test_a_held_database_lock_stops_both_sides_and_looks_like_lost_workers() -> None:
    async def play() -> None:
        async with running_fleet() as fleet:
            fault = Dblock()
            await fault.inject(fleet, 10)
            await until(lambda: told(fleet, "w1", "failed: database is locked") > 0, "the lock at w1")
            await until(lambda: told(fleet, "orchestrator", "database is locked") > 0, "the lock at the orchestrator")
            await until(lambda: told(fleet, "orchestrator", "lost (heartbeat_timeout)") > 0, "a false loss")
            assert all(state.process == "running" for state in look(fleet).workers)
            await fault.heal(fleet)
            before = items(fleet, "w1")
            await until(lambda: all_available(fleet) and items(fleet, "w1") > before, "normal work")

    asyncio.run(play())


def test_a_skewed_fleet_has_one_worker_with_almost_everything() -> None:
    async def play() -> None:
        async with running_fleet() as fleet:
            fault = Skew()
            await fault.inject(fleet, 10)
            await until(lambda: streams(fleet) == [21, 1, 1, 1], "the skew")
            assert all_available(fleet)
            await fault.heal(fleet)
            await until(lambda: streams(fleet) == [6, 6, 6, 6], "the balance")

    asyncio.run(play())


def test_jitter_makes_heartbeats_irregular_and_loses_no_process() -> None:
    async def play() -> None:
        async with running_fleet() as fleet:
            fault = Jitter()
            await fault.inject(fleet, 10)
            await until(lambda: told(fleet, "w3", "heartbeat not answered") >= 3, "late answers at w3")
            assert told(fleet, "w1", "heartbeat not answered") == 0
            assert all(state.process == "running" for state in look(fleet).workers)
            await fault.heal(fleet)
            await until(lambda: all_available(fleet), "quiet")

    asyncio.run(play())


def test_a_poisoned_stream_takes_one_worker_after_the_other() -> None:
    async def play() -> None:
        async with running_fleet() as fleet:
            fault = Cascade()
            await fault.inject(fleet, 10)
            await until(
                lambda: not any(fleet.programs[w].alive for w in ("w1", "w2", "w3", "w4")), "the end of all", 30
            )
            assert {fleet.programs[w].ending() for w in ("w1", "w2", "w3", "w4")} == {"SIGSEGV"}
            await fault.heal(fleet)
            assert len(fleet.restart_dead_workers()) == 4
            await until(lambda: all_available(fleet) and streams(fleet) == [6, 6, 6, 6], "the return of all")

    asyncio.run(play())


def test_heavy_items_block_one_worker_and_kill_none() -> None:
    async def play() -> None:
        async with running_fleet() as fleet:
            fault = Cpu()
            await fault.inject(fleet, 10)
            started, before = time.monotonic(), items(fleet, "w2")
            await until(lambda: items(fleet, "w2") >= before + 4, "four heavy items")
            assert time.monotonic() - started > 1.0, "12 a second is normal"
            assert worker(fleet, "w2").process == "running"
            await fault.heal(fleet)

    asyncio.run(play())


def test_a_worker_out_of_memory_is_killed_at_its_limit_and_no_other_follows() -> None:
    async def play() -> None:
        async with running_fleet() as fleet:
            fault = Oom()
            at_rest = fleet.programs["w2"].resident_bytes()
            await fault.inject(fleet, 8)
            seen = [at_rest]

            def killed() -> bool:
                seen.append(fleet.programs["w2"].resident_bytes())
                return fleet.programs["w2"].ending() == "SIGKILL"

            await until(killed, "the kill")
            assert at_rest < 100e6
            assert max(seen) > 0.7 * MEMORY_LIMIT_BYTES
            await until(lambda: is_lost(fleet, "w2"), "the loss of w2")
            assert all(fleet.programs[name].resident_bytes() < 200e6 for name in ("w1", "w3", "w4"))
            await fault.heal(fleet)

    asyncio.run(play())


def test_the_memory_limit_is_declared_to_the_workers() -> None:
    async def play() -> str:
        async with running_fleet() as fleet:
            return limits_of(fleet.programs["w1"].pid)

    (line,) = (line for line in asyncio.run(play()).splitlines() if line.startswith("Max resident set"))
    assert line.split()[3] == str(MEMORY_LIMIT_BYTES)


def limits_of(pid: int) -> str:
    return Path(f"/proc/{pid}/limits").read_text()


def streams(fleet: Fleet) -> list[int]:
    return [state.streams for state in look(fleet).workers]
