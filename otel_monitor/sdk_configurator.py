"""Has the SDK set up by its own configurator, as every distro does, with our processors in it."""

from __future__ import annotations

import os
from typing import Any

from opentelemetry.sdk._configuration import _OTelSDKConfigurator  # what every distro subclasses

from otel_monitor import startup

CONFIG_FILE = "OTEL_CONFIG_FILE"


class SdkConfigurator(_OTelSDKConfigurator):
    """The SDK's configurator, with our processors before the exporting ones where it takes any."""

    def _configure(self, **kwargs: Any) -> None:
        if os.environ.get(CONFIG_FILE):
            super()._configure()  # it takes no arguments beside a file, and warns about any
        else:
            super()._configure(**(startup.pipeline(kwargs) or kwargs))
