"""One coroutine per SQL statement: the only SQL in Python, but for the migrations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, LiteralString

from psycopg import AsyncConnection
from psycopg.rows import tuple_row

from belfry import sse
from belfry.cursor import MAX_POSITION, Plan, Range
from belfry.model import EVERYONE, Member, Row, State, Stay

Connection = AsyncConnection[Any]

BELL_CLASS: Final = 1111837766  # 'BELF'; the trigger function belfry.ring() uses the same pair
BELL_KEY: Final = 1
CHANNEL: Final = "belfry"

# --- rows as frames: Postgres builds the JSON, Python never parses it ----------------------------------------

_NOTIFICATION: LiteralString = """
    n.id, n.recipient, n.topic, n.tenant, NULL::text AS verb, timestamptz_send(n.created_at) AS created_at,
    extract(epoch FROM n.expires_at)::float8 AS expires_at,
    CASE WHEN n.expires_at IS NULL OR n.expires_at > now() THEN convert_to(row_to_json((
        SELECT frame FROM (SELECT n.id, n.recipient, n.topic, n.tenant, n.kind, n.title, n.body, n.action_url,
            n.actions, n.data, n.actor, n.tags, n.severity, n.created_at) AS frame))::text, 'UTF8')
    END AS payload
"""
_CHANGE: LiteralString = """
    c.id, c.recipient, c.topic, ''::text AS tenant, c.verb, timestamptz_send(c.created_at) AS created_at,
    NULL::float8 AS expires_at,
    convert_to(row_to_json((
        SELECT frame FROM (SELECT c.id, c.verb, c.topic) AS frame))::text, 'UTF8') AS payload
"""


def _row(found: tuple[Any, ...]) -> Row:
    number, recipient, topic, tenant, verb, created_at, expires_at, payload = found
    if payload is not None:
        payload = sse.notification(payload) if verb is None else sse.change(payload)
    return Row(number, recipient, topic, tenant, verb, payload, created_at, expires_at)


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
_ROWS_OF_RANGES: LiteralString = f"""
        UNION ALL
        SELECT late.*, 1 FROM unnest(%(los)s::bigint[], %(his)s::bigint[]) AS gap (lo, hi) CROSS JOIN LATERAL (
            SELECT {_NOTIFICATION} FROM belfry.notification AS n
            WHERE n.id BETWEEN gap.lo AND gap.hi ORDER BY n.id LIMIT %(page)s) AS late
        UNION ALL
        SELECT late.*, 1 FROM unnest(%(los)s::bigint[], %(his)s::bigint[]) AS gap (lo, hi) CROSS JOIN LATERAL (
            SELECT {_CHANGE} FROM belfry.change AS c
            WHERE c.id BETWEEN gap.lo AND gap.hi ORDER BY c.id LIMIT %(page)s) AS late
"""
_MEMBERSHIPS: LiteralString = f"""
        UNION ALL
        SELECT moved.*, 2 FROM unnest(%(wide_los)s::bigint[], %(wide_his)s::bigint[]) AS gap (lo, hi)
        CROSS JOIN LATERAL (
            SELECT {_CHANGE} FROM belfry.change AS c
            WHERE c.id BETWEEN gap.lo AND gap.hi AND c.verb IN ('subscribed', 'unsubscribed')
            OFFSET 0) AS moved -- OFFSET 0: range by range, over the partial index
