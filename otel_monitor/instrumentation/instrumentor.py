"""The instrumentor: what `opentelemetry-instrument` loads, and what a call by hand goes through."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]  # unchecked

from otel_monitor import activation
from otel_monitor_processors.guard import guard

if TYPE_CHECKING:
    from otel_monitor.settings import Settings

# All else is imported when it is needed: a process in which otel-monitor is switched off loads this module too.


class OtelMonitorInstrumentor(BaseInstrumentor):  # type: ignore[misc]  # its module switches type checks off
    """Instruments the classes that the settings name, and those passed to `instrument` beside them."""

    def instrumentation_dependencies(self) -> Collection[str]:
        """It instruments the user's own code: no library has to be there."""
        return ()

    def add(self, **by_hand: Any) -> None:
        """Instrument more classes. Nothing at all happens where the environment switches otel-monitor off.

        Raises:
            ConfigurationError: with everything that is wrong with `operations`.
            InstrumentationError: something is no class, or no class of a module that is imported already.
        """
        if _settings() is not None:
            from otel_monitor.instrumentation.request import Request

            Request.by_hand(**by_hand).fulfil()

    def _instrument(self, **kwargs: Any) -> None:
        settings = _settings()
        if settings is None:
            return
        from otel_monitor.instrumentation.request import Request

        by_hand = Request.by_hand(**{key: kwargs[key] for key in _BY_HAND if key in kwargs})
        _begin(settings)
        by_hand.fulfil()

    def _uninstrument(self, **_kwargs: Any) -> None:
        from otel_monitor import startup
        from otel_monitor.instrumentation.registry import registry

        registry.clear()
        startup.stop()


_BY_HAND = ("orchestrators", "workers", "operations")


def _settings() -> Settings | None:
    """The settings, None where they or the environment switch otel-monitor off."""
    if not activation.wanted(os.environ):
        return None
    settings = activation.read_settings()
    return settings if settings.enabled else None


@guard("instrumentor.begin")
def _begin(settings: Settings) -> None:
    from otel_monitor import startup
    from otel_monitor.instrumentation.registry import registry
    from otel_monitor.instrumentation.request import Request

    Request.of_settings(settings, os.environ).fulfil()
    registry.activate()
    startup.start(settings)
