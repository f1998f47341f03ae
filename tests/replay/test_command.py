"""`otel-monitor replay`: files, standard input, exit codes, and its bounds as a process."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO

import psutil
import pytest

from otel_monitor.cli import main
from tests.processes import BIN, Processes
from tests.replay.recordings import START_S, Json, fleet, nanos, span, spans_line

REPLAY = str(BIN / "otel-monitor")


def replayed(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, list[Json], str]:
    code = main(["replay", *map(str, arguments)])
    shown = capsys.readouterr()
    return code, [json.loads(line) for line in shown.out.splitlines()], shown.err


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "fleet.jsonl"
    path.write_text("".join(fleet(60, lost="w1")))
    return path


def test_a_recording_is_replayed_a_json_object_a_line(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, outputs, said = replayed(capsys, recording, "--output", "json", "--confidence-every", "20")
    assert code == 0
    assert said == ""
    assert {output["type"] for output in outputs} == {"verdict", "alert", "confidence", "summary"}
    assert outputs[-1]["type"] == "summary"


def test_packed_files_and_standard_input_are_read_the_same(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, expected, _ = replayed(capsys, recording)
    packed = tmp_path / "fleet.jsonl.gz"
    packed.write_bytes(gzip.compress(recording.read_bytes()))
    assert replayed(capsys, packed)[1] == expected
    for content in (recording.read_bytes(), packed.read_bytes()):
        shown = subprocess.run([REPLAY, "replay", "-"], input=content, check=True, capture_output=True, timeout=60)
        assert [json.loads(line) for line in shown.stdout.splitlines()] == expected
        assert shown.stderr == b""


def test_the_configuration_file_says_which_rules_apply(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.json"
    slow = {"metric_name": "response_time", "threshold": 50, "severity": "info"}
    config.write_text(
        json.dumps({"alert_rules": {"slow": slow}, "patterns": {"heartbeat_degradation": {"enabled": False}}})
    )
    code, outputs, _ = replayed(capsys, recording, "--config-file", config)
    assert code == 0
    assert "verdict" not in {output["type"] for output in outputs}
    assert "slow" in {output.get("rule") for output in outputs}


def test_broken_lines_are_named_on_stderr_and_do_not_fail(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "broken.jsonl"
    path.write_text("".join([*fleet(3), "{broken\n"]))
    code, outputs, said = replayed(capsys, path)
    assert (code, outputs[-1]["malformed"]) == (0, 1)
    assert said.startswith(f"otel-monitor: {path}:{len(fleet(3)) + 1}: line that is not JSON")


def test_a_file_that_cannot_be_read_is_named_and_the_others_are_read(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, outputs, said = replayed(capsys, tmp_path / "missing", recording, tmp_path)
    assert (code, outputs[-1]["spans"]) == (1, 300)
    assert f"cannot read {tmp_path / 'missing'}: No such file or directory" in said
    assert f"cannot read {tmp_path}: Is a directory" in said


def test_without_any_readable_file_the_exit_code_is_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packed = tmp_path / "recording.zst"
    packed.write_bytes(b"\x28\xb5\x2f\xfd....")
    code, outputs, said = replayed(capsys, tmp_path / "missing", packed)
    assert (code, outputs) == (1, [])
    assert "packed with zstd; unpack it first" in said


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "the following arguments are required: FILE"),
        (["-", "--confidence-every", "0"], "'0' is not a number of seconds above 0"),
        (["-", "--confidence-every", "often"], "'often' is not a number of seconds above 0"),
        (["-", "--output", "xml"], "invalid choice: 'xml'"),
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["replay", *arguments])
    assert end.value.code == 2
    assert text in capsys.readouterr().err


def test_a_wrong_configuration_is_told_in_full_and_exits_with_2(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.json"
    config.write_text('{"api_port": "x", "unknown": 1}')
    code, outputs, said = replayed(capsys, recording, "--config-file", config)
    assert (code, outputs) == (2, [])
    assert said.count("otel-monitor: ") == 2
    assert "api_port" in said
    assert "unknown" in said


def test_a_reader_that_goes_away_ends_it_quietly(recording: Path) -> None:
    shown = subprocess.run(
        ["bash", "-c", f"{REPLAY} replay {recording} --confidence-every 0.01 | head -n 1"],
        check=True,
        capture_output=True,
        timeout=60,
    )
    assert json.loads(shown.stdout)["type"] == "confidence"
    assert shown.stderr == b""


def test_it_can_be_interrupted_while_it_waits(processes: Processes, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    program = processes.start("otel-monitor", "replay", pipe, "--confidence-every", "1")
    with pipe.open("w") as writer:
        writer.write("".join(fleet(30)))
        writer.flush()
        program.wait_for('"confidence"')
        program.send(signal.SIGINT)
        assert program.wait() == 130
    assert program.stderr == ""


# -- bounds -----------------------------------------------------------------------------------------------

STREAM_BYTES = 200_000_000


def test_memory_stays_flat_however_long_the_recording_is(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "otel_monitor", "replay", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert process.stdin is not None
        writer = threading.Thread(target=_feed, args=(process.stdin,), daemon=True)
        writer.start()
        resident = _resident_while(process, writer)
        process.stdin = None  # the writer has closed it
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    summary = json.loads(out.splitlines()[-1])
    assert (summary["type"], err) == ("summary", b"")
    assert (summary["malformed"], summary["late"]) == (0, 0)
    assert summary["spans"] > 100_000
    early, late = max(resident[: len(resident) // 3]), max(resident)
    assert late < early + 10_000_000, resident
    assert late < 150_000_000, resident


def _feed(pipe: IO[bytes]) -> None:
    """A fleet's spans, each with a long attribute: ten lines a second of its time."""
    spans = [span(START_S, spanId=f"{number:016x}", given={"sql": "s" * 900}) for number in range(1, 101)]
    template = spans_line("w1", *spans)
    begins, ends = nanos(START_S - 0.1)[:11], nanos(START_S)[:11]
    written = number = 0
    while written < STREAM_BYTES:
        tenths = int(START_S) * 10 + number
        line = template.replace(f'"{begins}', f'"{tenths}').replace(f'"{ends}', f'"{tenths + 1}').encode()
        pipe.write(line)
        written += len(line)
        number += 1
    pipe.close()


def _resident_while(process: subprocess.Popen[bytes], writer: threading.Thread) -> list[int]:
    seen = psutil.Process(process.pid)
    resident = []
    time.sleep(1.0)  # its start is not what is measured
    while writer.is_alive() and process.poll() is None:
        resident.append(seen.memory_info().rss)
        writer.join(0.1)
    return resident
