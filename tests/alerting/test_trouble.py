"""A store that cannot be used degrades to memory, says so by an alert, and is used again as soon as it can be."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from otel_monitor.alerting.keeper import RETRY_S
from otel_monitor_processors.alerts.alert import State
from tests.alerting.services import START_S, Recorder, Timeline, fires, resolves, service
from tests.processes import Processes


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store" / "alerts.db"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 400 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("needs to mount a file system: run as root, in a container with CAP_SYS_ADMIN")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_locked_file_is_left_for_memory_and_taken_up_again(path: Path) -> None:
    line = Timeline(path)
    before = line.raises("before")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    during = line.raises("during")
    assert not line.durable()
    assert "database is locked" in line.alerts.keeper.trouble
    assert line.told == [("before", State.FIRING), ("during", State.FIRING)]
    line.go(RETRY_S)
    assert not line.durable()
    other.execute("ROLLBACK")
    other.close()
    line.go(RETRY_S)
    line.go(0.1)
    assert line.durable()
    assert line.store_alerts() == [State.FIRING, State.RESOLVED]
    for raised in (before, during):
        line.resolves(raised)
    assert line.told[2:] == [("before", State.RESOLVED), ("during", State.RESOLVED)], "none is told of twice"
    line.close()
    again = service(Recorder(), path=path)
    assert [step.transition.alert.state for step in again.keeper.shelf.alerts.history(during.alert.id)] == [
        State.FIRING,
        State.RESOLVED,
    ]
    again.keeper.close()


def test_a_full_disk_is_left_for_memory_and_taken_up_again(small_disk: Path) -> None:
    line = Timeline(small_disk / "alerts.db")
    before = line.raises("before")
    filler = small_disk / "filler"
    fill(filler)
    during = line.raises("during")
    assert not line.durable()
    assert line.told == [("before", State.FIRING), ("during", State.FIRING)]
    line.go(RETRY_S)
    assert not line.durable(), "it is still full"
    filler.unlink()
    line.go(RETRY_S)
    line.go(0.1)
    assert line.durable()
    line.resolves(before)
    line.resolves(during)
    assert [state for name, state in line.told if name == "before"] == [State.FIRING, State.RESOLVED]
    assert [state for name, state in line.told if name == "during"] == [State.FIRING, State.RESOLVED]
    line.close()


def test_a_corrupt_file_is_left_as_it_is_and_alerts_go_on(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database at all" * 1000)
    line = Timeline(path)
    line.raises("w1")
    line.go(0.1)
    assert line.told == [("w1", State.FIRING)]
    assert line.store_alerts() == [State.FIRING]
    assert "file is not a database" in line.alerts.keeper.trouble
    assert path.read_bytes() == b"no database at all" * 1000
    path.unlink()
    line.go(RETRY_S)
    line.go(0.1)
    assert line.durable()
    assert line.told == [("w1", State.FIRING)]
    line.close()


def test_a_file_that_turns_out_to_be_corrupt_when_it_is_read_loses_nothing_that_fires(path: Path) -> None:
    Timeline(path).close()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))
    line = Timeline(path)
    raised = line.raises("w1")
    line.go(0.1)
    assert not line.durable()
    assert "malformed" in line.alerts.keeper.trouble
    line.resolves(raised)
    assert line.told == [("w1", State.FIRING), ("w1", State.RESOLVED)]
    line.close()


def test_what_was_queued_is_delivered_though_the_file_can_be_neither_written_nor_read(path: Path) -> None:
    ops = Recorder()
    alerts = service(ops, path=path)
    for name in ("delivered", "waiting"):
        alerts(fires(name, START_S))
        alerts.step(START_S)
        if name == "delivered":
            alerts.deliver(5.0)
    spoil(path)
    alerts(fires("later", START_S + 1.0))
    while alerts.step(START_S + 1.0):
        continue
    assert not alerts.keeper.shelf.durable
    alerts.deliver(5.0)
    assert [name for name, _ in ops.told if name != "shop"] == ["delivered", "waiting", "later"], "each once"
    alerts.keeper.close()


def test_one_that_does_not_lead_tells_nothing_again_when_the_file_fails(path: Path) -> None:
    """Of its own alerts the leader has told; from here on it tells of them itself."""
    leading, following = Recorder(), Recorder()
    leader, follower = service(leading, path=path, name="leader"), service(following, path=path, name="follower")
    leader.step(START_S)
    told, over, new = fires("told", START_S), fires("over", START_S), fires("new", START_S + 2.0)
    for transition in (told, over, resolves(over, START_S + 1.0)):
        follower(transition)
        follower.step(transition.at)
        leader.step(transition.at)
        leader.step(transition.at + 0.1)
        leader.deliver(5.0)
    follower.step(START_S + 1.5)
    assert [name for name, _ in leading.told] == ["told", "over", "over"]
    spoil(path)
    follower(new)
    for second in (2.0, 2.1, 3.0):
        while follower.step(START_S + second):
            continue
    assert not follower.keeper.shelf.durable
    follower(resolves(told, START_S + 4.0))
    for second in (4.0, 4.1, 5.0):
        while follower.step(START_S + second):
            continue
    follower.deliver(5.0)
    assert [item for item in following.told if item[0] != "follower"] == [
        ("new", State.FIRING),
        ("told", State.RESOLVED),
    ]
    for one in (leader, follower):
        one.keeper.close()


def spoil(path: Path) -> None:
    """Make a file that is in use unreadable, even for whoever has pages of it in memory."""
    other = sqlite3.connect(path)
    other.execute("INSERT INTO owner VALUES ('other', 0)")
    other.commit()
    other.close()
    for name in (path, path.with_name(f"{path.name}-wal")):
        os.truncate(name, 0)


def test_a_file_that_is_removed_is_made_again_with_what_is_open(path: Path) -> None:
    line = Timeline(path)
    raised = line.raises("w1")
    shutil.rmtree(path.parent)
    line.go(1.0)
    line.go(1.0)
    assert line.durable()
    assert path.exists()
    assert line.told == [("w1", State.FIRING)]
    line.close()
    again = service(Recorder(), path=path)
    assert [alert.id for alert in again.restore().alerts] == [raised.alert.id]
    again.keeper.close()


def test_silences_hold_while_the_file_cannot_be_used(path: Path) -> None:
    line = Timeline(path)
    silence = {
        "matchers": ["instance=quiet"],
        "starts_at": START_S,
        "ends_at": START_S + 86_400.0,
        "author": "eve",
        "comment": "known",
    }
    line.alerts.keeper.shelf.dispatch.ask({"do": "silence", "silence": silence}, START_S)
    line.go(0.1)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    line.raises("quiet")
    line.raises("loud")
    other.close()
    assert line.told == [("loud", State.FIRING)]
    line.close()


READ_ONLY = """
import os, sys, psutil
from pathlib import Path
from tests.alerting.services import Recorder, fires, running, service
os.setuid(65534) if os.geteuid() == 0 else None
ops = Recorder()
with running(service(ops, path=Path(sys.argv[1]))) as alerts:
    alerts(fires("w1"))
    assert ops.news.wait(10)
    print(alerts.keeper.trouble)
