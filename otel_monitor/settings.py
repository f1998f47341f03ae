"""Every setting of otel-monitor: one field here is its name, type, default, unit and meaning.

The parser, the settings reference and the command line read this table. Environment beats file beats
default; the file is named by `OTEL_MONITOR_CONFIG`; a key `retention_hours` is the variable
`OTEL_MONITOR_RETENTION_HOURS`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import voluptuous as v

from otel_monitor.errors import ConfigurationError, Problem
from otel_monitor.settings_alerts import INHIBITIONS, MAINTENANCE, ROUTES
from otel_monitor.settings_channels import CHANNELS, ChannelSettings
from otel_monitor.settings_flapping import FLAPPING
from otel_monitor.settings_rules import OPERATIONS, PATTERNS, RULES
from otel_monitor.settings_values import (
    FLAG,
    HOST,
    NAMES,
    NUMBER,
    PATH,
    PERCENT,
    PORT,
    SHARE,
    WHOLE,
    Value,
    nearest,
    problems_of,
)
from otel_monitor_processors.alerts.flapping import FlapPolicy
from otel_monitor_processors.alerts.inhibition import Inhibition
from otel_monitor_processors.alerts.maintenance import MaintenanceWindow
from otel_monitor_processors.alerts.route import Route
from otel_monitor_processors.alerts.rule import Rule

PREFIX = "OTEL_MONITOR_"
CONFIG_VARIABLE = "OTEL_MONITOR_CONFIG"


def _setting(value: Value, default: Any, meaning: str, unit: str = "") -> Any:
    metadata = {"value": value, "meaning": meaning, "unit": unit}
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings, validated. Attribute names are the keys of the configuration file."""

    enabled: bool = _setting(FLAG, True, "Whether otel-monitor does anything at all.")

    orchestrators: tuple[str, ...] = _setting(
        NAMES, (), "Classes of orchestrators, as `package.module:Class` or `package.module:*`."
    )
    workers: tuple[str, ...] = _setting(
        NAMES, (), "Classes of workers, as `package.module:Class` or `package.module:*`."
    )
    operations: Mapping[str, Mapping[str, Any]] = _setting(
        OPERATIONS, {}, "Roles, ids and names of single methods, where their names do not tell."
    )
    inject_carriers: bool = _setting(
        FLAG, True, "Whether an `assign` call writes W3C trace headers into its argument named `headers` or `carrier`."
    )
    record_heartbeats: bool = _setting(
        FLAG, False, "Whether every heartbeat becomes a log event `orchestrator.worker.heartbeat`."
    )

    monitoring_interval: float = _setting(NUMBER, 30.0, "How often resources are sampled.", "s")
    pattern_window_size: int = _setting(
        WHOLE, 100, "How many recent intervals a pattern's baseline remembers.", "{interval}"
    )
    response_time_warning: float = _setting(
        NUMBER, 5000.0, "95th percentile of an instance's operation durations that raises a warning.", "ms"
    )
    response_time_critical: float = _setting(NUMBER, 10000.0, "The same, critical.", "ms")
    error_rate_warning: float = _setting(
        SHARE, 0.1, "Share of failed operations of an instance that raises a warning.", "1"
    )
    error_rate_critical: float = _setting(SHARE, 0.25, "The same, critical.", "1")
    resource_usage_warning: float = _setting(PERCENT, 85.0, "Use of CPU, memory or disk that raises a warning.", "%")
    resource_usage_critical: float = _setting(PERCENT, 95.0, "The same, critical.", "%")
    heartbeat_age_warning: float = _setting(
        NUMBER, 120.0, "Time since a worker's last heartbeat that raises a warning.", "s"
    )
    heartbeat_age_critical: float = _setting(NUMBER, 300.0, "The same, critical.", "s")
    default_duration: float = _setting(
        NUMBER, 300.0, "How long a default threshold must be exceeded before its alert fires.", "s"
    )
    alert_rules: Mapping[str, Rule] = _setting(RULES, {}, "Rules by name; one named like a default rule replaces it.")
    routes: tuple[Route, ...] = _setting(
        ROUTES, (), "Which channels are told of which alerts, how grouped and how often; all else goes to all channels."
    )
    inhibitions: tuple[Inhibition, ...] = _setting(
        INHIBITIONS, (), "Which alerts hold back which others while they fire, on top of the default ones."
    )
    default_inhibitions: bool = _setting(
        FLAG, True, "Whether a pattern's alert holds back the symptoms it explains, and critical holds back warning."
    )
    flapping: FlapPolicy = _setting(  # noqa: RUF009 - as all of them
        FLAPPING,
        FlapPolicy(),
        "From which weighted share of changes among its last 21 states (percent, `high`) an alert flaps, at which it "
        "no longer does (`low`), and how often an unchanged state is noted (`interval`, s). While one flaps, nobody "
        "is told of its single changes. `enabled` false: never.",
    )
    maintenance: tuple[MaintenanceWindow, ...] = _setting(
        MAINTENANCE, (), "Times at which alerts are expected, and nobody is told of them."
    )
    patterns: Mapping[str, Mapping[str, Any]] = _setting(
        PATTERNS, {}, "Per failure pattern: whether it is looked for, and its gates."
    )

    channels: Mapping[str, ChannelSettings] = _setting(
        CHANNELS, {}, "Where notifications of alerts go, by name; each has a `type` and the keys of that type."
    )
    enable_console_notifications: bool = _setting(FLAG, True, "Whether alerts are written to stderr, a line each.")
    enable_file_notifications: bool = _setting(
        FLAG, False, "Whether alerts are written to `otel-monitor-alerts.jsonl`, a notification a line."
    )
    enable_email_notifications: bool = _setting(
        FLAG, False, "Whether alerts are to be sent by email: `channels` has to have one of type `email` then."
    )
    store_path: Path | None = _setting(  # noqa: RUF009 - as all of them
        PATH,
        None,
        "File in which alerts, silences and undelivered notifications survive the end of a process; several processes "
        "of one host may share it. Without one they are kept in memory.",
    )
    retention_hours: float = _setting(
        NUMBER,
        24.0,
        "How long what has ended is kept, and what cannot be delivered is tried.",
        "h",
    )
    api_host: str = _setting(HOST, "127.0.0.1", "Address on which the monitor service listens.")
    api_port: int = _setting(PORT, 8080, "Port on which the monitor service listens.")

    shutdown_timeout: float = _setting(
        NUMBER, 2.5, "How long the end of a process may wait for telemetry to leave.", "s"
    )

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Read the environment and the file it names.

        Raises:
            ConfigurationError: with every problem of both at once.
        """
        settings, problems = cls.lenient(environ)
        if problems:
            raise ConfigurationError(problems)
        return settings

    @classmethod
    def lenient(cls, environ: Mapping[str, str]) -> tuple[Settings, list[Problem]]:
        """As `from_env`, but what is wrong keeps its default and is reported: start-up must go on."""
        problems: list[Problem] = []
        values: dict[str, Any] = {}
        path = environ.get(CONFIG_VARIABLE, "").strip()
        if path:
            values.update(_read_file(Path(path), problems))
        for row in SETTINGS:
            text = environ.get(row.variable)
            if text is None or not text.strip():
                continue
            try:
                values[row.name] = row.value.parse_text(text.strip())
            except v.Invalid as error:
                problems += problems_of(error, row.variable, "environment")
        return cls(**values), problems

    @classmethod
    def from_file(cls, path: Path) -> Settings:
        """Read a configuration file alone.

        Raises:
            ConfigurationError: with every problem of the file at once.
        """
        problems: list[Problem] = []
        values = _read_file(path, problems)
        if problems:
            raise ConfigurationError(problems)
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table: what the documentation and the parser know of a setting."""

    name: str
    variable: str
    value: Value
    default: Any
    unit: str
    meaning: str


