"""What we touch inside the SDK's providers, each thing only where it is there.

The SDK has no public way to reach a provider's processors and readers, to bound its end, to count what a full
queue drops, or to make its metrics right in a forked child. Where an attribute is missing, that one thing is
left as the SDK does it.
"""

# ruff: noqa: SLF001 - reaching into the SDK is what this module is for
from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

from otel_monitor_processors.guard import guard

_EXIT_HANDLERS = ("_atexit_handler", "_at_exit_handler")


def ends_at_exit(provider: object) -> bool:
    """Whether the SDK would shut this provider down when the process ends, and has not done so yet."""
    return any(getattr(provider, name, None) is not None for name in _EXIT_HANDLERS)


def span_processors(provider: object) -> tuple[Any, ...]:
    """The span processors of a provider, in order."""
    return tuple(getattr(getattr(provider, "_active_span_processor", None), "_span_processors", ()))


def log_record_processors(provider: object) -> tuple[Any, ...]:
    """The log-record processors of a provider, in order."""
    return tuple(getattr(getattr(provider, "_multi_log_record_processor", None), "_log_record_processors", ()))


def metric_readers(provider: object) -> tuple[Any, ...]:
    """The readers of a meter provider, those added later too."""
    consumer = getattr(provider, "_measurement_consumer", None)
    found = getattr(consumer, "_reader_storages", None) or getattr(provider, "_metric_readers", None)
    return tuple(found or ())


def wrap_exporter(holder: object, kind: type[Any], wrap: Callable[[Any], Any]) -> Any:
    """Put `wrap(exporter)` in the place of a reader's or processor's exporter. None: it was wrapped, or has none."""
    holder = getattr(holder, "_batch_processor", holder)
    for name in ("_exporter", "span_exporter"):
        exporter = getattr(holder, name, None)
        if isinstance(exporter, kind):
            wrapped = wrap(exporter)
            if wrapped is exporter:
                return None
            setattr(holder, name, wrapped)
            return wrapped
    return None


class Queue:
    """The queue of one of the SDK's batch processors."""

    def __init__(self, batch: Any) -> None:
        self._batch = batch

    @property
    def waiting(self) -> int:
        return len(self._batch._queue)

    @property
    def full(self) -> bool:
        return bool(self.waiting >= self._batch._queue.maxlen)


def watch_queue(processor: object, lost: Callable[[int, str], None]) -> Queue | None:
    """The queue of a batch processor; `lost` is called with the number and the reason when it drops items."""
    batch = getattr(processor, "_batch_processor", None)
    metrics, queue = getattr(batch, "_metrics", None), getattr(batch, "_queue", None)
    if batch is None or not hasattr(metrics, "drop_items") or getattr(queue, "maxlen", None) is None:
        return None
    batch._metrics = _WatchedMetrics(metrics, lost)
    return Queue(batch)


class _WatchedMetrics:
    """The SDK's own counts of a batch processor, told to us as well."""

    def __init__(self, inner: Any, lost: Callable[[int, str], None]) -> None:
        self._inner = inner
        self._lost = lost

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def drop_items(self, count: int, error_type: str = "queue_full") -> None:
        self._inner.drop_items(count, error_type)
        self._lost(count, error_type)


@guard("fork.metrics")
def renew_metrics(provider: object) -> None:
    """In a forked child: measurements from zero, since the parent exports its own, and locks that nobody holds."""
    consumer = getattr(provider, "_measurement_consumer", None)
    _renew_lock(consumer, "_lock", threading.Lock)
    for storage in _values(consumer, "_reader_storages"):
        _renew_lock(storage, "_lock", threading.RLock)
        if hasattr(storage, "_instrument_view_instrument_matches"):
            storage._instrument_view_instrument_matches = {}
    for meter in _values(provider, "_meters"):
        _renew_lock(meter, "_instrument_registration_lock", threading.Lock)
        _renew_lock(meter, "_instrument_ids_lock", threading.Lock)
    for reader in metric_readers(provider):
        _renew_lock(reader, "_export_lock", threading.Lock)


@guard("fork.processors")
def renew_processors(provider: object) -> None:
    """In a forked child: locks that nobody holds."""
    _renew_lock(getattr(provider, "_active_span_processor", None), "_lock", threading.Lock)
    _renew_lock(getattr(provider, "_multi_log_record_processor", None), "_lock", threading.Lock)


def _values(holder: object, name: str) -> Iterator[Any]:
    found = getattr(holder, name, None)
    return iter(list(found.values())) if isinstance(found, dict) else iter(())


def _renew_lock(holder: object, name: str, make: Callable[[], Any]) -> None:
    if hasattr(holder, name):
        setattr(holder, name, make())
