"""Retention: old rows are removed by one process at a time, in batches so small that nobody waits for them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, LiteralString

import psycopg

from belfry import database, errors

log = logging.getLogger(__name__)

Connection = psycopg.AsyncConnection[Any]

LOCK_CLASS, LOCK_KEY = 1111837766, 5
CHECK_SECONDS = 60.0
FIRST_ROWS, MOST_ROWS, FEWEST_ROWS = 1000, 10_000, 100
BATCH_SECONDS = 0.05
REST, MOST_REST_SECONDS = 9.0, 10.0


class Pace:
    """How many rows the next batch has, so that it takes half of BATCH_SECONDS to all of it, and how long to rest."""

    def __init__(self) -> None:
        self.rows = FIRST_ROWS
        self.rest_seconds = 0.0

    def took(self, seconds: float) -> None:
        """A batch has ended: what is busy gets smaller batches, and all others nine tenths of the time.

        What took very long has waited for somebody, not worked.
        """
        self.rest_seconds = min(REST * seconds, MOST_REST_SECONDS)
        if seconds > BATCH_SECONDS:
            self.rows = max(FEWEST_ROWS, self.rows // 2)
        elif seconds < BATCH_SECONDS / 2:
            self.rows = min(MOST_ROWS, self.rows * 2)


class Pruning:
    """Removes what is older than the retention, once a minute, on a connection of its own."""

    def __init__(self, url: str, retention_days: int) -> None:
        self.removed = 0
        self._url = url
        self.age = timedelta(days=retention_days)

    async def run(self) -> None:
        """Prune until cancelled; a failure costs a minute and a line in the log."""
        while True:
            try:
                await self._prune()
            except (psycopg.Error, errors.DatabaseError, TimeoutError) as error:
                log.warning("old rows could not be removed: %s", error, extra={"action": "prune_failed"})
            except Exception:
                log.exception("old rows wait, after a fault of our own", extra={"action": "prune_failed"})
            await asyncio.sleep(CHECK_SECONDS)

    async def _prune(self) -> None:
        """All that is too old, unless another relay is at it."""
        connection = await database.connect(self._url, application_name="belfry prune")
        async with connection, alone(connection):  # without its lock there is nothing to remove
            total = 0
            async for removed in batches(connection, self.age):
                self.removed += removed
                total += removed
            if total:
                log.info("%d old rows removed", total, extra={"action": "pruned", "rows": total})


PRUNABLE: LiteralString = """
    SELECT count(*) FROM belfry.notification AS n, belfry.settled AS s
    WHERE n.id <= s.through AND n.created_at < now() - %s::interval
"""


async def prunable(connection: Connection, age: timedelta) -> int:
    """How many notifications are that old. Reads all of them."""
    cursor = await connection.execute(PRUNABLE, (age,))
    return (await cursor.fetchall())[0][0]


@asynccontextmanager
async def alone(connection: Connection) -> AsyncGenerator[bool]:
    """Hold the lock of those who prune, where nobody else has it: the pauses are of no use when others fill them."""
    cursor = await connection.execute("SELECT pg_try_advisory_lock(%s, %s)", (LOCK_CLASS, LOCK_KEY))
    held: bool = (await cursor.fetchall())[0][0]
    try:
        yield held
    finally:
        if held and not connection.closed:
            await connection.execute("SELECT pg_advisory_unlock(%s, %s)", (LOCK_CLASS, LOCK_KEY))


async def batches(connection: Connection, age: timedelta) -> AsyncGenerator[int]:
    """Remove batch after batch, each its own transaction, with pauses; yields how many rows each had."""
    pace, clock = Pace(), asyncio.get_running_loop().time
    while True:
        began = clock()
        cursor = await connection.execute("SELECT belfry.prune(%s, %s)", (age, pace.rows), prepare=True)
        removed: int = (await cursor.fetchall())[0][0]
        if not removed:
            return
        pace.took(clock() - began)
        yield removed
        await asyncio.sleep(pace.rest_seconds)
