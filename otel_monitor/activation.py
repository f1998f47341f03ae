"""Whether otel-monitor is wanted in a process, with which settings, and the defaults it brings.

What is imported before the SDK is looked at stands here: little, and nothing of the SDK.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING

from otel_monitor.user_line import say

if TYPE_CHECKING:
    from otel_monitor.errors import Problem
    from otel_monitor.settings import Settings

NAME = "otel_monitor"
"""The name of every entry point of ours."""

DISTRO_VARIABLE = "OTEL_PYTHON_DISTRO"
CONFIGURATOR_VARIABLE = "OTEL_PYTHON_CONFIGURATOR"

_DEFAULTS = {
    "OTEL_TRACES_EXPORTER": "otlp",
    "OTEL_METRICS_EXPORTER": "otlp",
    "OTEL_LOGS_EXPORTER": "otlp",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",  # gRPC does not survive a fork well
    "GRPC_VERBOSITY": "ERROR",  # which is gRPC's default, but unset it notes each failed handshake on stderr
}
_NO = ("false", "0", "no", "off")

_lock = threading.RLock()  # guards _said
_said: set[Problem] = set()


def wanted(environ: Mapping[str, str]) -> bool:
    """False when the environment switches otel-monitor or all of OpenTelemetry off. The settings file is not read."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    return environ.get("OTEL_MONITOR_ENABLED", "").strip().lower() not in _NO


def choose_ours(environ: MutableMapping[str, str]) -> None:
    """Make the loader take our distro and configurator, unless the user has chosen."""
    if environ.setdefault(DISTRO_VARIABLE, NAME) == NAME:
        environ.setdefault(CONFIGURATOR_VARIABLE, NAME)


def withdraw(environ: MutableMapping[str, str]) -> None:
    """Undo `choose_ours`, which a parent process may have done for us."""
    for variable in (DISTRO_VARIABLE, CONFIGURATOR_VARIABLE):
        if environ.get(variable) == NAME:
            del environ[variable]


def set_defaults(environ: MutableMapping[str, str]) -> None:
    """Export everything over OTLP, unless the user has decided otherwise."""
    for variable, value in _DEFAULTS.items():
        environ.setdefault(variable, value)


def read_settings() -> Settings:
    """The settings of the environment and its file; what is wrong with them is said once, and the defaults hold."""
    from otel_monitor.settings import Settings

    settings, problems = Settings.lenient(os.environ)
    with _lock:
        fresh = [problem for problem in problems if problem not in _said]
        _said.update(fresh)
    for problem in fresh:
        say(f"{problem}; the default is used. Your code keeps running.")
    return settings


def switched_on() -> bool:
    """Whether otel-monitor is to do anything in this process: the environment and the settings file agree."""
    return wanted(os.environ) and read_settings().enabled


def _renew_lock() -> None:
    global _lock
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_renew_lock)
