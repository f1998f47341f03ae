"""In an unchanged program the settings alone bring about channels, a store, a restart, and handlers."""

from __future__ import annotations

import json
import sqlite3
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tests.channels.http_peer import Peer, http_peer
from tests.processes import Processes
from tests.startup.conftest import NOBODY, Launcher
from tests.startup.receiver import attributes, receiving

SLOW = """
    import sys
    import time

    class Worker:
        def process_order(self, order_id):
            time.sleep(float(sys.argv[1]))

    worker = Worker()
    began = time.monotonic()
    while time.monotonic() - began < 2.0:
        worker.process_order("o-1")
"""
TOLD = """
    import json
    import sqlite3
    import time

    def is_told(store, wanted, most_s=30.0):
        # whether so many steps of alerts have been delivered, or it has taken too long
        if time.monotonic() - began > most_s:
            return True
        try:
            with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as connection:
                rows = connection.execute("SELECT notification FROM outbox WHERE state = 'delivered'").fetchall()
        except sqlite3.Error:
            return False
        return len({(alert["id"], alert["state"]) for row in rows for alert in json.loads(row[0])["alerts"]}) >= wanted

    began = time.monotonic()
"""
UNTIL_TOLD = (
    TOLD
    + """
    import sys

    class Worker:
        def process_order(self, order_id):
            time.sleep(float(sys.argv[1]))

    worker = Worker()
    while not is_told(sys.argv[2], int(sys.argv[3])):
        worker.process_order("o-1")
"""
)
FORKING = (
    TOLD
    + """
    import os
    import sys

    class Worker:
        def process_order(self, order_id):
            time.sleep(0.06)

    worker = Worker()
    worker.process_order("o-1")
    if os.fork() == 0:
        while not is_told(sys.argv[1], 2):
            worker.process_order("o-1")
        os._exit(0)
    os.wait()
"""
)
FILLS = """
    import sqlite3
    import sys
    import time
    from pathlib import Path

    class Worker:
        def process_order(self, order_id):
            time.sleep(0.06)

    disk = Path(sys.argv[1])

    def is_in_use():
        try:
            with sqlite3.connect(f"file:{disk}/alerts.db?mode=ro", uri=True) as connection:
                return connection.execute("SELECT count(*) FROM owner").fetchone()[0] == 1
        except sqlite3.Error:
            return False

    began = time.monotonic()
    while not is_in_use() and time.monotonic() - began < 20.0:
        time.sleep(0.01)
    print("in use:", is_in_use())
    with (disk / "filler").open("wb", buffering=0) as filler:
        try:
            while filler.write(bytes(512)):
                continue
        except OSError:
            print("full")
    worker = Worker()
    began = time.monotonic()
    while time.monotonic() - began < 3.0:
        worker.process_order("o-1")
    print("done")
"""
HANDLERS = """
    import sys
    import time
    import otel_monitor

    def stuck(alert):
        time.sleep(60)

    def bad(alert):
        raise ValueError("no")

    @otel_monitor.add_alert_handler
    async def good(alert):
        print(alert.rule, alert.state, flush=True)

    otel_monitor.add_alert_handler(stuck, timeout=0.5)
    otel_monitor.add_alert_handler(bad)

    class Worker:
        def process_order(self, order_id):
            time.sleep(0.06)

    worker = Worker()
    began = time.monotonic()
    while time.monotonic() - began < 2.0:
        worker.process_order("o-1")
"""
ALERT = "otel_monitor.alert."
RULES = {
    "slow_orders": {
        "metric_name": "response_time",
        "attributes": {"operation": "process"},
        "threshold": 50,
        "duration": 0.5,
        "window": 5,
        "severity": "critical",
    }
}
ROUTES = [{"matchers": ["rule=slow_orders"], "group_wait": 0, "group_interval": 0.5}]


def configuration(folder: Path, **settings: Any) -> dict[str, str]:
    path = folder / "monitor.json"
    path.write_text(json.dumps({"alert_rules": RULES, "routes": ROUTES, **settings}))
    return {
        "OTEL_MONITOR_CONFIG": str(path),
        "OTEL_MONITOR_WORKERS": "__main__:Worker",
        "OTEL_RESOURCE_ATTRIBUTES": "service.name=shop,service.instance.id=shop-1",
    }


def hook(url: str) -> dict[str, Any]:
    return {"hook": {"type": "webhook", "url": url, "allow_private": True}}


def alerts_of(peer: Peer) -> list[dict[str, Any]]:
    """What a receiver was told, alert by alert: messages about one group may tell of several."""
    return [alert for request in peer.requests for alert in request.json()["alerts"]]


