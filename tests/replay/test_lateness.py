"""How long others wait for records that come late: for what is usual, not for what is rare."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from otel_monitor.replay.lateness import LEAST_S, LONGEST_S, Lateness
from tests.replay.recordings import START_S, play, span, spans_line


def _after(behind_s: list[float]) -> float:
    lateness = Lateness()
    for item in behind_s:
        lateness.note(item)
    return lateness.bound_s


@pytest.mark.parametrize(
    ("behind_s", "bound_s"),
    [
        ([], LEAST_S),
        ([-math.inf] * 100 + [0.5] * 100, LEAST_S),
        ([4.0] * 100, LEAST_S),
        ([12.0] * 100, 12.0),
        ([0.0, 0.0, 0.0, 12.0] * 100, 12.0),
        ([0.0] * 149 + [12.0], LEAST_S),
        ([1.0] * 396 + [25.0] * 4, LEAST_S),
        ([10.0] * 90 + [600.0] * 10, 10.0),
        ([600.0] * 100, LEAST_S),
        ([LONGEST_S] * 50, LONGEST_S),
        ([20.0] * 100 + [0.0] * 400, LEAST_S),
    ],
)
def test_the_bound_is_what_all_but_one_line_in_a_hundred_keep(behind_s: list[float], bound_s: float) -> None:
    assert _after(behind_s) == bound_s


def test_batches_that_are_exported_every_ten_seconds_are_used(tmp_path: Path) -> None:
    def batch(worker: int, exported: int) -> list[str]:
        sent_s = START_S + exported * 10.0 + worker
        return [spans_line(f"w{worker}", *(span(sent_s - age) for age in range(10)))]

    lines = [line for exported in range(60) for worker in range(10) for line in batch(worker, exported)]
    summary = play(tmp_path, lines).summary
    assert summary["spans"] == 6_000
    assert summary["late"] < 250, "only the first ones, before it was known"
