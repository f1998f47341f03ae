"""A scenario: the telemetry of a system in which something happens, and the truth about it."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

from benchmarks.detection.otlp.instrumentation import Instrumentation
from benchmarks.detection.otlp.measuring import Measurements
from benchmarks.detection.scenarios.background import Background, Setting
from benchmarks.detection.scenarios.labels import Fault, Label, Tolerance
from benchmarks.detection.scenarios.mechanism import (
    CASCADE,
    CONTENTION,
    EXHAUSTION,
    HEARTBEATS,
    IMBALANCE,
    PARTITION,
    Episode,
    Mechanism,
    Stage,
)
from benchmarks.detection.scenarios.plan import Happening, Plan, plan
from benchmarks.detection.simulator.kernel import Body
from benchmarks.detection.simulator.node import Node
from benchmarks.detection.simulator.shape import Routing
from benchmarks.detection.simulator.world import World

_AFTERMATH_S = 180.0
"""So long after its end the consequences of a failure are tolerated."""
_PATIENCE_S = 300.0
_MOVES_STREAMS = frozenset({CASCADE, PARTITION, CONTENTION, HEARTBEATS, EXHAUSTION})
"""Failures by which workers are lost, or thought to be since their heartbeats fail, and others get their streams."""
_IMBALANCE = frozenset({IMBALANCE})


class Scenario:
    """Everything follows from the seed, which also names the split.

    Args:
        seed: which scenario it is.
        planned: another plan than the seed's own.
        instrument: makes the instrumentation; a subclass may look at what it is told.
    """

    def __init__(
        self, seed: int, planned: Plan | None = None, instrument: type[Instrumentation] = Instrumentation
    ) -> None:
        self.plan = planned if planned is not None else plan(seed)
        self.seed = seed
        self.instrumentation = instrument(self.plan.profile, self._random("telemetry"))
        self.world = World(self.plan.shape, self._random("world"), self.plan.start, self.instrumentation)
        self.episodes: list[Episode] = []
        self._measurements = Measurements(self.world, self.instrumentation, self._random("metrics"))
        self._tolerances: list[Tolerance] = []
        self._running = 0
        self._ended_at = self.plan.start
        self._prepare()

    @property
    def name(self) -> str:
        return f"{self.plan.split}-{self.seed}"

    def _random(self, what: str) -> random.Random:
        return random.Random(f"otel-monitor {self.seed} {what}")

    def _prepare(self) -> None:
        if self.plan.profile.skews:
            self._skew()
        for number, happening in enumerate(self.plan.faults):
            mechanism = happening.what
            if isinstance(mechanism, Mechanism):
                rng = self._random(f"fault {number}")
                mechanism.prepare(self.world, rng)
                episode = Episode(mechanism.pattern, mechanism.name, mechanism.tolerated)
                self.episodes.append(episode)
                self._begin(happening, self._fault(mechanism, Stage(self.world, self.instrumentation, episode, rng)))
        for number, happening in enumerate(self.plan.backgrounds):
            if isinstance(happening.what, Background):
                setting = Setting(self.world, self.instrumentation, self._random(f"background {number}"))
                self._begin(happening, self._event(happening.what, setting))

    def _begin(self, happening: Happening, body: Body[None]) -> None:
        self._running += 1
        self.world.simulation.after(happening.after_s, self._start, body)

    def _start(self, body: Body[None]) -> None:
        self.world.simulation.spawn(body)

    def _fault(self, mechanism: Mechanism, stage: Stage) -> Body[None]:
        waited_s = 0.0
        while not self._ready() and waited_s < _PATIENCE_S:
            yield 1.0
            waited_s += 1.0
        stage.episode.onset = stage.now
        yield from mechanism.run(stage)
        if stage.episode.end is None:
            stage.finish()
        self._done()

    def _ready(self) -> bool:
        """Whether there is a fleet that something can happen to: other events may have taken it down."""
        leader = self.world.orchestrators[self.world.leader]
        return len(self.world.living()) >= 3 and leader.alive and len(leader.workers) >= 2

    def _event(self, event: Background, setting: Setting) -> Body[None]:
        began = setting.now
        yield from event.run(setting)
        if event.tolerated:
            self._tolerances.append(Tolerance(began, setting.now + _AFTERMATH_S, event.tolerated, event.name))
        self._done()

    def _done(self) -> None:
        self._running -= 1
        self._ended_at = self.world.simulation.now

    def _skew(self) -> None:
        """The clocks of some machines are wrong from the beginning, mostly by little."""
        rng = self._random("clocks")
        for node in self.world.nodes():
            if rng.random() < 0.4:
                node.clock_offset_s = rng.choice((-1.0, 1.0)) * 10 ** rng.uniform(-2.0, 1.2)

    # -- the recording ----------------------------------------------------------------------------------

    def lines(self) -> Iterator[str]:
        """The recording, line by line, as it comes about. The label is complete when it has ended."""
        simulation, instrumentation = self.world.simulation, self.instrumentation
        planned = self.plan
        second = 0
        while True:
            second += 1
            now = planned.start + second
            simulation.run(now)
            yield from instrumentation.export(now, self._measurements.export)
            past = second >= planned.length_s and not self._running and now >= self._ended_at + planned.tail_s
            if past or second >= planned.longest_s + planned.tail_s:
                return

    def nodes(self) -> list[Node]:
        return [*self.world.nodes(), *self.world.retired, self.world.database.node]

    def label(self) -> Label:
        """The truth about what has been recorded so far."""
        now = self.world.simulation.now
        faults = tuple(_fault(episode, now) for episode in self.episodes if episode.onset > 0.0)
        tolerances = list(self._tolerances)
        silent_s = max(_AFTERMATH_S, 20 * self.plan.shape.heartbeat_s)
        tolerances += [
            Tolerance(at - 1.0, at + silent_s, frozenset({HEARTBEATS}), "a worker that left, for all that was recorded")
            for at in self.instrumentation.unannounced
        ]
        for fault in faults:
            secondary = fault.secondary | (frozenset() if fault.visible else {fault.pattern})
            if secondary:
                until = fault.end + _AFTERMATH_S
                since = fault.onset - 60.0 if fault.led_up_from is None else min(fault.onset - 60.0, fault.led_up_from)
                tolerances.append(Tolerance(since, until, secondary, f"with {fault.mechanism}"))
            if fault.led_up_from is not None:
                begins = frozenset({fault.pattern})
                tolerances.append(Tolerance(fault.led_up_from, fault.onset, begins, f"before {fault.mechanism}"))
            if self.plan.shape.routing is Routing.OWNERS and fault.pattern in _MOVES_STREAMS:
                until = min(now, fault.end + _AFTERMATH_S + self._until_rebalanced_s())
                tolerances.append(Tolerance(fault.onset, until, _IMBALANCE, f"streams moved in {fault.mechanism}"))
        return Label(self.name, self.plan.start, now, faults, tuple(tolerances), self._facts())

    def _until_rebalanced_s(self) -> float:
        """How long streams may stay with those to whom they were moved: that is an imbalance, and may be said."""
        pauses = [orchestrator.conduct.rebalance_s for orchestrator in self.world.orchestrators]
        return max(math.inf if pause is None else 1.2 * pause for pause in pauses)

    def _facts(self) -> dict[str, object]:
        shape, profile = self.plan.shape, self.plan.profile
        return {
            "split": str(self.plan.split),
            "seed": self.seed,
            "load": shape.load,
            "workers": shape.workers,
            "heartbeat_s": shape.heartbeat_s,
            "routing": str(shape.routing),
            "database": shape.database,
            "orchestrators": shape.orchestrators,
            "telemetry": profile.name,
            "sampling": profile.sampling,
            "late_up_to_s": profile.late_up_to_s,
            "loss": profile.loss,
            "skews": profile.skews,
            "held_out": any(mechanism.held_out for mechanism in self.plan.mechanisms),
            "overlapping": len(self.plan.faults) > 1,
            "events": [(item.after_s, item.what.name) for item in self.plan.backgrounds],
            **{name: self.instrumentation.counts[name] for name in ("spans", "points", "logs")},
        }


def _fault(episode: Episode, now: float) -> Fault:
    return Fault(
        episode.pattern,
        episode.mechanism,
        episode.onset,
        episode.end if episode.end is not None else now,
        tuple(episode.sources),
        tuple(tuple(sources) for sources in episode.accepted),
        episode.tolerated,
        episode.root,
        episode.limit_at,
        episode.led_up_from,
        episode.visible,
    )
