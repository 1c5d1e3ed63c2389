"""Checks of the way from a commit to a stream: pooler, LISTEN, wake mode, open transactions, relays."""

from __future__ import annotations

import asyncio
import secrets
import time
from contextlib import suppress
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from belfry import errors, preflight
from belfry.doctor.finding import Finding, fail, ok, skipped, warn
from belfry.doctor.site import Connection, Site

HEARD_SECONDS = 2.0
LONG_SECONDS = 60
VERY_LONG_SECONDS = 3600
FILLING, FULL = 0.1, 0.5


async def pooler(site: Site) -> Finding:
    """No pooler in transaction mode stands before the connections that listen and poll."""
    await preflight.refuse_pooler(site.direct, site.other)
    if site.config.direct_url is None:
        return ok("none in the way")
    return ok("none behind BELFRY_DIRECT_URL; the other URL may lead to one")


async def listen(site: Site) -> Finding:
    """A NOTIFY is heard within two seconds."""
    heard, probe = asyncio.Event(), secrets.token_hex(8)
    await site.other.execute("LISTEN belfry")
    waiting = asyncio.create_task(_hear(site.other, probe, heard))
    began = time.perf_counter()
    try:
        await preflight.ring_until_heard(site.direct, probe, heard, HEARD_SECONDS)
    except errors.PoolerInTheWay:
        return fail(
            f"LISTEN is accepted, and no NOTIFY arrives within {HEARD_SECONDS:g} s",
            "set BELFRY_DIRECT_URL to a connection without a pooler",
        )
    finally:
        waiting.cancel()
        with suppress(asyncio.CancelledError):
            await waiting
    return ok(f"NOTIFY heard after {1000 * (time.perf_counter() - began):.1f} ms")


async def _hear(connection: Connection, probe: str, heard: asyncio.Event) -> None:
    async for notify in connection.notifies():
        if notify.payload == probe:
            heard.set()


async def wake_mode(site: Site) -> Finding:
    """Where transactions are prepared, nobody has to ring: Postgres refuses to prepare what has notified."""
    mode, prepared = await site.row(
        "SELECT value, current_setting('max_prepared_transactions')::integer FROM belfry.setting"
        " WHERE name = 'wake_mode'"
    )
    if prepared and mode != "poll":
        return warn(
            f"{mode}, and max_prepared_transactions is {prepared}: a transaction that sends while relays sleep cannot "
            "be prepared",
            "where senders use PREPARE TRANSACTION: UPDATE belfry.setting SET value = 'poll' WHERE name = 'wake_mode'; "
            "where nobody does: max_prepared_transactions = 0",
        )
    return ok(mode if not prepared else f"{mode}; transactions that send may be prepared")


# --- what is open --------------------------------------------------------------------------------------------

WRITERS: LiteralString = """
    SELECT DISTINCT l.virtualtransaction, l.pid, p.gid, coalesce(nullif(a.application_name, ''), a.usename::text),
        a.state, extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, p.prepared))::float8
    FROM pg_locks AS l
    LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
    LEFT JOIN pg_locks AS own ON l.pid IS NULL AND own.pid IS NULL AND own.locktype = 'transactionid'
        AND own.virtualtransaction = l.virtualtransaction
    LEFT JOIN pg_prepared_xacts AS p ON p.transaction = own.transactionid
    WHERE l.locktype = 'relation' AND l.mode = 'RowExclusiveLock' AND l.granted
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND l.relation IN ('belfry.notification'::regclass, 'belfry.change'::regclass)
    ORDER BY 6 DESC NULLS LAST
"""


