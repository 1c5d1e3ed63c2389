"""One LISTEN connection: it carries no data, only wakes. Whatever it misses, the tick finds."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool

from belfry.backoff import Backoff

log = logging.getLogger(__name__)


class Listener:
    """Holds a connection of the pool for life, LISTENs on it, and calls `wake` with the payload of each NOTIFY.

    The connection runs nothing else but a `SELECT 1` now and then, which proves that it is alive; `alive_at` says when
    it last did. In between we wait for its socket ourselves: psycopg's `notifies()` looks ten times a second.
    """

    def __init__(self, pool: AsyncConnectionPool[Any], wake: Callable[[str], None], *, ping_seconds: float) -> None:
        self.alive_at = float("-inf")
        self.connects = 0
        self._pool = pool
        self._wake = wake
        self._ping_seconds = ping_seconds
        self._backoff = Backoff()

    def alive(self, now: float) -> bool:
        """Whether the connection has proved alive within two pings."""
        return now - self.alive_at < 2 * self._ping_seconds

    async def run(self) -> None:
        """Listen until cancelled; after every loss connect again and wake, for something may have been missed."""
        while True:
            try:
                async with self._pool.connection(timeout=2 * self._ping_seconds) as connection:
                    await self._listen(connection)
            except (psycopg.Error, TimeoutError) as error:
                log.warning(
                    "the LISTEN connection is gone: %s", type(error).__name__, extra={"action": "listener_lost"}
                )
            except Exception:
                log.exception("listening begins anew after a fault of our own", extra={"action": "listener_failed"})
            self.alive_at = float("-inf")
            await asyncio.sleep(self._backoff.next_seconds())

    async def _listen(self, connection: psycopg.AsyncConnection[Any]) -> None:
        connection.add_notify_handler(lambda notify: self._wake(notify.payload))  # those that come with an answer
        await connection.execute("LISTEN belfry")
        self.connects += 1
        self._backoff.reset()
        self._wake("")
        while True:
            self.alive_at = asyncio.get_running_loop().time()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._ping_seconds):
                    await self._wait(connection)
            async with asyncio.timeout(2 * self._ping_seconds):
                await connection.execute("SELECT 1")

    async def _wait(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """Wake for each NOTIFY until cancelled. Raises psycopg.OperationalError when the connection ends."""
        while True:
            await _readable(connection.fileno())
            connection.pgconn.consume_input()
            while notify := connection.pgconn.notifies():
                self._wake(notify.extra.decode(errors="replace"))  # others may ring too, in their encoding


async def _readable(descriptor: int) -> None:
    """Until there is something to read."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(descriptor)
