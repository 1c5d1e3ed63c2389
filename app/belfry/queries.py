"""One coroutine per SQL statement: the only SQL in Python, but for the migrations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, LiteralString

from psycopg import AsyncConnection, errors
from psycopg.types.json import Jsonb

from belfry.batch import Badge
from belfry.choices import Choice
from belfry.cursor import Cursor, Range
from belfry.model import EVERYONE, Member, Newest, State, Stay
from belfry.stream import Scope

Connection = AsyncConnection[Any]

BELL_CLASS: Final = 1111837766  # 'BELF'; the trigger function belfry.ring() uses the same pair
BELL_KEY: Final = 1
CHANNEL: Final = "belfry"

# --- the cursor of a relay ------------------------------------------------------------------------------------

NEWEST: LiteralString = """
    SELECT greatest((SELECT max(id) FROM belfry.notification), (SELECT max(id) FROM belfry.change), 0)
"""


async def newest(connection: Connection) -> int:
    """The newest visible id of both tables."""
    cursor = await connection.execute(NEWEST)
    return (await cursor.fetchall())[0][0]


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


async def newest_row(connection: Connection, head: int) -> Newest | None:
    """The newest row at or below `head`, or None where there is none."""
    cursor = await connection.execute(
        "SELECT id, timestamptz_send(created_at) FROM ("
        " (SELECT id, created_at FROM belfry.notification WHERE id <= %(head)s ORDER BY id DESC LIMIT 1)"
        " UNION ALL (SELECT id, created_at FROM belfry.change WHERE id <= %(head)s ORDER BY id DESC LIMIT 1)"
        ") AS found ORDER BY id DESC LIMIT 1",
        {"head": head},
    )
    found = await cursor.fetchall()
    return Newest(*found[0]) if found else None


# --- members -------------------------------------------------------------------------------------------------


CONTACT: LiteralString = """
    SELECT count(*) FROM (SELECT set_config('lock_timeout', '50ms', true) AS soon OFFSET 0) AS before
    CROSS JOIN LATERAL belfry.contact(CASE WHEN before.soon IS NOT NULL THEN %s::text[] END)
"""


async def contact(connection: Connection, recipients: Iterable[str]) -> bool:
    """Note the first contact of those recipients who are new; False, and nothing noted, where a lock is in the way."""
    try:
        await connection.execute(CONTACT, (sorted(set(recipients)),), prepare=True)
    except errors.LockNotAvailable:
        return False
    return True


MEMBERS: LiteralString = """
    SELECT recipient, %(everyone)s AS topic, since, NULL::bigint AS until
    FROM belfry.inbox WHERE recipient = ANY (%(recipients)s)
    UNION ALL
    SELECT recipient, topic, since, until FROM belfry.subscription WHERE recipient = ANY (%(recipients)s)
    ORDER BY recipient, topic, since
"""


async def members(connection: Connection, recipients: Iterable[str]) -> dict[str, Member]:
    """The stays of recipients, first contact being the stay in `*`, and what they chose."""
    wanted = sorted(set(recipients))
    cursor = await connection.execute(MEMBERS, {"everyone": EVERYONE, "recipients": wanted}, prepare=True)
    found = {recipient: Member(recipient, {}) for recipient in wanted}
    for recipient, topic, since, until in await cursor.fetchall():
        found[recipient].stays.setdefault(topic, []).append(Stay(since, until))
    await preferences(connection, found)
    return found


# --- state and counts ----------------------------------------------------------------------------------------


async def badges(connection: Connection, scopes: Sequence[Scope], cursor: Cursor) -> tuple[dict[Scope, Badge], float]:
    """The counts of many scopes, of what a cursor has seen; and how many seconds the server counted."""
    if not scopes:
        return {}, 0.0
    asked = [{**one._asdict(), "topics": None if one.topics is None else sorted(one.topics)} for one in scopes]
    los, his = [lo for lo, _ in cursor.gaps], [hi for _, hi in cursor.gaps]
    found = await connection.execute(
        "SELECT place, unread, unseen, extract(epoch FROM clock_timestamp() - statement_timestamp())::float8"
        " FROM belfry.badges(%s, %s, %s::bigint[], %s::bigint[])",
        (Jsonb(asked), cursor.head, los, his),
        prepare=True,
    )
    counted = await found.fetchall()
    return {scopes[place - 1]: Badge(unread, unseen) for place, unread, unseen, _ in counted}, counted[-1][3]


RECEIPTS: LiteralString = """
    SELECT s.through, r.recipient, r.notification_id
    FROM belfry.settled AS s LEFT JOIN belfry.receipt AS r ON r.notification_id = ANY (%s::bigint[])