async def transactions(site: Site) -> Finding:
    """No transaction that has sent stays open: it holds gaps, and nothing above them settles or is pruned."""
    found = await site.rows(WRITERS)
    if not found:
        return ok("no sender's transaction is open")
    _, pid, gid, who, state, age = found[0]
    if age is None:
        return skipped(f"{_open(found)}; this login may not see since when", f"GRANT pg_read_all_stats TO {site.login}")
    if age < LONG_SECONDS:
        return ok(f"{_open(found)}, the longest for {age:.0f} s")
    judge = fail if age >= VERY_LONG_SECONDS else warn
    if gid is not None:
        return judge(f"{gid!r} was prepared {_ago(age)} ago", f"COMMIT PREPARED or ROLLBACK PREPARED '{gid}'")
    return judge(
        f"{who} (process {pid}, {state}) has sent, and not ended its transaction for {_ago(age)}",
        f"let it commit, or SELECT pg_terminate_backend({pid}); idle_in_transaction_session_timeout keeps it from "
        "coming back",
    )


def _open(found: list[tuple[Any, ...]]) -> str:
    return "1 sender's transaction is open" if len(found) == 1 else f"{len(found)} senders' transactions are open"


def _ago(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


async def queue(site: Site) -> Finding:
    """The queue of NOTIFY has room: once it is full, no transaction that notifies can commit."""
    (usage,) = await site.row("SELECT pg_notification_queue_usage()")
    if usage < FILLING:
        return ok(f"{usage:.0%} full")
    judge = fail if usage >= FULL else warn
    return judge(
        f"{usage:.0%} full: a session that listens, on any channel, sits in a transaction",
        "SELECT pid, query FROM pg_stat_activity ORDER BY xact_start LIMIT 5, and end the oldest",
    )


RELAYS: LiteralString = """
    SELECT count(*) FILTER (WHERE application_name = 'belfry relay'),
        count(*) FILTER (WHERE application_name = 'belfry listener'),
        (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ExclusiveLock' AND granted
            AND (classid, objid, objsubid) = (1111837766, 1, 2)
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
    FROM pg_stat_activity WHERE datname = current_database()
"""


async def relays(site: Site) -> Finding:
    """Relays are connected, and each listens."""
    polling, listening, asleep = await site.row(RELAYS)
    if not polling:
        return warn("none is connected: what is sent waits in the tables", "start `belfry serve`")
    if listening < polling:
        return warn(
            f"{polling} connected, and {listening} listening: the others find rows by their tick", "see their logs"
        )
    return ok(f"{polling} connected, {'asleep' if asleep else 'awake'}")


# --- watches -------------------------------------------------------------------------------------------------

WATCHES: LiteralString = """
    SELECT name, source::text, enabled, coalesce(last_failed_at > now() - interval '1 hour', false), last_message,
        array_to_string(unable, ', ')
    FROM belfry.watched ORDER BY last_failed_at DESC NULLS LAST, name
"""


async def watches(site: Site) -> Finding:
    """What was declared with belfry.watch works: no failure within the last hour, no trigger gone, no right missing."""
    try:
        found = await site.rows(WATCHES)
    except psycopg.errors.InsufficientPrivilege:
        return await _counted(site)
    if failing := [each for each in found if each[3]]:
        name, source, _, _, message, _ = failing[0]
        return fail(
            f"{len(failing)} of {len(found)} failed within the last hour, {name!r} on {source} with: {message}",
            f"mend what that names, or SELECT belfry.unwatch({_literal(name)}) and declare it anew",
        )
    if gone := [name for name, _, enabled, *_ in found if not enabled]:
        return warn(
            f"the trigger of {gone[0]!r} is gone or disabled, and so it sends nothing",
            f"ALTER TABLE … ENABLE TRIGGER, or SELECT belfry.unwatch({_literal(gone[0])})",
        )
    if unable := [(source, roles) for _, source, _, _, _, roles in found if roles]:
        source, roles = unable[0]
        return warn(f"{roles} may write to {source} and may not send", f"GRANT belfry_sender TO {roles}")
    return ok(f"{len(found)} declared, none has failed within the last hour" if found else "none is declared")


async def _counted(site: Site) -> Finding:
    """What a login is told that may not see the watches themselves."""
    (failing,) = await site.row("SELECT failing_watches FROM belfry.status")
    if failing:
        return fail(
            f"{failing} failed within the last hour", "as belfry_relay: SELECT name, last_message FROM belfry.watched"
        )
    return ok("none has failed within the last hour")


def _literal(text: str) -> str:
    return sql.Literal(text).as_string()
