"""The alert service that the settings describe."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from otel_monitor.alerting.courier import Report
from otel_monitor.alerting.service import AlertService
from otel_monitor.channels.catalogue import build, channels_of, problems_of_channels
from otel_monitor.channels.channel import Channel
from otel_monitor.errors import Problem
from otel_monitor.settings import Settings
from otel_monitor.settings_alerts import all_inhibitions, root_route, unknown_channels
from otel_monitor.settings_channels import ChannelSettings
from otel_monitor_processors.alerts.alert import AlertTransition
from otel_monitor_processors.alerts.dispatcher import Dispatcher

_HOUR_S = 3_600.0


def service_of(
    settings: Settings,
    name: str,
    report: Report | None = None,
    tell: Callable[[AlertTransition], None] | None = None,
) -> AlertService:
    """A service with the channels, routes and store of the settings, for the engine `name`. Nothing is opened yet."""
    return AlertService(
        {channel: partial(_make, given) for channel, given in channels_of(settings).items()},
        dispatcher_of(settings),
        store_path=settings.store_path,
        name=name,
        retention_s=settings.retention_hours * _HOUR_S,
        report=report if report is not None else lambda _channel, _outcome: None,
        tell=tell,
    )


def dispatcher_of(settings: Settings) -> Callable[[], Dispatcher]:
    """Makes a dispatcher with the routes, inhibitions, maintenance windows and limits of the settings."""
    channels = channels_of(settings)
    limits = {name: given.rate_limit for name, given in channels.items() if given.rate_limit is not None}

    def make() -> Dispatcher:
        return Dispatcher(
            list(channels),
            root_route(settings.routes),
            inhibitions=all_inhibitions(settings.inhibitions, defaults=settings.default_inhibitions),
            maintenance=settings.maintenance,
            flapping=settings.flapping,
            rate_limits=limits,
        )

    return make


def problems_of(settings: Settings) -> list[Problem]:
    """What is wrong with channels and routes that can be seen before anything is sent.

    Functions of the user's are not looked for: importing them is left to the first alert.
    """
    ours: Mapping[str, ChannelSettings] = {
        name: given for name, given in settings.channels.items() if given.type != "callable"
    }
    known = channels_of(settings, immediate_console=False)
    return [*problems_of_channels(replace(settings, channels=ours)), *unknown_channels(settings.routes, known)]


def _make(given: ChannelSettings) -> Channel:
    return build({given.name: given})[given.name]
