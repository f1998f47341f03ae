"""What of ours hangs on the providers of this process, whoever has made them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from opentelemetry import metrics, trace
from opentelemetry._logs import get_logger_provider
from opentelemetry.sdk._logs import ReadWriteLogRecord
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter
from opentelemetry.sdk.metrics.export import MetricExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

from otel_monitor import provider_internals
from otel_monitor.exporters import Exports
from otel_monitor_processors.guard import guard
from otel_monitor_processors.otel.driver import Driver
from otel_monitor_processors.otel.log import MonitorLogRecordProcessor
from otel_monitor_processors.otel.metric import MonitorMetricReader
from otel_monitor_processors.otel.span import FlaggingSpanProcessor, MonitorSpanProcessor

_TRACER, _METER, _LOGGER = "TracerProvider", "MeterProvider", "LoggerProvider"
_LOST = {_TRACER: "spans", _METER: "metrics", _LOGGER: "alerts"}


class Gate:
    """Whether processors, which no provider gives back, do anything at present."""

    open = False


class GatedSpanProcessor(MonitorSpanProcessor):
    """Observes spans while its gate is open."""

    def __init__(self, driver: Driver, gate: Gate, *, console: bool) -> None:
        super().__init__(driver, console=console)
        self._gate = gate

    def on_end(self, span: ReadableSpan) -> None:
        if self._gate.open:
            super().on_end(span)


class GatedLogRecordProcessor(MonitorLogRecordProcessor):
    """Observes log records while its gate is open."""

    def __init__(self, driver: Driver, gate: Gate, *, console: bool) -> None:
        super().__init__(driver, console=console)
        self._gate = gate

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        if self._gate.open:
            super().on_emit(log_record)


class Attachment:
    """Our processors and reader, and the providers they are attached to."""

    def __init__(self, driver: Driver, exports: Exports, *, console: bool, foreign_metrics: bool) -> None:
        self.gate = Gate()
        self._driver = driver
        self._exports = exports
        self._span_processor = GatedSpanProcessor(driver, self.gate, console=console)
        self._log_processor = GatedLogRecordProcessor(driver, self.gate, console=console)
        self._console = console
        self._foreign_metrics = foreign_metrics
        self._attached: list[Any] = []
        self._reader: MonitorMetricReader | None = None

    # -- a pipeline that we set up ----------------------------------------------------------------------

    def pipeline(self, given: dict[str, Any]) -> dict[str, Any]:
        """Arguments for the SDK's configurator: ours first, then what the caller has `given`."""
        return {
            "export_span_processor": self._exporting_spans,
            "export_log_record_processor": self._exporting_logs,
            **given,
            "span_processors": [self._span_processor, *(given.get("span_processors") or ())],
            "log_record_processors": [self._log_processor, *(given.get("log_record_processors") or ())],
        }

    def _exporting_spans(self, exporter: SpanExporter, *args: Any, **kwargs: Any) -> FlaggingSpanProcessor:
        wrapped = self._exports.spans(exporter)
        processor = BatchSpanProcessor(wrapped, *args, **kwargs)
        wrapped.delivery.queue = provider_internals.watch_queue(processor, wrapped.delivery.overflowed)
        return FlaggingSpanProcessor(processor, self._driver)

    def _exporting_logs(self, exporter: LogRecordExporter, *args: Any, **kwargs: Any) -> BatchLogRecordProcessor:
        wrapped = self._exports.logs(exporter)
        processor = BatchLogRecordProcessor(wrapped, *args, **kwargs)
        wrapped.delivery.queue = provider_internals.watch_queue(processor, wrapped.delivery.overflowed)
        return processor

    @guard("startup.adopt")
    def adopt_exporters(self) -> None:
        """Wrap the exporters of providers that we have had made, where the SDK gave us no say in making them."""
        for processor in provider_internals.span_processors(trace.get_tracer_provider()):
            self._adopt(processor, SpanExporter, self._exports.spans)
        for processor in provider_internals.log_record_processors(get_logger_provider()):
            self._adopt(processor, LogRecordExporter, self._exports.logs)
        for reader in provider_internals.metric_readers(metrics.get_meter_provider()):
            self._adopt(reader, MetricExporter, self._exports.metrics)

    @staticmethod
    def _adopt(holder: object, kind: type[Any], wrap: Callable[[Any], Any]) -> None:
        wrapped = provider_internals.wrap_exporter(holder, kind, wrap)
        if wrapped is not None:
            wrapped.delivery.queue = provider_internals.watch_queue(holder, wrapped.delivery.overflowed)

    # -- providers as they are --------------------------------------------------------------------------

    def attach(self) -> Shortcomings:
        """Hang on to the global providers, where that has not been done; what is less than complete with them."""
        missing: list[str] = []
        tracers, meters, loggers = trace.get_tracer_provider(), metrics.get_meter_provider(), get_logger_provider()
        late = self._attach(tracers, "add_span_processor", self._span_processor, _TRACER, missing)
        if not hasattr(meters, "force_flush"):  # which the API knows nothing of
            missing.append(_METER)
        elif self._foreign_metrics and self._reader is None and hasattr(meters, "add_metric_reader"):
            self._reader = MonitorMetricReader(self._driver, console=self._console)
            meters.add_metric_reader(self._reader)
        self._attach(loggers, "add_log_record_processor", self._log_processor, _LOGGER, missing)
        return Shortcomings(tuple(missing), late)

    def _attach(self, provider: Any, method: str, processor: Any, name: str, missing: list[str]) -> bool:
        """Whether other processors come before ours, which was not attached before."""
        add = getattr(provider, method, None)
        if add is None:
            missing.append(name)
            return False
        before = (*provider_internals.span_processors(provider), *provider_internals.log_record_processors(provider))
        if processor in before or any(known is provider for known in self._attached):
            return False
        self._attached.append(provider)
        add(processor)
        return bool(before)

    @guard("startup.read_metrics")
    def read_metrics(self) -> None:
        """Judge foreign metrics as they are now."""
        if self._reader is not None:
            self._reader.collect()

    def detach(self) -> None:
        """Observe nothing more."""
        self.gate.open = False
        reader, self._reader = self._reader, None
        meters = metrics.get_meter_provider()
        if reader is not None and hasattr(meters, "remove_metric_reader"):
            meters.remove_metric_reader(reader)

    @staticmethod
    def providers() -> list[Any]:
        """The global providers."""
        return [trace.get_tracer_provider(), get_logger_provider(), metrics.get_meter_provider()]


