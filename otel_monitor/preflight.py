"""The exporters, the protocol and the sampler that the environment names, looked at before the SDK is.

The SDK gives up all telemetry for one wrong name. What is wrong here is said in a line each, and replaced for as
long as the SDK reads the environment, so that the rest works.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from importlib.metadata import EntryPoint
from typing import NamedTuple

from opentelemetry.util._importlib_metadata import entry_points  # reads the installed packages once for all of us

from otel_monitor.export_notice import Signal
from otel_monitor.user_line import told
from otel_monitor_processors.guard import guard

CONFIG_FILE = "OTEL_CONFIG_FILE"

_KINDS = {
    Signal.TRACES: ("opentelemetry.sdk.trace.export", ("SpanExporter",)),
    Signal.METRICS: ("opentelemetry.sdk.metrics.export", ("MetricExporter", "MetricReader")),
    Signal.LOGS: ("opentelemetry.sdk._logs.export", ("LogRecordExporter",)),
}
_PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"
_PROTOCOLS = {"grpc": "otlp_proto_grpc", "http/protobuf": "otlp_proto_http"}
_DEFAULT_PROTOCOL = "http/protobuf"
_COMPRESSIONS = {"grpc": ("gzip",), "http/protobuf": ("gzip", "deflate")}
_SUFFIXES = ("", "_TRACES", "_METRICS", "_LOGS")
_RATIO_SAMPLERS = ("traceidratio", "parentbased_traceidratio")
_NAMED = {
    "OTEL_TRACES_SAMPLER": "opentelemetry_traces_sampler",
    "OTEL_PYTHON_ID_GENERATOR": "opentelemetry_id_generator",
}
_POSITIVE_WHOLE = tuple(
    f"OTEL_{processor}_{name}"
    for processor in ("BSP", "BLRP")
    for name in ("SCHEDULE_DELAY", "MAX_QUEUE_SIZE", "MAX_EXPORT_BATCH_SIZE", "EXPORT_TIMEOUT")
)
_LIMITS = tuple(
    f"OTEL_{owner}{limit}"
    for owner, limits in {
        "": ("ATTRIBUTE_COUNT_LIMIT", "ATTRIBUTE_VALUE_LENGTH_LIMIT"),
        "SPAN_": ("ATTRIBUTE_COUNT_LIMIT", "ATTRIBUTE_VALUE_LENGTH_LIMIT", "EVENT_COUNT_LIMIT", "LINK_COUNT_LIMIT"),
        "EVENT_": ("ATTRIBUTE_COUNT_LIMIT",),
        "LINK_": ("ATTRIBUTE_COUNT_LIMIT",),
        "LOGRECORD_": ("ATTRIBUTE_COUNT_LIMIT", "ATTRIBUTE_VALUE_LENGTH_LIMIT"),
    }.items()
    for limit in limits
)
_QUEUE_SIZE, _BATCH_SIZE = 2048, 512  # the SDK's defaults
_POSITIVE = (
    "OTEL_METRIC_EXPORT_INTERVAL",
    "OTEL_METRIC_EXPORT_TIMEOUT",
    *(f"OTEL_EXPORTER_OTLP{suffix}_TIMEOUT" for suffix in _SUFFIXES),
)
_EXEMPLAR_FILTERS = ("trace_based", "always_on", "always_off")
_PACKAGES = {"prometheus": "opentelemetry-exporter-prometheus", "zipkin": "opentelemetry-exporter-zipkin"}

Replacement = str | None
"""What a variable is replaced by; None: it is unset."""


class Finding(NamedTuple):
    """A variable that cannot stay as it is, what replaces it, and what is wrong (nothing, when only the SDK minds)."""

    variable: str
    replacement: Replacement
    problem: str = ""


@guard("preflight.examine", default=())
def examine(environ: MutableMapping[str, str]) -> Sequence[Finding]:
    """Everything in the environment that would cost more telemetry than it should."""
    if environ.get(CONFIG_FILE):
        return list(_limits(environ))  # the file has the say in everything else
    findings = [
        *_limits(environ),
        *_protocols(environ),
        *_compressions(environ),
        *_names(environ),
        *_ratio(environ),
        *_numbers(environ),
        *_queues(environ),
        *_exemplars(environ),
    ]
    with replaced(environ, findings):  # importing an exporter imports the SDK, which reads some variables then
        for signal in Signal:
            findings += _exporters(signal, environ)
    return findings


@contextmanager
def replaced(environ: MutableMapping[str, str], findings: Iterable[Finding]) -> Iterator[None]:
    """The environment with every replacement in place, and as it was afterwards."""
    before: dict[str, str | None] = {}
    try:
        for finding in findings:
            before.setdefault(finding.variable, environ.get(finding.variable))
            _put(environ, finding.variable, finding.replacement)
        yield
    finally:
        for variable, value in before.items():
            _put(environ, variable, value)


def _put(environ: MutableMapping[str, str], variable: str, value: str | None) -> None:
    if value is None:
        environ.pop(variable, None)
    else:
        environ[variable] = value


def _protocols(environ: Mapping[str, str]) -> Iterator[Finding]:
    for suffix in _SUFFIXES:
        variable = f"OTEL_EXPORTER_OTLP{suffix}_PROTOCOL"
        value = environ.get(variable, "").strip()
        if value and value not in _PROTOCOLS:
            replacement = None if suffix else _DEFAULT_PROTOCOL
            instead = f"{_protocol(suffix, environ)} is used instead"
            yield Finding(variable, replacement, f"{variable}={value} is not one of {_listed(_PROTOCOLS)}: {instead}")


def _protocol(suffix: str, environ: Mapping[str, str]) -> str:
    """The protocol that holds in the end for a signal."""
    for variable in (f"OTEL_EXPORTER_OTLP{suffix}_PROTOCOL", _PROTOCOL):
        value = environ.get(variable, "").strip()
        if value in _PROTOCOLS:
            return value
    return _DEFAULT_PROTOCOL


def _compressions(environ: Mapping[str, str]) -> Iterator[Finding]:
    for suffix in _SUFFIXES:
        variable = f"OTEL_EXPORTER_OTLP{suffix}_COMPRESSION"
        value = environ.get(variable, "").strip().lower()
        choices = _COMPRESSIONS[_protocol(suffix, environ)]
        if value == "none":
            yield Finding(variable, None)  # the gRPC exporters do not know the word
        elif value and value not in choices:
            yield Finding(
                variable, None, f"{variable}={value} is not one of none, {_listed(choices)}: nothing is compressed"
            )


def _names(environ: Mapping[str, str]) -> Iterator[Finding]:
    for variable, group in _NAMED.items():
        value = environ.get(variable, "").strip()
        names = sorted(entry_points(group=group).names)
        if value and value not in names and value.lower() in names:
            yield Finding(variable, value.lower())
        elif value and value not in names:
            problem = f"{variable}={value} is not one of {_listed(names)}{_nearest(value, names)}: the default is used"
            yield Finding(variable, None, problem)


def _ratio(environ: Mapping[str, str]) -> Iterator[Finding]:
    variable = "OTEL_TRACES_SAMPLER_ARG"
    value = environ.get(variable, "").strip()
    if value and environ.get("OTEL_TRACES_SAMPLER", "").strip() in _RATIO_SAMPLERS:
        ratio = _number(value)
        if ratio is None or not 0 <= ratio <= 1:
            yield Finding(variable, "1.0", f"{variable}={value} is not a number from 0 to 1: 1.0 is used, every trace")


def _limits(environ: Mapping[str, str]) -> Iterator[Finding]:
    for variable in _LIMITS:
        value = environ.get(variable, "unset").strip()
        if value.lower() != "unset" and not value.isdecimal():
            problem = f"{variable}={value} is not a whole number: the default is used"
            yield Finding(variable, None, problem if value else "")


def _numbers(environ: Mapping[str, str]) -> Iterator[Finding]:
    for variable in _POSITIVE_WHOLE:
        value = environ.get(variable, "").strip()
        if value and not _whole(value):
            yield Finding(variable, None, f"{variable}={value} is not a whole number above 0: the default is used")
    for variable in _POSITIVE:
        value = environ.get(variable, "").strip()
        if value and not (_number(value) or 0) > 0:
            yield Finding(variable, None, f"{variable}={value} is not a number above 0: the default is used")


def _queues(environ: Mapping[str, str]) -> Iterator[Finding]:
    """The SDK refuses a queue that is smaller than a batch."""
    for processor in ("BSP", "BLRP"):
        queue, batch = f"OTEL_{processor}_MAX_QUEUE_SIZE", f"OTEL_{processor}_MAX_EXPORT_BATCH_SIZE"
        room = _whole(environ.get(queue, "")) or _QUEUE_SIZE
        size = _whole(environ.get(batch, "")) or _BATCH_SIZE
        if size > room:
            yield Finding(
                batch, str(room), f"{batch} is {size}, more than {queue} ({room}): batches of {room} are used"
            )


def _exemplars(environ: Mapping[str, str]) -> Iterator[Finding]:
    variable = "OTEL_METRICS_EXEMPLAR_FILTER"
    value = environ.get(variable, "")
    if value and value not in _EXEMPLAR_FILTERS:
        yield Finding(
            variable, None, f"{variable}={value} is not one of {_listed(_EXEMPLAR_FILTERS)}: trace_based is used"
        )


def _exporters(signal: Signal, environ: Mapping[str, str]) -> Iterator[Finding]:
    variable = f"OTEL_{signal.upper()}_EXPORTER"
    names = [name.strip() for name in environ.get(variable, "").split(",") if name.strip()]
    good: list[str] = []
    for name in names:
        if name.lower() == "none":
            continue
        problem = _problem(signal, variable, name, _protocol(f"_{signal.upper()}", environ))
        if problem is None:
            good.append(name)
        else:
            yield Finding(variable, None, problem)
    if good != names:
        yield Finding(variable, ",".join(good) or "none")


def _problem(signal: Signal, variable: str, name: str, protocol: str) -> str | None:
    """What is wrong with the exporter `name`, if anything."""
    group = f"opentelemetry_{signal}_exporter"
    found = entry_points(group=group)
    points = list(found.select(name=_PROTOCOLS[protocol] if name == "otlp" else name))
    if not points:
        names = sorted(found.names)
        install = f", or pip install {_package(name, protocol)}" if name == "otlp" or name in _PACKAGES else ""
        choices = f"use one of {_listed(names)}, none{install}"
        return f"{variable}: there is no exporter '{name}'{_nearest(name, names)}; {choices}: {signal} do not go there"
    try:
        exporter = points[0].load()
    except Exception as error:  # noqa: BLE001 - importing somebody's package may raise anything
        remedy = f"pip install {_distribution(points[0])}: {signal} do not go there"
        return f"{variable}: the exporter '{name}' cannot be imported ({told(error)}); {remedy}"
    if not (isinstance(exporter, type) and issubclass(exporter, _kinds(signal))):
        choices = f"use one of {_listed(sorted(found.names))}, none"
        return f"{variable}: '{name}' is no exporter of {signal}; {choices}: {signal} do not go there"
    return None


def _kinds(signal: Signal) -> tuple[type, ...]:
    """What an exporter of a signal must be. Not imported at the top: see `OtelMonitorConfigurator.configure`."""
    module, names = _KINDS[signal]
    return tuple(getattr(importlib.import_module(module), name) for name in names)


def _package(name: str, protocol: str) -> str:
    return _PACKAGES.get(name, f"opentelemetry-exporter-otlp-proto-{protocol.partition('/')[0]}")


def _distribution(point: EntryPoint) -> str:
    return f"--force-reinstall {point.dist.name}" if point.dist is not None else "its package again"


def _number(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None


def _whole(value: str) -> int:
    """A whole number above 0 as the SDK reads it, 0 for anything else."""
    try:
        return max(0, int(value))
    except ValueError:
        return 0


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def _nearest(word: str, names: Iterable[str]) -> str:
    matches = difflib.get_close_matches(word, list(names), n=1)
    return f" (did you mean '{matches[0]}'?)" if matches else ""
