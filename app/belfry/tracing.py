"""What became of a notification, by SQL: its content, how many have it, and why one person has it or not."""

from __future__ import annotations

from typing import Any, LiteralString

import psycopg

Connection = psycopg.AsyncConnection[Any]

CONTENT: LiteralString = """
    SELECT row_to_json(content) FROM (
        SELECT n.id, n.recipient, n.topic, n.tenant, n.kind, n.title, n.body, n.action_url, n.actions, n.data, n.actor,
            n.tags, n.severity, n.created_at, n.expires_at, n.revised_at, n.ended_at, n.group_key, n.dedupe_key
        FROM belfry.notification AS n WHERE n.id = %(id)s) AS content
"""


async def content(connection: Connection, number: int) -> dict[str, Any] | None:
    """What was sent; None where there is none."""
    cursor = await connection.execute(CONTENT, {"id": number}, prepare=True)
    found = await cursor.fetchone()
    return found[0] if found else None


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