"""


def poll_text(*, ids: bool, ranges: bool, wide: bool) -> LiteralString:
    """The poll for what there is to probe: a branch that finds nothing to do costs 60 µs all the same."""
    branches = _FRESH_ROWS + (_ROWS_BY_ID if ids else "") + (_ROWS_OF_RANGES if ranges else "")
    return f"SELECT * FROM ({branches}{_MEMBERSHIPS if wide else ''}) AS found ORDER BY id"


POLL: LiteralString = poll_text(ids=True, ranges=True, wide=True)
_FRESH, _LATE = 0, 1  # branches of POLL that are cut to a page
FEW_IDS = 8  # a gap of fewer ids is asked for by its ids: one scan for all such gaps, not one for each


@dataclass(frozen=True, slots=True)
class Found:
    """What a poll has read: rows in id order, up to which id it read each probe, and whether the page was full."""

    rows: list[Row]
    covered: tuple[int, ...]
    full: bool


async def poll(connection: Connection, plan: Plan, page: int) -> Found:
    """Every row above the head, and in the probed ranges; at most a page of each table and range.

    Membership rows of wide ranges, and of those that are not probed, come whole: nobody who was removed from a topic
    gets a later row of it.
    """
    few = [probe for probe in plan.probes if probe.hi - probe.lo < FEW_IDS]
    many = [probe for probe in plan.probes if probe.hi - probe.lo >= FEW_IDS]
    parameters = {
        "head": plan.head,
        "page": page,
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
    rows = [_row(each[:-1]) for each in found]
    if len(rows) < page:
        return Found(rows, tuple(probe.hi for probe in plan.probes), full=False)
    branches = [each[-1] for each in found]
    fresh = [row for row, branch in zip(rows, branches, strict=True) if branch == _FRESH]
    late = [row for row, branch in zip(rows, branches, strict=True) if branch == _LATE]
    covered = tuple(_covered(probe.lo, probe.hi, late, page) for probe in plan.probes)
    top = _covered(plan.head + 1, MAX_POSITION, fresh, page)
    # What lies past the cut of one table waits for the other's: a removal there comes before a row that follows it.
    return Found([row for row in rows if row.id <= top], covered, full=top < MAX_POSITION)


def _by_table(rows: Iterable[Row]) -> tuple[list[int], list[int]]:
    notifications: list[int] = []
    changes: list[int] = []
    for row in rows:
        (notifications if row.verb is None else changes).append(row.id)
    return notifications, changes


def _covered(low: int, high: int, rows: Iterable[Row], page: int) -> int:
    """Up to which id a range was read: to its end, unless one of the tables filled a page of it."""
    tables = _by_table(row for row in rows if low <= row.id <= high)
    return min([high, *(ids[-1] for ids in tables if len(ids) >= page)])


NEWEST: LiteralString = """
    SELECT greatest((SELECT max(id) FROM belfry.notification), (SELECT max(id) FROM belfry.change), 0)
"""


async def newest(connection: Connection) -> int:
    """The newest visible id of both tables."""
    cursor = await connection.execute(NEWEST)
    return (await cursor.fetchall())[0][0]


HOLDERS: LiteralString = """
    SELECT DISTINCT virtualtransaction FROM pg_locks
    WHERE locktype = 'relation' AND mode = 'RowExclusiveLock' AND granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND relation IN ('belfry.notification'::regclass, 'belfry.change'::regclass)
"""


async def holders(connection: Connection) -> list[str]:
    """The transactions that may have taken an id and not committed yet: they hold ROW EXCLUSIVE on a table."""
    cursor = await connection.execute(HOLDERS, prepare=True)
    return [found[0] for found in await cursor.fetchall()]


MISSING: LiteralString = """
    WITH above AS (
        SELECT id FROM belfry.notification WHERE id > %(through)s
        UNION ALL SELECT id FROM belfry.change WHERE id > %(through)s
        UNION ALL SELECT %(through)s::bigint
    ), neighbours AS (
        SELECT id, lag(id) OVER (ORDER BY id) AS before FROM above
    )
    SELECT coalesce(max(id), 0) AS head,
        coalesce(array_agg(before + 1 ORDER BY id) FILTER (WHERE id > before + 1), '{}') AS los,
        coalesce(array_agg(id - 1 ORDER BY id) FILTER (WHERE id > before + 1), '{}') AS his
    FROM neighbours
"""


async def missing(connection: Connection, through: int) -> tuple[int, list[Range]]:
    """The head, and the ids that are missing between `through` and it: what a relay that starts knows."""
    cursor = await connection.execute(MISSING, {"through": through})
    head, los, his = (await cursor.fetchall())[0]
    return head, list(zip(los, his, strict=True))


# --- what a relay knows of the database ----------------------------------------------------------------------

STATE: LiteralString = """
    SELECT s.through, s.pruned, s.epoch, p.last_value, m.value
    FROM belfry.settled AS s, belfry.position AS p, belfry.setting AS m WHERE m.name = 'wake_mode'
"""


async def state(connection: Connection) -> State:
    """What is settled and pruned, the epoch, the sequence's last value, the wake mode."""
    cursor = await connection.execute(STATE, prepare=True)
    return State(*(await cursor.fetchall())[0])


