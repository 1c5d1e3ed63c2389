"""Sending by SQL for those who call us otherwise: the HTTP route and the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, LiteralString

import psycopg
from psycopg.types.json import Jsonb

from belfry import refusal

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


async def send(connection: psycopg.AsyncConnection[Any], fields: Mapping[str, Any], *, prefix: str = "") -> list[int]:
    """Send what `fields` say, to the one of recipient, recipients, topic and broadcast that they name; the ids.

    Raises Unprocessable or PayloadTooLarge with the database's own words; `prefix` is where the fields stand.
    """
    given = {**_DEFAULTS, **fields}
    with refusal.told(given, prefix=prefix):
        for name in _JSON:
            given[name] = None if given[name] is None else Jsonb(given[name])
        call: LiteralString = next(sql for name, sql in _CALLS.items() if given.get(name) not in (None, False))
        cursor = await connection.execute(call, given, prepare=True)
        return [found[0] for found in await cursor.fetchall()]
