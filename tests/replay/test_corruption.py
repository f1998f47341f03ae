"""Recordings that went through bad hands: shuffled, sent twice, cut off, corrupted, with rubbish in between.

All six detectors and all rules look on. What is promised: nothing ever raises; every line is read or counted as
malformed; what cannot be used changes nothing of what is found, nor does the order of lines within the lateness
bound, nor a line that stands there again word for word.
"""

from __future__ import annotations

import copy
import json
import random
import re
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otel_monitor.detection import build_engine
from otel_monitor.settings import Settings
from tests.replay.recordings import (
    START_S,
    Json,
    Played,
    beat,
    busy_fleet,
    gauge,
    logs_line,
    metrics_line,
    play,
    point,
    span,
    spans_line,
)
from tests.replay.test_bad_input import BROKEN_LINES, BROKEN_RECORDS

YEAR_S = 365.0 * 86_400.0
SECONDS = 45
LATENESS_S = 4.5
EVERY_S = 10.0
SOME = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SEEDS = st.integers(0, 2**32)
LOST = pytest.mark.parametrize("lost", ["", "w1"], ids=["healthy", "a worker is lost"])

WRONG_TIMES = {
    "of 1970": logs_line("boss", beat(12.0, "w1")),
    "of next year": spans_line("w1", span(START_S + YEAR_S)),
    "of last year": metrics_line("w1", gauge(START_S - YEAR_S, "queue.depth", 5.0)),
}
RUBBISH = [
    text for text in (*BROKEN_LINES.values(), *BROKEN_RECORDS.values(), *WRONG_TIMES.values()) if len(text) < 50_000
]
ODD_VALUES: list[Any] = [
    *(None, True, "", "x", -1, 0, 2**63, 10**30, -(10**30), 1e308, -1e308, 5e-324, 0.5),
    *(float("nan"), float("inf"), "NaN", "-Infinity", [], {}, [1], {"a": 1}, "9" * 30, "-5"),
]


@cache
def recording(lost: str) -> tuple[str, ...]:
    return tuple(busy_fleet(SECONDS, lost=lost))


def replayed(folder: Path, lines: Iterable[str]) -> Played:
    content = "".join(lines).encode(errors="surrogateescape")
    return play(folder, content, engine=build_engine(Settings()), every_s=EVERY_S)


@cache
def _found(lost: str, folder: Path) -> list[Json]:
    return replayed(folder, recording(lost)).outputs


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("corruption")


def records(lines: Iterable[str]) -> int:
    """Spans, metric points and log records in lines that are in order."""
    return sum(line.count('"spanId"') + line.count('"timeUnixNano"') for line in lines)


def read(summary: Json) -> int:
    return int(summary["spans"] + summary["metrics"] + summary["logs"])


def test_the_recordings_say_what_there_is_to_say(folder: Path) -> None:
    verdicts = {lost: [o for o in _found(lost, folder) if o["type"] == "verdict"] for lost in ("", "w1")}
    assert verdicts[""] == []
    assert {verdict["pattern"] for verdict in verdicts["w1"]} == {"heartbeat_degradation"}
    assert read(_found("", folder)[-1]) == records(recording(""))


@LOST
@SOME
@given(seed=SEEDS)
def test_the_order_of_lines_within_the_lateness_bound_changes_nothing(lost: str, seed: int, folder: Path) -> None:
    chance = random.Random(seed)
    arrival = sorted(recording(lost), key=lambda line: _newest_s(line) + chance.uniform(0.0, LATENESS_S))
    assert replayed(folder, arrival).outputs == _found(lost, folder)


def _newest_s(line: str) -> float:
    return max(int(nanos) for nanos in re.findall(r'imeUnixNano": "(\d+)"', line)) / 1e9


@LOST
@SOME
@given(seed=SEEDS)
def test_lines_that_stand_there_again_change_nothing(lost: str, seed: int, folder: Path) -> None:
    chance = random.Random(seed)
    lines = list(recording(lost))
    twice = chance.sample(lines, 60)
    for line in twice:
        lines.insert(chance.randrange(lines.index(line), len(lines)) + 1, line)
    played = replayed(folder, lines)
    assert played.outputs[:-1] == _found(lost, folder)[:-1]
    assert read(played.summary) == records(lines)
    assert played.said == [
        f"{records(twice):,} records stood there twice, in lines that are the same: they were used once"
    ]


@LOST
@SOME
@given(seed=SEEDS)
def test_rubbish_in_between_is_counted_and_changes_nothing(lost: str, seed: int, folder: Path) -> None:
    chance = random.Random(seed)
    lines = list(recording(lost))
    for text in chance.choices(RUBBISH, k=40):
        lines.insert(chance.randrange(len(lines) + 1), text)
    played = replayed(folder, lines)
    assert played.outputs[:-1] == _found(lost, folder)[:-1]
    assert played.summary == {**_found(lost, folder)[-1], "malformed": 40}
    assert len(played.said) == len(set(played.said))


