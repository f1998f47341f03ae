"""A memory of classes, by identity: a metaclass may define its own hash and equality."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

_MOST_CLASSES = 1024


class ByClass(Generic[T]):
    """Computes something of each class once, keeps no class alive, and starts over when it knows too many."""

    __slots__ = ("_compute", "_known")

    def __init__(self, compute: Callable[[type], T]) -> None:
        self._compute = compute
        self._known: dict[int, tuple[weakref.ref[type], T]] = {}

    def of(self, cls: type) -> T:
        memory = self._known
        known = memory.get(id(cls))
        if known is not None and known[0]() is cls:
            return known[1]
        value = self._compute(cls)
        if len(memory) >= _MOST_CLASSES:
            memory.clear()
        memory[id(cls)] = (weakref.ref(cls), value)  # not into one that `forget` has begun meanwhile
        return value

    def forget(self) -> None:
        self._known = {}
