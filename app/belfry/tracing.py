"""What became of a notification, by SQL: its content, how many have it, and why one person has it or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg

from belfry import refusal

Connection = psycopg.AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Trace:
    """Why one person has a notification, or has it not: what counts for it, and the verdict in a sentence."""

    audience: str | None
    sent_at: str | None
    ended_at: str | None
    expires_at: str | None
    first_contact: int | None
    stay_since: int | None
    stay_until: int | None
    muted: bool | None
    seen: bool | None
    read: bool | None
    archived: bool | None
    snoozed_until: str | None
    settled: bool | None
    relays: int
    verdict: str


TRACE: LiteralString = """
    SELECT audience, to_json(sent_at), to_json(ended_at), to_json(expires_at), first_contact, stay_since, stay_until,
        muted, seen, read, archived, to_json(snoozed_until), settled,
        (SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'belfry listener'),
        verdict
    FROM belfry.trace(id => %(id)s, recipient => %(recipient)s)
"""


async def trace(connection: Connection, number: int, recipient: str) -> Trace:
    """Why that recipient has a notification, or has it not. Raises Unprocessable for what is no recipient."""
    given = {"id": number, "recipient": recipient}
    with refusal.told(given):
        cursor = await connection.execute(TRACE, given, prepare=True)
        return Trace(*(await cursor.fetchall())[0])


@dataclass(frozen=True, slots=True)
class Content:
    """What was sent: as JSON, and what a line can tell of it.

    Postgres keeps deeper JSON and longer numbers than Python reads: what the sender made up is only passed on.
    """

    told: dict[str, Any]
    json: bytes


CONTENT: LiteralString = """
    SELECT to_jsonb(content) - '{data,actions,actor}'::text[], convert_to(row_to_json(content)::text, 'UTF8') FROM (
        SELECT n.id, n.recipient, n.topic, n.tenant, n.kind, n.title, n.body, n.action_url, n.actions, n.data, n.actor,
            n.tags, n.severity, n.created_at, n.expires_at, n.revised_at, n.ended_at, n.group_key, n.dedupe_key,
            NULL::timestamptz AS deliver_at
        FROM belfry.notification AS n WHERE n.id = %(id)s
        UNION ALL
        SELECT -s.number, s.recipient, s.topic, s.tenant, s.kind, s.title, s.body, s.action_url, s.actions, s.data,
            s.actor, s.tags, s.severity, s.created_at, s.expires_at, NULL, NULL, s.group_key, s.dedupe_key, s.deliver_at
        FROM belfry.scheduled AS s WHERE s.number = -%(id)s) AS content
"""


async def content(connection: Connection, number: int) -> Content | None:
    """What was sent, or is scheduled (below zero); None where there is none."""
    cursor = await connection.execute(CONTENT, {"id": number}, prepare=True)
    found = await cursor.fetchone()
    return Content(*found) if found else None


REACH: LiteralString = """
    SELECT count(*), count(*) FILTER (WHERE coalesce(c.seen_at < 'infinity', n.id <= i.seen_through)),
        count(*) FILTER (WHERE coalesce(c.read_at < 'infinity', n.id <= i.read_through)),
        count(*) FILTER (WHERE coalesce(c.archived_at < 'infinity', n.id <= i.archived_through))
    FROM belfry.notification AS n
    CROSS JOIN LATERAL (
        SELECT n.recipient WHERE n.recipient IS NOT NULL
        UNION ALL
        SELECT s.recipient FROM belfry.subscription AS s
        WHERE s.topic = n.topic AND s.since < n.id AND (s.until IS NULL OR n.id < s.until)
        UNION ALL
        SELECT i.recipient FROM belfry.inbox AS i WHERE n.topic = '*' AND i.since < n.id) AS reader
    LEFT JOIN belfry.inbox AS i ON i.recipient = reader.recipient
    LEFT JOIN belfry.receipt AS c ON c.recipient = reader.recipient AND c.notification_id = n.id
    WHERE n.id = %(id)s
"""


async def reach(connection: Connection, number: int) -> tuple[int, int, int, int]:
    """How many it was sent to, and how many of them have seen it, read it, archived it."""
    cursor = await connection.execute(REACH, {"id": number}, prepare=True)
    return (await cursor.fetchall())[0]