"""


def test_a_folder_that_cannot_be_written_is_said_and_alerts_go_on(
    processes: Processes, repository: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "read-only"
    folder.mkdir(mode=0o555)
    for parent in folder.parents[: -len(Path(tempfile.gettempdir()).parts)]:
        parent.chmod(0o755)
    run = processes.run(*("python", "-c", READ_ONLY, folder / "alerts.db"), env={"PYTHONPATH": str(repository)})
    assert run.returncode == 0, run
    assert "Name a writable" in run.stdout, run
    assert "until then alerts are kept in memory" in run.stdout, run


HUNG = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
time.sleep(60)
"""


def test_whoever_hands_over_alerts_never_waits_for_a_locked_file(processes: Processes, path: Path) -> None:
    line = Timeline(path)
    holder = processes.start("python", "-c", HUNG, path)
    holder.wait_for("locked")
    alerts = line.alerts
    alerts.start()
    slowest = 0.0
    for number in range(200):
        began = time.monotonic()
        alerts(fires(f"w{number}"))
        slowest = max(slowest, time.monotonic() - began)
    assert slowest < 0.05
    holder.send(signal.SIGKILL)
    began = time.monotonic()
    alerts.stop(2.0)
    assert time.monotonic() - began < 3.0


def fill(file: Path) -> None:
    with file.open("wb", buffering=0) as filler:
        try:
            while filler.write(b"\0" * 512):
                continue
        except OSError:
            return