class Shortcomings(NamedTuple):
    """What is less than complete: providers that are none of an SDK, and exporters that come before us."""

    missing: tuple[str, ...] = ()
    late: bool = False

    def without(self, known: Shortcomings) -> Shortcomings:
        """What is new."""
        return Shortcomings(
            tuple(name for name in self.missing if name not in known.missing), self.late and not known.late
        )

    def together_with(self, other: Shortcomings) -> Shortcomings:
        return Shortcomings((*self.missing, *other.missing), self.late or other.late)

    def told(self, file: str) -> str:
        """In one line; nothing when all is well. `file` is the SDK's configuration file, if there is one."""
        parts: list[str] = []
        if self.missing:
            lost = ", ".join(_LOST[name] for name in self.missing)
            parts.append(
                f"no {', '.join(self.missing)} of an OpenTelemetry SDK is set, so that {lost} are not exported; "
                "failures are still detected and shown on the console: start the program with "
                "opentelemetry-instrument, or set the providers first"
            )
        if self.late:
            source, remedy = _LATE_FILE if file else _LATE
            parts.append(
                f"{source.format(file=file)}, so that our processors run after the exporter's; failures are "
                f"detected all the same, but the spans behind an alert are not marked: {remedy}"
            )
        return "; and ".join(parts)


_LATE = (
    "the TracerProvider was set up without us",
    "to have them marked, start with OTEL_PYTHON_DISTRO=otel_monitor and OTEL_PYTHON_CONFIGURATOR=otel_monitor",
)
_LATE_FILE = ("OTEL_CONFIG_FILE={file} sets up the SDK", "to have them marked, unset it")
