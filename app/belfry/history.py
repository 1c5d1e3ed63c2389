"""Whether a connection still leads to the history that a relay's cursor tells of. A fork begins a new epoch."""

from __future__ import annotations

from belfry import queries
from belfry.model import Newest, State


async def take_up(connection: queries.Connection, known: str | None, head: int, newest: Newest | None) -> State:
    """The present state; in a new epoch when the database has lost what was seen in the `known` one."""
    epoch = await queries.ensure_epoch(connection)
    state = await queries.state(connection)
    if epoch == known and await _forked(connection, state, head, newest):
        await queries.new_epoch(connection, epoch)
        state = await queries.state(connection)
    return state


async def _forked(connection: queries.Connection, state: State, head: int, newest: Newest | None) -> bool:
    """Whether the database has lost what this relay has seen, and will give those ids again."""
    if state.last_value < head:
        return True
    if newest is None or newest.id <= state.pruned:
        return False
    return await queries.newest_row(connection, newest.id) != newest
