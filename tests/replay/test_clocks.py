"""Clocks that are wrong: whose records are late because of them, and how they are set right."""

from __future__ import annotations

import random
from collections.abc import Mapping
from itertools import pairwise

import pytest

from otel_monitor.replay.clock_offsets import ClockOffsets
from otel_monitor.replay.ledger import Signal
from otel_monitor.replay.otlp import Record
from otel_monitor_processors.observation import Operation, Outcome
from tests.replay.recordings import START_S

SECONDS = 300


def lines(offsets: Mapping[str, float], seed: int = 1, held_up: float = 0.0) -> list[list[Record]]:
    """Every sender exports once in two seconds what it has done; lines stand in the order of their arrival."""
    rng = random.Random(seed)
    arrived: list[tuple[float, list[Record]]] = []
    for sender, offset_s in offsets.items():
        at = START_S + rng.random()
        while at < START_S + SECONDS:
            at += rng.uniform(1.5, 2.5)
            delay_s = rng.uniform(5.0, 25.0) if rng.random() < held_up else 0.0
            arrived.append((at + delay_s, [_record(sender, at + offset_s)]))
    return [records for _, records in sorted(arrived, key=lambda item: item[0])]


def _record(sender: str, at_s: float) -> Record:
    return Record(at_s, Signal.SPAN, 1, (Operation(at_s, sender, "process", Outcome.OK, 0.1),))


def corrected(offsets: Mapping[str, float], **more: float) -> dict[str, list[float]]:
    """By sender, how far its records are off after the correction, those of the second half."""
    clocks = ClockOffsets()
    made = lines(offsets, **more)  # type: ignore[arg-type]  # numbers both
    off: dict[str, list[float]] = {sender: [] for sender in offsets}
    for number, records in enumerate(made):
        for before, after in zip(records, clocks.corrected(list(records)), strict=True):
            if number > len(made) / 2:
                sender = before.said[0].source
                off[sender].append(after.at_s - (before.at_s - offsets[sender]))
    return off


def test_clocks_that_agree_are_left_alone() -> None:
    for off in corrected(dict.fromkeys("abcdef", 0.0)).values():
        assert set(off) == {0.0}


@pytest.mark.parametrize("offset_s", [30.0, 8.0, -8.0, -30.0])
def test_a_clock_that_is_wrong_is_set_right(offset_s: float) -> None:
    off = corrected({"a": 0.0, "b": 0.0, "c": 0.0, "d": 0.0, "e": 0.0, "wrong": offset_s})
    assert max(abs(item) for item in off["wrong"]) < 2.0
    assert all(set(off[name]) == {0.0} for name in "abcde")


def test_several_wrong_clocks_are_set_right_against_the_middle_one() -> None:
    off = corrected({"a": 0.0, "b": 0.0, "c": 0.0, "d": 0.0, "e": 0.1, "f": 12.0, "g": 20.0, "h": -9.0})
    assert max(abs(item) for items in off.values() for item in items) < 2.5


def test_lines_that_were_held_up_make_no_clock_wrong() -> None:
    for off in corrected(dict.fromkeys("abcdef", 0.0), held_up=0.2).values():
        assert set(off) == {0.0}


@pytest.mark.parametrize("seed", range(8))
def test_lines_in_disorder_make_no_clock_wrong(seed: int) -> None:
    rng = random.Random(seed)
    clocks = ClockOffsets()
    for records in sorted(lines(dict.fromkeys("abcdef", 0.0)), key=lambda line: line[0].at_s + rng.uniform(0.0, 4.5)):
        assert clocks.corrected(records) is records


def test_two_senders_cannot_tell_whose_clock_is_wrong() -> None:
    off = corrected({"a": 0.0, "b": 20.0})
    assert set(off["a"]) == {0.0}
    assert set(off["b"]) == {20.0}


def test_the_records_of_a_line_stay_in_order() -> None:
    clocks = ClockOffsets()
    for records in lines({"a": 0.0, "b": 0.0, "c": 0.0, "d": 0.0, "wrong": 15.0}):
        clocks.corrected(records)
    mixed = [_record("wrong", START_S + 400.0 + 5.0 * n) for n in range(4)] + [_record("a", START_S + 404.0)]
    after = clocks.corrected(sorted(mixed, key=lambda record: record.at_s))
    assert all(first.at_s <= second.at_s for first, second in pairwise(after))
