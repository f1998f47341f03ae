"""The engine: one keyed state of one monitored system. Observations go in, transitions come out.

It has no clock, thread, I/O or randomness of its own. The application drives it from its monotonic clock,
a monitor from arrival with a watermark, a replay from the file's own time: the same input gives the same
transitions and the same alert ids.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from otel_monitor_processors.alerts.alert import Alert, AlertTransition, State
from otel_monitor_processors.alerts.book import AlertBook
from otel_monitor_processors.alerts.defaults import Thresholds, default_rules
from otel_monitor_processors.alerts.lifecycle import Sample
from otel_monitor_processors.alerts.rule import Rule
from otel_monitor_processors.measures import Measures
from otel_monitor_processors.observation import DatabaseOperation, Observation, Operation, Outcome, TraceRef
from otel_monitor_processors.panel import DetectorFailure, Panel, Take
from otel_monitor_processors.patterns.arbiter import Arbiter
from otel_monitor_processors.patterns.catalogue import detectors as all_detectors
from otel_monitor_processors.patterns.finding import Detector
from otel_monitor_processors.patterns.verdict import Pattern, Verdict, VerdictState
from otel_monitor_processors.reorder import Reorder
from otel_monitor_processors.series_labels import series_labels
from otel_monitor_processors.tally import Tallies, Tally

DUMP_VERSION = 3
EVALUATION_INTERVAL_S = 1.0
_IMMEDIATE_INTERVAL_S = 0.1
_MAX_OFFENCES = 1_000
_MAX_STEPS = 600
_QUIET_S = 600.0
"""So long after the last observation the detectors may still have news, and are asked at every grid point."""
_PER_CALL = ("response_time", "error_rate")
_LASTING = frozenset(kind for kind in get_args(Observation) if "duration_s" in kind._fields)
_FAILED = Outcome.FAILED
"""Python 3.11 looks members of enums up slowly."""


@dataclass(frozen=True, slots=True)
class VerdictTransition:
    """A verdict has opened, changed or closed."""

    at: float
    verdict: Verdict


Transition = AlertTransition | VerdictTransition


@dataclass(frozen=True, slots=True)
class Offence:
    """A span that is evidence for an active alert: the exporting processor marks it."""

    trace: TraceRef
    alert: Alert


class Engine:
    """Turns observations into verdicts and alerts.

    Args:
        rules: what raises alerts; the default rules when None.
        detectors: what recognises patterns; all that there are when None.
        evaluation_interval_s: event time between two evaluations of all rules.
        allowed_lateness_s: how far behind the newest event time an observation may be. With 0 (an application
            observing itself) observations are taken as they come; otherwise they are put in order first, and
            later ones are counted in `late`, not used.
    """

    def __init__(
        self,
        rules: Sequence[Rule] | None = None,
        detectors: Sequence[Detector] | None = None,
        *,
        evaluation_interval_s: float = EVALUATION_INTERVAL_S,
        allowed_lateness_s: float = 0.0,
    ) -> None:
        self.rules = tuple(default_rules(Thresholds()) if rules is None else rules)
        self.detectors: tuple[Detector, ...] = tuple(all_detectors() if detectors is None else detectors)
        self._interval_s = evaluation_interval_s
        self._lateness_s = allowed_lateness_s
        self._measures = Measures(self.rules)
        self._book = AlertBook(self._interval_s)
        self._arbiter = Arbiter()
        self._panel = Panel(self.detectors, self._route)
        self._tallies = Tallies()
        self._reorder = Reorder(allowed_lateness_s)
        self._offences: list[Offence] = []
        self._malformed = 0
        self._next = self._seen_at = -math.inf
        self._immediate: dict[tuple[str, str, str], float] = {}
        self._per_call_rules = [rule for rule in self.rules if rule.metric_name in _PER_CALL]
        self.slow_s = min(
            (rule.threshold / 1e3 for rule in self.rules if rule.metric_name == "response_time"), default=math.inf
        )
        """Calls that take longer violate some rule: they should be judged at once."""
        self._routes: dict[type[Any], list[Take]] = {}
        self._route()

    def _route(self) -> None:
        """Who is to see which kind of observation; the same dictionary, as the hot loop holds it."""
        add = self._tallies.add
        wanted: list[tuple[type[Any], Take]] = [
            *self._measures.interests().items(),
            (Operation, add),
            (DatabaseOperation, add),
            *self._panel.takes(),
        ]
        self._routes.clear()
        for kind, take in wanted:
            self._routes.setdefault(kind, []).append(take)

    # -- input ------------------------------------------------------------------------------------------

    def observe(self, observations: Iterable[Observation]) -> list[Transition]:
        """Take in observations; what changed because of them."""
        transitions: list[Transition] = []
        self._take(observations if self._lateness_s <= 0 else self._reorder.take(observations), transitions)
        return transitions

    def advance(self, now: float) -> list[Transition]:
        """Time has passed without data up to `now`."""
        transitions: list[Transition] = []
        self._take(self._reorder.advance(now), transitions)
        self._catch_up(now - self._lateness_s, transitions)
        return transitions

    def conclude(self, now: float) -> list[Transition]:
        """Evaluate everything once more, off the grid: whoever drives the engine is about to end."""
        transitions = self.advance(now)
        self._evaluate(now - self._lateness_s, transitions)
        return transitions

    def next_deadline(self) -> float | None:
        """When `advance` may have news although nothing is observed; None: never."""
        live = (
            self._next - self._seen_at <= _QUIET_S
            or self._measures.live
            or len(self._book)
            or self._arbiter.open_verdicts()
            or len(self._tallies)
            or len(self._reorder)
        )
        if not live or self._next == -math.inf:
            return None
        return self._next + self._lateness_s

    def pause(self, gap_s: float) -> None:
        """Whoever drives the engine stood still for `gap_s` seconds (a stopped process, a suspended machine)."""
        self._panel.pause(gap_s, self._next)

    def restore(self, alerts: Iterable[Alert], now: float, last_seen_at: float | None = None) -> list[Transition]:
        """Take up the alerts that were pending or firing when an earlier process ended (`AlertBook.restore`)."""
        return list(self._book.restore(self.rules, alerts, now, last_seen_at))

    # -- what there is ----------------------------------------------------------------------------------

    def alerts(self) -> list[Alert]:
        """Every pending and firing alert."""
        return self._book.active()

    def open_verdicts(self) -> list[Verdict]:
        """Every open verdict, the causes first."""
        return self._arbiter.open_verdicts()

    def confidence(self, pattern: Pattern) -> float:
        """Probability that the pattern is there, as of the last evaluation."""
        return self._arbiter.confidence(pattern)

    def take_offences(self) -> list[Offence]:
        """The spans found to be evidence for active alerts since the last call."""
        offences, self._offences = self._offences, []
        return offences

    def take_failures(self) -> list[DetectorFailure]:
        """The detectors that have raised since the last call: whoever drives the engine reports them."""
        return self._panel.take_failures()

    @property
    def late(self) -> int:
        """How many observations came too late to be used."""
        return self._reorder.late + self._measures.late

    @property
    def malformed(self) -> int:
        """How many observations had no sensible time or duration."""
        return self._malformed + self._reorder.malformed

    @property
    def dropped(self) -> int:
        """How much state was let go for want of room."""
        return self._measures.dropped + self._book.dropped + self._tallies.dropped + self._panel.dropped

    # -- steps ------------------------------------------------------------------------------------------

    def _take(self, observations: Iterable[Observation], transitions: list[Transition]) -> None:
        """The hot loop. Whoever takes in an observation and returns True asks for a judgement at once."""
        routes, slow_s, inf = self._routes, self.slow_s, math.inf
        for observation in observations:
            kind, at = type(observation), observation.at
            duration_s = observation.duration_s if kind in _LASTING else 0.0  # type: ignore[union-attr]  # all of these have it
            if not (-inf < at < inf and 0.0 <= duration_s < inf):  # false for NaN as well
                self._malformed += 1
                continue
            if at >= self._next:
                self._catch_up(at, transitions)
            self._seen_at = at
            news = False
            for take in routes.get(kind, ()):
                try:
                    if take(observation):
                        news = True
                except Exception as error:
                    if not self._panel.blame(take, error, at):
                        raise
            if news:
                self._judge(at, transitions)
            if kind is Operation and (duration_s > slow_s or observation.outcome is _FAILED):  # type: ignore[union-attr]  # narrowed by `kind`, for speed
                self._offends(observation, transitions)  # type: ignore[arg-type]  # likewise

    def _catch_up(self, now: float, transitions: list[Transition]) -> None:
        """Evaluate at every grid point up to `now`; a long stretch without anything is not walked through."""
        newest = math.floor(now / self._interval_s) * self._interval_s
        if self._next == -math.inf:
            self._next = newest + self._interval_s
            return
        steps = 0
        while self._next <= now:
            steps += 1
            at = newest if steps > _MAX_STEPS or self.next_deadline() is None else self._next
            self._next = at + self._interval_s
            self._evaluate(at, transitions)

    def _evaluate(self, at: float, transitions: list[Transition]) -> None:
        for tally in self._tallies.close(at):
            for take in self._routes.get(Tally, ()):
                try:
                    take(tally)
                except Exception as error:
                    if not self._panel.blame(take, error, at):
                        raise
        self._judge(at, transitions)
        for rule in self.rules:
            if rule.pattern is None:
                samples = self._measures.samples(rule, at, self._book.watched(rule.name))
                transitions += self._book.evaluate(rule, samples, at)
        self._measures.forget_idle(at)
        self._immediate.clear()

    def _judge(self, at: float, transitions: list[Transition]) -> None:
        verdicts = list(self._arbiter.judge(self._panel.findings(at), at))
        transitions += [VerdictTransition(at, verdict) for verdict in verdicts]
        for verdict in verdicts:
            if verdict.state is VerdictState.UPDATED:
                self._update(verdict, at, transitions)
        if verdicts or len(self._book):
            for rule in self.rules:
                if rule.pattern is not None:
                    transitions += self._book.evaluate(rule, self._verdict_samples(rule), at)

    def _verdict_samples(self, rule: Rule) -> list[Sample]:
        scope = dict(rule.attributes).get("scope")
        verdicts = [v for v in self._arbiter.open_verdicts() if v.pattern is rule.pattern and scope in (None, v.scope)]
        return [_sample_of(verdict, scoped=scope is None) for verdict in verdicts]

    def _update(self, verdict: Verdict, at: float, transitions: list[Transition]) -> None:
        """A verdict that has changed under a firing alert is news to whoever reads the alert."""
        for rule in self.rules:
            if rule.pattern is not verdict.pattern or dict(rule.attributes).get("scope") not in (None, verdict.scope):
                continue
            sample = _sample_of(verdict, scoped="scope" not in dict(rule.attributes))
            alert = self._book.of(rule.name, sample.labels)
            if alert is not None and alert.state is State.FIRING:
                transitions += self._book.evaluate_one(rule, sample, at)
                fresh = self._book.of(rule.name, sample.labels)
                if fresh is not None:
                    transitions.append(AlertTransition(at, fresh, State.FIRING, "the sources concerned have changed"))

    def _offends(self, operation: Operation, transitions: list[Transition]) -> None:
        """A failed or slow call is judged at once, so that its own span can still be marked."""
        if not operation.rated:
            return
        violated = [rule for rule in self._per_call_rules if _violates(rule, operation)]
        key = (operation.service, operation.source, operation.name)
        if operation.at - self._immediate.get(key, -math.inf) >= _IMMEDIATE_INTERVAL_S:
            self._judge_series(key, operation.at, transitions)
        if operation.trace is None:
            return
        labels = series_labels(operation.service, operation.source, operation=operation.name)
        for rule in violated:
            alert = self._book.of(rule.name, labels)
            if alert is not None and len(self._offences) < _MAX_OFFENCES:
                self._offences.append(Offence(operation.trace, alert))

    def _judge_series(self, key: tuple[str, str, str], at: float, transitions: list[Transition]) -> None:
        self._immediate[key] = at
        for rule in self._per_call_rules:
            sample = self._measures.operation_sample(rule, key, at, self._book.watched(rule.name))
            if sample is not None:
                transitions += self._book.evaluate_one(rule, sample, at)

    # -- state ------------------------------------------------------------------------------------------

    def reset(self) -> None:
        """Forget everything but the rules: in a forked child, the parent's fleet is not its own."""
        self._panel.reset()
        self._measures = Measures(self.rules)
        self._book = AlertBook(self._interval_s)
        self._arbiter.reset()
        self._tallies.reset()
        self._reorder.reset()
        self._offences.clear()
        self._immediate.clear()
        self._malformed = 0
        self._next = self._seen_at = -math.inf
        self._route()

    def dump(self) -> bytes:
        """The whole state, versioned: an engine with the same rules that loads it continues identically."""
        state = {
            "version": DUMP_VERSION,
            "malformed": self._malformed,
            "next": self._next if math.isfinite(self._next) else None,
            "seen_at": self._seen_at if math.isfinite(self._seen_at) else None,
            "reorder": self._reorder.dump(),
            "measures": self._measures.dump(),
            "alerts": self._book.dump(),
            **self._panel.dump(),
            "verdicts": self._arbiter.dump(),
            "tallies": self._tallies.dump(),
            "immediate": [[list(key), at] for key, at in self._immediate.items()],
        }
        return json.dumps(state, separators=(",", ":")).encode()

    def load(self, data: bytes) -> None:
        """Take up a state that `dump` has given.

        Raises:
            ValueError: it is not a dump, or one of another version.
        """
        state = json.loads(data)
        if not isinstance(state, dict) or state.get("version") != DUMP_VERSION:
            raise ValueError(f"not an engine state of version {DUMP_VERSION}; start with an empty one")
        self.reset()
        self._malformed = state["malformed"]
        self._next = -math.inf if state["next"] is None else state["next"]
        self._seen_at = -math.inf if state["seen_at"] is None else state["seen_at"]
        self._reorder.load(state["reorder"])
        self._measures.load(state["measures"])
        self._book.load(state["alerts"])
        self._panel.load(state)
        self._route()
        self._arbiter.load(state["verdicts"])
        self._tallies.load(state["tallies"])
        self._immediate = {(key[0], key[1], key[2]): at for key, at in state["immediate"]}


def _violates(rule: Rule, operation: Operation) -> bool:
    if rule.metric_name == "error_rate":
        return operation.outcome is _FAILED
    return rule.comparison.holds(operation.duration_s * 1e3, rule.threshold)


def _sample_of(verdict: Verdict, *, scoped: bool) -> Sample:
    labels = [("pattern", str(verdict.pattern))]
    if scoped:
        labels.append(("scope", verdict.scope))
    return Sample(
        tuple(labels),
        verdict.confidence,
        summary=verdict.summary,
        traces=verdict.traces,
        pattern=str(verdict.pattern),
        confidence=verdict.confidence,
        evidence={"sources": list(verdict.sources), **verdict.evidence},
    )
