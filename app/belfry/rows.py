"""Rows as frames: the poll for what is new, and the pages of a replay. SQL that builds what streams are written."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from typing import Any, LiteralString

from psycopg import AsyncConnection
from psycopg.rows import tuple_row

from belfry import sse
from belfry.cursor import MAX_POSITION, Range
from belfry.model import Row, Stay
from belfry.tracker import LATE_PAGES, Plan

Connection = AsyncConnection[Any]
_id = attrgetter("id")

# --- rows as frames: Postgres builds the JSON, Python never parses it ----------------------------------------

_CONTENT: LiteralString = """row_to_json((
    SELECT frame FROM (SELECT n.id, n.recipient, n.topic, n.tenant, n.kind, n.title, n.body, n.action_url, n.actions,
        n.data, n.actor, n.tags, n.severity, n.group_key, n.created_at, n.expires_at) AS frame))::text"""
_ALIVE: LiteralString = "n.ended_at IS NULL AND (n.expires_at IS NULL OR n.expires_at > now())"
_NOTIFICATION: LiteralString = f"""
    n.id, n.recipient, n.topic, n.tenant, NULL::text AS verb,
    CASE WHEN {_ALIVE} AND NOT n.silent THEN
        CASE WHEN %(contents)s THEN convert_to({_CONTENT}, 'UTF8') ELSE '' END END AS payload,
    timestamptz_send(n.created_at) AS created_at, extract(epoch FROM n.expires_at)::float8 AS expires_at, n.kind,
    NULL::bigint AS about, NULL::boolean AS enabled
"""
_CHANGE: LiteralString = f"""
    c.id, c.recipient, c.topic, c.tenant, c.verb,
    CASE
        WHEN c.verb = 'declared' THEN NULL
        WHEN c.verb = 'revised' THEN (
            SELECT convert_to(format('{{"id":%%s,"verb":"revised","ids":[%%s],"notification":%%s}}', c.id, n.id,
                {_CONTENT}), 'UTF8') FROM belfry.notification AS n WHERE n.id = c.ids[1] AND {_ALIVE})
        ELSE convert_to(json_strip_nulls(row_to_json((
            SELECT frame FROM (SELECT c.id, c.verb, c.ids, c.through, c.topic, c.kind, c.enabled) AS frame)))::text,
            'UTF8')
    END AS payload,
    timestamptz_send(c.created_at) AS created_at, NULL::float8 AS expires_at,
    CASE c.verb WHEN 'revised' THEN (SELECT n.kind FROM belfry.notification AS n WHERE n.id = c.ids[1]) ELSE c.kind
        END AS kind, c.ids[1] AS about, c.enabled
"""


_PAYLOAD = Row._fields.index("payload")


def _rows(found: Iterable[tuple[Any, ...]]) -> list[Row]:
    return [_framed(each) if each[_PAYLOAD] else Row._make(each) for each in found]


def _framed(found: tuple[Any, ...]) -> Row:
    number, recipient, topic, tenant, verb, payload, *rest = found
    payload = sse.notification(payload) if verb is None else sse.change(payload)
    return Row(number, recipient, topic, tenant, verb, payload, *rest)


# --- the poll ------------------------------------------------------------------------------------------------

_FRESH_ROWS: LiteralString = f"""
        (SELECT {_NOTIFICATION}, 0 AS branch FROM belfry.notification AS n
         WHERE n.id > %(head)s ORDER BY n.id LIMIT %(page)s)
        UNION ALL
        (SELECT {_CHANGE}, 0 AS branch FROM belfry.change AS c
         WHERE c.id > %(head)s ORDER BY c.id LIMIT %(page)s)
"""
_ROWS_BY_ID: LiteralString = f"""
        UNION ALL
        SELECT {_NOTIFICATION}, 1 FROM belfry.notification AS n WHERE n.id = ANY (%(ids)s::bigint[])
        UNION ALL
        SELECT {_CHANGE}, 1 FROM belfry.change AS c WHERE c.id = ANY (%(ids)s::bigint[])
"""
_LATE_IDS: LiteralString = """
    WITH late AS MATERIALIZED (
        SELECT * FROM (
            SELECT one.id, false AS change FROM unnest(%(los)s::bigint[], %(his)s::bigint[]) AS gap (lo, hi)
            CROSS JOIN LATERAL (
                SELECT n.id FROM belfry.notification AS n
                WHERE n.id BETWEEN gap.lo AND gap.hi ORDER BY n.id LIMIT %(page)s) AS one
            UNION ALL
            SELECT one.id, true FROM unnest(%(los)s::bigint[], %(his)s::bigint[]) AS gap (lo, hi)
            CROSS JOIN LATERAL (
                SELECT c.id FROM belfry.change AS c
                WHERE c.id BETWEEN gap.lo AND gap.hi ORDER BY c.id LIMIT %(page)s) AS one
        ) AS ids ORDER BY id LIMIT %(most)s
    )
