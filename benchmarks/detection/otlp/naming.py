"""What spans are called and which attributes they carry, by dialect."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple, Protocol

from benchmarks.detection.otlp.profile import Dialect, Profile
from benchmarks.detection.otlp.text import attribute, attributes, joined
from benchmarks.detection.simulator.database import Database, Statement
from benchmarks.detection.simulator.failure import Failure
from benchmarks.detection.simulator.node import Node
from benchmarks.detection.simulator.task import Task
from otel_monitor_processors.classification import classify_attributes

INTERNAL, SERVER, CLIENT, PRODUCER, CONSUMER = 1, 2, 3, 4, 5

OURS = ("otel_monitor.instrumentation", "0.1.0")


class Form(NamedTuple):
    """How a span looks that has not failed."""

    name: str
    kind: int
    fragment: str
    scope: tuple[str, str]


class Naming(Protocol):
    """Names everything that a program's instrumentation makes a span of; None: it makes none."""

    def process(self, worker: Node, task: Task) -> Form:
        """A task being run."""

    def assign(self, orchestrator: Node, worker: Node, task: Task) -> Form:
        """A task being given to a worker."""

    def membership(self, role: str, worker: Node, kind: int, peer: Node) -> Form | None:
        """A worker that registers, deregisters or says that it is there; seen by the one whose peer is given."""

    def lost(self, worker: Node, reason: str) -> Form | None:
        """A worker given up."""

    def rebalance(self) -> Form | None:
        """Streams shared out anew."""

    def database(self, database: Database, statement: Statement) -> Form:
        """A statement."""

    def call(self, service: str, target: Node, path: str) -> Form:
        """A call of another service."""

    def serve(self, path: str) -> Form:
        """The same on the other side."""

    def failed(self, failure: Failure, form: Form) -> tuple[str, str]:
        """What a failure adds: attributes, and the description of the status."""


