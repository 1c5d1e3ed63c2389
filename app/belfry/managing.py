"""All but sending that a backend may do, by SQL: topics, traits, segments, kinds, revising, retracting, tracing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, LiteralString

import psycopg
from psycopg.types.json import Jsonb

from belfry import refusal

Connection = psycopg.AsyncConnection[Any]

# --- notifications -------------------------------------------------------------------------------------------

_REVISE: LiteralString = """
    SELECT belfry.revise(id => %(id)s, title => %(title)s, body => %(body)s, data => %(data)s,
        action_url => %(action_url)s, actions => %(actions)s, actor => %(actor)s, tags => %(tags)s,
        severity => %(severity)s, expires_at => %(expires_at)s)
"""


async def revise(connection: Connection, number: int, fields: Mapping[str, Any]) -> bool:
    """Change what was sent; False where there is none, or it has ended. Raises Unprocessable, PayloadTooLarge."""
    given = {"id": number, **fields}
    for name in ("data", "actions", "actor"):
        given[name] = None if given[name] is None else Jsonb(given[name])
    return await _value(connection, _REVISE, given)


async def reschedule(connection: Connection, number: int, deliver_at: str) -> bool:
    """Deliver what is scheduled at another time; False where it is not, any more. Raises Unprocessable."""
    call: LiteralString = "SELECT belfry.reschedule(id => %(id)s, deliver_at => %(deliver_at)s)"
    return await _value(connection, call, {"id": number, "deliver_at": deliver_at})


async def retract(connection: Connection, number: int) -> bool:
    """Withdraw what was sent; False where there is none, or it has ended."""
    return await _value(connection, "SELECT belfry.retract(id => %(id)s)", {"id": number})


# --- topics --------------------------------------------------------------------------------------------------


async def subscribe(connection: Connection, recipient: str, topic: str) -> None:
    """A membership begins; one that is there stays. Raises Unprocessable."""
    given = {"recipient": recipient, "topic": topic}
    await _value(connection, "SELECT belfry.subscribe(recipient => %(recipient)s, topic => %(topic)s)", given)


async def unsubscribe(connection: Connection, recipient: str, topic: str) -> None:
    """A membership ends, if there is one. Raises Unprocessable."""
    given = {"recipient": recipient, "topic": topic}
    await _value(connection, "SELECT belfry.unsubscribe(recipient => %(recipient)s, topic => %(topic)s)", given)


SUBSCRIBED: LiteralString = """
    SELECT recipient, since FROM belfry.subscription
    WHERE topic = %(topic)s AND until IS NULL AND recipient > %(after)s ORDER BY recipient LIMIT %(limit)s
"""


async def subscribed(connection: Connection, topic: str, after: str, limit: int) -> list[tuple[str, int]]:
    """Who is subscribed to a topic, and since which position: a page in the order of their names."""
    given = {"topic": topic, "after": after, "limit": limit}
    cursor = await connection.execute(SUBSCRIBED, given, prepare=True)
    return await cursor.fetchall()


# --- recipients and segments ---------------------------------------------------------------------------------


async def set_traits(connection: Connection, recipient: str, traits: Mapping[str, Any]) -> None:
    """Say what a recipient is; their segments follow. Raises Unprocessable."""
    call: LiteralString = "SELECT belfry.set_traits(recipient => %(recipient)s, traits => %(traits)s)"
    await _value(connection, call, {"recipient": recipient, "traits": Jsonb(dict(traits))})


async def erase(connection: Connection, recipient: str) -> int:
    """Forget a recipient; how many rows that took. Raises Unprocessable."""
    return await _value(connection, "SELECT belfry.erase(recipient => %(recipient)s)", {"recipient": recipient})


async def export(connection: Connection, recipient: str) -> str:
    """All that is stored of a recipient, as JSON text, so that no number loses a digit. Raises Unprocessable."""
    call: LiteralString = "SELECT jsonb_pretty(belfry.export(recipient => %(recipient)s))"
    return await _value(connection, call, {"recipient": recipient})


async def define_segment(connection: Connection, name: str, filter: Mapping[str, Any] | str) -> None:
    """Say whom a segment holds: whose traits contain the filter, which may be text. Raises Unprocessable."""
    if isinstance(filter, str):
        call: LiteralString = "SELECT belfry.define_segment(name => %(name)s, filter => %(filter)s::text)"
        await _value(connection, call, {"name": name, "filter": filter})
    else:
        call = "SELECT belfry.define_segment(name => %(name)s, filter => %(filter)s::jsonb)"
        await _value(connection, call, {"name": name, "filter": Jsonb(dict(filter))})


async def drop_segment(connection: Connection, name: str) -> None:
    """The segment is gone, and with it the memberships that it made."""
    await _value(connection, "SELECT belfry.drop_segment(name => %(name)s)", {"name": name})


# --- kinds and preferences -----------------------------------------------------------------------------------


async def declare_kind(connection: Connection, kind: str, label: str, *, required: bool, enabled: bool) -> None:
    """Say what a kind is called, whether it may be muted, and whether it is on by itself. Raises Unprocessable."""
    call: LiteralString = """
        SELECT belfry.declare_kind(
            kind => %(kind)s, label => %(label)s, required => %(required)s, enabled => %(enabled)s)
    """
    await _value(connection, call, {"kind": kind, "label": label, "required": required, "enabled": enabled})


# --- import --------------------------------------------------------------------------------------------------


async def import_items(connection: Connection, items: Sequence[Mapping[str, Any]]) -> list[int]:
    """Take over notifications with their times and states, silently; the ids in order. Raises Unprocessable."""
    with refusal.told():
        cursor = await connection.execute("SELECT * FROM belfry.import(%s)", (Jsonb(list(items)),))
        return [found[0] for found in await cursor.fetchall()]


async def _value(connection: Connection, call: LiteralString, given: Mapping[str, Any]) -> Any:
    with refusal.told(given):
        cursor = await connection.execute(call, given, prepare=True)
        return (await cursor.fetchall())[0][0]
