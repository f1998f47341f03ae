"""Channels are configured by name and type; every mistake is found at once, and no secret is repeated."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest

from otel_monitor.channels.catalogue import build, channels_of, problems_of_channels
from otel_monitor.channels.channel import Delivered
from otel_monitor.channels.http_target import HttpOptions
from otel_monitor.channels.secret import PlainUrl, Secret
from otel_monitor.errors import ConfigurationError
from otel_monitor.settings import Settings
from otel_monitor.settings_channels import TYPES
from otel_monitor_processors.alerts.alert import Alert
from tests.channels.notifications import notification

EXAMPLES: dict[str, dict[str, Any]] = {
    "am": {"type": "alertmanager", "url": "http://alertmanager:9093", "resend": 30},
    "chat": {"type": "slack", "url": "env:SLACK_URL"},
    "hook": {
        "type": "webhook",
        "url": "https://example.com/hook",
        "secret": "file:/run/secrets/hook",
        "headers": {"X-Team": "shop", "Authorization": "env:HOOK_AUTH"},
        "format": "cloudevents",
        "rate_limit": {"notifications": 20},
    },
    "mail": {
        "type": "email",
        "host": "smtp.example.com",
        "username": "u",
        "password": "env:SMTP_PASSWORD",
        "sender": "monitor@example.com",
        "recipients": ["on-call@example.com"],
    },
    "on-call": {"type": "pagerduty", "routing_key": "env:PD_KEY"},
    "others": {"type": "apprise", "urls": ["env:TELEGRAM_URL"]},
    "own": {"type": "callable", "handler": "tests.channels.test_channel_settings:seen.append"},
    "screen": {"type": "console", "color": "never"},
    "log": {"type": "file", "path": "/var/log/alerts.jsonl", "max_bytes": 1e6},
}
LOGIN_WITHOUT_TLS = {"username": "u", "security": "none"}
INSTEAD = "a URL with a secret in it is given as a reference: env:NAME or file:PATH"
seen: list[Alert] = []


def settings_of(channels: object, **more: object) -> Settings:
    return Settings.from_env({"OTEL_MONITOR_CHANNELS": json.dumps(channels), **{k: str(v) for k, v in more.items()}})


def problems(channels: object) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        settings_of(channels)
    return [
        f"{problem.path.removeprefix('OTEL_MONITOR_CHANNELS.')}: {problem.message}" for problem in caught.value.problems
    ]


def test_a_channel_of_every_type_is_configured_and_built() -> None:
    settings = settings_of(EXAMPLES)
    assert {channel.type for channel in settings.channels.values()} == set(TYPES)
    assert settings.channels["hook"].options["headers"]["Authorization"] == Secret(
        "env:HOOK_AUTH", "channels.hook.headers.Authorization"
    )
    assert settings.channels["am"].options["url"] == PlainUrl("http://alertmanager:9093")
    limit = settings.channels["hook"].rate_limit
    assert limit is not None
    assert limit.notifications == 20
    built = build(settings.channels)
    assert {name: channel.name for name, channel in built.items()} == {name: name for name in EXAMPLES}
    for channel in built.values():
        channel.close()


def test_a_file_of_settings_takes_them_just_so(tmp_path: Path) -> None:
    path = tmp_path / "monitor.json"
    path.write_text(json.dumps({"channels": EXAMPLES}))
    assert Settings.from_file(path).channels == settings_of(EXAMPLES).channels


def test_every_key_of_a_type_is_an_argument_of_its_channel_or_of_its_http_address() -> None:
    http = set(inspect.signature(HttpOptions).parameters)
    for name, channel in build(settings_of(EXAMPLES).channels).items():
        arguments = set(inspect.signature(type(channel)).parameters)
        keys = set(TYPES[EXAMPLES[name]["type"]][0])
        assert keys - arguments - http == set(), name
        assert ("options" in arguments) == (keys >= http), name


def test_every_mistake_is_found_at_once_with_its_path_and_a_suggestion() -> None:
    found = problems({
        "a": {"type": "webhok", "url": "http://x/"},
        "b": {"type": "webhook", "format": "cloudevent", "timout": 3, "read_timeout": "1", "allow_private": 1},
        "c": {"type": "email", "host": "h", "sender": "x\r\nBcc: y@z", "recipients": []} | LOGIN_WITHOUT_TLS,
        "d": {},
        "e e": {"type": "console"},
        "f": {"type": "alertmanager", "url": "http://u:s3cret@host/"},
        "g": {"type": "webhook", "url": "https://x/", "headers": {"a b": "x", "Host": "x", "X": "a\r\nY: b"}},
        "h": {"type": "callable", "handler": "os.system"},
        "i": {"type": "file", "path": "x", "rate_limit": {"notifications": 0}},
    })  # fmt: skip
    assert found == [
        f"a.type: 'webhok' is not one of {', '.join(TYPES)} (did you mean 'webhook'?)",
        "b.format: 'cloudevent' is not one of json, cloudevents (did you mean 'cloudevents'?)",
        "b.timout: unknown key (did you mean 'timeout'?)",
        "b.read_timeout: expected a number, got '1'",
        "b.allow_private: expected true or false, got 1",
        "b.url: required",
        "c.sender: expected an address such as on-call@example.com, got 'x\\r\\nBcc: y@z'",
        "c.recipients: expected a list of at least one",
        "c.password: required with username",
        "c.security: without TLS the password would be readable on its way: choose starttls or tls",
        f"d.type: required: one of {', '.join(TYPES)}",
        "e e: the name of a channel has letters, digits, '_', '-' and '.', 64 at most",
        f"f.url: a URL with a user name and password in it: give them in `headers`, as a reference; {INSTEAD}",
        "g.headers.a b: this is not the name of an HTTP header",
        "g.headers.Host: this header is set by the channel itself",
        "g.headers.X: expected one line of printable ASCII, or a reference: env:NAME or file:PATH",
        "h.handler: expected a function as package.module:function, got 'os.system'",
        "i.rate_limit.notifications: 0 is below 1",
    ]


@pytest.mark.parametrize(
    "channels",
    [
        "s3cret",
        {"a": "https://hooks.slack.com/s3cret"},
        {"a": {"type": "slack", "url": "https://hooks.slack.com/s3cret"}},
        {"a": {"type": "pagerduty", "routing_key": "s3cret"}},
        {"a": {"type": "webhook", "url": "https://x/", "secret": "s3cret"}},
        {"a": {"type": "webhook", "url": "https://x/", "headers": {"Authorization": "Bearer s3cret"}}},
        {"a": {"type": "webhook", "url": "https://x/", "headers": "s3cret"}},
        {"a": {"type": "webhook", "url": "x s3cret"}},
        {"a": {"type": "apprise", "urls": ["json://s3cret"]}},
        {"a": {"type": "apprise", "urls": "json://s3cret"}},
        {"a": {**EXAMPLES["mail"], "password": "s3cret"}},
    ],
)  # fmt: skip
def test_a_secret_in_the_wrong_place_is_refused_and_not_repeated(channels: object) -> None:
    found = problems(channels)
    assert found
    assert "s3cret" not in str(found)


def test_settings_show_no_values_of_a_urls_query() -> None:
    assert "s3cret" not in repr(settings_of({"a": {"type": "webhook", "url": "https://x/?token=s3cret"}}))


def test_what_is_missing_in_life_is_found_at_once(tmp_path: Path) -> None:
    channels = {
        **{name: EXAMPLES[name] for name in ("chat", "hook", "mail", "on-call", "others")},
        "hook2": {"type": "webhook", "url": "https://x/", "ca_file": str(tmp_path / "none.pem")},
        "own": {"type": "callable", "handler": "nowhere.at_all:handler"},
    }
    settings = settings_of(channels)
    not_set = "is not set in the environment of this process"
    assert [f"{problem.path}: {problem.message}" for problem in problems_of_channels(settings)] == [
        f"channels.chat.url: env:SLACK_URL {not_set}",
        "channels.hook.secret: file:/run/secrets/hook cannot be read: No such file or directory",
        f"channels.hook.headers.Authorization: env:HOOK_AUTH {not_set}",
        f"channels.mail.password: env:SMTP_PASSWORD {not_set}",
        f"channels.on-call.routing_key: env:PD_KEY {not_set}",
        f"channels.others.urls.0: env:TELEGRAM_URL {not_set}",
        f"channels.hook2.ca_file: '{tmp_path}/none.pem' is not a file: name one with certificates in PEM",
        "channels.own.handler: cannot import 'nowhere.at_all:handler': ModuleNotFoundError: No module named 'nowhere'",
    ]
    with pytest.raises(ConfigurationError, match=r"channels\.own\.handler"):
        build(settings.channels)


def test_a_handler_is_found_by_its_name() -> None:
    seen.clear()
    channel = build(settings_of({"own": EXAMPLES["own"]}).channels)["own"]
    assert isinstance(channel.send(notification()), Delivered)
    assert [one.id for one in seen] == [one.id for one in notification().alerts]


def test_the_older_flags_stand_for_channels(tmp_path: Path) -> None:
    settings = settings_of({}, OTEL_MONITOR_ENABLE_FILE_NOTIFICATIONS=True)
    made = channels_of(settings, tmp_path, immediate_console=False)
    assert {name: channel.type for name, channel in made.items()} == {"console": "console", "file": "file"}
    assert build(made)["file"].send(notification()) == Delivered(str(tmp_path / "otel-monitor-alerts.jsonl"))


def test_where_the_console_line_is_written_at_once_there_is_no_second_one() -> None:
    assert channels_of(settings_of({})) == {}
    assert set(channels_of(settings_of({"screen": EXAMPLES["screen"]}))) == {"screen"}


def test_a_configured_channel_takes_the_place_of_the_flags(tmp_path: Path) -> None:
    own = {"file": {"type": "file", "path": "own.jsonl"}}
    made = channels_of(settings_of(own, OTEL_MONITOR_ENABLE_FILE_NOTIFICATIONS=True), tmp_path)
    assert made["file"].options["path"] == "own.jsonl"


def test_email_that_is_switched_on_needs_a_channel() -> None:
    (problem,) = problems_of_channels(settings_of({}, OTEL_MONITOR_ENABLE_EMAIL_NOTIFICATIONS=True))
    assert str(problem).startswith("enable_email_notifications: true, but no channel is of type email: add channels ")
