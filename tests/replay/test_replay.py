"""A replay gives what the recording's own time gives, whatever the order in which it is read."""

from __future__ import annotations

import gzip
import math
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otel_monitor.detection import build_engine
from otel_monitor.settings import Settings
from otel_monitor_processors.patterns.verdict import Pattern
from tests.replay.recordings import (
    START_S,
    Json,
    beat,
    fleet,
    gauge,
    log,
    logs_line,
    metrics_line,
    play,
    span,
    spans_line,
)


def test_a_lost_worker_becomes_a_verdict_and_an_alert_at_the_time_of_the_recording(tmp_path: Path) -> None:
    played = play(tmp_path, fleet(60, lost="w1"), engine=build_engine(Settings()))
    (verdict,) = played.of("verdict")
    assert (verdict["pattern"], verdict["state"], verdict["sources"]) == ("heartbeat_degradation", "opened", ["w1"])
    assert START_S + 30 < verdict["at"] < START_S + 40
    assert 0.5 <= verdict["confidence"] <= 1.0
    assert verdict["evidence"]["lost"]["w1"]["interval_s"] == pytest.approx(1.0)
    alert = next(alert for alert in played.of("alert") if alert["rule"] == "worker_lost")
    assert (alert["state"], alert["severity"], alert["at"]) == ("firing", "critical", verdict["at"])
    assert "w1" in alert["summary"]
    assert played.summary == {
        "type": "summary",
        "spans": 300,
        "metrics": 15,
        "logs": 150,
        "malformed": 0,
        "late": 0,
        "seconds": pytest.approx(59.6),
    }
    assert played.said == []


def test_a_healthy_fleet_raises_nothing(tmp_path: Path) -> None:
    played = play(tmp_path, fleet(120), engine=build_engine(Settings()))
    assert [output["type"] for output in played.outputs] == ["summary"]


def test_the_same_recording_gives_the_same_twice(tmp_path: Path) -> None:
    content = fleet(60, lost="w1")
    assert play(tmp_path, content, every_s=5.0).outputs == play(tmp_path, content, every_s=5.0).outputs


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers())
def test_lines_that_are_late_within_the_bound_change_nothing(seed: int, tmp_path: Path) -> None:
    content = fleet(50, lost="w1")
    chance = random.Random(seed)
    arrival = sorted(range(len(content)), key=lambda place: place + chance.uniform(0, 3.0) * len(content) / 50)
    shuffled = play(tmp_path, [content[place] for place in arrival], every_s=10.0)
    assert shuffled.summary["late"] == 0
    assert shuffled.outputs == play(tmp_path, content, every_s=10.0).outputs


def test_what_is_later_than_the_bound_is_counted_and_not_used(tmp_path: Path) -> None:
    content = fleet(60)
    played = play(tmp_path, [*content[:100], *content[150:], *content[100:150]])
    everything = play(tmp_path, content)
    late = played.summary["late"]
    assert 40 < late <= 150
    assert {**played.summary, "late": 0} == everything.summary


def test_several_files_are_one_stream_by_event_time(tmp_path: Path) -> None:
    content = fleet(60, lost="w1")
    by_signal = [
        [line for line in content if kind in line] for kind in ("resourceLogs", "resourceSpans", "resourceMetrics")
    ]
    merged = play(tmp_path, *by_signal, every_s=10.0)
    assert merged.outputs == play(tmp_path, content, every_s=10.0).outputs


def test_files_of_different_days_are_read_one_after_the_other(tmp_path: Path) -> None:
    days = [[spans_line("w1", span(START_S + 86_400.0 * day + second)) for second in range(30)] for day in (2, 0, 1)]
    played = play(tmp_path, *days)
    assert (played.summary["spans"], played.summary["late"], played.summary["malformed"]) == (90, 0, 0)
    assert played.summary["seconds"] == pytest.approx(2 * 86_400.0 + 29.0)


def test_a_packed_file_is_known_by_its_content(tmp_path: Path) -> None:
    content = fleet(20)
    packed = gzip.compress("".join(content[:50]).encode()) + gzip.compress("".join(content[50:]).encode())
    assert play(tmp_path, packed).outputs == play(tmp_path, content).outputs


