"""A recipient's inbox by SQL, for those who call us otherwise; a credential only ever narrows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, LiteralString

import psycopg

from belfry import refusal
from belfry.auth import Credential
from belfry.cursor import MAX_POSITION
from belfry.tracker import WIDE_RANGE_IDS, Tracker

Connection = psycopg.AsyncConnection[Any]

MAX_NEWER = 10_000
"""So many rows may lie between what the relay has seen and a page, for which the page's cursor tells all."""

SCOPE: LiteralString = "tenant => %(tenant)s, topics => %(topics)s"


@dataclass(frozen=True, slots=True)
class Filter:
    """What a page shows: how things stand, from where on, how many, of which kinds, with which tags."""

    state: str = "all"
    before: int = MAX_POSITION
    limit: int = 20
    kinds: Sequence[str] | None = None
    tags: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """The numbers beside a bell."""

    unread: int
    unseen: int
    total: int


@dataclass(frozen=True, slots=True)
class Page:
    """A page, each item as JSON, with the counts and the cursor of the same snapshot."""

    items: list[bytes]
    next: int | None
    counts: Counts
    tracker: Tracker


def _reach(me: Credential) -> dict[str, Any]:
    return {
        "recipient": me.recipient,
        "tenant": me.tenant,
        "topics": None if me.topics is None else sorted(me.topics),
    }


# --- reading -------------------------------------------------------------------------------------------------

_PAGE: LiteralString = f"""
    SELECT item.id, convert_to(row_to_json(item)::text, 'UTF8') FROM belfry.list_inbox(
        recipient => %(recipient)s, state => %(state)s, before => %(before)s, max_rows => %(max_rows)s,
        kinds => %(kinds)s, tags => %(tags)s, {SCOPE}) AS item
    ORDER BY item.id DESC
"""


async def page(connection: Connection, me: Credential, shown: Filter, tracker: Tracker) -> Page:
    """A page, the counts and the cursor of one snapshot. `tracker` is what the relay had seen before it: it learns.

    Raises Unprocessable.
    """
    await contact(connection, me)
    await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    items = await _items(connection, me, shown)
    found = await counts(connection, me)
    for position in await _newer(connection, tracker):
        tracker.see(position)
    await connection.execute("COMMIT")
    shown_items = items[: shown.limit]
    for position in sorted(position for position, _ in shown_items):
        if position <= tracker.head:
            tracker.see(position)  # one in a wide gap, which is not read for everybody
    following = shown_items[-1][0] if len(items) > shown.limit else None
    return Page([item for _, item in shown_items], following, found, tracker)


async def _items(connection: Connection, me: Credential, shown: Filter) -> list[tuple[int, bytes]]:
    """The items, and one more if there is one."""
    given = {
        **_reach(me),
        "state": shown.state,
        "before": shown.before,
        "max_rows": shown.limit + 1,
        "kinds": None if shown.kinds is None else list(shown.kinds),
        "tags": None if shown.tags is None else list(shown.tags),
    }
    with refusal.told(given):
        cursor = await connection.execute(_PAGE, given, prepare=True)
        return await cursor.fetchall()


_COUNTS: LiteralString = f"SELECT unread, unseen, total FROM belfry.counts(recipient => %(recipient)s, {SCOPE})"


async def counts(connection: Connection, me: Credential) -> Counts:
    """The numbers beside the bell."""
    cursor = await connection.execute(_COUNTS, _reach(me), prepare=True)
    return Counts(*(await cursor.fetchall())[0])


HOLDS: LiteralString = """
    SELECT FROM belfry.notification AS n
    WHERE n.id = %(id)s AND n.ended_at IS NULL AND (n.expires_at IS NULL OR n.expires_at > now())
        AND (%(tenant)s::text IS NULL OR n.tenant = %(tenant)s)
        AND (n.recipient = %(recipient)s
            OR ((%(topics)s::text[] IS NULL OR n.topic = ANY (%(topics)s)) AND (
                EXISTS (SELECT FROM belfry.subscription AS s
                    WHERE s.recipient = %(recipient)s AND s.topic = n.topic AND s.since < n.id
                        AND (s.until IS NULL OR n.id < s.until))
                OR (n.topic = '*' AND EXISTS (SELECT FROM belfry.inbox AS i
                    WHERE i.recipient = %(recipient)s AND i.since < n.id)))))
"""