def test_by_default_nothing_of_it_is_even_imported(launch: Launcher) -> None:
    program = "import sys; print([name for name in sys.modules if 'sqlite' in name or 'alerting' in name])"
    assert launch(program).stdout.strip() == "[]"


def test_an_alert_reaches_the_channel_and_its_restart_tells_nobody_again(launch: Launcher, tmp_path: Path) -> None:
    store = tmp_path / "alerts.db"
    with http_peer() as peer:
        environment = configuration(tmp_path, store_path=str(store), channels=hook(peer.url))
        first = launch(SLOW, "0.06", env=environment)
        assert first.stderr.count("ALERT firing") == 1, first.stderr
        assert [request.json()["alerts"][0]["state"] for request in peer.requests] == ["firing"]
        again = launch(SLOW, "0.06", env=environment)
        assert "ALERT firing" not in again.stderr, again.stderr
        assert len(peer.requests) == 1
        launch(UNTIL_TOLD, "0.001", str(store), "2", env=environment)
        states = [request.json()["alerts"][0] for request in peer.requests]
    assert [state["state"] for state in states] == ["firing", "resolved"]
    assert len({state["id"] for state in states}) == 1
    with sqlite3.connect(store) as connection:
        assert connection.execute("SELECT name FROM owner").fetchall() == [("shop",)]
    connection.close()


def test_what_a_program_left_open_long_ago_is_over_when_it_starts_again_and_counts_anew(
    launch: Launcher, tmp_path: Path
) -> None:
    store = tmp_path / "alerts.db"
    with http_peer() as peer, receiving() as after:
        at_once = [{**ROUTES[0], "group_interval": 0.05}]  # else nobody is told of what begins anew in between
        environment = configuration(tmp_path, store_path=str(store), channels=hook(peer.url), routes=at_once)
        launch(SLOW, "0.06", env=environment)
        with sqlite3.connect(store) as connection:
            connection.execute("UPDATE owner SET alive_at = alive_at - 3600")
        connection.close()
        again = launch(
            *(UNTIL_TOLD, "0.06", str(store), "3"), env={**environment, "OTEL_EXPORTER_OTLP_ENDPOINT": after.endpoint}
        )
        told = alerts_of(peer)
    assert "ALERT resolved [critical] slow_orders" in again.stderr, again.stderr
    assert "nothing had been heard of its process for 36" in again.stderr, again.stderr
    old, new = dict.fromkeys(alert["id"] for alert in told)
    assert {(alert["id"], alert["state"]) for alert in told} == {(old, "firing"), (old, "resolved"), (new, "firing")}
    assert after.received.sums("otel_monitor.alerts.active") == {"shop-1": 1}


def test_outcomes_are_metrics_and_active_alerts_are_counted_across_a_restart(launch: Launcher, tmp_path: Path) -> None:
    with http_peer() as peer, receiving() as before, receiving() as after:
        environment = configuration(tmp_path, store_path=str(tmp_path / "alerts.db"), channels=hook(peer.url))
        launch(SLOW, "0.06", env={**environment, "OTEL_EXPORTER_OTLP_ENDPOINT": before.endpoint})
        launch(SLOW, "0.06", env={**environment, "OTEL_EXPORTER_OTLP_ENDPOINT": after.endpoint})
    assert before.received.sums("otel_monitor.notifications") == {"shop-1": 1}
    assert after.received.sums("otel_monitor.notifications") == {}
    assert after.received.sums("otel_monitor.alerts.active") == {"shop-1": 1}


def test_a_forked_child_tells_what_it_finds(launch: Launcher, tmp_path: Path) -> None:
    with http_peer() as peer:
        environment = configuration(tmp_path, store_path=str(tmp_path / "alerts.db"), channels=hook(peer.url))
        run = launch(FORKING, str(tmp_path / "alerts.db"), env=environment)
        assert run.code == 0
        told = alerts_of(peer)
    assert len({alert["labels"]["instance"] for alert in told}) == 2, "the parent's alert and the child's"
    assert len({alert["id"] for alert in told}) == 2 == run.stderr.count("ALERT firing"), run.stderr


def test_what_is_wrong_with_channels_and_routes_is_said_once_each_and_the_program_runs(
    launch: Launcher, tmp_path: Path
) -> None:
    environment = configuration(
        tmp_path,
        channels={"hook": {"type": "webhook", "url": "env:NOT_SET_ANYWHERE"}},
        routes=[{"matchers": ["severity=critical"], "channels": ["hooc"]}],
    )
    run = launch("print('done')", env=environment)
    assert (run.code, run.stdout.splitlines()[0]) == (0, "done")
    assert run.stderr.count("NOT_SET_ANYWHERE") == 1, run.stderr
    assert run.stderr.count("no channel 'hooc'; expected: console, hook (did you mean 'hook'?)") == 1, run.stderr


