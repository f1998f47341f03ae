"""Metrics that are read when a reader collects, and never stall it.

The SDK keeps the first callback of an instrument for ever, so there is one set of instruments per meter
provider, which asks whoever is installed now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from weakref import WeakKeyDictionary

from opentelemetry import metrics

from otel_monitor.telemetry.instruments import SCOPE, Instrument, Key, Kind
from otel_monitor_processors.guard import guard

Reading = tuple[Key, float]
Read = Callable[[], Iterable[Reading]]

_sets: WeakKeyDictionary[metrics.MeterProvider, Observables] = WeakKeyDictionary()


class Observables:
    """The observable instruments of one meter provider."""

    def __init__(self, provider: metrics.MeterProvider) -> None:
        self._meter = provider.get_meter(SCOPE)
        self._reads: dict[str, Read] = {}
        self._created: set[str] = set()

    @classmethod
    def of(cls, provider: metrics.MeterProvider) -> Observables:
        """The one set of this provider."""
        observables = _sets.get(provider)
        if observables is None:
            observables = _sets[provider] = cls(provider)
        return observables

    def read(self, instrument: Instrument, read: Read) -> None:
        """Let `read` answer for `instrument` from now on."""
        self._reads[instrument.name] = read
        if instrument.name in self._created:
            return
        self._created.add(instrument.name)
        create: Callable[..., object] = {
            Kind.OBSERVABLE_COUNTER: self._meter.create_observable_counter,
            Kind.OBSERVABLE_UP_DOWN_COUNTER: self._meter.create_observable_up_down_counter,
            Kind.OBSERVABLE_GAUGE: self._meter.create_observable_gauge,
        }[instrument.kind]
        create(instrument.name, [self._callback(instrument)], instrument.unit, instrument.meaning)

    def silence(self) -> None:
        """Answer for no instrument any more."""
        self._reads.clear()

    def _callback(self, instrument: Instrument) -> metrics.CallbackT:
        reads = self._reads

        @guard("metrics.observe", default=())
        def observe(options: metrics.CallbackOptions) -> Iterable[metrics.Observation]:  # noqa: ARG001 - the SDK's signature
            read = reads.get(instrument.name)
            return [metrics.Observation(value, instrument.attributes_of(key)) for key, value in read()] if read else ()

        return observe
