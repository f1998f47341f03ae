"""What the observable instruments answer when a reader collects: the last sample, the tables, our own counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from otel_monitor.telemetry import instruments as rows
from otel_monitor.telemetry.folding import FoldedInstruments
from otel_monitor.telemetry.instruments import Instrument, Key
from otel_monitor.telemetry.observables import Observables, Reading
from otel_monitor_processors import drops, guard

if TYPE_CHECKING:
    from otel_monitor.telemetry.resources import Sample
    from otel_monitor.telemetry.telemetry import Telemetry


class Readings:
    """Answers for one `Telemetry`."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def register(self, observables: Observables) -> None:
        """Answer for every observable instrument from now on."""
        observables.read(rows.SELF_ERRORS, self._errors)
        observables.read(rows.SELF_DROPPED, self._dropped)
        observables.read(rows.SELF_QUEUE, self._queue)
        fleet, now = self._telemetry.fleet, self._telemetry.driver.now
        observables.read(rows.WORKER_COUNT, lambda: _by_state(fleet.counts(now())))
        observables.read(rows.TASK_COUNT, lambda: _by_state(self._telemetry.tasks.counts()))
        observables.read(rows.HEARTBEAT_AGE, lambda: (((worker,), age) for worker, age in fleet.ages(now())))
        observables.read(rows.WORKER_ASSIGNED, lambda: (((worker,), count) for worker, count in fleet.assigned()))
        observables.read(rows.LOAD_IMBALANCE, lambda: _present(fleet.imbalance()))
        for instrument in _RESOURCES:
            observables.read(instrument, lambda instrument=instrument: self._resource(instrument))  # type: ignore[misc]  # mypy does not infer a lambda's default

    def _errors(self) -> Iterable[Reading]:
        self._fold()
        for site, count in guard.error_counts().items():
            component, _, hook = site.partition(".")
            yield (component, hook), count

    def _fold(self) -> None:
        """The SDK runs all callbacks of a collection before it reads any aggregation: now is the time."""
        instruments = self._telemetry.instruments
        if isinstance(instruments, FoldedInstruments):
            instruments.fold()

    def _dropped(self) -> Iterable[Reading]:
        yield from drops.snapshot().items()
        instruments = self._telemetry.instruments
        if isinstance(instruments, FoldedInstruments) and instruments.overflowed:
            yield ("metrics", "series_limit"), instruments.overflowed

    def _queue(self) -> Iterable[Reading]:
        yield ("driver",), self._telemetry.driver.queue_size

    def _resource(self, instrument: Instrument) -> Iterable[Reading]:
        sample = self._telemetry.sampling.resources
        if sample is None:
            return ()
        value, key = _RESOURCES[instrument](sample)
        return _present(value, key)


_RESOURCES: dict[Instrument, Callable[[Sample], tuple[float | None, Key]]] = {
    rows.PROCESS_CPU: lambda sample: (sample.process_cpu, ()),
    rows.PROCESS_MEMORY: lambda sample: (sample.process_memory, ()),
    rows.PROCESS_MEMORY_SHARE: lambda sample: (sample.share_of("memory"), ()),
    rows.PROCESS_THREADS: lambda sample: (sample.process_threads, ()),
    rows.PROCESS_FILES: lambda sample: (sample.process_files, ()),
    rows.PROCESS_FILES_SHARE: lambda sample: (sample.share_of("file_descriptors"), ()),
    rows.SYSTEM_CPU: lambda sample: (sample.system_cpu, ()),
    rows.SYSTEM_MEMORY: lambda sample: (sample.system_memory, ("used",)),
    rows.SYSTEM_FILESYSTEM: lambda sample: (sample.system_filesystem, ("used", sample.mountpoint)),
}


def _by_state(counts: Mapping[str, int]) -> Iterable[Reading]:
    return (((state,), count) for state, count in counts.items())


def _present(value: float | None, key: Key = ()) -> Iterable[Reading]:
    return () if value is None else ((key, value),)