def _row(item: dataclasses.Field[Any]) -> Setting:
    default = item.default if item.default is not dataclasses.MISSING else {}
    metadata = item.metadata
    return Setting(
        item.name, PREFIX + item.name.upper(), metadata["value"], default, metadata["unit"], metadata["meaning"]
    )


SETTINGS: tuple[Setting, ...] = tuple(_row(item) for item in dataclasses.fields(Settings))
"""The table, in the order of the reference."""

_ROWS = {row.name: row for row in SETTINGS}


def _read_file(path: Path, problems: list[Problem]) -> dict[str, Any]:
    origin = str(path)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        problems.append(
            Problem(
                CONFIG_VARIABLE,
                f"cannot read {origin}: {error.strerror or error}. Name a readable JSON file or unset it",
            )
        )
        return {}
    except ValueError as error:
        problems.append(Problem(CONFIG_VARIABLE, f"{origin} is not JSON: {error}"))
        return {}
    if not isinstance(document, dict):
        problems.append(Problem("(top level)", f"expected an object, got {type(document).__name__}", origin))
        return {}
    return _validate(cast("dict[str, Any]", document), origin, problems)


def _validate(document: dict[str, Any], origin: str, problems: list[Problem]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, raw in document.items():
        row = _ROWS.get(key)
        if row is None:
            problems.append(Problem(key, f"unknown setting{nearest(key, _ROWS)}", origin))
            continue
        try:
            values[key] = row.value.parse(raw)
        except v.Invalid as error:
            problems += problems_of(error, key, origin)
            values |= _rest(row, raw, error)
    return values


def _rest(row: Setting, raw: Any, error: v.Invalid) -> dict[str, Any]:
    """What of rules, channels and the like is right in itself, when one of them is wrong: start-up must go on."""
    errors = error.errors if isinstance(error, v.MultipleInvalid) else [error]
    wrong = {one.path[0] for one in errors if one.path}
    if not isinstance(raw, dict) or not wrong < raw.keys():
        return {}
    try:
        return {row.name: row.value.parse({name: item for name, item in raw.items() if name not in wrong})}
    except v.Invalid:
        return {}
