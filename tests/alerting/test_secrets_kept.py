"""Whatever receivers answer, no secret of any channel is in a log, an error, a `repr`, an output or the store."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from otel_monitor.alerting.assembly import service_of
from otel_monitor.channels.catalogue import build, channels_of
from otel_monitor.cli import main
from otel_monitor.settings import Settings
from otel_monitor.store.outbox import Place
from tests.alerting.services import fires
from tests.channels.http_peer import Handler, answer, http_peer
from tests.channels.smtp_sink import PASSWORD, USER, authenticated, smtp_sink
from tests.polling import eventually

pytestmark = [
    pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning"),  # Apprise's own import
    pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS:UserWarning"),  # the server's
]

SECRETS = {
    "CHAT_URL": "/services/T000/ch4t-s3cret",
    "HOOK_TOKEN": "Bearer h00k-t0ken",
    "HOOK_SECRET": "h00k-s1gning-key",
    "AM_TOKEN": "Bearer alertm4nager-t0ken",
    "PAGER_KEY": "p4ger-0123456789abcdef0123456789",
    "OTHER_URL": "/hook?%2BX-Token=4pprise-t0ken&-key=4pprise-key",
    "MAIL_PASSWORD": PASSWORD,
}
HIDDEN = [
    *("ch4t-s3cret", "h00k-t0ken", "h00k-s1gning-key", "alertm4nager-t0ken", "p4ger-0123456789", PASSWORD),
    *("4pprise-t0ken", "4pprise-key", "4pprise-us3r"),
]


def echo(handler: Handler) -> None:
    """Refuse, and say everything back that has been sent."""
    request = handler.peer.requests[-1]
    said = f"{request.path} {dict(request.headers)} {request.body.decode()}"
    answer(400, f"bad: {said[:4000]}")(handler)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with ExitStack() as servers:
        urls = [servers.enter_context(http_peer(echo)).url for _ in range(5)]
        sink = servers.enter_context(smtp_sink(**authenticated(over_tls=False)))
        sink.at_data = f"554 {PASSWORD} is known to everybody"
        for name, value in SECRETS.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("CHAT_URL", urls[0] + SECRETS["CHAT_URL"])
        monkeypatch.setenv("OTHER_URL", urls[1].replace("http://", "json://4pprise-us3r:x@") + SECRETS["OTHER_URL"])
        channels = {
            "am": {"type": "alertmanager", "url": urls[2], "headers": {"Authorization": "env:AM_TOKEN"}},
            "chat": {"type": "slack", "url": "env:CHAT_URL"},
            "hook": {
                "type": "webhook",
                "url": urls[3],
                "secret": "env:HOOK_SECRET",
                "headers": {"Authorization": "env:HOOK_TOKEN"},
            },
            "mail": {
                "type": "email",
                "host": "127.0.0.1",
                "port": sink.port,
                "security": "none",
                "sender": "monitor@example.com",
                "recipients": ["ops@example.com"],
                "username": USER,
                "password": "env:MAIL_PASSWORD",
            },
            "on-call": {"type": "pagerduty", "routing_key": "env:PAGER_KEY", "url": urls[4]},
            "others": {"type": "apprise", "urls": ["env:OTHER_URL"], "schemes": ["json"]},
        }
        path = tmp_path / "monitor.json"
        routes = [{"group_wait": 0}]
        path.write_text(json.dumps({"channels": channels, "routes": routes, "store_path": str(tmp_path / "alerts.db")}))
        yield path


def test_no_secret_leaves_but_to_its_receiver(
    config: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    settings = Settings.from_file(config)
    alerts = service_of(settings, "shop")
    alerts.restore()
    alerts.start()
    raised = fires("w1")
    alerts(raised)
    outbox = alerts.keeper.shelf.outbox
    eventually(lambda: len(outbox.in_place(Place.DEAD)) == 6, what="every receiver to refuse")
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("alerts.db*"))
    alerts.stop(5.0)
    for words in (["dead-letters"], ["show", raised.alert.id], ["resend", "--all"], ["test"]):
        main(["alerts", *words, "--config-file", str(config)])
    printed = capfd.readouterr()
    shown = {
        "the store": kept.decode("latin-1"),
        "the outputs": printed.out + printed.err,
        "the logs": "\n".join(
            f"{record.getMessage()} {record.exc_info}" for record in caplog.records if record.name != "mail.log"
        ),  # that is the mail server's
        "the settings": repr(settings),
        "the channels": repr([build(channels_of(settings)), alerts]),
    }
    assert "HTTP 400 bad" in shown["the outputs"], "it was said what they answered"
    assert {where: [secret for secret in HIDDEN if secret in text] for where, text in shown.items()} == {
        where: [] for where in shown
    }