"""
_ROWS_OF_RANGES: LiteralString = f"""
        UNION ALL
        SELECT sent.*, 3 FROM late CROSS JOIN LATERAL (
            SELECT {_NOTIFICATION} FROM belfry.notification AS n WHERE n.id = late.id OFFSET 0) AS sent
        WHERE NOT late.change
        UNION ALL
        SELECT made.*, 3 FROM late CROSS JOIN LATERAL (
            SELECT {_CHANGE} FROM belfry.change AS c WHERE c.id = late.id OFFSET 0) AS made
        WHERE late.change
"""
# OFFSET 0: range by range, over the partial index
_MEMBERSHIPS: LiteralString = f"""
        UNION ALL
        SELECT moved.*, 2 FROM unnest(%(wide_los)s::bigint[], %(wide_his)s::bigint[]) AS gap (lo, hi)
        CROSS JOIN LATERAL (
            SELECT {_CHANGE} FROM belfry.change AS c
            WHERE c.id BETWEEN gap.lo AND gap.hi AND c.verb IN ('subscribed', 'unsubscribed', 'preference', 'declared')
            OFFSET 0) AS moved
"""


@cache
def poll_text(*, ids: bool, ranges: bool, wide: bool) -> LiteralString:
    """The poll for what there is to probe: a branch that finds nothing to do costs 60 µs all the same."""
    branches = _FRESH_ROWS + (_ROWS_BY_ID if ids else "") + (_ROWS_OF_RANGES if ranges else "")
    late = _LATE_IDS if ranges else ""
    return _on_one_line(f"{late}SELECT * FROM ({branches}{_MEMBERSHIPS if wide else ''}) AS found ORDER BY id")


def _on_one_line(text: LiteralString) -> LiteralString:
    """Without what is there for the eye, and hence without comments: psycopg reads anew what has over 4,096 bytes."""
    return " ".join(text.split())


POLL: LiteralString = poll_text(ids=True, ranges=True, wide=True)
_FRESH, _RANGED = 0, 3  # branches of POLL that are cut
FEW_IDS = 8  # a gap of fewer ids is asked for by its ids: one scan for all such gaps, not one for each


@dataclass(frozen=True, slots=True)
class Found:
    """What a poll has read: rows in id order, up to which id it read each probe, and whether the page was full."""

    rows: list[Row]
    covered: tuple[int, ...]
    full: bool


async def poll(connection: Connection, plan: Plan, page: int, *, contents: bool = True) -> Found:
    """Every row above the head, and in the probed ranges: at most a page of each table and range, four of all ranges.

    Without `contents` the payload of a notification that can be sent is OMITTED.
    Membership rows of wide ranges, and of those that are not probed, come whole: nobody who was removed from a topic
    gets a later row of it.
    """
    few = [probe for probe in plan.probes if probe.hi - probe.lo < FEW_IDS]
    many = [probe for probe in plan.probes if probe.hi - probe.lo >= FEW_IDS]
    parameters = {
        "contents": contents,
        "head": plan.head,
        "page": page,
        "most": LATE_PAGES * page,
        "ids": [each for probe in few for each in range(probe.lo, probe.hi + 1)],
        "los": [probe.lo for probe in many],
        "his": [probe.hi for probe in many],
        "wide_los": [lo for lo, _ in plan.wide],
        "wide_his": [hi for _, hi in plan.wide],
    }
    async with connection.cursor(binary=True, row_factory=tuple_row) as cursor:
        text = poll_text(ids=bool(few), ranges=bool(many), wide=bool(plan.wide))
        await cursor.execute(text, parameters, prepare=True)
        found = await cursor.fetchall()
    rows = _rows(found)
    if len(rows) < page:
        return Found(rows, tuple(probe.hi for probe in plan.probes), full=False)
    fresh = [row for row in rows if row.branch == _FRESH]
    ranged = [row for row in rows if row.branch == _RANGED]
    last = ranged[-1].id if len(ranged) >= LATE_PAGES * page else MAX_POSITION
    covered = tuple(
        probe.hi
        if probe.hi - probe.lo < FEW_IDS
        else min(max(last, probe.lo - 1), _covered(probe.lo, probe.hi, ranged, page))
        for probe in plan.probes
    )
    top = _covered(plan.head + 1, MAX_POSITION, fresh, page)
    # What lies past the cut of one table waits for the other's: a removal there comes before a row that follows it.
    return Found([row for row in rows if row.id <= top], covered, full=top < MAX_POSITION)


def _by_table(rows: Iterable[Row]) -> tuple[list[int], list[int]]:
    notifications: list[int] = []
    changes: list[int] = []
    for row in rows:
        (notifications if row.verb is None else changes).append(row.id)
    return notifications, changes


def _covered(low: int, high: int, rows: Sequence[Row], page: int) -> int:
    """Up to which id a range was read, of rows in id order: to its end, unless a table filled a page of it."""
    first = bisect_left(rows, low, key=_id)
    tables = _by_table(rows[first : bisect_right(rows, high, lo=first, key=_id)])
    return min([high, *(ids[-1] for ids in tables if len(ids) >= page)])


BY_ID: LiteralString = f"SELECT {_NOTIFICATION}, 0 FROM belfry.notification AS n WHERE n.id = ANY (%(ids)s::bigint[])"


async def notifications(connection: Connection, ids: Sequence[int]) -> dict[int, Row]:
    """Notifications with their contents, by id; those that are gone are missing."""
    async with connection.cursor(binary=True, row_factory=tuple_row) as cursor:
        await cursor.execute(BY_ID, {"contents": True, "ids": list(ids)}, prepare=True)
        return {row.id: row for row in _rows(await cursor.fetchall())}


# --- replay --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a replay, and how far had been pruned when it was read."""

    pruned: int
    rows: list[Row]


