"""Shares streams out among workers, and moves them on when a worker is lost.

    python orchestrator.py --database fleet.db --port 7000

Workers connect over TCP and speak JSON lines. The streams, what they contain and each worker's weight
stand in the database, which the workers share.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import signal
import sqlite3
import time
from typing import Any

Message = dict[str, Any]

LOG = logging.getLogger("orchestrator")
TICK_S = 0.25
LOST_AFTER_S = 1.5
BUSY_TIMEOUT_S = 1.0
STREAMS = 24
SCHEMA = """
CREATE TABLE IF NOT EXISTS workers (id TEXT PRIMARY KEY, state TEXT, last_seen REAL, weight REAL NOT NULL DEFAULT 1);
CREATE TABLE IF NOT EXISTS streams (id TEXT PRIMARY KEY, worker_id TEXT, payload TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS results (stream_id TEXT, worker_id TEXT, at REAL, checksum INTEGER, score INTEGER);
"""


class Worker:
    """What the orchestrator knows of one connected worker."""

    def __init__(self, worker_id: str, writer: asyncio.StreamWriter) -> None:
        self.worker_id = worker_id
        self.writer = writer
        self.last_seen = time.monotonic()

    @property
    def connected(self) -> bool:
        return not self.writer.is_closing()

    async def send(self, message: Message) -> None:
        self.writer.write(json.dumps(message).encode() + b"\n")
        await self.writer.drain()


class Orchestrator:
    """Keeps every stream on exactly one living worker."""

    def __init__(self, database: str, lost_after_s: float = LOST_AFTER_S) -> None:
        self.database = sqlite3.connect(database, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        self.lost_after_s = lost_after_s
        self.workers: dict[str, Worker] = {}
        self.owners: dict[str, str | None] = {}
        self.weights: dict[str, float] = {}
        self._conversations: dict[asyncio.StreamWriter, asyncio.Task[None] | None] = {}

    def prepare(self, streams: int) -> None:
        """Create the tables and, in a new database, the streams."""
        self.database.execute("PRAGMA journal_mode=WAL")
        self.database.execute("PRAGMA synchronous=NORMAL")
        self.database.executescript(SCHEMA)
        names = [f"s{number:02d}" for number in range(1, streams + 1)]
        self.database.executemany(
            "INSERT OR IGNORE INTO streams (id, payload) VALUES (?, ?)",
            [(name, json.dumps({"text": f"reading of {name} " * 4})) for name in names],
        )
        self.owners = {str(row[0]): None for row in self.database.execute("SELECT id FROM streams ORDER BY id")}

    async def register_worker(self, worker_id: str, writer: asyncio.StreamWriter) -> None:
        """Welcome a worker, new or back again, and give it its share."""
        self.workers[worker_id] = Worker(worker_id, writer)
        LOG.info("worker %s registered", worker_id)
        for stream_id in self._streams_of(worker_id):
            self.owners[stream_id] = None
        self._set_state(worker_id, "available")
        await self.rebalance_streams()

    async def deregister_worker(self, worker_id: str) -> None:
        """Let a worker go that said goodbye."""
        self.workers.pop(worker_id, None)
        LOG.info("worker %s deregistered", worker_id)
        for stream_id in self._streams_of(worker_id):
            self.owners[stream_id] = None
        self._set_state(worker_id, "offline")
        await self.rebalance_streams()

    async def heartbeat(self, worker_id: str) -> bool:
        """Note that a worker lives; False when it is not one of ours (any more)."""
        worker = self.workers.get(worker_id)
        if worker is None:
            return False
        worker.last_seen = time.monotonic()
        self.database.execute("UPDATE workers SET last_seen = ? WHERE id = ?", (time.time(), worker_id))
        return True

    async def assign_stream(self, stream_id: str, worker_id: str, reason: str, headers: dict[str, str]) -> None:
        """Give a stream to a worker; `headers` travel with it."""
        self.database.execute("UPDATE streams SET worker_id = ? WHERE id = ?", (worker_id, stream_id))
        await self.workers[worker_id].send({"type": "assign", "stream_id": stream_id, "headers": headers})
        self.owners[stream_id] = worker_id
        LOG.debug("stream %s to %s (%s)", stream_id, worker_id, reason)

    async def rebalance_streams(self, reason: str = "rebalance") -> int:
        """Move as few streams as bring every connected worker to its share, and say how many."""
        self.weights = self._read_weights()
        shares = self._shares()
        homeless = [stream_id for stream_id, owner in self.owners.items() if owner is None]
        surplus: list[str] = []
        for worker_id, share in shares.items():
            surplus += self._streams_of(worker_id)[share:]
        moved = 0
        for worker_id, share in shares.items():
            while (homeless or surplus) and len(self._streams_of(worker_id)) < share:
                stream_id = homeless.pop() if homeless else surplus.pop()
                previous = self.owners[stream_id]
                await self.assign_stream(stream_id, worker_id, "new" if previous is None else reason, headers={})
                if previous in self.workers:
                    await self.workers[previous].send({"type": "revoke", "stream_id": stream_id})
                moved += 1
        return moved

    async def handle_worker_failure(self, worker_id: str, reason: str) -> None:
        """Give a worker up, and its streams to the others."""
        LOG.warning("worker %s lost (%s)", worker_id, reason)
        del self.workers[worker_id]
        orphans = self._streams_of(worker_id)
        for stream_id in orphans:
            self.owners[stream_id] = None
        self._set_state(worker_id, "lost")
        for stream_id in orphans:
            target = self._least_loaded()
            if target is None:
                return
            await self.assign_stream(stream_id, target, "failover", headers={})

    async def serve(self, host: str, port: int) -> None:
        """Run until the process is told to end."""
        server = await asyncio.start_server(self._converse, host, port)
        LOG.info("listening on %s:%d", *server.sockets[0].getsockname()[:2])
        stopped = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        watcher = asyncio.create_task(self._watch())
        await stopped.wait()
        watcher.cancel()
        server.close()
        for writer in self._conversations:
            writer.close()
        await asyncio.gather(*filter(None, self._conversations.values()))
        LOG.info("stopped")

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._conversations[writer] = asyncio.current_task()
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                message = json.loads(await reader.readuntil(b"\n"))
                try:
                    answer = await self._answer(message, writer)
                except (sqlite3.Error, ConnectionError) as error:
                    LOG.warning("%s of %s failed: %s", message["type"], message["worker_id"], error)
                    answer = {"type": "error", "text": str(error)}
                writer.write(json.dumps(answer | {"reply_to": message["id"]}).encode() + b"\n")
                await writer.drain()
        writer.close()
        del self._conversations[writer]

    async def _answer(self, message: Message, writer: asyncio.StreamWriter) -> Message:
        worker_id = message["worker_id"]
        if message["type"] == "heartbeat":
            return {"type": "alive" if await self.heartbeat(worker_id) else "unknown"}
        if message["type"] == "register":
            await self.register_worker(worker_id, writer)
            return {"type": "registered"}
        if message["type"] == "deregister":
            await self.deregister_worker(worker_id)
            return {"type": "goodbye"}
        return {"type": "error", "text": f"unknown message {message['type']}"}

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            try:
                await self._check_workers()
                if self.workers and (None in self.owners.values() or self._read_weights() != self.weights):
                    await self.rebalance_streams()
            except (sqlite3.Error, ConnectionError) as error:
                LOG.warning("check of the workers failed: %s", error)

    async def _check_workers(self) -> None:
        for worker in list(self.workers.values()):
            if time.monotonic() - worker.last_seen > self.lost_after_s:
                await self.handle_worker_failure(worker.worker_id, reason="heartbeat_timeout")

    def _shares(self) -> dict[str, int]:
        workers = {worker_id: self.weights.get(worker_id, 1.0) for worker_id in self._connected()}
        total = sum(workers.values()) or 1.0
        exact = {worker_id: len(self.owners) * weight / total for worker_id, weight in workers.items()}
        shares = {worker_id: int(share) for worker_id, share in exact.items()}
        rest = len(self.owners) - sum(shares.values())
        for worker_id in sorted(exact, key=lambda name: shares[name] - exact[name])[:rest]:
            shares[worker_id] += 1
        return shares

    def _connected(self) -> list[str]:
        return sorted(worker.worker_id for worker in self.workers.values() if worker.connected)

    def _least_loaded(self) -> str | None:
        return min(self._connected(), key=lambda worker_id: len(self._streams_of(worker_id)), default=None)

    def _streams_of(self, worker_id: str) -> list[str]:
        return [stream_id for stream_id, owner in self.owners.items() if owner == worker_id]

    def _read_weights(self) -> dict[str, float]:
        return {str(name): float(weight) for name, weight in self.database.execute("SELECT id, weight FROM workers")}

    def _set_state(self, worker_id: str, state: str) -> None:
        self.database.execute(
            "INSERT INTO workers (id, state, last_seen) VALUES (?, ?, ?) "
            "ON CONFLICT (id) DO UPDATE SET state = excluded.state, last_seen = excluded.last_seen",
            (worker_id, state, time.time()),
        )


def main() -> None:
    """Run an orchestrator from the command line."""
    parser = argparse.ArgumentParser(description="Share streams out among workers.")
    parser.add_argument("--database", required=True, help="path of the SQLite database shared with the workers")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes any free port and prints it")
    parser.add_argument("--streams", type=int, default=STREAMS)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    orchestrator = Orchestrator(arguments.database)
    orchestrator.prepare(arguments.streams)
    asyncio.run(orchestrator.serve(arguments.host, arguments.port))


if __name__ == "__main__":
    main()
