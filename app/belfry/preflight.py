"""May a relay run here? What its protocols do not hold on is refused: at the start, and by `belfry doctor`."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from belfry import errors, queries

PROBE_PAUSE_SECONDS = 0.1
PROBE_ASKS = 5


async def refuse_unfit(direct: queries.Connection, api: queries.Connection) -> None:
    """Refuse a standby, a changed sequence, a logical subscriber, and two URLs that lead to two databases."""
    await refuse_two_databases(direct, api)
    in_recovery, cache_size, increment, subscriber = await queries.preflight(direct)
    if in_recovery:
        raise errors.InRecovery()
    if (cache_size, increment) != (1, 1):
        raise errors.SequenceChanged()
    if subscriber:
        raise errors.LogicalSubscriber()


async def refuse_two_databases(direct: queries.Connection, api: queries.Connection) -> None:
    """Refuse two URLs that lead to two databases, or to a primary and its standby; the schema need not be there."""
    cluster, name, standby = await queries.place(api)
    other, called, _ = await queries.place(direct)
    if name != called or (cluster or other) != (other or cluster):
        raise errors.TwoDatabases()
    if standby:
        raise errors.InRecovery()


async def refuse_pooler(one: queries.Connection, other: queries.Connection) -> None:
    """Refuse a pooler in transaction mode: two sessions must be two backends, the same two each time they are asked.

    Before anything is prepared there, and beside `ring_until_heard`, which a pooler with other traffic may satisfy.
    """
    first, second = [{await queries.backend(each) for _ in range(PROBE_ASKS)} for each in (one, other)]
    if first == second or len(first) > 1 or len(second) > 1:
        raise errors.PoolerInTheWay()


async def ring_until_heard(connection: queries.Connection, probe: str, heard: asyncio.Event, seconds: float) -> None:
    """Ring our own bell: a pooler in transaction mode accepts LISTEN and then loses it without a word."""
    try:
        async with asyncio.timeout(seconds):
            while not heard.is_set():
                await queries.ring(connection, probe)
                with suppress(TimeoutError):
                    await asyncio.wait_for(heard.wait(), PROBE_PAUSE_SECONDS)
    except TimeoutError:
        raise errors.PoolerInTheWay() from None
