"""What the OpenTelemetry loader finds of us: the distro with its defaults, the configurator that sets up the SDK."""

from __future__ import annotations

import logging
import os
from typing import Any

from opentelemetry.instrumentation.distro import (  # type: ignore[attr-defined]  # its module switches type checks off
    BaseDistro,
    DefaultDistro,
)
from opentelemetry.util._importlib_metadata import EntryPoint, entry_points

from otel_monitor import activation, preflight
from otel_monitor.user_line import say, told
from otel_monitor_processors.guard import guard

_LOADER = "opentelemetry.instrumentation.auto_instrumentation._load"


class OtelMonitorDistro(BaseDistro):  # type: ignore[misc]  # likewise
    """Sets defaults: everything over OTLP and HTTP, and our configurator.

    Switched off, it is not there: making one gives the distro that would have been found without us.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        _expect_loader_lines()
        if _switched_on():
            return super().__new__(cls, *args, **kwargs)
        activation.withdraw(os.environ)
        return _next_distro()

    def _configure(self, **kwargs: Any) -> None:
        activation.set_defaults(os.environ)
        os.environ.setdefault(activation.CONFIGURATOR_VARIABLE, activation.NAME)

    def load_instrumentor(self, entry_point: EntryPoint, **kwargs: Any) -> None:
        """One instrumentation that fails is left out, with a line; the loader would give up all that follow."""
        try:
            super().load_instrumentor(entry_point, **kwargs)
        except ImportError:
            raise  # the loader knows what that means: the library is not there
        except Exception as error:
            if type(error).__name__ == "DependencyConflictError":
                raise  # likewise: the library's version is not supported
            say(
                f"the instrumentation '{entry_point.name}' failed and is left out ({told(error)}); look into "
                f"its package, or name it in OTEL_PYTHON_DISABLED_INSTRUMENTATIONS. Your code keeps running."
            )


class OtelMonitorConfigurator:
    """Sets up the SDK as the environment says, with our processors before the exporting ones.

    Switched off, it configures what the next configurator would have.
    """

    def configure(self, **kwargs: Any) -> None:
        """Called by the loader, which would log a traceback of any error and load no instrumentation after it."""
        if not _switched_on():
            activation.withdraw(os.environ)
            _configure_with_next(kwargs)
            return
        activation.set_defaults(os.environ)
        findings = preflight.examine(os.environ)
        for finding in findings:
            if finding.problem:
                say(f"{finding.problem}. Your code keeps running.")
        try:
            with preflight.replaced(os.environ, findings):
                # Not before: with some wrong variables the SDK cannot even be imported.
                from otel_monitor import sdk_configurator

                sdk_configurator.configure(**kwargs)
        except Exception as error:  # noqa: BLE001 - exporters, samplers and detectors of anybody's run there
            say(f"OpenTelemetry's SDK could not be set up ({told(error)}). {_remedy()}")
        _start()


@guard("distro.start")
def _start() -> None:
    from otel_monitor import startup

    startup.configured(file=os.environ.get(preflight.CONFIG_FILE, ""))


@guard("distro.switched_on", default=False)
def _switched_on() -> bool:
    return activation.switched_on()


def _remedy() -> str:
    path = os.environ.get(preflight.CONFIG_FILE)
    what = f"Check {path}, which {preflight.CONFIG_FILE} names" if path else "Check the OTEL_ variables"
    return f"{what}; your code keeps running, without export."


def _others(group: str) -> list[EntryPoint]:
    return [point for point in entry_points(group=group) if point.name != activation.NAME]


def _next_distro() -> BaseDistro:
    for point in _others("opentelemetry_distro"):
        distro = point.load()()
        if isinstance(distro, BaseDistro):
            return distro
    return DefaultDistro()


def _configure_with_next(kwargs: dict[str, Any]) -> None:
    for point in _others("opentelemetry_configurator")[:1]:
        point.load()().configure(**kwargs)


class _ExpectedLines(logging.Filter):
    """Keeps back what the loader says about each configurator that is not ours, or that ours gave way to.

    It says so of every installed one, as if something were amiss. Takes itself away after the last.
    """

    def __init__(self, lines: int) -> None:
        super().__init__()
        self._left = lines

    @guard("distro.loader_line", default=True)
    def filter(self, record: logging.LogRecord) -> bool:
        arguments = record.args if isinstance(record.args, tuple) else ()
        if not str(record.msg).startswith("Configuration of %s not loaded") or activation.NAME not in arguments:
            return True
        self._left -= 1
        if self._left <= 0:
            logging.getLogger(_LOADER).removeFilter(self)
        return False


@guard("distro.loader_lines")
def _expect_loader_lines() -> None:
    others = len(_others("opentelemetry_configurator"))
    logger = logging.getLogger(_LOADER)
    if others and not any(isinstance(item, _ExpectedLines) for item in logger.filters):
        logger.addFilter(_ExpectedLines(others))