"""


async def receipts(connection: Connection, ids: Sequence[int]) -> tuple[list[tuple[str, int]], int]:
    """Who has marked which of these notifications already; and what is settled, above which no watermark stands."""
    cursor = await connection.execute(RECEIPTS, (list(ids),), prepare=True)
    found = await cursor.fetchall()
    return [(recipient, position) for _, recipient, position in found if recipient is not None], found[0][0]


async def watermarked(connection: Connection, ids: Sequence[int], recipients: Iterable[str]) -> list[tuple[str, int]]:
    """Whose watermarks cover which of these notifications."""
    cursor = await connection.execute(
        "SELECT i.recipient, late.id FROM belfry.inbox AS i JOIN unnest(%s::bigint[]) AS late (id)"
        " ON late.id <= greatest(i.read_through, i.seen_through, i.archived_through) WHERE i.recipient = ANY (%s)",
        (list(ids), list(recipients)),
    )
    return await cursor.fetchall()


async def kinds(connection: Connection) -> dict[str, list[Choice]]:
    """What the operator has declared of kinds."""
    cursor = await connection.execute("SELECT kind, since, until, enabled, required FROM belfry.kind ORDER BY since")
    found: dict[str, list[Choice]] = {}
    for kind, *rest in await cursor.fetchall():
        found.setdefault(kind, []).append(Choice(*rest))
    return found


async def preferences(connection: Connection, members: Mapping[str, Member]) -> None:
    """Fill in what the members chose."""
    cursor = await connection.execute(
        "SELECT recipient, kind, since, until, enabled FROM belfry.preference"
        " WHERE recipient = ANY (%s) ORDER BY recipient, kind, since",
        (list(members),),
        prepare=True,
    )
    for recipient, kind, *rest in await cursor.fetchall():
        members[recipient].choices.setdefault(kind, []).append(Choice(*rest))


# --- what a client is owed because it learned late of a stay or a choice -------------------------------------

PASSED: LiteralString = """
    (SELECT n.id, n.kind FROM belfry.notification AS n
     WHERE n.recipient IS NOT NULL AND (n.recipient, n.id) > (%(recipient)s::text, %(after)s::bigint)
        AND (n.recipient, n.id) <= (%(recipient)s::text, %(head)s::bigint)
     ORDER BY n.recipient, n.id LIMIT %(page)s)
    UNION ALL
    SELECT posted.* FROM unnest(%(topics)s::text[], %(sinces)s::bigint[], %(untils)s::bigint[])
        AS stay (topic, since, until)
    CROSS JOIN LATERAL (
        (SELECT n.id, n.kind FROM belfry.notification AS n
         WHERE n.topic IS NOT NULL AND (n.topic, n.id) > (stay.topic, greatest(stay.since, %(after)s))
            AND (n.topic, n.id) <= (stay.topic, least(stay.until - 1, %(head)s))
         ORDER BY n.topic, n.id LIMIT %(page)s)
        UNION ALL
        (SELECT c.id, '' FROM belfry.change AS c
         WHERE %(recipient)s::text IS NULL AND c.recipient IS NULL AND c.verb = 'delivered'
            AND (c.topic, c.id) > (stay.topic, greatest(stay.since, %(after)s))
            AND (c.topic, c.id) <= (stay.topic, %(head)s::bigint)
            AND c.ids[1] > stay.since AND (stay.until IS NULL OR c.ids[1] < stay.until)
         ORDER BY c.topic, c.id LIMIT %(page)s)) AS posted
    ORDER BY id LIMIT %(page)s
"""


async def passed(
    connection: Connection, recipient: str | None, stays: Sequence[tuple[str, Stay]], after: int, head: int, page: int
) -> list[tuple[int, str]]:
    """A page of the ids and kinds of what was sent to these stays, and to the recipient unless it is None.

    What was imported is shown by its `delivered` alone: where only membership is in question those are owed as well.
    """
    cursor = await connection.execute(
        PASSED,
        {
            "recipient": recipient,
            "topics": [topic for topic, _ in stays],
            "sinces": [stay.since for _, stay in stays],
            "untils": [stay.until for _, stay in stays],
            "after": after,
            "head": head,
            "page": page,
        },
    )
    return await cursor.fetchall()


# --- the bell ------------------------------------------------------------------------------------------------


async def arm(connection: Connection) -> bool:
    """Try to hold the bell. It cannot succeed while a silent writer is still open."""
    cursor = await connection.execute("SELECT pg_try_advisory_lock(%s, %s)", (BELL_CLASS, BELL_KEY), prepare=True)
    return (await cursor.fetchall())[0][0]


async def disarm(connection: Connection) -> None:
    """Let go of the bell: no writer rings from now on. The other relays, which sleep by it, must be told."""
    await connection.execute("SELECT pg_advisory_unlock(%s, %s)", (BELL_CLASS, BELL_KEY), prepare=True)


async def would_ring(connection: Connection) -> bool:
    """Whether a writer would ring now: asked with the writer's own call, on a session that does not hold the bell."""
    cursor = await connection.execute(
        "SELECT NOT pg_try_advisory_xact_lock_shared(%s, %s)", (BELL_CLASS, BELL_KEY), prepare=True
    )
    return (await cursor.fetchall())[0][0]


CROWDED: LiteralString = """
    SELECT p.last_value - %s >= %s AND EXISTS (
        SELECT FROM pg_locks AS l
        WHERE l.locktype = 'object' AND l.database = 0 AND l.classid = 'pg_database'::regclass AND l.objid = 0
            AND NOT l.granted)
    FROM belfry.position AS p
"""
"""A commit that rings holds a lock of the database 0 (PreCommit_Notify in Postgres' async.c)."""


async def crowded(connection: Connection, head: int, ids: int) -> bool:
    """Whether commits wait for their turn to ring, and so many ids above the head are taken: by them, then."""
    cursor = await connection.execute(CROWDED, (head, ids), prepare=True)
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


async def backend(connection: Connection) -> int:
    """The process that runs this statement for us: behind a pooler in transaction mode another one every time."""
    cursor = await connection.execute("SELECT pg_backend_pid()", prepare=False)
    return (await cursor.fetchall())[0][0]


async def place(connection: Connection) -> tuple[int | None, str, bool]:
    """The cluster and the database behind a connection, and whether it is a standby that was asked.

    Some hosted Postgres do not tell which cluster it is.
    """
    cursor = await connection.execute("SELECT current_database(), pg_is_in_recovery()")
    ((name, standby),) = await cursor.fetchall()
    try:
        cursor = await connection.execute("SELECT system_identifier FROM pg_control_system()")
    except (errors.InsufficientPrivilege, errors.UndefinedFunction, errors.FeatureNotSupported):
        return None, name, standby
    return (await cursor.fetchall())[0][0], name, standby