def test_a_receiver_that_hangs_holds_the_end_of_a_program_no_longer_than_allowed(
    launch: Launcher, tmp_path: Path
) -> None:
    from tests.channels.http_peer import hang

    with http_peer(hang) as peer:
        environment = configuration(tmp_path, channels=hook(peer.url), shutdown_timeout=1.5)
        run = launch(
            SLOW + "\n    print(time.monotonic())", "0.06", env={**environment, "OTEL_EXPORTER_OTLP_ENDPOINT": NOBODY}
        )
        assert peer.requests
    assert run.exit_s < 2.5


def test_handlers_are_called_at_once_and_neither_a_slow_nor_a_raising_one_holds_up_the_others(
    launch: Launcher, tmp_path: Path
) -> None:
    run = launch(HANDLERS, env=configuration(tmp_path))
    assert run.code == 0
    assert run.stdout.splitlines() == ["slow_orders firing"]
    assert "Traceback" not in run.stderr


def test_a_store_that_cannot_be_used_is_an_alert_and_the_channels_and_backends_are_told_all_the_same(
    launch: Launcher, tmp_path: Path
) -> None:
    (tmp_path / "alerts.db").write_bytes(b"something else" * 1000)
    with http_peer() as peer, receiving() as backend:
        channels = {**hook(peer.url), "down": {"type": "webhook", "url": NOBODY}}
        environment = configuration(tmp_path, store_path=str(tmp_path / "alerts.db"), channels=channels)
        run = launch(SLOW, "0.06", env={**environment, "OTEL_EXPORTER_OTLP_ENDPOINT": backend.endpoint})
        rules = {alert["rule"] for request in peer.requests for alert in request.json()["alerts"]}
    assert run.code == 0
    assert "ALERT firing [critical] alert_store_unavailable instance=shop: cannot open the alert store" in run.stderr
    assert rules == {"slow_orders", "alert_store_unavailable"}
    events = [attributes(record) for record in backend.received.logs()]
    changes = {(event.get(f"{ALERT}rule"), event.get(f"{ALERT}state")) for event in events}
    assert changes >= {(rule, "firing") for rule in rules}, "over OTLP, too"
    assert backend.received.sums("otel_monitor.alerts.active") == {"shop-1": 2}


def test_a_disk_that_fills_up_is_an_alert_and_the_program_goes_on(processes: Processes, tmp_path: Path) -> None:
    """On a disk of its own: a mount that nobody else sees."""
    disk = tmp_path / "disk"
    disk.mkdir()
    (tmp_path / "program.py").write_text(dedent(FILLS))
    own = ["unshare", "--mount", "--map-root-user"]
    if processes.run(*own, "true").returncode != 0:
        pytest.skip("needs mounts of its own: allow unprivileged user namespaces, or run as root")
    with http_peer() as peer:
        environment = configuration(tmp_path, store_path=str(disk / "alerts.db"), channels=hook(peer.url))
        mount = f"mount -t tmpfs -o size=400k tmpfs {disk} && exec"
        run = processes.run(
            *(*own, "sh", "-c", f"{mount} opentelemetry-instrument {sys.executable} program.py {disk}"),
            env={**environment, "OTEL_EXPORTER_OTLP_ENDPOINT": NOBODY},
        )
        told = [(alert["rule"], alert["state"]) for request in peer.requests for alert in request.json()["alerts"]]
    assert run.returncode == 0, run
    assert run.stdout.splitlines() == ["in use: True", "full", "done"]
    assert "ALERT firing [critical] alert_store_unavailable instance=shop: the alert store" in run.stderr, run
    assert "(database or disk is full): alerts are kept in memory until it can" in run.stderr, run
    assert ("slow_orders", "firing") in told
    assert ("alert_store_unavailable", "firing") in told
    assert "Traceback" not in run.stderr, run


def test_a_console_among_the_channels_takes_the_place_of_the_line_at_once(launch: Launcher, tmp_path: Path) -> None:
    run = launch(SLOW, "0.06", env=configuration(tmp_path, channels={"screen": {"type": "console"}}))
    assert run.stderr.count("ALERT firing") == 1, run.stderr


@pytest.mark.parametrize("output", ["human", "json"])
def test_the_command_reads_the_store_of_a_program_that_has_ended(
    launch: Launcher, processes: Processes, tmp_path: Path, output: str
) -> None:
    with http_peer() as peer:
        environment = configuration(tmp_path, store_path=str(tmp_path / "alerts.db"), channels=hook(peer.url))
        launch(SLOW, "0.06", env=environment)
        run = processes.run("otel-monitor", "alerts", "list", "--output", output, env=environment)
    assert run.returncode == 0, run
    assert "slow_orders" in run.stdout, run
