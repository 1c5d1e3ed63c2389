"""Arms and disarms the bell on the relay's connection, as `doorbell.py` decides."""

from __future__ import annotations

from belfry import queries
from belfry.doorbell import Doorbell
from belfry.listener import Listener


async def tend(
    connection: queries.Connection, bell: Doorbell, listener: Listener, now: float, *, told: bool, tick: bool
) -> None:
    """Wake up under load, or when `told` to; fall asleep when it is quiet; never sleep unless a writer would ring."""
    unwanted = bell.mode == "poll" or (bell.mode == "auto" and bell.overrun(now)) or not listener.alive(now)
    if bell.armed and unwanted:
        bell.armed = False
        bell.wake_up(now)
        await queries.disarm(connection)
    elif bell.asleep and (told or not await _may_sleep_on(connection, bell, listener, now, tick=tick)):
        bell.wake_up(now)
    elif bell.wants_sleep(now) and bell.mode != "poll" and listener.alive(now):
        bell.armed = bell.armed or await queries.arm(connection)
        bell.may_sleep(bell.armed or await queries.would_ring(connection), now)


async def _may_sleep_on(
    connection: queries.Connection, bell: Doorbell, listener: Listener, now: float, *, tick: bool
) -> bool:
    """Whether to go on sleeping: the listener is alive, and, asked with every tick, a writer would still ring."""
    if not listener.alive(now):
        return False
    return bell.armed or not tick or await queries.would_ring(connection)