async def settle(connection: Connection, through: int, epoch: str) -> None:
    """Write that nothing is open at or below `through`."""
    await connection.execute("SELECT belfry.settle(%s, %s)", (through, epoch), prepare=True)


async def ensure_epoch(connection: Connection) -> str:
    """The epoch's token; a new one when the database is another than the one that it was made for."""
    cursor = await connection.execute("SELECT belfry.ensure_epoch()")
    return (await cursor.fetchall())[0][0]


async def new_epoch(connection: Connection, expected: str) -> str:
    """Begin a new epoch, if `expected` is still the present one; the present token."""
    cursor = await connection.execute("SELECT belfry.new_epoch(%s)", (expected,))
    return (await cursor.fetchall())[0][0]


async def created_at(connection: Connection, position: int) -> bytes | None:
    """When the row of that id was made, or None when it is gone."""
    cursor = await connection.execute(
        "SELECT timestamptz_send(created_at) FROM belfry.notification WHERE id = %(id)s"
        " UNION ALL SELECT timestamptz_send(created_at) FROM belfry.change WHERE id = %(id)s",
        {"id": position},
    )
    found = await cursor.fetchall()
    return found[0][0] if found else None


# --- members -------------------------------------------------------------------------------------------------


async def contact(connection: Connection, recipients: Iterable[str]) -> None:
    """Note the first contact of those recipients who are new."""
    await connection.execute("SELECT count(*) FROM belfry.contact(%s)", (sorted(set(recipients)),), prepare=True)


MEMBERS: LiteralString = """
    SELECT recipient, %(everyone)s AS topic, since, NULL::bigint AS until
    FROM belfry.inbox WHERE recipient = ANY (%(recipients)s)
    UNION ALL
    SELECT recipient, topic, since, until FROM belfry.subscription WHERE recipient = ANY (%(recipients)s)
    ORDER BY recipient, topic, since
"""


async def members(connection: Connection, recipients: Iterable[str]) -> dict[str, Member]:
    """The stays of recipients, first contact being the stay in `*`."""
    wanted = sorted(set(recipients))
    cursor = await connection.execute(MEMBERS, {"everyone": EVERYONE, "recipients": wanted}, prepare=True)
    found = {recipient: Member(recipient, {}) for recipient in wanted}
    for recipient, topic, since, until in await cursor.fetchall():
        found[recipient].stays.setdefault(topic, []).append(Stay(since, until))
    return found


# --- replay --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a replay, and how far had been pruned when it was read."""

    pruned: int
    rows: list[Row]


_UNSEEN: LiteralString = """EXISTS (
    SELECT FROM unnest(%(los)s::bigint[], %(his)s::bigint[]) AS gap (lo, hi) WHERE id BETWEEN gap.lo AND gap.hi)"""

# Each source is read along its own index, never along the ids of everybody: hence rows are compared with rows and
# ordered by the same two columns. With a plain equality the planner may take the primary key and filter.
REPLAY: LiteralString = f"""
    SELECT s.pruned, found.* FROM belfry.settled AS s LEFT JOIN LATERAL (
        SELECT * FROM (
            (SELECT {_NOTIFICATION} FROM belfry.notification AS n
             WHERE n.recipient IS NOT NULL
                AND (n.recipient, n.id) > (%(recipient)s::text, %(after)s::bigint)
                AND (n.recipient, n.id) <= (%(recipient)s::text, %(head)s::bigint)
                AND (n.id > %(client_head)s OR {_UNSEEN})
             ORDER BY n.recipient, n.id LIMIT %(page)s)
            UNION ALL
            SELECT posted.* FROM unnest(%(topics)s::text[], %(sinces)s::bigint[], %(untils)s::bigint[])
                AS stay (topic, since, until)
            CROSS JOIN LATERAL (
                SELECT {_NOTIFICATION} FROM belfry.notification AS n
                WHERE n.topic IS NOT NULL
                    AND (n.topic, n.id) > (stay.topic, greatest(stay.since, %(after)s))
                    AND (n.topic, n.id) <= (stay.topic, least(stay.until - 1, %(head)s))
                    AND (n.id > %(client_head)s OR {_UNSEEN})
                ORDER BY n.topic, n.id LIMIT %(page)s) AS posted
            UNION ALL
            (SELECT {_CHANGE} FROM belfry.change AS c
             WHERE (c.recipient, c.id) > (%(recipient)s::text, %(after)s::bigint)
                AND (c.recipient, c.id) <= (%(recipient)s::text, %(head)s::bigint)
                AND (c.id > %(client_head)s OR {_UNSEEN})
             ORDER BY c.recipient, c.id LIMIT %(page)s)
        ) AS unseen ORDER BY id LIMIT %(page)s
    ) AS found ON true
    ORDER BY found.id
"""