def test_an_empty_recording_is_summed_up(tmp_path: Path) -> None:
    played = play(tmp_path, b"", b"\n\n", b'{"resourceSpans":[]}\n{}\n')
    assert played.outputs == [
        {"type": "summary", "spans": 0, "metrics": 0, "logs": 0, "malformed": 0, "late": 0, "seconds": 0.0}
    ]


def test_confidences_come_at_every_multiple_of_the_interval_for_all_six_patterns(tmp_path: Path) -> None:
    played = play(tmp_path, fleet(61, lost="w1"), every_s=5.0, engine=build_engine(Settings()))
    confidences = played.of("confidence")
    assert [output["at"] - START_S for output in confidences] == [5.0 * step for step in range(13)]
    assert all(set(output) == {"type", "at", *map(str, Pattern)} for output in confidences)
    assert confidences[3]["heartbeat_degradation"] < 0.1
    assert confidences[-1]["heartbeat_degradation"] > 0.9
    assert confidences[-1]["network_partition"] < 0.5
    assert [output["at"] for output in played.outputs[:-1]] == sorted(output["at"] for output in played.outputs[:-1])


def test_a_long_silence_is_not_filled_with_confidences(tmp_path: Path) -> None:
    days = [[spans_line("w1", span(START_S + 86_400.0 * day + second)) for second in range(30)] for day in (0, 30)]
    assert len(play(tmp_path, *days, every_s=5.0).of("confidence")) < 20


@pytest.mark.parametrize("gap_s", [20, 600])
def test_a_gap_in_the_whole_recording_loses_no_worker(gap_s: int, tmp_path: Path) -> None:
    content = fleet(300 + gap_s)
    whole = [line for line in content if not START_S + 200 <= _first_time(line) < START_S + 200 + gap_s]
    played = play(tmp_path, whole, engine=build_engine(Settings()))
    assert played.of("verdict") == []


def _first_time(line: str) -> float:
    start = line.index('imeUnixNano": "') + len('imeUnixNano": "')
    return math.ceil(int(line[start : start + 19]) / 1e9)


def test_a_worker_that_falls_silent_alone_is_lost_though_little_else_is_recorded(tmp_path: Path) -> None:
    lines = []
    for step in range(60):
        at_s = START_S + 10.0 * step
        names = ["w1", "w2"] if step < 40 else ["w2"]
        lines.append(logs_line("boss", *(beat(at_s, name) for name in names)))
    played = play(tmp_path, lines)
    assert [verdict["sources"] for verdict in played.of("verdict")] == [["w1"]]


def test_records_of_one_time_come_in_an_order_of_their_own(tmp_path: Path) -> None:
    chance = random.Random(3)
    at_s = START_S + 1.0
    records = [log(at_s, 17, f"error {number % 3}") for number in range(9)]
    spans = [span(at_s, name) for name in ("a", "bb", "ccc")]
    gauges = [gauge(at_s, name, 0.5) for name in ("x.utilization", "y.utilization")]
    lines = [
        *[logs_line("w1", record) for record in records],
        *[spans_line("w1", one) for one in spans],
        *[metrics_line("w1", one) for one in gauges],
    ]
    seen = set()
    for _ in range(5):
        chance.shuffle(lines)
        engine = build_engine(Settings())
        play(tmp_path, lines, engine=engine)
        seen.add(engine.dump())
    assert len(seen) == 1


def test_a_crowd_within_the_bound_is_not_held_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otel_monitor.replay.intake._MAX_HELD", 100)
    content: list[str] = fleet(60, workers=10)
    assert play(tmp_path, content).summary["late"] == 0


def test_alerts_tell_why_they_were_held_back(tmp_path: Path) -> None:
    content = [metrics_line("w1", gauge(START_S + second, "process.cpu.utilization", 0.99)) for second in range(9)]
    content += [metrics_line("w1", gauge(START_S + second, "process.cpu.utilization", 0.1)) for second in range(9, 20)]
    alerts: list[Json] = play(tmp_path, content).of("alert")
    assert [(alert["rule"], alert["state"]) for alert in alerts] == [
        ("high_cpu_usage", "pending"),
        ("critical_cpu_usage", "pending"),
        ("high_cpu_usage", "inactive"),
        ("critical_cpu_usage", "inactive"),
    ]
    assert alerts[0]["reason"].startswith("duration 300 s not reached before ")
    assert alerts[2]["reason"].endswith("is no longer > 85")
