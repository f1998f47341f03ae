"""Who is told of alerts, in settings: routes, inhibitions, maintenance windows and limits on channels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, time
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import voluptuous as v

from otel_monitor.errors import Problem
from otel_monitor.settings_shapes import fields, listed
from otel_monitor.settings_values import Value, boolean, choice, json_from, nearest, number, text
from otel_monitor_processors.alerts.inhibition import DEFAULT_INHIBITIONS, Inhibition
from otel_monitor_processors.alerts.maintenance import WEEKDAYS, MaintenanceWindow, Once, Weekly
from otel_monitor_processors.alerts.matcher import Matcher, MatcherError, parse_matcher
from otel_monitor_processors.alerts.rate_limit import RateLimit
from otel_monitor_processors.alerts.route import Route


def _matcher(raw: Any) -> Matcher:
    try:
        return parse_matcher(text(raw))
    except MatcherError as error:
        raise v.Invalid(str(error)) from None


def _names(raw: Any) -> tuple[str, ...]:
    names: tuple[str, ...] = listed(text)(raw)
    return names


_matchers = listed(_matcher)
_seconds = number(0)
_interval = number(0.001)

_ROUTE_FIELDS: dict[str, Callable[[Any], Any]] = {
    "matchers": _matchers,
    "channels": _names,
    "group_by": _names,
    "group_wait": _seconds,
    "group_interval": _interval,
    "repeat_interval": _seconds,
    "continue": boolean,
    "send_resolved": boolean,
}
_PYTHON_NAMES = {
    "continue": "goes_on",
    "group_wait": "group_wait_s",
    "group_interval": "group_interval_s",
    "repeat_interval": "repeat_interval_s",
}
_INHERITED = (
    "channels",
    "group_by",
    "group_wait_s",
    "group_interval_s",
    "repeat_interval_s",
    "send_resolved",
)


def route_below(parent: Route) -> Callable[[Any], Route]:
    """A route and all below it. What it does not say is as in `parent`."""

    def check(raw: Any) -> Route:
        inner = {key: item for key, item in raw.items() if key != "routes"} if isinstance(raw, dict) else raw
        errors: list[v.Invalid] = []
        values: dict[str, Any] = {}
        try:
            values = _route_fields(inner)
        except v.MultipleInvalid as error:
            errors += error.errors
        values = {_PYTHON_NAMES.get(key, key): item for key, item in values.items()}
        route = replace(Route(**{name: getattr(parent, name) for name in _INHERITED}), **values)
        children: tuple[Route, ...] = ()
        if "routes" in raw:
            try:
                children = fields({"routes": listed(route_below(route))})({"routes": raw["routes"]})["routes"]
            except v.MultipleInvalid as error:
                errors += error.errors
        if errors:
            raise v.MultipleInvalid(errors)
        return replace(route, routes=children)

    return check


_route_fields = fields(_ROUTE_FIELDS)


def root_route(routes: Iterable[Route]) -> Route:
    """The tree of all routes: what none of `routes` takes goes to all channels."""
    return Route(routes=tuple(routes))


def unknown_channels(routes: Iterable[Route], channels: Iterable[str], path: str = "routes") -> list[Problem]:
    """Every channel that a route names and that there is not."""
    known = list(channels)
    problems: list[Problem] = []
    for index, route in enumerate(routes):
        for position, name in enumerate(route.channels or ()):
            if name not in known:
                where = f"{path}.{index}.channels.{position}"
                expected = ", ".join(known) or "none is enabled"
                problems.append(Problem(where, f"no channel {name!r}; expected: {expected}{nearest(name, known)}"))
        problems += unknown_channels(route.routes, known, f"{path}.{index}.routes")
    return list(dict.fromkeys(problems))


_inhibition_fields = fields(
    {
        "name": text,
        "source": _matchers,
        "target": _matchers,
        "equal": _names,
        "same_source": boolean,
    },
    required=("source", "target"),
)


def _inhibition(raw: Any) -> Inhibition:
    values = _inhibition_fields(raw)
    empty = [v.Invalid("expected at least one matcher", path=[key]) for key in ("source", "target") if not values[key]]
    if empty:
        raise v.MultipleInvalid(empty)
    values.setdefault("name", f"{', '.join(map(str, values['source']))} inhibits it")
    return Inhibition(**values)


def all_inhibitions(own: Iterable[Inhibition], *, defaults: bool) -> tuple[Inhibition, ...]:
    """The inhibitions of the settings, and with `defaults` those that hold without any."""
    return (*(DEFAULT_INHIBITIONS if defaults else ()), *own)


def _moment(raw: Any) -> float:
    try:
        moment = datetime.fromisoformat(text(raw))
    except ValueError:
        raise v.Invalid(f"expected a time such as 2030-01-31T22:00:00Z, got {raw!r}") from None
    if moment.tzinfo is None:
        raise v.Invalid(f"expected a time with its offset, such as {raw}Z or {raw}+01:00")
    return moment.timestamp()


def _clock(raw: Any) -> time:
    try:
        clock = time.fromisoformat(text(raw))
    except ValueError:
        raise v.Invalid(f"expected a time of day such as 22:30, got {raw!r}") from None
    if clock.tzinfo is not None:
        raise v.Invalid("expected a time of day without an offset: the zone is time_zone")
    return clock


def _zone(raw: Any) -> ZoneInfo:
    name = text(raw)
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        known = available_timezones()
        if not known:
            raise v.Invalid("this system has no time zones: install tzdata, or leave out time_zone for UTC") from None
        raise v.Invalid(f"{name!r} is no time zone{nearest(name, known)}") from None


_once_fields = fields({"from": _moment, "to": _moment}, required=("from", "to"))
_weekly_fields = fields(
    {"days": listed(choice(*WEEKDAYS)), "from": _clock, "to": _clock, "time_zone": _zone}, required=("from", "to")
)


def _once(raw: Any) -> Once:
    values = _once_fields(raw)
    if values["to"] <= values["from"]:
        raise v.Invalid(f"{raw['to']} is not after {raw['from']}", path=["to"])
    return Once(values["from"], values["to"])


def _weekly(raw: Any) -> Weekly:
    values = _weekly_fields(raw)
    days = frozenset(WEEKDAYS.index(day) for day in values.get("days", WEEKDAYS))
    return Weekly(days, values["from"], values["to"], values.get("time_zone", UTC))


_window_fields = fields(
    {"name": text, "comment": text, "matchers": _matchers, "once": listed(_once), "weekly": listed(_weekly)},
    required=("name",),
)


def _window(raw: Any) -> MaintenanceWindow:
    values = _window_fields(raw)
    times = (*values.pop("once", ()), *values.pop("weekly", ()))
    if not times:
        raise v.Invalid("a maintenance window has times: once, weekly, or both", path=["weekly"])
    return MaintenanceWindow(times=times, **values)


_rate_limit_fields = fields({"notifications": number(1, whole=True), "period": number(1)}, required=("notifications",))


def rate_limit(raw: Any) -> RateLimit:
    """A channel's limit: `{"notifications": 20, "period": 3600}`, the period in seconds."""
    values: Mapping[str, Any] = _rate_limit_fields(raw)
    return RateLimit(values["notifications"], values.get("period", 3600.0))


ROUTES = Value("list", listed(route_below(Route())), json_from)
INHIBITIONS = Value("list", listed(_inhibition), json_from)
MAINTENANCE = Value("list", listed(_window), json_from)
