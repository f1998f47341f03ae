"""When to look at whom again: a heap with one entry a name."""

from __future__ import annotations

import heapq
from collections.abc import Iterator


class Deadlines:
    """Names that are due at a time. A deadline that has moved meanwhile is the caller's to set anew."""

    __slots__ = ("_heap", "_names")

    def __init__(self) -> None:
        self._heap: list[tuple[float, str]] = []
        self._names: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def set(self, name: str, at: float) -> None:
        """Be told of `name` at `at`, unless it is waited for already."""
        if name not in self._names:
            self._names.add(name)
            heapq.heappush(self._heap, (at, name))

    def due(self, now: float) -> Iterator[str]:
        """The names that are due; each is forgotten until it is set again."""
        while self._heap and self._heap[0][0] <= now:
            _, name = heapq.heappop(self._heap)
            self._names.discard(name)
            yield name

    def clear(self) -> None:
        self._heap.clear()
        self._names.clear()

    def dump(self) -> list[tuple[float, str]]:
        return sorted(self._heap)

    def load(self, state: list[tuple[float, str]]) -> None:
        self._heap = [(at, name) for at, name in state]
        self._names = {name for _, name in state}
