"""Lines that were sent twice: a sender that got no answer sends its request again, as OTLP has it."""

from __future__ import annotations

from collections import OrderedDict

from otel_monitor.replay.ledger import Ledger
from otel_monitor.replay.otlp import Batch

REMEMBERED = 10_000


class Duplicates:
    """Knows the last 10,000 lines by their digests; what repeats one of them word for word is used once.

    A record has a time in nanoseconds and mostly an id, so that no two lines of different records are alike.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._seen: OrderedDict[tuple[int, float], None] = OrderedDict()

    def is_one(self, batch: Batch) -> bool:
        """Whether the line was there already: then its records count as read and as sent twice."""
        digest = batch.digest, batch.records[0].at_s  # a line with times of two days comes in two batches
        if digest in self._seen:
            for record in batch.records:
                self._ledger.read[record.signal] += record.weight
                self._ledger.twice += record.weight
            return True
        if len(self._seen) >= REMEMBERED:
            self._seen.popitem(last=False)
        self._seen[digest] = None
        return False
