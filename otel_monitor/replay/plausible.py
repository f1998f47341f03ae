"""Times that cannot be: a record far ahead of its file must not drag the recording's time along.

A file's records are about in order. One that is more than an hour ahead of all before it is held back until
other lines have confirmed it, by being as far ahead; a single line from before it refutes it. One more than a day
behind was never meant. The first lines of a file are held against each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from otel_monitor.replay.ledger import Ledger
from otel_monitor.replay.otlp import Batch, Record

AHEAD_S = 3_600.0
BEHIND_S = 86_400.0
CONFIRMING = 8
"""Lines that confirm a jump. At a file's end fewer must do."""
CONFIRMING_AT_END = 3

_FEW_YEARS_S = 1e8
_MANY_YEARS_S = 1e9


class PlausibleTimes:
    """Passes on one file's batches without the records whose time cannot be.

    `front_s` is the newest time passed on so far.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.front_s = float("-inf")
        self._ledger = ledger
        self._held: list[Batch] = []
        self._confirmed = 0

    def batches(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The batches, as far as they can be believed."""
        batches = iter(batches)
        head = []
        for batch in batches:
            if batch.records:
                head.append(batch)
            if len(head) == CONFIRMING:
                break
        yield from self._settle(head)
        for batch in batches:
            if batch.records:
                yield from self._judge(batch)
        while len(self._held) >= CONFIRMING_AT_END:
            yield from self._settle(self._held)
        self._refute()

    def _settle(self, batches: list[Batch]) -> Iterator[Batch]:
        """Go on from where most of these lines are."""
        self._held, self._confirmed = [], 0
        if batches:
            self.front_s = _anchor([_median(batch.records) for batch in batches])
        for batch in batches:
            yield from self._judge(batch)

    def _judge(self, batch: Batch) -> Iterator[Batch]:
        low_s, high_s = self.front_s - BEHIND_S, self.front_s + AHEAD_S
        records = batch.records
        if records[0].at_s >= low_s and records[-1].at_s <= high_s:
            near, ahead = records, []
        else:
            near = [record for record in records if low_s <= record.at_s <= high_s]
            ahead = [record for record in records if record.at_s > high_s]
            behind = [record for record in records if record.at_s < low_s]
            self._refuse("time more than a day before its neighbours", batch._replace(records=behind))
        if near:
            self._refute()
            self.front_s = max(self.front_s, near[-1].at_s)
            yield batch._replace(records=near)
        if ahead:
            self._held.append(batch._replace(records=ahead))
            self._confirmed += not near
            if self._confirmed > CONFIRMING:
                yield from self._settle(self._held)

    def _refute(self) -> None:
        for batch in self._held:
            self._refuse("time more than an hour after its neighbours", batch)
        self._held, self._confirmed = [], 0

    def _refuse(self, kind: str, batch: Batch) -> None:
        self._ledger.refuse(kind, batch.origin, sum(record.weight for record in batch.records))


def _median(records: list[Record]) -> float:
    return records[(len(records) - 1) // 2].at_s


def _anchor(times: list[float]) -> float:
    """The earliest time that is not more than a day before the median."""
    if max(times) > _MANY_YEARS_S:  # a clock that was never set counts from 1970
        times = [at_s for at_s in times if at_s > _FEW_YEARS_S]
    ordered = sorted(times)
    median = ordered[(len(ordered) - 1) // 2]
    return next(at_s for at_s in ordered if at_s >= median - BEHIND_S)
