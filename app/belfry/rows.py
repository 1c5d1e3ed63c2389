"""Rows as frames: the poll for what is new, and the pages of a replay. SQL that builds what streams are written."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import starmap
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
_NOTIFICATION_OUTLINE: LiteralString = """
    n.id, n.recipient, n.topic, NULL::text AS verb, timestamptz_send(n.created_at) AS created_at
"""
_CHANGE_OUTLINE: LiteralString = """
    c.id, c.recipient, c.topic, c.verb, timestamptz_send(c.created_at) AS created_at
"""
_NOTIFICATION_CONTENTS: LiteralString = f"""
    , CASE WHEN {_ALIVE} AND NOT n.silent THEN convert_to({_CONTENT}, 'UTF8') END AS payload,
    n.tenant, extract(epoch FROM n.expires_at)::float8 AS expires_at, n.kind, NULL::bigint AS about,
    NULL::boolean AS enabled
"""
_REJOINED: LiteralString = """CASE c.verb WHEN 'unsubscribed' THEN (
        SELECT min(s.since) FROM belfry.subscription AS s
        WHERE s.recipient = c.recipient AND s.topic = c.topic AND s.since > c.id) END"""
_CHANGE_CONTENTS: LiteralString = f"""
    , CASE
        WHEN c.verb = 'declared' THEN NULL
        WHEN c.verb = 'revised' THEN (
            SELECT convert_to(format('{{"id":%%s,"verb":"revised","ids":[%%s],"notification":%%s}}', c.id, n.id,
                {_CONTENT}), 'UTF8') FROM belfry.notification AS n WHERE n.id = c.ids[1] AND {_ALIVE})
        ELSE convert_to(json_strip_nulls(row_to_json((
            SELECT frame FROM (SELECT c.id, c.verb, c.ids, c.through, c.topic, c.kind, c.enabled, {_REJOINED} AS until)
            AS frame)))::text, 'UTF8')
    END AS payload,
    c.tenant, NULL::float8 AS expires_at,
    CASE c.verb WHEN 'revised' THEN (SELECT n.kind FROM belfry.notification AS n WHERE n.id = c.ids[1]) ELSE c.kind
        END AS kind, c.ids[1] AS about, c.enabled
"""
_NOTIFICATION: LiteralString = f"{_NOTIFICATION_OUTLINE}, 0 AS branch{_NOTIFICATION_CONTENTS}"
_CHANGE: LiteralString = f"{_CHANGE_OUTLINE}, 0 AS branch{_CHANGE_CONTENTS}"


_PAYLOAD = Row._fields.index("payload")


def _rows(found: Iterable[tuple[Any, ...]]) -> list[Row]:
    return [_framed(each) if each[_PAYLOAD] else Row._make(each) for each in found]


def _framed(found: tuple[Any, ...]) -> Row:
    number, recipient, topic, verb, created_at, branch, payload, *rest = found
    payload = sse.notification(payload) if verb is None else sse.change(payload)
    return Row(number, recipient, topic, verb, created_at, branch, payload, *rest)


async def _fetch(connection: Connection, text: LiteralString, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    async with connection.cursor(binary=True, row_factory=tuple_row) as cursor:
        await cursor.execute(text, parameters, prepare=True)
        return await cursor.fetchall()


def _on_one_line(text: LiteralString) -> LiteralString:
    """Without what is there for the eye, and hence without comments: psycopg reads anew what has over 4,096 bytes."""
    return " ".join(text.split())


NOTIFICATIONS: LiteralString = _on_one_line(
    f"SELECT {_NOTIFICATION} FROM belfry.notification AS n WHERE n.id = ANY (%(ids)s::bigint[])"
)
CHANGES: LiteralString = _on_one_line(f"SELECT {_CHANGE} FROM belfry.change AS c WHERE c.id = ANY (%(ids)s::bigint[])")


async def notifications(connection: Connection, ids: Sequence[int]) -> dict[int, Row]:
    """Notifications with their contents, by id; those that are gone are missing."""
    return await _by_id(connection, NOTIFICATIONS, ids)


async def _by_id(connection: Connection, text: LiteralString, ids: Sequence[int]) -> dict[int, Row]:
    return {row.id: row for row in _rows(await _fetch(connection, text, {"ids": ids}))} if ids else {}


# --- the poll ------------------------------------------------------------------------------------------------


def _fresh_rows(notification: LiteralString, change: LiteralString) -> LiteralString:
    return f"""
        (SELECT {notification} FROM belfry.notification AS n WHERE n.id > %(head)s ORDER BY n.id LIMIT %(page)s)
        UNION ALL
        (SELECT {change} FROM belfry.change AS c WHERE c.id > %(head)s ORDER BY c.id LIMIT %(page)s)
    """


WHOLE_POLL: LiteralString = _on_one_line(f"{_fresh_rows(_NOTIFICATION, _CHANGE)} ORDER BY id")
_FRESH_ROWS: LiteralString = _fresh_rows(f"{_NOTIFICATION_OUTLINE}, 0 AS branch", f"{_CHANGE_OUTLINE}, 0 AS branch")
_ROWS_BY_ID: LiteralString = f"""
        UNION ALL
        SELECT {_NOTIFICATION_OUTLINE}, 1 FROM belfry.notification AS n WHERE n.id = ANY (%(ids)s::bigint[])
        UNION ALL
        SELECT {_CHANGE_OUTLINE}, 1 FROM belfry.change AS c WHERE c.id = ANY (%(ids)s::bigint[])
