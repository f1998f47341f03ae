"""Channels from settings: which there are, and how each is made."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from otel_monitor.channels.channel import Channel
from otel_monitor.channels.secret import PlainUrl, missing
from otel_monitor.errors import ConfigurationError, Problem
from otel_monitor.settings import Settings
from otel_monitor.settings_channels import ChannelSettings, has_console

FILE_NAME = "otel-monitor-alerts.jsonl"

_HTTP_OPTIONS = (
    "headers",
    "connect_timeout",
    "read_timeout",
    "timeout",
    "allow_private",
    "follow_redirects",
    "ca_file",
)


def channels_of(
    settings: Settings, folder: Path = Path(), *, immediate_console: bool = True
) -> dict[str, ChannelSettings]:
    """The channels of the settings, and those that the three older flags stand for.

    - `enable_console_notifications`: a channel `console`, unless there is one of this type. Where the line of each
      transition is written at once (`immediate_console`, see `otel.notify`), that line is this channel.
    - `enable_file_notifications`: a channel `file`, which writes `otel-monitor-alerts.jsonl` in `folder`.
    - `enable_email_notifications`: the configured channels of type `email`. An email needs a server and
      recipients, so there is none by default: see `problems_of_channels`.

    A configured channel of the same name takes the place of such a one; a flag that is off takes nothing away
    from what is configured.
    """
    defaults: dict[str, ChannelSettings] = {}
    if settings.enable_console_notifications and not immediate_console and not has_console(settings.channels):
        defaults["console"] = ChannelSettings("console", "console")
    if settings.enable_file_notifications:
        defaults["file"] = ChannelSettings("file", "file", {"path": str(folder / FILE_NAME)})
    return {**defaults, **settings.channels}


def problems_of_channels(settings: Settings) -> list[Problem]:
    """What is wrong with the channels beyond their form: secrets, certificates, packages, functions not there."""
    problems: list[Problem] = []
    kinds = {channel.type for channel in settings.channels.values()}
    if settings.enable_email_notifications and "email" not in kinds:
        example = '{"email": {"type": "email", "host": …, "sender": …, "recipients": […]}}'
        problems.append(
            Problem("enable_email_notifications", f"true, but no channel is of type email: add channels {example}")
        )
    for name, channel in settings.channels.items():
        path = f"channels.{name}"
        problems += missing(channel.options)
        ca_file = channel.options.get("ca_file")
        if ca_file is not None and not Path(ca_file).is_file():
            problems.append(Problem(f"{path}.ca_file", f"{ca_file!r} is not a file: name one with certificates in PEM"))
        if channel.type == "apprise" and importlib.util.find_spec("apprise") is None:
            problems.append(
                Problem(f"{path}.type", "needs a package that is not installed: pip install 'otel-monitor[apprise]'")
            )
        if channel.type == "callable":
            problems += _handler(channel)[1]
    return problems


def build(channels: Mapping[str, ChannelSettings]) -> dict[str, Channel]:
    """Make each channel. None connects to anything, opens a file or reads a secret before it sends.

    Raises:
        ConfigurationError: with every handler that cannot be imported.
    """
    handlers = {name: _handler(channel) for name, channel in channels.items() if channel.type == "callable"}
    problems = [problem for _, found in handlers.values() for problem in found]
    if problems:
        raise ConfigurationError(problems)
    return {
        name: _callable(channel, handlers[name][0]) if name in handlers else _BUILDERS[channel.type](channel)
        for name, channel in channels.items()
    }


def _handler(channel: ChannelSettings) -> tuple[Any, list[Problem]]:
    path, name = f"channels.{channel.name}.handler", channel.options["handler"]
    module, _, attributes = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for attribute in attributes.split("."):
            found = getattr(found, attribute)
    except Exception as error:  # noqa: BLE001 - importing runs the user's code
        return None, [Problem(path, f"cannot import {name!r}: {type(error).__qualname__}: {error}")]
    return found, [] if callable(found) else [Problem(path, f"{name!r} is not callable")]


def _http(channel: ChannelSettings, **defaults: Any) -> dict[str, Any]:
    from otel_monitor.channels.http_target import HttpOptions

    options = {**defaults, **channel.options}
    http = {key: options.pop(key) for key in _HTTP_OPTIONS if key in options}
    return {**options, "options": HttpOptions(**{"headers": {}, **http})}


def _alertmanager(channel: ChannelSettings) -> Channel:
    from otel_monitor.channels.alertmanager import AlertmanagerChannel

    # It stands in the private network practically always.
    return AlertmanagerChannel(channel.name, **_http(channel, allow_private=True))


def _apprise(channel: ChannelSettings) -> Channel:
    from otel_monitor.channels.apprise import AppriseChannel

    return AppriseChannel(channel.name, **channel.options)


def _callable(channel: ChannelSettings, handler: Any) -> Channel:
    from otel_monitor.channels.callable import CallableChannel

    return CallableChannel(channel.name, **{**channel.options, "handler": handler})


def _console(channel: ChannelSettings) -> Channel:
    from otel_monitor.channels.console import ConsoleChannel

    return ConsoleChannel(channel.name, **channel.options)


def _email(channel: ChannelSettings) -> Channel:
    from otel_monitor.channels.email import EmailChannel

    return EmailChannel(channel.name, **channel.options)


def _file(channel: ChannelSettings) -> Channel:
    from otel_monitor.channels.file import FileChannel

    return FileChannel(channel.name, **channel.options)


def _pagerduty(channel: ChannelSettings) -> Channel:
    from otel_monitor.channels.pagerduty import URL, PagerDutyChannel

    return PagerDutyChannel(channel.name, **_http(channel, url=PlainUrl(URL)))


def _slack(channel: ChannelSettings) -> Channel:
    from otel_monitor.channels.slack import SlackChannel

    return SlackChannel(channel.name, **_http(channel))


def _webhook(channel: ChannelSettings) -> Channel:
    from otel_monitor.channels.webhook import WebhookChannel

    return WebhookChannel(channel.name, **_http(channel))


_BUILDERS: dict[str, Callable[[ChannelSettings], Channel]] = {
    "alertmanager": _alertmanager,
    "apprise": _apprise,
    "console": _console,
    "email": _email,
    "file": _file,
    "pagerduty": _pagerduty,
    "slack": _slack,
    "webhook": _webhook,
}
