"""What cannot be used is counted and named once; it never raises, and never becomes a verdict."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otel_monitor.detection import build_engine
from otel_monitor.replay import lines as lines_module
from otel_monitor.settings import Settings
from tests.replay.recordings import (
    START_S,
    Json,
    beat,
    fleet,
    gauge,
    histogram,
    log,
    logs_line,
    metrics_line,
    nanos,
    play,
    span,
    spans_line,
    total,
)

YEAR_S = 365.0 * 86_400.0


def with_value(value: Any) -> Json:
    metric = gauge(START_S, "m", 0.0)
    metric["gauge"]["dataPoints"][0]["asDouble"] = value
    return metric


BROKEN_LINES = {
    "cut off": spans_line("w1", span(START_S))[:200] + "\n",
    "no JSON": "hello\n",
    "not even text": "\udcff\udcfe\n",
    "an array": "[1, 2]\n",
    "a number": "42\n",
    "nothing of OTLP": '{"spans": []}\n',
    "too deep": "[" * 100_000 + "\n",
    "a number too long": '{"resourceSpans": ' + "9" * 5_000 + "}\n",
    "groups of another shape": '{"resourceSpans": 5}\n',
    "a resource of another shape": '{"resourceSpans": [{"resource": [1], "scopeSpans": []}]}\n',
    "scopes of another shape": '{"resourceLogs": [{"scopeLogs": [5]}]}\n',
}

BROKEN_RECORDS = {
    "ends before it starts": spans_line("w1", span(START_S, seconds=-1.0)),
    "no start": spans_line("w1", span(START_S, startTimeUnixNano="0")),
    "no end": spans_line("w1", span(START_S, endTimeUnixNano="0")),
    "negative time": spans_line("w1", span(START_S, startTimeUnixNano="-5")),
    "time is no number": spans_line("w1", span(START_S, endTimeUnixNano="soon")),
    "time is fractional": spans_line("w1", span(START_S, endTimeUnixNano=1.5)),
    "time beyond all floats": spans_line("w1", span(START_S, endTimeUnixNano="9" * 400)),
    "time beyond 64 bits": metrics_line("w1", gauge(1e21, "m", 1.0)),
    "time as a text beyond 64 bits": spans_line("w1", span(START_S, endTimeUnixNano=str(2**64))),
    "id is not hexadecimal": spans_line("w1", span(START_S, traceId="xyz")),
    "kind is a list": spans_line("w1", span(START_S) | {"kind": []}),
    "span is a text": spans_line("w1", "span"),
    "attributes are a text": spans_line("w1", span(START_S, attributes="x")),
    "attribute without a value": spans_line("w1", span(START_S, attributes=[{"key": "x"}])),
    "attribute of another type": spans_line("w1", span(START_S, attributes=[{"key": "x", "value": {"intValue": {}}}])),
    "log without a time": logs_line("w1", log(START_S, timeUnixNano="") | {"timeUnixNano": "0"}),
    "log is a number": logs_line("w1", 3),
    "NaN": metrics_line("w1", with_value("NaN")),
    "NaN as Python writes it": metrics_line("w1", with_value(float("nan"))),
    "infinite": metrics_line("w1", with_value("-Infinity")),
    "value is a list": metrics_line("w1", with_value([1.0])),
    "point without a time": metrics_line("w1", gauge(0.0, "m", 1.0)),
    "negative duration": metrics_line("w1", histogram(START_S, "d", 1, -2.0)),
    "negative count": metrics_line("w1", histogram(START_S, "d", -1, 2.0)),
    "negative total": metrics_line("w1", total(START_S, "n", -1.0)),
    "sum without a temporality": metrics_line(
        "w1", {"name": "n", "sum": {"isMonotonic": True, "dataPoints": [{"timeUnixNano": "1", "asInt": "1"}]}}
    ),
    "metric without a name": metrics_line("w1", {"gauge": {"dataPoints": []}}),
}


@pytest.mark.parametrize(
    "broken", [*BROKEN_LINES.values(), *BROKEN_RECORDS.values()], ids=[*BROKEN_LINES, *BROKEN_RECORDS]
)
def test_one_broken_thing_is_counted_and_named_and_the_rest_is_read(broken: str, tmp_path: Path) -> None:
    content = [*fleet(8), broken, *fleet(9)[-4:]]
    data = "".join(content).encode(errors="surrogateescape")
    played = play(tmp_path, data)
    assert played.summary["malformed"] == 1
    assert len(played.said) == 1
    assert f"0.jsonl:{len(fleet(8)) + 1}: " in played.said[0]
    assert "counted as malformed, the rest is read" in played.said[0]
    assert played.summary["spans"] == 2 * 3 * 8 + 2 * 3


def test_each_kind_is_named_once_with_its_first_place_and_counted_in_the_end(tmp_path: Path) -> None:
    played = play(
        tmp_path, ["x\n", "y\n", spans_line("w", span(START_S)), spans_line("w", span(START_S, seconds=-1.0))]
    )
    assert played.summary["malformed"] == 3
    assert [text.partition(" (")[0] for text in played.said] == [
        "0.jsonl:1: line that is not JSON",
        "0.jsonl:4: span that ends before it starts; counted as malformed, the rest is read",
        "2 times: line that is not JSON",
    ]


@pytest.mark.parametrize("wrong_s", [0.001, 1_000.0, START_S + YEAR_S, START_S + 7_200.0, 1e12, START_S - YEAR_S])
@pytest.mark.parametrize("place", [0, 1, 40, -1])
@pytest.mark.parametrize("many", [1, 3])
def test_a_time_that_cannot_be_does_not_drag_the_others_along(
    wrong_s: float, place: int, many: int, tmp_path: Path
) -> None:
    content = fleet(60)
    position = place % len(content)
    content[position:position] = [logs_line("boss", beat(wrong_s, "w1"))] * min(many, 2 if place == -1 else many)
    played = play(tmp_path, content)
    assert played.summary["malformed"] == min(many, 2 if place == -1 else many)
    assert played.summary["late"] == 0
    assert played.summary["seconds"] == pytest.approx(59.6)
    assert played.of("verdict") == []
    assert played.of("alert") == []


def test_wrong_times_within_a_line_are_left_out_of_it(tmp_path: Path) -> None:
    content = fleet(20)
    content[30:30] = [logs_line("boss", beat(START_S + 10, "w9"), beat(START_S + YEAR_S, "w8"), beat(5.0, "w7"))]
    played = play(tmp_path, content)
    assert (played.summary["malformed"], played.summary["late"]) == (2, 0)
    assert played.summary["seconds"] == pytest.approx(19.6)


def test_a_program_whose_clock_is_a_year_ahead_is_left_out(tmp_path: Path) -> None:
    content = fleet(60)
    for place in range(len(content) - 1, 0, -3):
        content.insert(place, spans_line("w9", span(START_S + YEAR_S + place)))
    played = play(tmp_path, content)
    assert played.summary["malformed"] == (len(fleet(60)) + 2) // 3 - (len(fleet(60)) % 3 == 1)
    assert played.summary["seconds"] == pytest.approx(59.6)


def test_a_jump_that_the_lines_after_it_confirm_is_believed(tmp_path: Path) -> None:
    evening = fleet(20)
    morning = [spans_line("w1", span(START_S + 36_000.0 + second)) for second in range(20)]
    played = play(tmp_path, [*evening, *morning])
    assert (played.summary["malformed"], played.summary["late"]) == (0, 0)
    assert played.summary["seconds"] == pytest.approx(36_018.9, abs=0.2)


@pytest.mark.parametrize("lines", [1, 2, 3, 5])
def test_a_short_file_is_read_whole(lines: int, tmp_path: Path) -> None:
    played = play(tmp_path, [spans_line("w1", span(START_S + second)) for second in range(lines)])
    assert (played.summary["spans"], played.summary["malformed"]) == (lines, 0)


def test_a_recording_may_begin_at_time_0(tmp_path: Path) -> None:
    played = play(tmp_path, [spans_line("w1", span(1.0 + second)) for second in range(50)])
    assert (played.summary["spans"], played.summary["malformed"], played.summary["late"]) == (50, 0, 0)


def test_lines_of_any_length_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines_module, "MAX_LINE_BYTES", 2_000)
    content = [spans_line("w1", span(START_S)), "x" * 9_999 + "\n", spans_line("w1", span(START_S + 1))]
    played = play(tmp_path, content)
    assert (played.summary["spans"], played.summary["malformed"]) == (2, 1)
    assert "0.jsonl:2: line longer than" in played.said[0]


def test_a_packed_file_that_breaks_off_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    whole = gzip.compress("".join(fleet(600)).encode())
    played = play(tmp_path, whole[: len(whole) * 2 // 3])
    assert played.summary["malformed"] in (1, 2)  # the last line is cut as well
    assert played.summary["spans"] > 1_000
    assert any("the file breaks off" in text for text in played.said)


def test_bytes_that_are_no_more_packed_do_not_end_in_an_error(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress("".join(fleet(600)).encode()))
    packed[len(packed) // 2 :] = random.Random(1).randbytes(len(packed) // 2)
    assert play(tmp_path, bytes(packed)).summary["malformed"] >= 1


def test_source_names_without_end_are_bounded_and_raise_nothing(tmp_path: Path) -> None:
    names = 30_000
    content = []
    for first in range(0, names, 100):
        at_s = START_S + first / 1_000.0
        group = json.loads(spans_line("w", span(at_s)))["resourceSpans"][0]
        text = json.dumps(group)
        groups = [text.replace('"w"', f'"w{number}"') for number in range(first, first + 100)]
        content.append(f'{{"resourceSpans": [{", ".join(groups)}]}}\n')
        content.append(logs_line("boss", *(beat(at_s, f"w{number}") for number in range(first, first + 100))))
    played = play(tmp_path, content, engine=build_engine(Settings()))
    assert played.summary["spans"] == names
    assert played.of("verdict") == []
    assert played.of("alert") == []
    assert any("sources, series or tasks more than are kept at a time" in text for text in played.said)


# -- properties -------------------------------------------------------------------------------------------


def count(text: str) -> int:
    return text.count('"spanId"') + text.count("orchestrator.worker.heartbeat") + text.count("asDouble")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_recordings_in_any_disorder_never_raise_and_their_counts_add_up(data: st.DataObject, tmp_path: Path) -> None:
    content = fleet(15)
    order = data.draw(st.permutations(range(len(content))))
    repeated = data.draw(st.lists(st.sampled_from(range(len(content))), max_size=10))
    chosen = [content[place] for place in (*order, *repeated)]
    played = play(tmp_path, chosen)
    summary = played.summary
    read = summary["spans"] + summary["metrics"] + summary["logs"]
    assert read + summary["malformed"] == sum(count(line) for line in chosen)
    assert 0 <= summary["late"] <= read
    assert [output["at"] for output in played.outputs[:-1]] == sorted(output["at"] for output in played.outputs[:-1])


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cuts=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 2_000)), max_size=6),
    flips=st.lists(st.tuples(st.integers(0, 9_999), st.integers(0, 255)), max_size=30),
)
def test_cut_and_corrupted_recordings_never_raise(
    cuts: list[tuple[int, int]], flips: list[tuple[int, int]], tmp_path: Path
) -> None:
    content = fleet(8)
    for place, length in cuts:
        content[place % len(content)] = content[place % len(content)][:length] + "\n"
    data = bytearray("".join(content).encode())
    for place, value in flips:
        data[place * len(data) // 10_000] = value
    played = play(tmp_path, bytes(data))
    assert played.summary["type"] == "summary"
    assert len(played.said) == len(set(played.said))


JSON_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_value_in_any_place_never_raises(data: st.DataObject, tmp_path: Path) -> None:
    templates = [
        spans_line(
            "w1",
            span(START_S, given={"db.system": "x", "peer.service": "y"}, error="E", events=[{"name": "exception"}]),
        ),
        logs_line("w1", beat(START_S, "w1"), log(START_S, 17, "text")),
        metrics_line(
            "w1", gauge(START_S, "a.utilization", 0.1), total(START_S, "b", 1.0), histogram(START_S, "c", 1, 1.0)
        ),
    ]
    document = json.loads(data.draw(st.sampled_from(templates)))
    holder, key = data.draw(st.sampled_from(list(_places(document))))
    holder[key] = data.draw(JSON_VALUES)
    played = play(tmp_path, [*fleet(3), json.dumps(document) + "\n"])
    assert played.summary["spans"] >= 18


def _places(value: Any) -> Any:
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield value, key
        yield from _places(inner)


def test_nanos_are_what_the_collector_writes() -> None:
    assert nanos(START_S) == "1800000000000000000"
