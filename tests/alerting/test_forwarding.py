"""A whole program's alerts in a real Alertmanager: shown, kept while they fire, ended with them or with the program."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

from tests.channels.alertmanager_server import Alertmanager
from tests.channels.http_peer import Peer, http_peer
from tests.polling import eventually
from tests.processes import Program
from tests.startup.conftest import Launcher

WORKS = """
    import time
    from pathlib import Path

    class Worker:
        def process_order(self, order_id):
            time.sleep(0.06 if Path("slow").exists() else 0.001)

    worker = Worker()
    while True:
        worker.process_order("o-1")
"""
RESEND_S = 1.0
LAPSES_S = 4 * RESEND_S


class Shop:
    """A program whose worker is slow when it is told to be, with an Alertmanager as its channel."""

    def __init__(self, launch: Launcher, folder: Path, alertmanager: Alertmanager, name: str, **settings: Any) -> None:
        self._launch = launch
        self._alertmanager = alertmanager
        self._name = name
        self._slow = folder / "slow"
        rule = {
            "metric_name": "response_time",
            "attributes": {"operation": "process"},
            "threshold": 30,
            "duration": 0.5,
            "window": 2,
            "severity": "critical",
        }
        channel = {"type": "alertmanager", "url": alertmanager.url, "resend": RESEND_S}
        document = {
            "alert_rules": {"slow_orders": rule},
            "channels": {"am": channel},
            "routes": [{"matchers": ["rule=slow_orders"], "group_wait": 0, "group_interval": 0.5}],
            **settings,
        }
        self._config = folder / "monitor.json"
        self._config.write_text(json.dumps(document))

    def start(self) -> Program:
        environment = {
            "OTEL_MONITOR_CONFIG": str(self._config),
            "OTEL_MONITOR_WORKERS": "__main__:Worker",
            "OTEL_RESOURCE_ATTRIBUTES": f"service.name={self._name},service.instance.id={self._name}-1",
        }
        return self._launch.start(WORKS, env=environment)

    def is_slow(self, *, slow: bool) -> None:
        self._slow.touch() if slow else self._slow.unlink()

    def shown(self) -> dict[str, Any] | None:
        """The alert as Alertmanager has it; None while it has none that fires."""
        return next((a for a in self._alertmanager.all_active() if a["labels"].get("service") == self._name), None)


def statuses(told: Peer, service: str) -> list[str]:
    """What the receiver behind Alertmanager was told about the alerts of a program, in order."""
    documents = [request.json() for request in list(told.requests)]
    return [document["status"] for document in documents if document["commonLabels"].get("service") == service]


def keeps_for(seconds: float, shop: Shop) -> None:
    """It is shown all the time, and always as one that ends soon unless it is posted again."""
    until = time.monotonic() + seconds
    started = (shop.shown() or {})["startsAt"]
    ends = set()

    def over() -> bool:
        shown = shop.shown()
        assert shown is not None, "it lapsed while it fired"
        assert shown["startsAt"] == started
        ends.add(shown["endsAt"])
        return time.monotonic() > until

    eventually(over)
    assert len(ends) >= seconds / RESEND_S - 2, "it is posted again and again, each time with a later end"


def test_it_shows_the_alert_keeps_it_while_it_fires_and_resolves_it_when_it_resolves(
    launch: Launcher, alertmanager: Alertmanager, told: Peer, tmp_path: Path
) -> None:
    shop = Shop(launch, tmp_path, alertmanager, "resolving", store_path=str(tmp_path / "alerts.db"))
    shop.is_slow(slow=True)
    program = shop.start()
    shown = eventually(shop.shown, what="the alert in Alertmanager")
    assert shown["labels"]["alertname"] == "slow_orders"
    assert shown["labels"]["severity"] == "critical"
    keeps_for(LAPSES_S + 2.0, shop)
    assert statuses(told, "resolving") == ["firing"]
    shop.is_slow(slow=False)
    eventually(lambda: shop.shown() is None, what="its end")
    eventually(lambda: statuses(told, "resolving") == ["firing", "resolved"], what="the receiver to be told")
    assert program.stop() == -signal.SIGTERM


def test_it_resolves_the_alert_by_itself_when_the_program_is_killed(
    launch: Launcher, alertmanager: Alertmanager, told: Peer, tmp_path: Path
) -> None:
    shop = Shop(launch, tmp_path, alertmanager, "dying")
    shop.is_slow(slow=True)
    program = shop.start()
    eventually(shop.shown, what="the alert in Alertmanager")
    program.send(signal.SIGKILL)
    died = time.monotonic()
    eventually(lambda: shop.shown() is None, what="its end")
    assert time.monotonic() - died < LAPSES_S + 2.0
    eventually(lambda: statuses(told, "dying") == ["firing", "resolved"], what="the receiver to be told")


def test_it_keeps_the_alert_of_a_program_that_is_killed_and_started_again(
    launch: Launcher, alertmanager: Alertmanager, told: Peer, tmp_path: Path
) -> None:
    shop = Shop(launch, tmp_path, alertmanager, "restarting", store_path=str(tmp_path / "alerts.db"))
    shop.is_slow(slow=True)
    killed = shop.start()
    eventually(shop.shown, what="the alert in Alertmanager")
    killed.send(signal.SIGKILL)
    shop.start()
    keeps_for(LAPSES_S + 2.0, shop)
    shop.is_slow(slow=False)
    eventually(lambda: statuses(told, "restarting") == ["firing", "resolved"], what="its end")


def test_after_a_restart_it_is_told_only_of_what_is_routed_to_it(
    launch: Launcher, alertmanager: Alertmanager, told: Peer, tmp_path: Path
) -> None:
    with http_peer() as elsewhere:
        shop = Shop(
            *(launch, tmp_path, alertmanager, "elsewhere"),
            store_path=str(tmp_path / "alerts.db"),
            channels={
                "am": {"type": "alertmanager", "url": alertmanager.url, "resend": RESEND_S},
                "hook": {"type": "webhook", "url": elsewhere.url},
            },
            routes=[{"matchers": ["rule=slow_orders"], "channels": ["hook"], "group_wait": 0, "group_interval": 0.5}],
        )
        shop.is_slow(slow=True)
        first = shop.start()
        eventually(lambda: elsewhere.requests, what="the alert in the webhook")
        assert first.stop() == -signal.SIGTERM
        again = shop.start()
        shop.is_slow(slow=False)
        eventually(lambda: elsewhere.requests[-1].json()["status"] == "resolved", what="the end in the webhook")
        again.stop()
    assert statuses(told, "elsewhere") == []
