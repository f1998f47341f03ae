"""Locks of a database: who has which, who waits for whom, and who waits in a circle."""

from __future__ import annotations

from enum import StrEnum

from benchmarks.detection.simulator.kernel import EXPIRED, Body, Deadline, Signal, Simulation

Key = tuple[str, ...]


class Got(StrEnum):
    """How a wait for a lock ends."""

    LOCK = "lock"
    TIMEOUT = "timeout"
    DEADLOCK = "deadlock"


class Transaction:
    """What holds locks."""

    __slots__ = ("began_at", "keys", "name", "waits_for")

    def __init__(self, name: str, began_at: float) -> None:
        self.name = name
        self.began_at = began_at
        self.keys: list[Key] = []
        self.waits_for: Key | None = None


class Locks:
    """Exclusive locks by key; each has its line of waiting transactions."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._holders: dict[Key, Transaction] = {}
        self._lines: dict[Key, list[tuple[Transaction, Signal]]] = {}
        self.waits = 0
        self.wait_s = 0.0

    @property
    def waiting(self) -> int:
        return sum(len(line) for line in self._lines.values())

    def holder(self, key: Key) -> Transaction | None:
        return self._holders.get(key)

    def take(self, transaction: Transaction, key: Key, timeout_s: float) -> Body[Got]:
        holder = self._holders.get(key)
        if holder is None:
            self._holders[key] = transaction
            transaction.keys.append(key)
            return Got.LOCK
        if holder is transaction:
            return Got.LOCK
        if self._in_a_circle(transaction, key):
            return Got.DEADLOCK
        turn = Signal(self._simulation)
        entry = (transaction, turn)
        line = self._lines.setdefault(key, [])
        line.append(entry)
        transaction.waits_for = key
        self.waits += 1
        began = self._simulation.now
        got = False
        try:
            got = (yield Deadline(turn, timeout_s)) is not EXPIRED
        finally:
            self.wait_s += self._simulation.now - began
            transaction.waits_for = None
            if not got:
                self._give_up(key, entry)
        return Got.LOCK if got else Got.TIMEOUT

    def pass_by(self, transaction: Transaction, key: Key, timeout_s: float) -> Body[Got]:
        """Wait until nobody holds `key`, without taking it for longer than that moment."""
        if key not in self._holders:
            return Got.LOCK
        got = yield from self.take(transaction, key, timeout_s)
        if got is Got.LOCK:
            transaction.keys.remove(key)
            self._pass_on(key)
        return got

    def release(self, transaction: Transaction) -> None:
        for key in transaction.keys:
            self._pass_on(key)
        transaction.keys.clear()

    def _pass_on(self, key: Key) -> None:
        line = self._lines.get(key)
        if line:
            following, turn = line.pop(0)
            self._holders[key] = following
            following.keys.append(key)
            turn.fire(True)
            return
        self._lines.pop(key, None)
        self._holders.pop(key, None)

    def _give_up(self, key: Key, entry: tuple[Transaction, Signal]) -> None:
        transaction, turn = entry
        if turn.fired:  # it was given the lock at the moment when it gave up
            transaction.keys.remove(key)
            self._pass_on(key)
        else:
            self._lines[key].remove(entry)

    def _in_a_circle(self, transaction: Transaction, key: Key) -> bool:
        wanted: Key | None = key
        for _ in range(50):
            if wanted is None:
                return False
            holder = self._holders.get(wanted)
            if holder is None:
                return False
            if holder is transaction:
                return True
            wanted = holder.waits_for
        return False
