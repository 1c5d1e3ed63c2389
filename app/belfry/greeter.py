"""First contacts of those who come in, without ever making the relay wait for somebody's open transaction."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool

from belfry import queries

log = logging.getLogger(__name__)

PAUSE_SECONDS = 0.1


class Greeter:
    """Records who is new, in the relay's turn where that is quick, else on a connection that others do not wait for.

    An app that used the inbox of somebody new, in a transaction that is still open, has recorded the same: whoever
    records it too waits for that transaction. Who is not recorded is let in later.
    """

    def __init__(self, pool: AsyncConnectionPool[Any], recorded: Callable[[], None]) -> None:
        self._pool = pool
        self._recorded = recorded
        self._late: dict[str, None] = {}
        self._called = asyncio.Event()

    async def greet(self, connection: queries.Connection, recipients: Iterable[str]) -> None:
        """Record who is new and not left to `run`."""
        wanted = [each for each in recipients if each not in self._late]
        if wanted and not await queries.contact(connection, wanted):
            self._late.update(dict.fromkeys(wanted))
            self._called.set()

    async def run(self) -> None:
        """Record who was left, until cancelled."""
        while True:
            await self._called.wait()
            try:
                await self._record()
            except (psycopg.Error, TimeoutError) as error:
                log.warning("first contacts wait for the database: %s", error, extra={"action": "contact_failed"})
            except Exception:
                log.exception("first contacts wait, after a fault of our own", extra={"action": "contact_failed"})
            if not self._late:
                self._called.clear()
            await asyncio.sleep(PAUSE_SECONDS)

    async def _record(self) -> None:
        for each in list(self._late):
            async with self._pool.connection() as connection:
                recorded = await queries.contact(connection, [each])
            if recorded:
                del self._late[each]
                self._recorded()
