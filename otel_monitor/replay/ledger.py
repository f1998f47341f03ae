"""What a replay has read, and what it could not use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from enum import IntEnum
from typing import NamedTuple

_MAX_NAMES = 100


class Signal(IntEnum):
    """What a record is. The value is its place in `Ledger.read`."""

    SPAN = 0
    METRIC = 1
    LOG = 2


class Origin(NamedTuple):
    """The line that something stood on."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class Ledger:
    """Counts, and names each kind of trouble once, where it first occurred.

    `read` counts spans, metric points and log records that are in order, `late` those of them that came too
    late to be used, `twice` those that repeat others and are not used again; `malformed` counts lines, and records
    within lines, that are not.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.read = [0, 0, 0]
        self.late = 0
        self.twice = 0
        self._say = say
        self._malformed: Counter[str] = Counter()
        self._first: dict[str, Origin] = {}
        self._unknown: set[str] = set()
        self._errors: Counter[str] = Counter()

    @property
    def malformed(self) -> int:
        return self._malformed.total()

    def refuse(self, kind: str, origin: Origin, n: int = 1, detail: str = "") -> None:
        """`n` records, or a line, cannot be used."""
        if not n:
            return
        if kind not in self._first:
            self._first[kind] = origin
            self._say(f"{origin}: {kind}{detail}; counted as malformed, the rest is read")
        self._malformed[kind] += n

    def unknown(self, fields: set[str], origin: Origin) -> None:
        """There are fields that OTLP does not have; the rest of the record is used."""
        for name in fields - self._unknown:
            if len(self._unknown) < _MAX_NAMES:
                self._unknown.add(name)
                self._say(f"{origin}: unknown field {name[:_MAX_NAMES]!r}, passed over wherever it occurs")

    def internal_error(self, where: str, text: str) -> None:
        """Something of ours has failed: told when it first happens, and counted."""
        self._errors[where] += 1
        if self._errors[where] == 1:
            self._say(f"an internal error, everything else goes on: {text}")

    def note(self, text: str) -> None:
        """Something else that a reader of the result should know."""
        self._say(text)

    def conclude(self) -> None:
        """Say how often there was what was only named once."""
        for kind, count in self._malformed.items():
            if count > 1:
                self._say(f"{count:,} times: {kind} (first at {self._first[kind]})")
        for where, count in self._errors.items():
            if count > 1:
                self._say(f"{count:,} times: an internal error in {where}")