_STAYS: LiteralString = "(SELECT %(topics)s::text[]), (SELECT %(sinces)s::bigint[]), (SELECT %(untils)s::bigint[])"
"""Selected, so that the planner does not count them: what it expects of a thousand is enough to begin to compile."""

# Each source is read along its own index, never along the ids of everybody: hence rows are compared with rows and
# ordered by the same two columns. With a plain equality the planner may take the primary key and filter. What is unseen
# is one value, because a client may send hundreds of gaps, and each row that is its own is asked against them. Only
# the rows of the page are read and made frames of: a recipient in a thousand topics has a page of each.
REPLAY: LiteralString = _on_one_line(f"""
    WITH page AS MATERIALIZED (
        SELECT * FROM (
            (SELECT n.id, false AS change FROM belfry.notification AS n
             WHERE n.recipient IS NOT NULL
                AND (n.recipient, n.id) > (%(recipient)s::text, %(after)s::bigint)
                AND (n.recipient, n.id) <= (%(recipient)s::text, %(head)s::bigint)
                AND n.id <@ %(unseen)s::int8multirange
             ORDER BY n.recipient, n.id LIMIT %(page)s)
            UNION ALL
            SELECT posted.id, false FROM unnest({_STAYS}) AS stay (topic, since, until)
            CROSS JOIN LATERAL (
                SELECT n.id FROM belfry.notification AS n
                WHERE n.topic IS NOT NULL
                    AND (n.topic, n.id) > (stay.topic, greatest(stay.since, %(after)s))
                    AND (n.topic, n.id) <= (stay.topic, least(stay.until - 1, %(head)s))
                    AND n.id <@ %(unseen)s::int8multirange
                ORDER BY n.topic, n.id LIMIT %(page)s) AS posted
            UNION ALL
            (SELECT c.id, true FROM belfry.change AS c
             WHERE (c.recipient, c.id) > (%(recipient)s::text, %(after)s::bigint)
                AND (c.recipient, c.id) <= (%(recipient)s::text, %(head)s::bigint)
                AND c.id <@ %(unseen)s::int8multirange
             ORDER BY c.recipient, c.id LIMIT %(page)s)
            UNION ALL
            SELECT about.id, true FROM unnest({_STAYS}) AS stay (topic, since, until)
            CROSS JOIN LATERAL (
                SELECT c.id FROM belfry.change AS c
                WHERE c.recipient IS NULL
                    AND (c.topic, c.id) > (stay.topic, greatest(stay.since, %(after)s))
                    AND (c.topic, c.id) <= (stay.topic, %(head)s::bigint)
                    AND c.ids[1] > stay.since AND (stay.until IS NULL OR c.ids[1] < stay.until)
                    AND c.id <@ %(unseen)s::int8multirange
                ORDER BY c.topic, c.id LIMIT %(page)s) AS about
        ) AS unseen ORDER BY id LIMIT %(page)s
    )
    SELECT s.pruned, found.* FROM (SELECT pruned FROM belfry.settled LIMIT 1) AS s LEFT JOIN (
        SELECT sent.*, 0 FROM page CROSS JOIN LATERAL (
            SELECT {_NOTIFICATION} FROM belfry.notification AS n WHERE n.id = page.id OFFSET 0) AS sent
        WHERE NOT page.change
        UNION ALL
        SELECT made.*, 0 FROM page CROSS JOIN LATERAL (
            SELECT {_CHANGE} FROM belfry.change AS c WHERE c.id = page.id OFFSET 0) AS made
        WHERE page.change
    ) AS found ON true
    ORDER BY found.id
""")


async def replay(
    connection: Connection,
    recipient: str,
    stays: Sequence[tuple[str, Stay]],
    unseen: Sequence[Range],
    head: int,
    after: int,
    page: int,
) -> Page:
    """A page of what belongs to a recipient above `after`, up to `head`, and was not seen: in id order."""
    parameters = {
        "contents": True,
        "recipient": recipient,
        "topics": [topic for topic, _ in stays],
        "sinces": [stay.since for _, stay in stays],
        "untils": [stay.until for _, stay in stays],
        "unseen": f"{{{','.join(f'[{lo},{hi}]' for lo, hi in unseen)}}}",
        "head": head,
        "after": after,
        "page": page,
    }
    async with connection.cursor(binary=True, row_factory=tuple_row) as cursor:
        await cursor.execute(REPLAY, parameters, prepare=True)
        found = await cursor.fetchall()
    return Page(found[0][0], _rows(each[1:] for each in found if each[1] is not None))
