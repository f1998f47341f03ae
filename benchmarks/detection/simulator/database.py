"""A database server: connections, transactions that lock, a disk that can be slow."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.detection.simulator.facts import Observer
from benchmarks.detection.simulator.failure import CONNECT_TIMEOUT, DATABASE_ERRORS, DISK_FULL, TOO_MANY_FILES, Failure
from benchmarks.detection.simulator.kernel import Body, Simulation, Slots
from benchmarks.detection.simulator.locks import Got, Key, Locks, Transaction
from benchmarks.detection.simulator.network import Network
from benchmarks.detection.simulator.node import Node
from benchmarks.detection.simulator.trace import Span

_POOL_WAIT_S = 5.0
_DISK_IS_FULL = 0.995


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement: what it does to how many rows of which table, and for how long alone."""

    verb: str
    table: str
    seconds: float
    writes: bool = True
    rows: int = 10_000
    """Rows that the table has: a write locks one of them at random."""
    row: str | None = None
    """This row and no other."""


class Database:
    """The server and its clients' side: pools, retries are the callers'."""

    def __init__(
        self, simulation: Simulation, rng: random.Random, system: str, node: Node, network: Network, observer: Observer
    ) -> None:
        self.system = system
        self.node = node
        self.errors = DATABASE_ERRORS[system]
        self.locks = Locks(simulation)
        self.lock_timeout_s = rng.choice((1.0, 2.0, 3.0, 5.0)) if system != "mysql" else rng.choice((2.0, 5.0, 10.0))
        self.statement_timeout_s = rng.choice((5.0, 10.0, 15.0))
        self.serializable = False
        self.io_factor = 1.0
        self.refuses: Failure | None = None
        """What it answers to everybody while it fails over or takes no more connections."""
        self.rewrite: Callable[[tuple[Statement, ...]], tuple[Statement, ...]] | None = None
        """What programs do instead of their statements, for the time being."""
        self.others_share = rng.choice((0.0, 0.0, 0.0005, 0.002, 0.006, 0.02))
        """So many writes meet a lock of some other application, in health too."""
        self._changed: dict[Key, float] = {}
        self._simulation = simulation
        self._network = network
        self._observer = observer
        self._rng = rng
        self._active = 0

    def transact(self, client: Node, statements: tuple[Statement, ...], parent: Span | None) -> Body[Failure | None]:
        """Run the statements in one transaction of one pooled connection."""
        pool = client.pools.get("database")
        if client.broken_for_calls:
            return TOO_MANY_FILES
        if pool is not None and not (yield from pool.take(_POOL_WAIT_S)):
            return self.errors.pool
        try:
            return (yield from self._run(client, statements, parent))
        finally:
            if pool is not None:
                pool.give_back()

    def _run(self, client: Node, statements: tuple[Statement, ...], parent: Span | None) -> Body[Failure | None]:
        transaction = Transaction(client.name, self._simulation.now)
        if self.rewrite is not None:
            statements = self.rewrite(statements)
        self._active += 1
        try:
            failure: Failure | None = None
            last = len(statements) - 1
            for number, statement in enumerate(statements):
                began = self._simulation.now
                span = self._observer.span(client, parent)
                waited = [0.0]
                failure = yield from self._execute(client, transaction, statement, waited, commits=number == last)
                self._observer.database(client, self, statement, span, began, failure, waited[0])
                if failure is not None:
                    break
            return failure
        finally:
            self._active -= 1
            self.locks.release(transaction)

    def _execute(
        self, client: Node, transaction: Transaction, statement: Statement, waited: list[float], *, commits: bool
    ) -> Body[Failure | None]:
        local = self.system == "sqlite"
        there = 0.0 if local else self._network.leg(client, self.node, "database")
        back = 0.0 if local else self._network.leg(self.node, client, "database")
        if there is None or back is None:
            yield min(self.statement_timeout_s, 5.0)
            return CONNECT_TIMEOUT if self._rng.random() < 0.5 else self.errors.lost
        yield there + back
        if not self.node.alive:
            return self.errors.lost
        if self.refuses is not None:
            return self.refuses
        began = self._simulation.now
        key = self._key(statement)
        got = yield from self._lock(transaction, statement, key)
        waited[0] = self._simulation.now - began
        if got is not Got.LOCK:
            return self.errors.deadlock if got is Got.DEADLOCK else self.errors.lock_timeout
        crowd = 1.0 + max(0, self._active - 24) / 24
        yield (
            statement.seconds * self.io_factor * crowd * self.node.machine.stretch() * (0.6 + 0.8 * self._rng.random())
        )
        if statement.writes and self.node.machine.disk / self.node.machine.capacity.disk > _DISK_IS_FULL:
            return self.errors.disk_full
        if statement.writes and client.machine.disk / client.machine.capacity.disk > _DISK_IS_FULL and local:
            return DISK_FULL
        return self._commit(transaction, key) if commits and self.serializable else None

    def _lock(self, transaction: Transaction, statement: Statement, key: Key) -> Body[Got]:
        timeout_s = self.lock_timeout_s
        got = yield from self.locks.pass_by(transaction, (statement.table,), timeout_s)
        if got is not Got.LOCK or not statement.writes:
            return got
        if self._rng.random() < self.others_share:
            wait_s = self._rng.expovariate(2.0 / timeout_s)
            yield min(wait_s, timeout_s)
            if wait_s > timeout_s:
                return self._rng.choice((Got.TIMEOUT, Got.DEADLOCK))
        if self.serializable:
            return got
        return (yield from self.locks.take(transaction, key, timeout_s))

    def _commit(self, transaction: Transaction, key: Key) -> Failure | None:
        """First committer wins: who has read what another has changed since must begin again."""
        if self._changed.get(key, 0.0) > transaction.began_at:
            return self.errors.conflict
        self._changed[key] = self._simulation.now
        return None

    def _key(self, statement: Statement) -> Key:
        if self.system == "sqlite":
            return ("", "the database")
        if statement.row is not None:
            return (statement.table, statement.row)
        return (statement.table, str(self._rng.randrange(statement.rows)))

    def hold(self, keys: tuple[Key, ...], seconds: float) -> Body[None]:
        """Another session takes the locks, one after the other, and keeps them for so long."""
        transaction = Transaction("another session", self._simulation.now)
        try:
            for key in keys:
                yield from self.locks.take(transaction, key, 60.0)
            yield seconds
        finally:
            self.locks.release(transaction)

    @property
    def active(self) -> int:
        return self._active


def pool_of(client: Node, simulation: Simulation, size: int) -> None:
    """Give the client a pool of connections to the database."""
    client.pools["database"] = Slots(simulation, size)