class Libraries:
    """What the instrumentations of libraries record: databases, HTTP."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.old = profile.dialect is Dialect.OLDER
        self._databases: dict[Statement, Form] = {}
        self._calls: dict[tuple[str, str], Form] = {}
        self._served: dict[str, Form] = {}

    def database(self, database: Database, statement: Statement) -> Form:
        form = self._databases.get(statement)
        if form is None:
            form = self._databases[statement] = self._statement(database, statement)
        return form

    def _statement(self, database: Database, statement: Statement) -> Form:
        text = f"{statement.verb} {statement.table}"
        if self.old:
            fragment = attributes(
                ("db.system", database.system),
                ("db.name", "main"),
                ("db.statement", f"{text} ..."),
                ("net.peer.name", database.node.name if database.system != "sqlite" else None),
            )
            return Form(statement.verb, CLIENT, fragment, ("opentelemetry.instrumentation.dbapi", "0.30b1"))
        fragment = attributes(
            ("db.system.name", database.system),
            ("db.namespace", "main"),
            ("db.operation.name", statement.verb),
            ("db.collection.name", statement.table),
            ("server.address", database.node.name if database.system != "sqlite" else None),
        )
        return Form(text, CLIENT, fragment, ("opentelemetry.instrumentation.dbapi", "0.66b0"))

    def call(self, service: str, target: Node, path: str) -> Form:
        key = (service, path)
        form = self._calls.get(key)
        if form is None:
            if self.old:
                fragment = attributes(
                    ("http.method", "GET"), ("net.peer.name", service), ("http.url", f"http://{service}{path}")
                )
                form = Form("HTTP GET", CLIENT, fragment, ("opentelemetry.instrumentation.requests", "0.30b1"))
            else:
                fragment = attributes(
                    ("http.request.method", "GET"),
                    ("server.address", service),
                    ("peer.service", service) if len(service) % 2 else ("server.port", 8080),
                    ("url.full", f"http://{service}:8080{path}"),
                )
                form = Form("GET", CLIENT, fragment, ("opentelemetry.instrumentation.httpx", "0.66b0"))
            self._calls[key] = form
        return form

    def serve(self, path: str) -> Form:
        form = self._served.get(path)
        if form is None:
            fragment = (
                attributes(("http.method", "GET"), ("http.target", path), ("http.route", path))
                if self.old
                else attributes(("http.request.method", "GET"), ("url.path", path), ("http.route", path))
            )
            form = self._served[path] = Form(
                f"GET {path}", SERVER, fragment, ("opentelemetry.instrumentation.asgi", "0.66b0")
            )
        return form

    def failed(self, failure: Failure, form: Form) -> tuple[str, str]:
        return _failed(failure, form.kind, self.old, form.scope == OURS)


class Roles(Libraries):
    """The roles of orchestrators and workers, besides."""

    def process(self, worker: Node, task: Task) -> Form:
        return Form(
            f"process {task.kind.name}",
            CONSUMER,
            joined(
                _role("process", worker.name, task.kind.name),
                _task_id(task),
                attribute("orchestrator.task.attempt", task.attempt),
            ),
            OURS,
        )

    def assign(self, orchestrator: Node, worker: Node, task: Task) -> Form:
        return Form(
            f"assign {task.kind.name}",
            PRODUCER,
            joined(
                _role("assign", worker.name, task.kind.name),
                _task_id(task),
                attribute("orchestrator.assignment.reason", task.reason),
                attribute("orchestrator.task.attempt", task.attempt),
            ),
            OURS,
        )

    def membership(self, role: str, worker: Node, kind: int, peer: Node) -> Form | None:
        return Form(f"{role} worker", kind, _role(role, worker.name, None), OURS)

    def lost(self, worker: Node, reason: str) -> Form | None:
        fragment = joined(_role("handle_failure", worker.name, None), attribute("orchestrator.failure.reason", reason))
        return Form("handle_failure worker", INTERNAL, fragment, OURS)

    def rebalance(self) -> Form | None:
        return Form("rebalance streams", INTERNAL, attribute("orchestrator.operation.name", "rebalance"), OURS)


class Foreign(Libraries):
    """Programs that know nothing of orchestrators: what their HTTP and messaging libraries record."""

    _HTTP_SERVER = ("io.opentelemetry.tomcat-10.0", "2.20.1-alpha")
    _HTTP_CLIENT = ("io.opentelemetry.java-http-client", "2.20.1-alpha")
    _BROKER = ("io.opentelemetry.rabbitmq-2.7", "2.20.1-alpha")

    def process(self, worker: Node, task: Task) -> Form:
        if self.profile.messaging:
            return Form(f"process {task.kind.name}", CONSUMER, _queue(task.kind.name, "process"), self._BROKER)
        path = f"/tasks/{task.kind.name}"
        return Form(f"POST {path}", SERVER, _route("POST", path), self._HTTP_SERVER)

    def assign(self, orchestrator: Node, worker: Node, task: Task) -> Form:
        if self.profile.messaging:
            fragment = joined(_queue(task.kind.name, "send"), attribute("peer.service", worker.name))
            return Form(f"publish {task.kind.name}", PRODUCER, fragment, self._BROKER)
        return Form("POST", CLIENT, _to("POST", worker.name, f"/tasks/{task.kind.name}"), self._HTTP_CLIENT)

    def membership(self, role: str, worker: Node, kind: int, peer: Node) -> Form | None:
        path = f"/{role}"
        if kind == CLIENT:
            return Form("POST", CLIENT, _to("POST", peer.service, path), self._HTTP_CLIENT)
        return Form(f"POST {path}", SERVER, _route("POST", path), self._HTTP_SERVER)

    def lost(self, worker: Node, reason: str) -> Form | None:
        return None

    def rebalance(self) -> Form | None:
        return None


def naming_of(profile: Profile) -> Naming:
    return Foreign(profile) if profile.dialect is Dialect.FOREIGN else Roles(profile)


@lru_cache(maxsize=10_000)
def _role(role: str, worker: str, task: str | None) -> str:
    return attributes(
        ("orchestrator.operation.name", role), ("orchestrator.worker.id", worker), ("orchestrator.task.name", task)
    )


def _task_id(task: Task) -> str:
    if task.stream is not None:
        return attribute("orchestrator.stream.id", task.stream)
    return f'{{"key":"orchestrator.task.id","value":{{"stringValue":"{task.id}"}}}}'


@lru_cache(maxsize=1_000)
def _queue(name: str, operation: str) -> str:
    return attributes(
        ("messaging.system", "rabbitmq"),
        ("messaging.destination.name", name),
        ("messaging.operation.type", operation),
        ("messaging.operation.name", operation),
    )


@lru_cache(maxsize=1_000)
def _route(method: str, path: str) -> str:
    return attributes(("http.request.method", method), ("url.path", path), ("http.route", path))


@lru_cache(maxsize=10_000)
def _to(method: str, host: str, path: str) -> str:
    return attributes(
        ("http.request.method", method), ("server.address", host), ("server.port", 8080), ("url.path", path)
    )


@lru_cache(maxsize=2_000)
def _failed(failure: Failure, kind: int, old: bool, ours: bool) -> tuple[str, str]:
    description = f"{failure.type.rpartition('.')[2]}: {failure.message}"
    if failure.http_code is not None:
        code = "http.status_code" if old else "http.response.status_code"
        fragment = attributes((code, failure.http_code), ("error.type", None if old else str(failure.http_code)))
        return fragment, ""
    fragment = attributes(
        ("error.type", None if old and not ours else failure.type),
        ("db.response.status_code", failure.database_code if kind == CLIENT and not old else None),
        ("otel_monitor.error.category", category_of(failure) if ours else None),
    )
    return fragment, description


@lru_cache(maxsize=500)
def category_of(failure: Failure) -> str | None:
    """As our own instrumentation would say on the spot."""
    found = classify_attributes({"error.type": failure.type, "exception.message": failure.message})
    return str(found) if found is not None else None
