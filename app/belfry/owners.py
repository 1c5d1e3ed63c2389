"""Who may still fill a gap: asked of `pg_locks`, and of `pg_stat_activity` as far as this login may see it."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any, Final, LiteralString

from psycopg import AsyncConnection

from belfry import queries
from belfry.model import State
from belfry.tracker import Idlers, Tracker

Connection = AsyncConnection[Any]

PAUSE_SECONDS = 0.1
FAR_IDS = 100_000
"""Rows that are read in a moment where a relay starts, to find which ids are missing."""

_HELD: Final[LiteralString] = """
    l.locktype = 'relation' AND l.mode = 'RowExclusiveLock' AND l.granted
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND l.relation IN ('belfry.notification'::regclass, 'belfry.change'::regclass)
"""
HOLDERS: Final[LiteralString] = f"SELECT DISTINCT l.virtualtransaction FROM pg_locks AS l WHERE {_HELD}"
IDLING: Final[LiteralString] = f"""
    SELECT DISTINCT l.virtualtransaction, a.state_change
    FROM pg_locks AS l LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
    WHERE {_HELD} AND (l.pid IS NULL OR a.state = 'idle in transaction')
"""


class Owners:
    """Asks for one relay, on its connection."""

    def __init__(self) -> None:
        self._asked_at = float("-inf")
        self._idlers = Idlers()

    def forget(self, tracker: Tracker) -> None:
        """A new connection: the server may be another, or may have started anew."""
        self._idlers = Idlers()
        tracker.forget_owners()

    async def ask(self, connection: Connection, tracker: Tracker, now: float) -> None:
        """Read who may still fill the gaps, if it tells something; at most ten times a second."""
        if tracker.ask_owners() and now - self._asked_at >= PAUSE_SECONDS:
            self._asked_at = now
            tracker.owners(await holders(connection))

    async def excuse(self, connection: Connection, tracker: Tracker) -> State:
        """Let off those who run nothing. Returns the state that was read after them, as `Idlers` demands."""
        idle = await idling(connection) if tracker.gaps else {}
        state = await queries.state(connection)
        tracker.excuse(self._idlers.read(idle, state.last_value))
        return state


async def settle_far(connection: Connection, state: State, seconds: float) -> State:
    """Settle at once what an app has written in a long time without a relay: nobody need know what is missing there.

    Whoever took an id that was taken by now holds the lock. When they are gone, it is decided. The state after that;
    the same where they take longer than these seconds, or there is little to settle.
    """
    if state.last_value - state.through <= FAR_IDS:
        return state
    clock = asyncio.get_running_loop().time
    until, open_then = clock() + seconds, set(await holders(connection))
    while open_then and clock() < until:
        await asyncio.sleep(PAUSE_SECONDS)
        open_then &= set(await holders(connection))
    if open_then:
        return state
    await queries.settle(connection, state.last_value, state.epoch)
    return await queries.state(connection)


async def holders(connection: Connection) -> list[str]:
    """The transactions that may have taken an id and not committed yet: they hold ROW EXCLUSIVE on a table."""
    cursor = await connection.execute(HOLDERS, prepare=True)
    return [found[0] for found in await cursor.fetchall()]


async def idling(connection: Connection) -> dict[str, datetime | None]:
    """Those of the holders that run nothing, and since when; the prepared ones (None) never will.

    Others' sessions are seen by members of pg_read_all_stats alone.
    """
    cursor = await connection.execute(IDLING, prepare=True)
    return dict(await cursor.fetchall())
