"""A program whose children raise, resolve and deliver alerts until they are killed, again and again.

    python mortal.py FOLDER HTTP_PORT SMTP_PORT LANES KILLS [CROWD]

Each lane is a store of its own, which CROWD children at a time share. What is kept, and with that acknowledged,
stands in FOLDER/LANE.kept. After the kills a last child delivers what is left and ends by itself.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil

from otel_monitor.alerting.service import AlertService
from otel_monitor.channels.email import EmailChannel
from otel_monitor.channels.http_target import HttpOptions
from otel_monitor.channels.secret import PlainUrl
from otel_monitor.channels.webhook import WebhookChannel
from otel_monitor_processors import guard
from otel_monitor_processors.alerts.dispatcher import Dispatcher
from tests.alerting.services import AT_ONCE, RETENTION_S, fires, resolves

AT_ONCE_RUNNING = 4
ALERTS_A_LIFE = 5
QUIET_LOOKS = 5


def service(store: Path, http_port: int, smtp_port: int) -> AlertService:
    hook = HttpOptions(headers={}, connect_timeout=2.0, read_timeout=5.0, timeout=5.0, allow_private=True)
    url = PlainUrl(f"http://127.0.0.1:{http_port}/{store.stem}")
    sender, recipients = f"{store.stem}@example.com", ["ops@example.com"]
    return AlertService(
        {
            "hook": lambda: WebhookChannel("hook", url=url, options=hook),
            "mail": lambda: EmailChannel(
                "mail", host="127.0.0.1", port=smtp_port, sender=sender, recipients=recipients, security="none"
            ),
        },
        lambda: Dispatcher(["hook", "mail"], AT_ONCE),
        store_path=store,
        name="mortal",
        retention_s=RETENTION_S,
    )


def live(store: Path, life: str, http_port: int, smtp_port: int) -> None:
    guard.reraise_errors(enabled=False)
    kept = os.open(store.with_suffix(".kept"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    rng = random.Random(f"{store} {life}")
    alerts = service(store, http_port, smtp_port)
    is_open = [fires(alert.labels[0][1], alert.active_at) for alert in alerts.restore().alerts]
    alerts.start()
    for number in range(ALERTS_A_LIFE):
        raised = fires(f"{store.stem}-{life}-{number}")
        alerts(raised)
        alerts.settle()
        os.write(kept, f"firing {store.stem}-{life}-{number}\n".encode())
        is_open.append(raised)
        if rng.random() < 0.7:
            over = is_open.pop(0)
            alerts(resolves(over))
            alerts.settle()
            os.write(kept, f"resolved {dict(over.alert.labels)['instance']}\n".encode())
        time.sleep(rng.random() * 0.01)
    time.sleep(30.0)  # killed long before


def deliver_the_rest(store: Path, http_port: int, smtp_port: int) -> None:
    alerts = service(store, http_port, smtp_port)
    alerts.restore()
    alerts.start()
    quiet, deadline = 0, time.monotonic() + 40.0
    while quiet < QUIET_LOOKS and time.monotonic() < deadline:
        time.sleep(0.1)
        shelf = alerts.keeper.shelf
        leads = shelf.dispatch.leader(time.time()) == shelf.owner
        quiet = quiet + 1 if leads and not shelf.outbox.depth() else 0
    alerts.stop(5.0)


def lane(store: Path, kills: int, crowd: int, http_port: int, smtp_port: int) -> None:
    rng = random.Random(str(store))
    living: list[int] = []
    for life in range(kills + crowd - 1):
        child = os.fork()
        if child == 0:
            run(partial(live, store, str(life), http_port, smtp_port))
        living.append(child)
        if len(living) < crowd:
            continue
        time.sleep(rng.uniform(0.03, 0.3))
        kill(living.pop(rng.randrange(len(living))))
    for child in living:
        kill(child)
    deliver_the_rest(store, http_port, smtp_port)


def kill(child: int) -> None:
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status):
        raise SystemExit(f"a child ended by itself with {status}")


def run(function: Callable[[], None]) -> None:
    """As a child: nothing of the parent's happens after it."""
    code = 1
    try:
        function()
        code = 0
    finally:
        os._exit(code)


def main(folder: Path, http_port: int, smtp_port: int, lanes: int, kills: int, crowd: int = 1) -> int:
    psutil.disk_partitions()  # imported once, here, not in every child
    failed, running = 0, 0
    for number in range(lanes):
        if running == AT_ONCE_RUNNING:
            failed += os.waitstatus_to_exitcode(os.wait()[1]) != 0
            running -= 1
        if os.fork() == 0:
            run(partial(lane, folder / f"lane{number}.db", kills, crowd, http_port, smtp_port))
        running += 1
    for _ in range(running):
        failed += os.waitstatus_to_exitcode(os.wait()[1]) != 0
    return failed


if __name__ == "__main__":
    arguments = sys.argv[1:]
    sys.exit(main(Path(arguments[0]), *map(int, arguments[1:])))
