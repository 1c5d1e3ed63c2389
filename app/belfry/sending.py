"""Sending by SQL for those who call us otherwise: the HTTP route and the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, LiteralString

import psycopg
from psycopg.types.json import Jsonb

from belfry import errors

_FIELDS: LiteralString = """
    kind => %(kind)s, title => %(title)s, body => %(body)s, data => %(data)s, action_url => %(action_url)s,
    actions => %(actions)s, actor => %(actor)s, tags => %(tags)s, severity => %(severity)s, tenant => %(tenant)s,
    dedupe_key => %(dedupe_key)s, group_key => %(group_key)s, deliver_at => %(deliver_at)s, expires_at => %(expires_at)s
"""
_CALLS: Final[dict[str, LiteralString]] = {
    "recipient": f"SELECT belfry.send(recipient => %(recipient)s, {_FIELDS})",
    "recipients": f"SELECT * FROM belfry.send_many(recipients => %(recipients)s, {_FIELDS})",
    "topic": f"SELECT belfry.publish(topic => %(topic)s, {_FIELDS})",
    "broadcast": f"SELECT belfry.broadcast({_FIELDS})",
}
_DEFAULTS: dict[str, Any] = {
    "title": "",
    "body": "",
    "data": {},
    "action_url": None,
    "actions": [],
    "actor": None,
    "tags": [],
    "severity": "info",
    "tenant": "",
    "dedupe_key": None,
    "group_key": None,
    "deliver_at": None,
    "expires_at": None,
}
_JSON = ("data", "actions", "actor")


async def send(connection: psycopg.AsyncConnection[Any], fields: Mapping[str, Any]) -> list[int]:
    """Send what `fields` say, to the one of recipient, recipients, topic and broadcast that they name; the ids.

    Raises Unprocessable or PayloadTooLarge with the database's own words.
    """
    given = {**_DEFAULTS, **fields}
    for name in _JSON:
        given[name] = None if given[name] is None else Jsonb(given[name])
    call: LiteralString = next(sql for name, sql in _CALLS.items() if given.get(name) not in (None, False))
    try:
        cursor = await connection.execute(call, given)
        return [found[0] for found in await cursor.fetchall()]
    except psycopg.Error as error:
        raise _refusal(error) from error


async def may_send(connection: psycopg.AsyncConnection[Any], key_hash: str) -> bool:
    """Whether an API key of that hash is known, not revoked, and may send."""
    cursor = await connection.execute(
        "SELECT 'send' = ANY (scopes) FROM belfry.api_key WHERE hash = %s AND revoked_at IS NULL", (key_hash,)
    )
    found = await cursor.fetchone()
    return bool(found and found[0])


def _refusal(error: psycopg.Error) -> Exception:
    """The database's refusal in its own words, with its hint; anything else as it is."""
    if isinstance(error, psycopg.DataError) and error.sqlstate is None:  # the driver's own: a NUL in a text
        return errors.Unprocessable(str(error))
    state = error.sqlstate or ""
    if not (state.startswith("BF") or state in ("22007", "22008", "22P02", "22P05", "22021", "23514")):
        return error
    parts = [error.diag.message_primary, error.diag.message_detail, error.diag.message_hint]
    text = " ".join(f"{part.rstrip('.')}." for part in parts if part) or str(error)
    return errors.PayloadTooLarge(text) if state == "BF004" else errors.Unprocessable(text)
