"""How busy a source was over the last three quarters of an hour, told by its CPU."""

from __future__ import annotations

from typing import Any

from otel_monitor_processors.patterns.resource_exhaustion.climb import Busier

_CELL_S = 30.0
_CELLS = 96
_SCALE = 254.0
_MOST_BUSIER = 4.0
_IDLE = 0.1


class BusierBy(Busier):
    """By how much a source is busier, told by its load: what follows the load is explained by it."""

    __slots__ = ("_load", "_offset_s")

    def __init__(self, load: LoadHistory, offset_s: float = 0.0) -> None:
        self._load = load
        self._offset_s = offset_s

    def since(self, from_s: float, began_s: float) -> float:
        return self._load.busier_since(self._offset_s + from_s, self._offset_s + began_s)


class LoadHistory:
    """The mean of a rate, half a minute at a time, a byte each (0: nothing was read)."""

    __slots__ = ("_cells", "_count", "_number", "_sum")

    def __init__(self) -> None:
        self._cells = bytearray(_CELLS)
        self._number = -1
        self._sum = 0.0
        self._count = 0

    def add(self, at: float, level: float) -> None:
        """Take in a reading; an older cell's counts for the one that is open."""
        number = int(at // _CELL_S)
        if number > self._number:
            self._close(number)
        self._sum += level
        self._count += 1

    def _close(self, number: int) -> None:
        if self._count:
            self._cells[self._number % _CELLS] = self._open()
        for skipped in range(max(self._number + 1, number - _CELLS), number + 1):
            self._cells[skipped % _CELLS] = 0
        self._number, self._sum, self._count = number, 0.0, 0

    def _open(self) -> int:
        return 1 + round(_SCALE * min(1.0, self._sum / self._count))

    def busier_since(self, from_at: float, began_at: float) -> float:
        """How many times busier it is since `began_at` than from `from_at` to then; 1 to 4, and 1 if unknown."""
        first, border = int(from_at // _CELL_S), int(began_at // _CELL_S)
        before = self._mean(first, border)
        after = self._mean(border, self._number + 1)
        if before is None or after is None:
            return 1.0
        return min(_MOST_BUSIER, max(1.0, (after + _IDLE) / (before + _IDLE)))

    def _mean(self, first: int, end: int) -> float | None:
        found = []
        for number in range(max(first, self._number - _CELLS + 1), min(end, self._number + 1)):
            value = self._cells[number % _CELLS] if number < self._number else self._open() if self._count else 0
            if value:
                found.append(value)
        return (sum(found) / len(found) - 1.0) / _SCALE if found else None

    def dump(self) -> list[Any]:
        return [self._cells.hex(), self._number, self._sum, self._count]

    @classmethod
    def load(cls, state: list[Any]) -> LoadHistory:
        it = cls()
        cells, it._number, it._sum, it._count = state
        it._cells = bytearray.fromhex(cells)
        return it
