"""The network between a worker and the orchestrator: a TCP proxy that can delay what it carries, or drop it."""

from __future__ import annotations

import asyncio
import contextlib
import random

_CHUNK_BYTES = 65_536


class Proxy:
    """Carries one worker's connections to the orchestrator, as well as the fault lets it."""

    def __init__(self, target_host: str, target_port: int) -> None:
        self.dropping = False
        self.delay_s: tuple[float, float] | None = None
        self.dropped_bytes = 0
        self.port = 0
        self._target = (target_host, target_port)
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen on a free port of the loopback interface."""
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def disconnect(self) -> None:
        """Break every open connection, as a network does that has forgotten them."""
        for connection in self._connections:
            connection.cancel()

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        self.disconnect()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.create_task(self._both_ways(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _both_ways(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection(*self._target)
        except OSError:
            writer.close()
            return
        directions = [asyncio.create_task(self._one_way(*ends)) for ends in ((reader, back), (there, writer))]
        try:
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for direction in directions:
                direction.cancel()
            for end in (writer, back):
                end.transport.abort()

    async def _one_way(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while chunk := await reader.read(_CHUNK_BYTES):
                if self.delay_s is not None:
                    await asyncio.sleep(random.uniform(*self.delay_s))  # noqa: S311 - weather, not a secret
                if self.dropping:
                    self.dropped_bytes += len(chunk)
                    continue
                writer.write(chunk)
                await writer.drain()
