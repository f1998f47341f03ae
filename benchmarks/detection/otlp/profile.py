"""How a system is instrumented, and what becomes of its telemetry on the way."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum


class Dialect(StrEnum):
    """Which names the instrumentation uses."""

    NATIVE = "native"
    """Roles of orchestrator and workers, and the semantic conventions of today."""
    OLDER = "older"
    """The same roles; libraries instrumented years ago."""
    FOREIGN = "foreign"
    """Nothing is known of orchestrators: HTTP, messaging, databases, containers."""


class Signal(StrEnum):
    SPANS = "spans"
    METRICS = "metrics"
    LOGS = "logs"


class Capability(StrEnum):
    """What the telemetry can tell about."""

    ERRORS = "errors"
    LINKS = "links"
    DATABASE = "database"
    LEVELS = "levels"
    HEARTBEATS = "heartbeats"
    WORK = "work"


ALL = frozenset(Signal)


@dataclass(slots=True)
class Profile:
    """The telemetry of one system."""

    dialect: Dialect = Dialect.NATIVE
    signals: frozenset[Signal] = ALL
    heartbeat_events: bool = True
    """Whether each heartbeat is a log record."""
    heartbeat_spans: bool = False
    """Whether each heartbeat is a span; failed and slow ones always are."""
    messaging: bool = False
    """For a foreign system: whether tasks travel through a broker, not over HTTP."""
    exception_events: bool = False
    """Whether an exception is an event of its span, besides what the span's attributes say."""
    server_metrics: bool = True
    """Whether somebody collects the database server's metrics."""
    span_batch_s: float = 1.0
    metric_interval_s: float = 10.0
    cumulative: bool = True
    sampling: float = 1.0
    late_share: float = 0.0
    late_up_to_s: float = 0.0
    loss: float = 0.0
    skews: bool = False
    """Whether the clocks of the machines differ, by a fraction of a second up to half a minute."""

    def capabilities(self, load: float) -> frozenset[Capability]:
        """What this telemetry shows well enough at a load to demand that it be found."""
        found = set()
        roles = self.dialect is not Dialect.FOREIGN
        often = Signal.METRICS in self.signals and self.metric_interval_s <= 15.0
        if Signal.SPANS in self.signals and self.sampling * load >= 0.1:
            found |= {Capability.ERRORS, Capability.LINKS, Capability.DATABASE, Capability.WORK}
        if Signal.METRICS in self.signals and self.metric_interval_s <= 30.0:
            found.add(Capability.LEVELS)
            found |= {Capability.WORK, Capability.ERRORS} if roles else set()
        if Signal.LOGS in self.signals:
            found |= {Capability.ERRORS, Capability.DATABASE}
            found |= {Capability.HEARTBEATS} if self.heartbeat_events else set()
        if roles and (often or (Signal.SPANS in self.signals and self.heartbeat_spans and self.sampling == 1.0)):
            found.add(Capability.HEARTBEATS)
        return frozenset(found)

    @property
    def name(self) -> str:
        if self.signals == ALL:
            return str(self.dialect)
        return f"{self.dialect}, {' and '.join(sorted(self.signals))} only"


def draw_profile(rng: random.Random, *, heartbeat_s: float) -> Profile:
    """An instrumentation at random. Heartbeats more often than once a second are not recorded one by one."""
    dialect = rng.choices(list(Dialect), weights=(5, 2, 3))[0]
    signals = rng.choices(
        (
            ALL,
            frozenset({Signal.SPANS}),
            frozenset({Signal.METRICS}),
            frozenset({Signal.LOGS}),
            frozenset({Signal.SPANS, Signal.METRICS}),
        ),
        weights=(12, 2, 2, 2, 2),
    )[0]
    late = rng.choices(("never", "little", "much"), weights=(7, 2, 1))[0]
    return Profile(
        dialect=dialect,
        signals=signals,
        heartbeat_events=rng.random() < (0.6 if heartbeat_s >= 1.0 else 0.25),
        heartbeat_spans=heartbeat_s >= 1.0 and rng.random() < (0.7 if signals == {Signal.SPANS} else 0.15),
        messaging=rng.random() < 0.5,
        exception_events=dialect is not Dialect.NATIVE or rng.random() < 0.5,
        server_metrics=rng.random() < 0.5,
        span_batch_s=rng.choice((1.0, 1.0, 2.0, 5.0)),
        metric_interval_s=rng.choices((5.0, 10.0, 15.0, 30.0, 60.0), weights=(1, 5, 4, 2, 1))[0],
        cumulative=rng.random() < 0.7,
        sampling=rng.choices((1.0, 0.1, 0.01), weights=(7, 2, 1))[0],
        late_share={"never": 0.0, "little": 0.05, "much": 0.2}[late],
        late_up_to_s={"never": 0.0, "little": 5.0, "much": 30.0}[late],
        loss=rng.choices((0.0, 0.01, 0.05), weights=(7, 2, 1))[0],
        skews=rng.random() < 0.1,
    )
