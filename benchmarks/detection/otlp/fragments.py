"""Attribute sets that recur, as text."""

from __future__ import annotations

from functools import lru_cache

from benchmarks.detection.otlp.profile import Dialect
from benchmarks.detection.otlp.text import attributes
from benchmarks.detection.simulator.failure import Failure
from benchmarks.detection.simulator.node import Node


def resource_of(node: Node, dialect: Dialect) -> str:
    """How a process describes itself. Its source is always the node's name."""
    if dialect is Dialect.FOREIGN:
        return attributes(
            ("service.name", node.service),
            ("k8s.pod.name", node.name),
            ("k8s.namespace.name", "prod"),
            ("telemetry.sdk.language", "java"),
        )
    if dialect is Dialect.OLDER:
        return attributes(
            ("service.name", node.service),
            ("host.name", node.name),
            ("telemetry.sdk.language", "python"),
            ("telemetry.sdk.version", "1.9.0"),
        )
    return attributes(
        ("service.name", node.service),
        ("service.instance.id", node.name),
        ("host.name", f"{node.zone}-{len(node.name)}"),
        ("cloud.availability_zone", node.zone),
        ("telemetry.sdk.language", "python"),
        ("telemetry.sdk.version", "1.45.2"),
    )


@lru_cache(maxsize=2_000)
def exception(failure: Failure) -> str:
    return attributes(("exception.type", failure.type), ("exception.message", failure.message))


@lru_cache(maxsize=2_000)
def operation(name: str, error: str | None) -> str:
    return attributes(("orchestrator.operation.name", name), ("error.type", error))


@lru_cache(maxsize=2_000)
def task(name: str, error: str | None) -> str:
    return attributes(("orchestrator.task.name", name), ("error.type", error))


@lru_cache(maxsize=2_000)
def server(path: str, code: int) -> str:
    return attributes(
        ("http.request.method", "GET"),
        ("http.route", path),
        ("http.response.status_code", code),
        ("error.type", str(code) if code >= 500 else None),
    )


@lru_cache(maxsize=2_000)
def database(system: str, verb: str, error: str | None, code: str | None) -> str:
    return attributes(
        ("db.system.name", system),
        ("db.operation.name", verb),
        ("error.type", error),
        ("db.response.status_code", code),
    )


@lru_cache(maxsize=10_000)
def worker(name: str) -> str:
    return attributes(("orchestrator.worker.id", name))