@LOST
@SOME
@given(seed=SEEDS)
def test_lines_that_are_cut_off_are_malformed_and_all_others_are_read(lost: str, seed: int, folder: Path) -> None:
    chance = random.Random(seed)
    lines = list(recording(lost))
    cut = set(chance.sample(range(len(lines)), 30))
    chosen = [line[: chance.randrange(1, len(line) - 2)] + "\n" if i in cut else line for i, line in enumerate(lines)]
    summary = replayed(folder, chosen).summary
    assert summary["malformed"] == len(cut)
    assert read(summary) == records(line for i, line in enumerate(lines) if i not in cut)


@LOST
@settings(SOME, max_examples=30)
@given(seed=SEEDS)
def test_nothing_that_can_be_done_to_a_recording_raises(lost: str, seed: int, folder: Path) -> None:
    chance = random.Random(seed)
    lines = list(recording(lost))
    spoilt = sorted(chance.sample(range(len(lines)), 80))
    for place in spoilt:
        lines[place] = _spoilt(lines[place], chance)
    lines += chance.choices(lines, k=20)
    order = sorted(range(len(lines)), key=lambda place: place + chance.uniform(0.0, 30.0))
    played = replayed(folder, [lines[place] for place in order])
    assert read(played.summary) >= records(set(recording(lost)) & set(lines))
    assert 0 <= played.summary["late"] <= read(played.summary)
    assert len(played.said) == len(set(played.said))
    times = [output["at"] for output in played.outputs[:-1]]
    assert times == sorted(times)
    json.dumps(played.outputs, allow_nan=False)


def _spoilt(line: str, chance: random.Random) -> str:
    """Cut off, with flipped bytes, or with one to three values replaced, left out or of another type."""
    how = chance.random()
    if how < 0.15:
        return line[: chance.randrange(len(line))] + "\n"
    if how < 0.3:
        data = bytearray(line.rstrip("\n").encode())
        for _ in range(chance.randrange(1, 6)):
            data[chance.randrange(len(data))] = chance.randrange(32, 256)
        return data.decode(errors="surrogateescape") + "\n"
    document = json.loads(line)
    for _ in range(chance.randrange(1, 4)):
        places = list(_places(document))
        if not places:
            break
        holder, key = chance.choice(places)
        if chance.random() < 0.25:
            del holder[key]
        elif type(holder[key]) is str and holder[key].isdecimal() and chance.random() < 0.7:
            shift_s = chance.choice([-YEAR_S, -3_600.0, -60.0, -1.0, 1.0, 60.0, 3_600.0, YEAR_S])
            holder[key] = str(int(holder[key]) + int(shift_s * 1e9))
        else:
            holder[key] = copy.deepcopy(chance.choice(ODD_VALUES))
    return json.dumps(document) + "\n"


def _places(value: Any) -> Iterable[tuple[Any, Any]]:
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield value, key
        yield from _places(inner)


@pytest.mark.parametrize("kinds", [("gauge", "sum"), ("sum", "histogram"), ("histogram", "gauge", "sum")])
def test_a_metric_that_keeps_changing_its_type_is_counted_and_is_no_verdict(
    kinds: tuple[str, ...], folder: Path
) -> None:
    lines = []
    for number, line in enumerate(recording("")):
        lines.append(line)
        if number % 10 == 0:
            at_s = START_S + SECONDS * number / len(recording(""))
            values = {"asDouble": 1e6 * number, "count": str(10**6 * number), "sum": 1e6 * number}
            data = {"dataPoints": [point(at_s, 0.0) | values], "aggregationTemporality": 2, "isMonotonic": True}
            kind = kinds[number // 10 % len(kinds)]
            lines.append(metrics_line("w1", {"name": "process.memory.usage", "unit": "By", kind: data}))
    played = replayed(folder, lines)
    assert played.of("verdict") == []
    assert played.summary["malformed"] == len(lines) - len(recording("")) - 1
    assert any("metric that changes its type" in text for text in played.said)


def test_the_command_reads_on_whatever_it_is_given(folder: Path) -> None:
    lines = list(recording("w1"))
    for number, text in enumerate(RUBBISH):
        lines.insert(7 * number, text)
    path = folder / "rubbish.jsonl"
    path.write_bytes("".join(lines).encode(errors="surrogateescape"))
    command = [sys.executable, "-m", "otel_monitor", "replay", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    outputs = [json.loads(line) for line in done.stdout.splitlines()]
    assert outputs[-1] == {**_found("w1", folder)[-1], "malformed": len(RUBBISH)}
    assert [o["pattern"] for o in outputs if o["type"] == "verdict"] == ["heartbeat_degradation"]
    assert "Traceback" not in done.stderr
    named = [line for line in done.stderr.splitlines() if "counted as malformed" in line]
    assert len(named) == len({line.partition(": ")[2].split(": ", 1)[1] for line in named}) > 15
