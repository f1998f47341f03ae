"""A real Alertmanager on loopback, and what it knows."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from tests.servers import HOST, Server

_CONFIGURATION = """
route: {{receiver: hook, group_by: [...], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}}
receivers: [{{name: hook, webhook_configs: [{{url: '{url}', send_resolved: true}}]}}]
"""


class Alertmanager(Server):
    """An Alertmanager that tells a webhook of each alert at once."""

    package: ClassVar[str] = "prometheus-alertmanager"
    program: ClassVar[str] = "prometheus-alertmanager"

    def __init__(self, webhook: str) -> None:
        self._webhook = webhook
        super().__init__()

    def prepare(self) -> None:
        (self.folder / "alertmanager.yml").write_text(_CONFIGURATION.format(url=self._webhook))

    def command(self) -> list[str]:
        return [
            self.find(self.program) or "",
            f"--config.file={self.folder / 'alertmanager.yml'}",
            f"--storage.path={self.folder / 'data'}",
            f"--web.listen-address={HOST}:{self.port}",
            "--cluster.listen-address=",
        ]

    def is_ready(self) -> bool:
        """It listens a moment before it answers."""
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=1) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def active(self) -> dict[str, Any]:
        """The alerts that it has as firing, by `alertname` and `severity`."""
        return {f"{alert['labels']['alertname']} {alert['labels']['severity']}": alert for alert in self.all_active()}

    def all_active(self) -> list[Any]:
        """The alerts that it has as firing."""
        with urllib.request.urlopen(f"{self.url}/api/v2/alerts?active=true", timeout=5) as answer:
            alerts: list[Any] = json.loads(answer.read())
        return alerts


@contextmanager
def alertmanager_telling(webhook: str) -> Iterator[Alertmanager]:
    """One that runs for as long as the block."""
    Alertmanager.require()
    server = Alertmanager(webhook)
    server.start()
    try:
        yield server
    finally:
        server.remove()