async def holds(connection: Connection, me: Credential, position: int) -> bool:
    """Whether a notification is in their inbox, archived and snoozed ones too."""
    cursor = await connection.execute(HOLDS, {**_reach(me), "id": position}, prepare=True)
    return await cursor.fetchone() is not None


async def contact(connection: Connection, me: Credential) -> None:
    """Note a recipient's first contact: broadcasts belong to them from then on."""
    await connection.execute("SELECT count(*) FROM belfry.contact(%s)", ([me.recipient],), prepare=True)


NEWER: LiteralString = """
    SELECT id FROM (
        (SELECT id FROM belfry.notification WHERE id > %(head)s ORDER BY id LIMIT %(most)s)
        UNION ALL
        (SELECT id FROM belfry.change WHERE id > %(head)s ORDER BY id LIMIT %(most)s)
        UNION ALL
        SELECT late.id FROM unnest(%(los)s::bigint[], %(his)s::bigint[]) AS gap (lo, hi) CROSS JOIN LATERAL (
            SELECT id FROM belfry.notification WHERE id BETWEEN gap.lo AND gap.hi
            UNION ALL SELECT id FROM belfry.change WHERE id BETWEEN gap.lo AND gap.hi) AS late
    ) AS newer ORDER BY id LIMIT %(most)s
"""


async def _newer(connection: Connection, tracker: Tracker) -> list[int]:
    """The visible ids that the relay had not seen, the lowest first.

    Of a wide gap, and past the limit, none: they may come on the stream again, but are never lost.
    """
    narrow = [(lo, hi) for lo, hi in tracker.gaps if hi - lo < WIDE_RANGE_IDS]
    given = {"head": tracker.head, "los": [lo for lo, _ in narrow], "his": [hi for _, hi in narrow], "most": MAX_NEWER}
    cursor = await connection.execute(NEWER, given, prepare=True)
    return [found[0] for found in await cursor.fetchall()]


# --- changing ------------------------------------------------------------------------------------------------

_IDS: LiteralString = f"(recipient => %(recipient)s, ids => %(ids)s::bigint[], {SCOPE})"
_ALL: LiteralString = f"(recipient => %(recipient)s, through => %(through)s::bigint, {SCOPE})"

BY_IDS: Final[dict[str, LiteralString]] = {
    "read": f"SELECT belfry.mark_read{_IDS}",
    "unread": f"SELECT belfry.mark_unread{_IDS}",
    "seen": f"SELECT belfry.mark_seen{_IDS}",
    "archive": f"SELECT belfry.archive{_IDS}",
    "unarchive": f"SELECT belfry.unarchive{_IDS}",
    "unsnooze": f"SELECT belfry.unsnooze{_IDS}",
}
FOR_ALL: Final[dict[str, LiteralString]] = {
    "read": f"SELECT belfry.mark_all_read{_ALL}",
    "seen": f"SELECT belfry.mark_all_seen{_ALL}",
    "archive": f"SELECT belfry.archive_all{_ALL}",
}
_SNOOZE: LiteralString = f"""
    SELECT belfry.snooze(recipient => %(recipient)s, ids => %(ids)s::bigint[], until => %(until)s::timestamptz, {SCOPE})
"""


async def mark(connection: Connection, me: Credential, verb: str, ids: Sequence[int]) -> int:
    """Do what the verb says to those of the ids that are theirs; how many changed."""
    return await _changed(connection, BY_IDS[verb], {**_reach(me), "ids": list(ids)})


async def mark_all(connection: Connection, me: Credential, verb: str, through: int | None) -> int:
    """Do what the verb says to all up to `through`; None: to all that there is."""
    return await _changed(connection, FOR_ALL[verb], {**_reach(me), "through": through})


async def snooze(connection: Connection, me: Credential, ids: Sequence[int], until: str) -> int:
    """Put aside until then; how many. Raises Unprocessable for a time that is none, or is past."""
    return await _changed(connection, _SNOOZE, {**_reach(me), "ids": list(ids), "until": until})


async def _changed(connection: Connection, call: LiteralString, given: dict[str, Any]) -> int:
    with refusal.told(given):
        cursor = await connection.execute(call, given, prepare=True)
        return (await cursor.fetchall())[0][0]
