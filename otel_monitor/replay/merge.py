"""Several files as one stream, by event time, each read no further than its next line."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator

from otel_monitor.replay.ledger import Ledger
from otel_monitor.replay.lines import Lines
from otel_monitor.replay.otlp import Batch, Decoder
from otel_monitor.replay.plausible import PlausibleTimes


def merged(files: Iterable[Lines], ledger: Ledger) -> Iterator[Batch]:
    """The batches of all files.

    A file's lines stand in the order in which they arrived, so that none is overtaken within its file; between
    files the one goes first whose newest time so far is the oldest.
    """
    decoder = Decoder(ledger)
    waiting: list[tuple[float, int, Batch, PlausibleTimes, Iterator[Batch]]] = []

    def wait(number: int, times: PlausibleTimes, batches: Iterator[Batch]) -> None:
        batch = next(batches, None)
        if batch is not None:
            heapq.heappush(waiting, (times.front_s, number, batch, times, batches))

    for number, file in enumerate(files):
        times = PlausibleTimes(ledger)
        wait(number, times, times.batches(_batches(file, decoder, ledger)))
    while waiting:
        _, number, batch, times, batches = heapq.heappop(waiting)
        yield batch
        wait(number, times, batches)


def _batches(file: Lines, decoder: Decoder, ledger: Ledger) -> Iterator[Batch]:
    try:
        for origin, line in file.lines(ledger):
            yield decoder.batch(origin, line)
    finally:
        file.close()