"""
_ROWS_OF_RANGES: LiteralString = f"""
        UNION ALL
        (SELECT late.*, 3 FROM (
            SELECT sent.* FROM unnest(%(los)s::bigint[], %(his)s::bigint[]) AS gap (lo, hi)
            CROSS JOIN LATERAL (
                SELECT {_NOTIFICATION_OUTLINE} FROM belfry.notification AS n
                WHERE n.id BETWEEN gap.lo AND gap.hi ORDER BY n.id LIMIT %(page)s) AS sent
            UNION ALL
            SELECT made.* FROM unnest(%(los)s::bigint[], %(his)s::bigint[]) AS gap (lo, hi)
            CROSS JOIN LATERAL (
                SELECT {_CHANGE_OUTLINE} FROM belfry.change AS c
                WHERE c.id BETWEEN gap.lo AND gap.hi ORDER BY c.id LIMIT %(page)s) AS made
        ) AS late ORDER BY late.id LIMIT %(most)s)
"""
# OFFSET 0: range by range, over the partial index
_MEMBERSHIPS: LiteralString = f"""
        UNION ALL
        SELECT moved.*, 2 FROM unnest(%(wide_los)s::bigint[], %(wide_his)s::bigint[]) AS gap (lo, hi)
        CROSS JOIN LATERAL (
            SELECT {_CHANGE_OUTLINE} FROM belfry.change AS c
            WHERE c.id BETWEEN gap.lo AND gap.hi AND c.verb IN ('subscribed', 'unsubscribed', 'preference', 'declared')
            OFFSET 0) AS moved
"""


@cache
def outlines_text(*, ids: bool, ranges: bool, wide: bool) -> LiteralString:
    """The poll for what there is to probe: a branch that finds nothing to do costs 60 µs all the same."""
    branches = _FRESH_ROWS + (_ROWS_BY_ID if ids else "") + (_ROWS_OF_RANGES if ranges else "")
    return _on_one_line(f"SELECT * FROM ({branches}{_MEMBERSHIPS if wide else ''}) AS found ORDER BY id")


_FRESH, _RANGED = 0, 3  # branches that are cut
FEW_IDS = 8  # a gap of fewer ids is asked for by its ids: one scan for all such gaps, not one for each


@dataclass(frozen=True, slots=True)
class Found:
    """What a poll has read: rows in id order, up to which id it read each probe, and whether the page was full."""

    rows: list[Row]
    covered: tuple[int, ...]
    full: bool
    queries: int = 1


async def poll(connection: Connection, plan: Plan, page: int, *, contents: bool) -> Found:
    """Every row above the head, and in the probed ranges: at most a page of each table and range, four of all ranges.

    Without `contents`, or with something to probe, the payload of a notification is OMITTED, and a second query reads
    the changes: only where all is new, one query for all is the cheapest.
    Membership rows of wide ranges, and of those that are not probed, come all: nobody who was removed from a topic
    gets a later row of it.
    """
    if contents and not plan.probes and not plan.wide:
        return _cut(plan, page, _rows(await _fetch(connection, WHOLE_POLL, {"head": plan.head, "page": page})))
    few = [probe for probe in plan.probes if probe.hi - probe.lo < FEW_IDS]
    many = [probe for probe in plan.probes if probe.hi - probe.lo >= FEW_IDS]
    parameters = {
        "head": plan.head,
        "page": page,
        "most": LATE_PAGES * page,
        "ids": [each for probe in few for each in range(probe.lo, probe.hi + 1)],
        "los": [probe.lo for probe in many],
        "his": [probe.hi for probe in many],
        "wide_los": [lo for lo, _ in plan.wide],
        "wide_his": [hi for _, hi in plan.wide],
    }
    text = outlines_text(ids=bool(few), ranges=bool(many), wide=bool(plan.wide))
    found = _cut(plan, page, list(starmap(Row, await _fetch(connection, text, parameters))))
    changes = await _by_id(connection, CHANGES, [row.id for row in found.rows if row.verb is not None])
    if not changes:
        return found
    return replace(found, rows=[changes.get(row.id, row) for row in found.rows], queries=2)


def _cut(plan: Plan, page: int, rows: list[Row]) -> Found:
    """Without the rows past what was read of both tables, where a page was full."""
    if len(rows) < page:
        return Found(rows, tuple(probe.hi for probe in plan.probes), full=False)
    fresh = [row for row in rows if row.branch == _FRESH]
    ranged = [row for row in rows if row.branch == _RANGED]
    last = ranged[-1].id if len(ranged) >= LATE_PAGES * page else MAX_POSITION
    covered = tuple(
        probe.hi if probe.hi - probe.lo < FEW_IDS else min(last, _covered(probe.lo, probe.hi, ranged, page))
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
        SELECT sent.* FROM page CROSS JOIN LATERAL (
            SELECT {_NOTIFICATION} FROM belfry.notification AS n WHERE n.id = page.id OFFSET 0) AS sent
        WHERE NOT page.change
        UNION ALL
        SELECT made.* FROM page CROSS JOIN LATERAL (
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
        "recipient": recipient,
        "topics": [topic for topic, _ in stays],
        "sinces": [stay.since for _, stay in stays],
        "untils": [stay.until for _, stay in stays],
        "unseen": f"{{{','.join(f'[{lo},{hi}]' for lo, hi in unseen)}}}",
        "head": head,
        "after": after,
        "page": page,
    }
    found = await _fetch(connection, REPLAY, parameters)
    return Page(found[0][0], _rows(each[1:] for each in found if each[1] is not None))
