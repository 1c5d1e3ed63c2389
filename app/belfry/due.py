"""What is due: scheduled notifications, snoozes that end, notifications that expire. One relay at a time sees to it."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, LiteralString

import psycopg
from psycopg_pool import AsyncConnectionPool

log = logging.getLogger(__name__)

BATCH_ROWS = 1000
FORGET_SECONDS = 60.0
DELIVER: LiteralString = """
    SELECT CASE WHEN pg_try_advisory_xact_lock(1111837766, 6) THEN belfry.deliver_due(%s) ELSE 0 END
"""
FORGET: LiteralString = "SELECT belfry.forget_idempotency()"


class Due:
    """Delivers what is due once a tick, never on the connection that polls: that one holds the bell."""

    def __init__(self, pool: AsyncConnectionPool[Any], tick_seconds: float) -> None:
        self._pool = pool
        self._tick_seconds = tick_seconds
        self._forgot_at = float("-inf")

    async def run(self) -> None:
        """Deliver until cancelled; a failure costs a tick and a line in the log."""
        while True:
            full = False
            try:
                full = await self._deliver() >= BATCH_ROWS
                await self._forget()
            except (psycopg.Error, TimeoutError) as error:
                log.warning("what is due could not be delivered: %s", error, extra={"action": "due_failed"})
            except Exception:
                log.exception(
                    "what is due waits for the next tick, after a fault of our own", extra={"action": "due_failed"}
                )
            if not full:
                await asyncio.sleep(self._tick_seconds)

    async def _deliver(self) -> int:
        """One batch; how many rows it delivered."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(DELIVER, (BATCH_ROWS,))
            return (await cursor.fetchall())[0][0]

    async def _forget(self) -> None:
        """Once a minute: answers to requests of long ago."""
        now = asyncio.get_running_loop().time()
        if now - self._forgot_at >= FORGET_SECONDS:
            self._forgot_at = now
            async with self._pool.connection() as connection:
                await connection.execute(FORGET)
