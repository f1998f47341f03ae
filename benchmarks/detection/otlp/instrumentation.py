"""The instrumentation of all programs of a system: facts become spans, log records and metrics."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator

from benchmarks.detection.otlp import fragments, logging
from benchmarks.detection.otlp.aggregates import Aggregates
from benchmarks.detection.otlp.naming import CLIENT, OURS, SERVER, Form, category_of, naming_of
from benchmarks.detection.otlp.outbox import Collector, Outbox
from benchmarks.detection.otlp.profile import Dialect, Profile, Signal
from benchmarks.detection.otlp.text import attribute, event, joined, nanoseconds
from benchmarks.detection.simulator.database import Database, Statement
from benchmarks.detection.simulator.failure import Failure
from benchmarks.detection.simulator.node import Node
from benchmarks.detection.simulator.task import Task
from benchmarks.detection.simulator.trace import Span

_SLOW_HEARTBEAT_S = 1.0
_LONG_LOCK_WAIT_S = 0.1


class Instrumentation:
    """Records everything of every node in one profile. It draws no number that the system itself depends on."""

    def __init__(self, profile: Profile, rng: random.Random) -> None:
        self.profile = profile
        self.collector = Collector(profile, rng)
        self.naming = naming_of(profile)
        self.native = profile.dialect is not Dialect.FOREIGN
        self.counts = Counter[str]()
        """Spans, points and log records, as far as they were recorded at all."""
        self.signs = Counter[str]()
        """What would show a failure, since they were last cleared: ground truth about the telemetry."""
        self.sampling = profile.sampling
        self.outboxes: dict[str, Outbox] = {}
        self.unannounced: list[float] = []
        """When a worker left in good order and no recorded span says so: its heartbeats just end."""
        self._rng = rng
        self._traces = Signal.SPANS in profile.signals
        self._logs = Signal.LOGS in profile.signals
        self._metrics = Signal.METRICS in profile.signals
        self._aggregates: dict[str, tuple[int, Aggregates]] = {}
        self._last_beat: dict[tuple[str, str], float] = {}

    @property
    def records_spans(self) -> bool:
        return self._traces

    @property
    def counts_work(self) -> bool:
        """Whether metrics tell of failures and of each worker's share of the work."""
        return self._metrics and self.native

    @property
    def _records_heartbeats(self) -> bool:
        """Whether heartbeats are recorded one by one, or a process's own exports must stand for them."""
        events = self._logs and self.profile.heartbeat_events
        return events or (self._traces and self.profile.heartbeat_spans) or not self.native

    # -- spans ------------------------------------------------------------------------------------------

    def span(self, node: Node, parent: Span | None) -> Span:
        bits = self._rng.getrandbits
        if parent is not None:
            return Span(parent.trace_id, bits(64) | 1, parent.span_id, parent.sampled)
        return Span(bits(128) | 1, bits(64) | 1, 0, self._traces and self._rng.random() < self.sampling)

    def outbox(self, node: Node) -> Outbox:
        outbox = self.outboxes.get(node.name)
        if outbox is None:
            first = node.simulation.now + self._rng.random() * self.profile.span_batch_s
            outbox = self.outboxes[node.name] = Outbox(node, fragments.resource_of(node, self.profile.dialect), first)
        return outbox

    def _record(self, node: Node, form: Form, span: Span, began: float, failure: Failure | None) -> None:
        if not span.sampled:
            return
        self.counts["spans"] += 1
        self.signs["unreached, recorded"] += failure is not None and failure.unreached
        end = node.simulation.now + node.clock_offset_s
        fragment, rest = form.fragment, ',"status":{}'
        if failure is not None:
            more, description = self.naming.failed(failure, form)
            fragment = joined(fragment, more)
            rest = (
                f',"status":{{"message":{logging.quoted(description)},"code":2}}'
                if description
                else ',"status":{"code":2}'
            )
            if self.profile.exception_events and failure.http_code is None:
                text = event("exception", nanoseconds(end), fragments.exception(failure))
                rest = f',"events":[{text}]{rest}'
        parent = f'"{span.parent_id:016x}"' if span.parent_id else '""'
        text = (
            f'{{"traceId":"{span.trace_id:032x}","spanId":"{span.span_id:016x}","parentSpanId":{parent},"flags":257,'
            f'"name":"{form.name}","kind":{form.kind},"startTimeUnixNano":{nanoseconds(began + node.clock_offset_s)},'
            f'"endTimeUnixNano":{nanoseconds(end)},"attributes":[{fragment}]{rest}}}'
        )
        spans = self.outbox(node).spans
        texts = spans.get(form.scope)
        if texts is None:
            spans[form.scope] = [text]
        else:
            texts.append(text)

    # -- facts ------------------------------------------------------------------------------------------

    def registered(self, orchestrator: Node, worker: Node, span: Span, began: float, failure: Failure | None) -> None:
        self._member("register", orchestrator, worker, span, began, failure)
        if failure is None:
            self._add(orchestrator, "orchestrator.worker.registrations", "{registration}")
            self._last_beat.pop((orchestrator.name, worker.name), None)

    def deregistered(self, orchestrator: Node, worker: Node, span: Span, began: float) -> None:
        self._member("deregister", orchestrator, worker, span, began, None)
        if not (span.sampled and self.native) and self._records_heartbeats:
            self.unannounced.append(orchestrator.simulation.now)
        self._last_beat.pop((orchestrator.name, worker.name), None)

    def _member(
        self, role: str, orchestrator: Node, worker: Node, span: Span, began: float, failure: Failure | None
    ) -> None:
        form = self.naming.membership(role, worker, CLIENT, orchestrator)
        if form is not None:
            self._record(worker, form, span, began, failure)
        if failure is not None and failure.unreached:
            return
        form = self.naming.membership(role, worker, SERVER, worker)
        if form is not None:
            self._record(orchestrator, form, self.span(orchestrator, span), began, failure)
        if not self._traces and self.native and self._logs:
            self._log(orchestrator, 9, f"worker {worker.name}: {role}", None)

    def heartbeat_sent(self, worker: Node, orchestrator: Node, began: float, failure: Failure | None) -> None:
        took_s = worker.simulation.now - began
        if failure is not None:
            self.signs["unreached"] += failure.unreached
            self._failed(worker, failure)
            if self._logs and self.native:
                self._log(worker, 13, f"heartbeat failed: {failure.type}", None)
        if self.native:
            self._observe(worker, "orchestrator.heartbeat.duration", took_s)
        elif failure is None:
            self._heartbeat_event(worker, None)
        if self.profile.heartbeat_spans or ((failure is not None or took_s > _SLOW_HEARTBEAT_S) and self.native):
            form = self.naming.membership("heartbeat", worker, CLIENT, orchestrator)
            if form is not None:
                self._record(worker, form, self.span(worker, None), began, failure)

    def heartbeat_received(self, orchestrator: Node, worker: Node) -> None:
        key = (orchestrator.name, worker.name)
        now = orchestrator.simulation.now
        last = self._last_beat.get(key)
        self._last_beat[key] = now
        if last is not None:
            if self.native:
                fragment = fragments.worker(worker.name)
                self._observe(orchestrator, "orchestrator.heartbeat.interval", now - last, fragment)
            self.signs[f"gap over {_bucket(now - last)}"] += 1
        if self.native:
            self._heartbeat_event(orchestrator, worker.name)

    def _heartbeat_event(self, node: Node, worker: str | None) -> None:
        if self.profile.heartbeat_events and self._logs:
            self.counts["logs"] += 1
            scope = logging.LOGGER if worker is None else OURS
            text = logging.heartbeat(node.simulation.now + node.clock_offset_s, worker)
            self.outbox(node).logs.setdefault(scope, []).append(text)

    def heartbeat_handled(self, orchestrator: Node, worker: Node, began: float, failure: Failure | None) -> None:
        took_s = orchestrator.simulation.now - began
        if self.native:
            self._observe(orchestrator, "orchestrator.heartbeat.duration", took_s)
        if failure is not None:
            self._failed(orchestrator, failure)
        if self.profile.heartbeat_spans or ((failure is not None or took_s > _SLOW_HEARTBEAT_S) and self.native):
            form = self.naming.membership("heartbeat", worker, SERVER, worker)
            if form is not None:
                self._record(orchestrator, form, self.span(orchestrator, None), began, failure)

    def assigned(
        self, orchestrator: Node, worker: Node, task: Task, span: Span, began: float, failure: Failure | None
    ) -> None:
        self._record(orchestrator, self.naming.assign(orchestrator, worker, task), span, began, failure)
        self._operation(orchestrator, "assign", began, failure)
        if failure is None:
            fragment = attribute("orchestrator.assignment.reason", task.reason)
            self._add(orchestrator, "orchestrator.task.assignments", "{assignment}", fragment)
        else:
            self.signs["unreached"] += failure.unreached
            if self._logs:
                self._log(orchestrator, 17, f"cannot give a task to {worker.name}", failure, span)

    def rebalanced(self, orchestrator: Node, span: Span, began: float, moved: int) -> None:
        form = self.naming.rebalance()
        if form is not None:
            self._record(orchestrator, form, span, began, None)
            self._observe(orchestrator, "orchestrator.rebalance.duration", orchestrator.simulation.now - began)
            self._add(orchestrator, "orchestrator.rebalance.moved", "{task}", amount=float(moved))

    def lost(self, orchestrator: Node, worker: Node, span: Span, began: float, reason: str) -> None:
        form = self.naming.lost(worker, reason)
        if form is not None:
            self._record(orchestrator, form, span, began, None)
            self.signs["lost, recorded"] += span.sampled
            fragment = attribute("orchestrator.failure.reason", reason)
            self._add(orchestrator, "orchestrator.worker.failures", "{failure}", fragment)
        self._last_beat.pop((orchestrator.name, worker.name), None)

    def processed(
        self, worker: Node, task: Task, span: Span, began: float, waited_s: float, failure: Failure | None
    ) -> None:
        self._record(worker, self.naming.process(worker, task), span, began, failure)
        self.signs["processed, recorded"] += span.sampled
        took_s = self._operation(worker, "process", began, failure)
        if self.native:
            error = failure.type if failure is not None else None
            fragment = fragments.task(task.kind.name, error)
            self._observe(worker, "orchestrator.task.process.duration", took_s, fragment)
            self._observe(worker, "orchestrator.task.queue.duration", waited_s, fragments.task(task.kind.name, None))
        if failure is not None:
            self.signs[f"failed at {worker.name}"] += span.sampled or self._logs or self.counts_work
            if self._logs and not self._traces:
                self._log(worker, 17, f"{task.kind.name} {task.id} failed", failure, span)

    def database(
        self,
        client: Node,
        database: Database,
        statement: Statement,
        span: Span,
        began: float,
        failure: Failure | None,
        lock_wait_s: float,
    ) -> None:
        self._record(client, self.naming.database(database, statement), span, began, failure)
        if (failure is not None and failure.locked) or lock_wait_s > _LONG_LOCK_WAIT_S:
            self.signs["locked"] += 1
            self.signs[f"locked at {client.name}"] += 1
            self.signs["locked, recorded"] += span.sampled or failure is not None
        if not self.native and self._metrics:
            code = failure.database_code if failure is not None else None
            fragment = fragments.database(database.system, statement.verb, failure.type if failure else None, code)
            self._observe(client, "db.client.operation.duration", client.simulation.now - began, fragment)
        if failure is not None:
            self._failed(client, failure, count=False)
            if self._logs and not self._traces:
                self._log(client, 17, f"{statement.verb} {statement.table} failed", failure, span)

    def called(
        self, caller: Node, service: str, target: Node, path: str, span: Span, began: float, failure: Failure | None
    ) -> None:
        self._record(caller, self.naming.call(service, target, path), span, began, failure)
        if failure is not None:
            self.signs["unreached"] += failure.unreached

    def served(self, server: Node, path: str, span: Span, began: float, failure: Failure | None) -> None:
        self._record(server, self.naming.serve(path), span, began, failure)
        if self._metrics:
            code = 200 if failure is None else failure.http_code or 500
            self._observe(
                server, "http.server.request.duration", server.simulation.now - began, fragments.server(path, code)
            )
        if failure is not None:
            self.signs[f"failed at {server.name}"] += span.sampled or self._metrics

    def logged(self, node: Node, severity: int, text: str, failure: Failure | None = None) -> None:
        if self._logs:
            self._log(node, severity, text, failure)

    def said_goodbye(self, node: Node) -> None:
        outbox = self.outboxes.get(node.name)
        if outbox is not None:
            self.collector.take(outbox, node.simulation.now)

    # -- what facts have in common ----------------------------------------------------------------------

    def _operation(self, node: Node, name: str, began: float, failure: Failure | None) -> float:
        took_s = node.simulation.now - began
        if self.native:
            fragment = fragments.operation(name, failure.type if failure is not None else None)
            self._observe(node, "orchestrator.operation.duration", took_s, fragment)
        if failure is not None:
            self._failed(node, failure)
        return took_s

    def _failed(self, node: Node, failure: Failure, *, count: bool = True) -> None:
        self.signs["locked errors"] += failure.locked
        category = category_of(failure) if self.native and count else None
        if category is not None:
            self._add(node, "orchestrator.errors", "{error}", attribute("otel_monitor.error.category", category))

    def _log(self, node: Node, severity: int, text: str, failure: Failure | None, span: Span | None = None) -> None:
        self.counts["logs"] += 1
        line = logging.record(node.simulation.now + node.clock_offset_s, severity, text, failure, span)
        self.outbox(node).logs.setdefault(logging.LOGGER, []).append(line)

    def aggregates(self, node: Node) -> Aggregates:
        """The metrics of a node's present process."""
        known = self._aggregates.get(node.name)
        if known is None or known[0] != node.generation:
            began = node.started_at + node.clock_offset_s
            known = (node.generation, Aggregates(began, cumulative=self.profile.cumulative))
            self._aggregates[node.name] = known
        return known[1]

    def _observe(self, node: Node, name: str, value: float, fragment: str = "") -> None:
        if self._metrics:
            self.aggregates(node).record(name, value, fragment)

    def _add(self, node: Node, name: str, unit: str, fragment: str = "", amount: float = 1.0) -> None:
        if self._metrics and self.native:
            self.aggregates(node).add(name, amount, fragment, unit)

    # -- export -----------------------------------------------------------------------------------------

    def export(self, now: float, measure: Callable[[float], None]) -> Iterator[str]:
        """What the Collector writes now, after the processes have sent what is due."""
        for outbox in self.outboxes.values():
            node = outbox.node
            if not node.alive or outbox.generation != node.generation:
                outbox.clear()  # it has died with its process
                outbox.generation = node.generation
            elif now >= outbox.next_export and node.frozen_until <= now:
                outbox.next_export = now + self.profile.span_batch_s - 0.5
                self.collector.take(outbox, now)
        if self._metrics:
            measure(now)
        yield from self.collector.lines(now)


def _bucket(gap_s: float) -> str:
    for bound in (0.5, 1, 2, 5, 10, 20, 40, 80):
        if gap_s < bound:
            return f"{bound / 2:g}"
    return "80"
