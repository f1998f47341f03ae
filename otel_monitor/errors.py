"""The errors that otel-monitor raises to its user.

OtelMonitorError
├── ConfigurationError      settings, files, environment: every problem at once
├── AlertsError             what was asked of stored alerts cannot be done (in `alerting.reception`)
├── InstrumentationError    a class or function that cannot be instrumented, named by hand
├── NewerSchemaError        the alert store was written by a newer version (in `store.schema`)
├── SecretError             a secret cannot be had (in `channels.secret`)
├── StoreError              the alert store cannot be used as it is (in `store.database`)
└── FleetError              the demo's programs do not start (in `demo.fleet`)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class OtelMonitorError(Exception):
    """Root of everything otel-monitor raises to its user."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a configuration: where, what, and what to do."""

    path: str
    message: str
    origin: str = ""

    def __str__(self) -> str:
        where = f"{self.origin}: {self.path}" if self.origin else self.path
        return f"{where}: {self.message}"


class ConfigurationError(OtelMonitorError):
    """The configuration has one or more problems; `problems` lists them all."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class InstrumentationError(OtelMonitorError):
    """A class or function named in a call to `instrument` cannot be instrumented."""
