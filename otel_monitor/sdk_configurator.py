"""Has the SDK set up by its own configurator, as every distro does, with our processors in it."""

from __future__ import annotations

import os
from typing import Any

from opentelemetry.sdk._configuration import _OTelSDKConfigurator  # what every distro subclasses

from otel_monitor import startup
from otel_monitor.preflight import CONFIG_FILE


def configure(**given: Any) -> None:
    """Set up all three providers, with our processors before the exporting ones where the SDK takes any."""
    SdkConfigurator().configure(**given)  # type: ignore[no-untyped-call]  # the SDK's class is not annotated


class SdkConfigurator(_OTelSDKConfigurator):
    """The SDK's configurator, with our processors."""

    def _configure(self, **kwargs: Any) -> None:
        from_file = bool(os.environ.get(CONFIG_FILE))  # beside which it takes no arguments, and warns about any
        arguments = {} if from_file else startup.pipeline(kwargs) or kwargs
        super()._configure(**arguments)  # type: ignore[no-untyped-call]  # likewise
