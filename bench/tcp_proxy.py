"""A TCP proxy that can freeze without a reset, and lead somewhere else: the network between relay and Postgres."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Self

CHUNK_BYTES = 65536


class Proxy:
    """Listens on a port of its own and passes bytes on to `upstream`, unless it is frozen."""

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        self.port = 0
        self._open = asyncio.Event()
        self._open.set()
        self._pipes: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server
        self._server.close()
        await self.cut()

    def freeze(self) -> None:
        """Pass nothing on, in either direction; connections stay, new ones are taken and hang."""
        self._open.clear()

    def thaw(self) -> None:
        """Pass on what was held back, and all that follows."""
        self._open.set()

    async def lead_to(self, upstream: int) -> None:
        """Cut what is open; from now on another server answers."""
        self.upstream = upstream
        await self.cut()

    async def cut(self) -> None:
        """Drop every connection."""
        for pipe in list(self._pipes):
            pipe.cancel()
        await asyncio.gather(*self._pipes, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._pipes.add(task)
        try:
            await self._open.wait()
            there, back = await asyncio.open_connection("127.0.0.1", self.upstream)
            try:
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._pass(reader, back))
                    both.create_task(self._pass(there, writer))
            finally:
                back.close()
        except* (OSError, EOFError, asyncio.CancelledError):
            pass
        finally:
            self._pipes.discard(task)
            writer.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(CHUNK_BYTES):
            await self._open.wait()
            writer.write(chunk)
            await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()
        raise EOFError  # one side has ended: so has the other
