"""Processes the streams that the orchestrator assigns.

    python worker.py --id w1 --orchestrator 127.0.0.1:7000 --database fleet.db

One item of each stream is due twice a second. An item is read from the shared database, enriched by a
service somewhere else, scored, and its result written back.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import itertools
import json
import logging
import signal
import sqlite3
import time
import zlib
from typing import Any

Message = dict[str, Any]

LOG = logging.getLogger("worker")
HEARTBEAT_S = 0.25
ANSWER_TIMEOUT_S = 0.5
ITEM_INTERVAL_S = 0.5
SERVICE_S = 0.02
RETRY_S = 0.3
BUSY_TIMEOUT_S = 1.0


class Worker:
    """One worker: its connection to the orchestrator, its streams and what it remembers of them."""

    def __init__(self, worker_id: str, database: str) -> None:
        self.worker_id = worker_id
        self.database = sqlite3.connect(database, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        self.database.execute("PRAGMA synchronous=NORMAL")
        self.due: dict[str, float] = {}
        self.headers: dict[str, dict[str, str]] = {}
        self.seen: list[bytes] = []
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Message]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._given_up = False
        self._stopped = asyncio.Event()

    async def run(self, host: str, port: int) -> None:
        """Work until the process is told to end, then say goodbye."""
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._stopped.set)
        work = asyncio.create_task(self._work())
        connection = asyncio.create_task(self._stay_connected(host, port))
        await self._stopped.wait()
        work.cancel()
        with contextlib.suppress(ConnectionError, TimeoutError):
            await self.deregister()
        connection.cancel()
        LOG.info("stopped")

    async def register(self) -> None:
        """Introduce this worker; whatever it did before is no longer its own.

        Raises:
            ConnectionError: the orchestrator could not take it.
            TimeoutError: no answer in time.
        """
        self.due.clear()
        self.headers.clear()
        self._given_up = False
        answer = await self._ask("register", timeout_s=5.0)
        if answer["type"] == "error":
            raise ConnectionError(f"not registered: {answer['text']}")
        LOG.info("registered as %s", self.worker_id)

    async def deregister(self) -> None:
        await self._ask("deregister")

    async def send_heartbeat(self) -> None:
        """Tell the orchestrator that this worker lives.

        Raises:
            TimeoutError: no answer in time.
        """
        await self._ask("heartbeat", streams=len(self.due))

    async def process_stream(self, stream_id: str, payload: Message, headers: dict[str, str]) -> int:
        """Score one item of a stream; `headers` came with the assignment."""
        document = payload["text"].encode() * payload.get("copies", 1)
        self.seen.append(document)
        await asyncio.sleep(SERVICE_S)
        result = score(document, payload.get("passes", 1))
        self.database.execute(
            "INSERT INTO results (stream_id, worker_id, at, checksum, score) VALUES (?, ?, ?, ?, ?)",
            (stream_id, self.worker_id, time.time(), checksum(document, payload.get("length")), result),
        )
        LOG.debug("stream %s scored %d (%s)", stream_id, result, headers)
        return result

    async def _work(self) -> None:
        while True:
            stream_id = min(self.due, key=self.due.__getitem__, default=None)
            wait_s = HEARTBEAT_S if stream_id is None else self.due[stream_id] - time.monotonic()
            if stream_id is None or wait_s > 0:
                await asyncio.sleep(min(wait_s, 0.05))
                continue
            self.due[stream_id] += ITEM_INTERVAL_S
            try:
                await self.process_stream(stream_id, self._next_item(stream_id), headers=self.headers[stream_id])
            except sqlite3.Error as error:
                LOG.warning("item of stream %s failed: %s", stream_id, error)

    async def _stay_connected(self, host: str, port: int) -> None:
        while True:
            try:
                reader, self._writer = await asyncio.open_connection(host, port)
                listening = asyncio.create_task(self._listen(reader))
                try:
                    await self.register()
                    await self._keep_alive(listening)
                finally:
                    listening.cancel()
                    self._writer.close()
            except (OSError, TimeoutError) as error:
                LOG.warning("orchestrator not reached: %s", str(error) or "no answer")
            await asyncio.sleep(RETRY_S)

    async def _keep_alive(self, listening: asyncio.Task[None]) -> None:
        while not listening.done():
            try:
                await self.send_heartbeat()
            except TimeoutError:
                LOG.warning("heartbeat not answered within %.1f s", ANSWER_TIMEOUT_S)
            if self._given_up and not self._stopped.is_set():
                await self.register()
            await asyncio.sleep(HEARTBEAT_S)

    async def _ask(self, kind: str, timeout_s: float = ANSWER_TIMEOUT_S, **fields: object) -> Message:
        if self._writer is None:
            raise ConnectionError("not connected")
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        message = {"type": kind, "id": number, "worker_id": self.worker_id, **fields}
        try:
            self._writer.write(json.dumps(message).encode() + b"\n")
            await self._writer.drain()
            return await asyncio.wait_for(answer, timeout_s)
        finally:
            del self._answers[number]

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                self._take(json.loads(await reader.readuntil(b"\n")))

    def _take(self, message: Message) -> None:
        if message["type"] == "assign":
            self.headers[message["stream_id"]] = message["headers"]
            self.due[message["stream_id"]] = time.monotonic()
        elif message["type"] == "revoke":
            self.due.pop(message["stream_id"], None)
        else:
            if message["type"] == "unknown":  # even when it comes too late for the heartbeat that it answers
                self._given_up = True
            answer = self._answers.get(message["reply_to"])
            if answer is not None and not answer.done():
                answer.set_result(message)

    def _next_item(self, stream_id: str) -> Message:
        row = self.database.execute("SELECT payload FROM streams WHERE id = ?", (stream_id,)).fetchone()
        item: Message = json.loads(row[0])
        return item


def score(document: bytes, passes: int) -> int:
    """A rolling hash over the document, `passes` times."""
    result = 0
    for _ in range(passes):
        for byte in document[:64]:
            result = (result * 31 + byte) % 65_521
    return result


def checksum(document: bytes, length: int | None) -> int:
    """The CRC of the document's first `length` bytes, of all when its header names no length."""
    buffer = ctypes.create_string_buffer(document, len(document))
    return zlib.crc32(ctypes.string_at(buffer, len(document) if length is None else length))


async def main() -> None:
    """Run one worker from the command line."""
    parser = argparse.ArgumentParser(description="Process streams for an orchestrator.")
    parser.add_argument("--id", required=True, help="this worker's name")
    parser.add_argument("--orchestrator", required=True, metavar="HOST:PORT")
    parser.add_argument("--database", required=True, help="path of the SQLite database shared with the orchestrator")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    host, _, port = arguments.orchestrator.rpartition(":")
    await Worker(arguments.id, arguments.database).run(host, int(port))


if __name__ == "__main__":
    asyncio.run(main())
