"""The system-wide view: one engine over everything that the demo receives, beside those inside the programs."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from google.protobuf.message import Message

from otel_monitor.demo.telemetry import AlertEvent, VerdictEvent
from otel_monitor.replay.intake import Intake, Output
from otel_monitor.replay.lateness import Lateness
from otel_monitor.replay.ledger import Ledger, Origin
from otel_monitor.replay.otlp import Decoder
from otel_monitor.replay.protobuf import document_of
from otel_monitor_processors.alerts.alert import AlertTransition
from otel_monitor_processors.alerts.defaults import PATTERN_RULES
from otel_monitor_processors.engine import Engine, VerdictTransition

WHOLE_SYSTEM = "whole system"
"""Who reports what the engine over everything has found."""

LATENESS_S = 2.0
"""The programs export at least once a second."""
LONGEST_LATENESS_S = 10.0
"""On a machine that is busy with other things they come later, and are waited for."""


class SystemView:
    """Takes the same requests as everything else that receives, from any thread.

    It raises the alerts of patterns alone; thresholds are the programs' own business.
    """

    def __init__(self) -> None:
        self.complaints: list[str] = []
        """What could not be understood, each kind named once."""
        ledger = Ledger(self.complaints.append)
        self._decoder = Decoder(ledger)
        self._intake = Intake(Engine(PATTERN_RULES), ledger, lateness=Lateness(LATENESS_S, LONGEST_LATENESS_S))
        self._lock = threading.Lock()  # guards everything below, the decoder and the intake
        self._requests = 0
        self._alerts: list[AlertEvent] = []
        self._verdicts: list[VerdictEvent] = []

    def take(self, message: Message) -> None:
        """Look at what a request carries."""
        document = document_of(message)
        with self._lock:
            self._requests += 1
            batch = self._decoder.decoded(Origin("request", self._requests), document)
            self._keep(self._intake.take(batch.records))

    def advance(self, now: float) -> None:
        """Time has passed up to `now`: silence is news as well."""
        with self._lock:
            self._keep(self._intake.advance(now))

    def alerts(self) -> list[AlertEvent]:
        """Every change of an alert so far, in order of time."""
        with self._lock:
            return list(self._alerts)

    def verdicts(self) -> list[VerdictEvent]:
        """Every change of a verdict so far, in order of time."""
        with self._lock:
            return list(self._verdicts)

    def _keep(self, outputs: Iterable[Output]) -> None:
        for output in outputs:
            if isinstance(output, AlertTransition):
                self._alerts.append(_alert(output))
            elif isinstance(output, VerdictTransition):
                self._verdicts.append(_verdict(output))


def _alert(transition: AlertTransition) -> AlertEvent:
    alert = transition.alert
    return AlertEvent(
        id=alert.id,
        at=transition.at,
        reporter=WHOLE_SYSTEM,
        rule=alert.rule,
        pattern=alert.pattern or None,
        severity=str(alert.severity),
        state=str(alert.state),
        summary=alert.summary,
        trace_id=alert.traces[0].hex_trace_id() if alert.traces else "",
    )


def _verdict(transition: VerdictTransition) -> VerdictEvent:
    verdict = transition.verdict
    return VerdictEvent(
        reporter=WHOLE_SYSTEM,
        at=transition.at,
        pattern=str(verdict.pattern),
        scope=verdict.scope,
        state=str(verdict.state),
        confidence=verdict.confidence,
        sources=verdict.sources,
        root=verdict.root,
        summary=verdict.summary,
    )