async def replay(
    connection: Connection,
    recipient: str,
    stays: Sequence[tuple[str, Stay]],
    unseen: Sequence[Range],
    client_head: int,
    head: int,
    after: int,
    page: int,
) -> Page:
    """A page of what belongs to a recipient above `after`, up to `head`, and was not seen: in id order.

    `unseen` are the client's gaps, at or below `client_head`; all above that is unseen.
    """
    parameters = {
        "recipient": recipient,
        "topics": [topic for topic, _ in stays],
        "sinces": [stay.since for _, stay in stays],
        "untils": [stay.until for _, stay in stays],
        "los": [lo for lo, _ in unseen],
        "his": [hi for _, hi in unseen],
        "client_head": client_head,
        "head": head,
        "after": after,
        "page": page,
    }
    async with connection.cursor(binary=True, row_factory=tuple_row) as cursor:
        await cursor.execute(REPLAY, parameters, prepare=True)
        found = await cursor.fetchall()
    return Page(found[0][0], [_row(each[1:]) for each in found if each[1] is not None])


async def topic_ids(connection: Connection, topic: str, stay: Stay, head: int) -> list[int]:
    """The ids of a topic's rows inside a stay, up to `head`."""
    cursor = await connection.execute(
        "SELECT id FROM belfry.notification WHERE topic = %s AND id > %s AND id <= least(%s::bigint - 1, %s)"
        " ORDER BY id",
        (topic, stay.since, stay.until, head),
    )
    return [found[0] for found in await cursor.fetchall()]


# --- the bell ------------------------------------------------------------------------------------------------


async def arm(connection: Connection) -> bool:
    """Try to hold the bell. It cannot succeed while a silent writer is still open."""
    cursor = await connection.execute("SELECT pg_try_advisory_lock(%s, %s)", (BELL_CLASS, BELL_KEY), prepare=True)
    return (await cursor.fetchall())[0][0]


async def disarm(connection: Connection) -> None:
    """Let go of the bell and wake the other relays, which sleep by it."""
    await connection.execute("SELECT pg_advisory_unlock(%s, %s)", (BELL_CLASS, BELL_KEY), prepare=True)
    await ring(connection, "disarm")


async def would_ring(connection: Connection) -> bool:
    """Whether a writer would ring now: asked with the writer's own call, on a session that does not hold the bell."""
    cursor = await connection.execute(
        "SELECT NOT pg_try_advisory_xact_lock_shared(%s, %s)", (BELL_CLASS, BELL_KEY), prepare=True
    )
    return (await cursor.fetchall())[0][0]


async def ring(connection: Connection, payload: str) -> None:
    """Send a NOTIFY to every relay."""
    await connection.execute("SELECT pg_notify(%s, %s)", (CHANNEL, payload), prepare=True)


# --- may this relay start? -----------------------------------------------------------------------------------

PREFLIGHT: LiteralString = """
    SELECT pg_is_in_recovery(),
        (SELECT cache_size FROM pg_sequences WHERE schemaname = 'belfry' AND sequencename = 'position'),
        (SELECT increment_by FROM pg_sequences WHERE schemaname = 'belfry' AND sequencename = 'position'),
        EXISTS (SELECT FROM pg_subscription_rel
            WHERE srrelid IN ('belfry.notification'::regclass, 'belfry.change'::regclass))
"""


async def preflight(connection: Connection) -> tuple[bool, int | None, int | None, bool]:
    """Whether the server is in recovery, the sequence's cache and increment, whether it is a logical subscriber."""
    cursor = await connection.execute(PREFLIGHT)
    return (await cursor.fetchall())[0]


async def system_identifier(connection: Connection) -> int:
    """The identifier of the cluster behind a connection."""
    cursor = await connection.execute("SELECT system_identifier FROM pg_control_system()")
    return (await cursor.fetchall())[0][0]
