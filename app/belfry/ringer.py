"""Arms and disarms the bell on the relay's connection, as `doorbell.py` decides."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool

from belfry import queries
from belfry.doorbell import Doorbell
from belfry.listener import Listener

log = logging.getLogger(__name__)

CROWD_IDS = 3
"""Taken, and not to be seen yet when a wake has been answered: fewer may ring one after the other."""


class Ringer:
    """Tends one bell. The other relays are told on a connection of the pool: a NOTIFY waits its turn, as all do."""

    def __init__(self, bell: Doorbell, listener: Listener, pool: AsyncConnectionPool[Any]) -> None:
        self._bell = bell
        self._listener = listener
        self._pool = pool
        self._disarmed = asyncio.Event()

    async def run(self) -> None:
        """Tell the other relays of each time that the bell was disarmed, until cancelled."""
        while True:
            await self._disarmed.wait()
            self._disarmed.clear()
            try:
                async with self._pool.connection() as connection:
                    await queries.ring(connection, "disarm")
            except (psycopg.Error, TimeoutError) as error:
                log.warning("other relays were not told to poll: %s", error, extra={"action": "disarm_untold"})
            except Exception:
                log.exception("other relays were not told to poll", extra={"action": "disarm_untold"})

    async def tend(
        self, connection: queries.Connection, now: float, *, head: int, rung: bool, told: bool, tick: bool
    ) -> None:
        """Wake up under load, or when `told` to; fall asleep when it is quiet, where a writer would ring."""
        bell = self._bell
        if bell.armed and await self._unwanted(connection, now, head=head, rung=rung):
            bell.armed = False
            bell.wake_up(now)
            await queries.disarm(connection)
            self._disarmed.set()
        elif bell.asleep and ((told and not bell.armed) or not await self._may_sleep_on(connection, now, tick=tick)):
            bell.wake_up(now)  # who holds the bell has heard of its own disarming, late
        elif bell.wants_sleep(now) and bell.mode != "poll" and self._listener.alive(now):
            bell.armed = bell.armed or await queries.arm(connection)
            bell.may_sleep(bell.armed or await queries.would_ring(connection), now)

    async def _unwanted(self, connection: queries.Connection, now: float, *, head: int, rung: bool) -> bool:
        """Whether writers had better not ring: commits that ring go one at a time."""
        bell = self._bell
        if bell.mode == "poll" or not self._listener.alive(now):
            return True
        if bell.mode != "auto" or not bell.asleep:
            return False
        return bell.overrun(now) or (rung and await queries.crowded(connection, head, CROWD_IDS))

    async def _may_sleep_on(self, connection: queries.Connection, now: float, *, tick: bool) -> bool:
        """Whether to go on sleeping: the listener is alive, and, asked with every tick, a writer would still ring."""
        if not self._listener.alive(now):
            return False
        return self._bell.armed or not tick or await queries.would_ring(connection)
