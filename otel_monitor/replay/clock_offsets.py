"""Clocks that are wrong: how far each sender's is from what most of the others say, and its records set right.

Lines stand in the order in which they arrived, so that the newest times of neighbouring lines should be about the
same, whoever sent them. A sender whose lines are always ahead or behind has another clock. Without this, one clock
that is ahead would make everybody else's records late.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from statistics import median

from otel_monitor.replay.metrics import Export
from otel_monitor.replay.otlp import Record, Said
from otel_monitor_processors.observation import Heartbeat

NEGLIGIBLE_S = 1.5
"""A smaller offset is none: exports are about so far apart."""

_REMEMBERED = 25
_ENOUGH = 5
_FEWEST_SENDERS = 3
_MAX_SENDERS = 10_000
_SETTLE_EVERY = 100
_FRONT = 5
_STANDS_OUT = 4.0
"""Median absolute deviations: half of the lines are within one of them."""


class _Clock:
    """One sender's clock: how far its lines lately were ahead of the others', and on the whole."""

    __slots__ = ("ahead", "newest_s", "offset_s")

    def __init__(self) -> None:
        self.ahead: deque[float] = deque(maxlen=_REMEMBERED)
        self.offset_s = 0.0
        self.newest_s = -math.inf


class ClockOffsets:
    """Estimates the offset of each sender's clock, and takes it out; at most 10,000 senders are remembered.

    When a line arrived is not recorded: it is about the time of the newest records of the others, by their clocks
    as far as those are known. Clocks are only known against each other: the one in the middle is taken to be right.
    """

    def __init__(self) -> None:
        self._clocks: OrderedDict[str, _Clock] = OrderedDict()
        self._wrong: dict[str, float] = {}
        self._lines = 0

    def corrected(self, records: list[Record]) -> list[Record]:
        """The records of one line, by their time, as the majority's clock would have it."""
        if not records:
            return records
        sender = _sender(records[-1])
        if sender is not None:
            self._note(sender, records[-1].at_s)
        if not self._wrong:
            return records
        moved = [self._moved(record) for record in records]
        moved.sort(key=_at)
        return moved

    def _note(self, sender: str, newest_s: float) -> None:
        """A line of `sender` has arrived whose newest record is of `newest_s`."""
        clock = self._clocks.get(sender)
        if clock is None:
            if len(self._clocks) >= _MAX_SENDERS:
                gone, _ = self._clocks.popitem(last=False)
                self._wrong.pop(gone, None)
            clock = self._clocks[sender] = _Clock()
        self._clocks.move_to_end(sender)
        front_s = self._front(clock)
        if front_s > -math.inf:
            clock.ahead.append(newest_s - front_s)
        clock.newest_s = max(clock.newest_s, newest_s - clock.offset_s)
        self._lines += 1
        if self._lines % _SETTLE_EVERY == 0:
            self._settle()

    def _front(self, but: _Clock) -> float:
        """The newest time among the senders that were heard of last, all but one, and all but the one most ahead."""
        newest = []
        for clock in reversed(self._clocks.values()):
            if clock is not but:
                newest.append(clock.newest_s)
                if len(newest) == _FRONT:
                    break
        newest.sort()
        return newest[-2] if len(newest) >= _FEWEST_SENDERS else -math.inf

    def _settle(self) -> None:
        """Let the clock in the middle be right, and see which of the others are wrong."""
        known = [clock for clock in self._clocks.values() if _is_steady(clock.ahead)]
        if len(known) < _FEWEST_SENDERS:
            return
        found = {id(clock): median(clock.ahead) for clock in known}
        middle = median(found.values())
        for clock in known:
            before_s, offset_s = clock.offset_s, found[id(clock)] - middle
            wrong = abs(offset_s) > NEGLIGIBLE_S and (before_s or _stands_out(clock.ahead, middle))
            clock.offset_s = offset_s if wrong else 0.0
            clock.newest_s += before_s - clock.offset_s
            clock.ahead.clear()
        self._wrong = {sender: clock.offset_s for sender, clock in self._clocks.items() if clock.offset_s}

    def _moved(self, record: Record) -> Record:
        sender = _sender(record)
        offset_s = self._wrong.get(sender, 0.0) if sender is not None else 0.0
        if not offset_s:
            return record
        return record._replace(at_s=record.at_s - offset_s, said=tuple(_said(item, offset_s) for item in record.said))


def _is_steady(ahead: deque[float]) -> bool:
    """Whether most of the lines agree: those that were held up on the way do not count."""
    if len(ahead) < _ENOUGH:
        return False
    middle = median(ahead)
    return sum(abs(item - middle) <= NEGLIGIBLE_S for item in ahead) > 0.6 * len(ahead)


def _stands_out(ahead: deque[float], middle: float) -> bool:
    """Whether all lines were on one side, or most of them together: lines in disorder are ahead now, then behind."""
    if min(ahead) > middle or max(ahead) < middle:
        return True
    usual = median(ahead)
    return abs(usual - middle) > _STANDS_OUT * median(abs(item - usual) for item in ahead)


def _said(said: Said, offset_s: float) -> Said:
    if isinstance(said, Export):
        return said._replace(at_s=said.at_s - offset_s)
    return said._replace(at=said.at - offset_s)


def _sender(record: Record) -> str | None:
    """Whose clock the record's time is of."""
    if not record.said:
        return None
    first = record.said[0]
    if type(first) is Heartbeat:
        return first.observer or first.source
    return first.source


def _at(record: Record) -> float:
    return record.at_s
