"""A program that shares a store with others: it raises alerts as it is told on stdin, and posts them.

python sharer.py STORE URL
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from otel_monitor.alerting.service import AlertService
from otel_monitor.channels.http_target import HttpOptions
from otel_monitor.channels.secret import PlainUrl
from otel_monitor.channels.webhook import WebhookChannel
from otel_monitor_processors.alerts.dispatcher import Dispatcher
from tests.alerting.services import AT_ONCE, RETENTION_S, fires


def service(store: Path, url: str) -> AlertService:
    options = HttpOptions(headers={}, connect_timeout=2.0, read_timeout=5.0, timeout=5.0, allow_private=True)
    return AlertService(
        {"hook": lambda: WebhookChannel("hook", url=PlainUrl(url), options=options)},
        lambda: Dispatcher(["hook"], AT_ONCE),
        store_path=store,
        name="sharer",
        retention_s=RETENTION_S,
    )


def main(store: Path, url: str) -> None:
    alerts = service(store, url)
    alerts.restore()
    alerts.start()
    say(f"{alerts.keeper.shelf.owner} is ready")
    for line in sys.stdin:
        if line.strip() == "fork":
            if os.fork() == 0:
                alerts(fires("of the child"))
                alerts.stop(10.0)
                os._exit(0)
            os.wait()
            continue
        alerts(fires(line.strip()))
        alerts.settle()
        say(f"kept {line.strip()}")
    alerts.stop(5.0)


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
