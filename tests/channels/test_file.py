"""Notifications are lines of a file, which several processes share and which is rotated by size."""

from __future__ import annotations

import fcntl
import json
import os
import sys
from pathlib import Path

import pytest

from otel_monitor.channels.channel import Delivered, Rejected, Retry
from otel_monitor.channels.file import FileChannel
from tests.channels.notifications import hostile, notification
from tests.processes import Processes

WRITER = """
import sys
from otel_monitor.channels.channel import Delivered
from otel_monitor.channels.file import FileChannel
from tests.channels.notifications import notification

path, who, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
channel = FileChannel("file", path=path, max_bytes=20_000, max_files=1000, fsync="never", timeout=60)
for number in range(count):
    receipt = channel.send(notification(number=number, group_key=who))
    assert isinstance(receipt, Delivered), receipt
"""
ON_A_FULL_DISK = """
import resource, sys
from otel_monitor.channels.file import FileChannel
from tests.channels.notifications import notification

channel = FileChannel("file", path=sys.argv[1])
print(channel.send(notification()))
resource.setrlimit(resource.RLIMIT_FSIZE, (1500, resource.RLIM_INFINITY))
print(channel.send(notification()))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(channel.send(notification(number=2)))
"""


def lines(*paths: Path) -> list[dict[str, object]]:
    return [json.loads(line) for path in paths for line in path.read_text().splitlines()]


def test_each_notification_is_a_line(tmp_path: Path) -> None:
    path = tmp_path / "new" / "alerts.jsonl"
    channel = FileChannel("file", path=str(path))
    sent = [notification(number=number) for number in (1, 2)]
    assert [channel.send(one) for one in sent] == [Delivered(str(path))] * 2
    assert [line["id"] for line in lines(path)] == [one.id for one in sent]
    assert path.stat().st_mode & 0o027 == 0


def test_hostile_texts_stay_within_their_line(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    FileChannel("file", path=str(path)).send(hostile())
    content = path.read_bytes()
    assert content.count(b"\n") == 1
    assert len(content.decode("ascii").splitlines()) == 1


def test_a_file_that_is_full_is_moved_on_and_the_oldest_goes(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    channel = FileChannel("file", path=str(path), max_bytes=1000, max_files=3)
    for number in range(1, 6):
        channel.send(notification(number=number))
    names = ["alerts.jsonl", "alerts.jsonl.1", "alerts.jsonl.2"]
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([*names, "alerts.jsonl.lock"])
    assert [lines(tmp_path / name)[0]["number"] for name in names] == [5, 4, 3]


def test_several_processes_lose_no_line_and_mix_none_while_they_rotate(processes: Processes, tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    env = {"PYTHONPATH": os.pathsep.join(sys.path)}
    writers = [processes.start("python", "-c", WRITER, path, f"w{index}", "60", env=env) for index in range(4)]
    assert [writer.wait() for writer in writers] == [0] * 4, writers
    files = sorted(tmp_path.glob("alerts.jsonl*"), key=lambda file: file.name)
    written = lines(*(file for file in files if file.suffix != ".lock"))
    expected = {(f"w{index}", number) for index in range(4) for number in range(60)}
    assert len(files) > 3
    assert len(written) == len(expected)
    assert {(line["group_key"], line["number"]) for line in written} == expected


def test_a_line_that_a_killed_process_left_unfinished_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    path.write_text('{"version":1,"id":"torn')
    FileChannel("file", path=str(path)).send(notification())
    torn, whole = path.read_text().splitlines()
    assert torn == '{"version":1,"id":"torn'
    assert json.loads(whole)["id"] == notification().id


def test_on_a_full_disk_nothing_of_the_line_stays(processes: Processes, tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    program = processes.run("python", "-c", ON_A_FULL_DISK, path, env={"PYTHONPATH": os.pathsep.join(sys.path)})
    first, second, third = program.stdout.splitlines()
    assert first.startswith(third.partition("(")[0] + "(")
    assert second.startswith("Retry("), program
    assert "File too large" in second
    assert [line["number"] for line in lines(path)] == [1, 2]


def test_a_lock_that_another_process_keeps_is_waited_for_only_so_long(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    with (tmp_path / "alerts.jsonl.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        receipt = FileChannel("file", path=str(path), timeout=0.1).send(notification())
    assert isinstance(receipt, Retry)
    assert f"another process holds {path}.lock" in receipt.reason
    assert not path.exists()


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_a_pipe_or_folder_in_place_of_the_file_is_refused_at_once(tmp_path: Path, make: object) -> None:
    path = tmp_path / "alerts.jsonl"
    assert callable(make)
    make(path)
    assert isinstance(FileChannel("file", path=str(path)).send(notification()), Rejected)


def test_a_file_that_others_move_or_delete_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    channel = FileChannel("file", path=str(path))
    channel.send(notification(number=1))
    path.rename(tmp_path / "moved")
    channel.send(notification(number=2))
    assert (lines(tmp_path / "moved")[0]["number"], lines(path)[0]["number"]) == (1, 2)
