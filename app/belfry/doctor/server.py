"""Checks of the Postgres server: its version, what it is, how long it takes, what it promises of a commit."""

from __future__ import annotations

import time
from datetime import datetime
from typing import LiteralString

from psycopg import errors

from belfry import preflight
from belfry.doctor.finding import Finding, fail, ok, skipped, warn
from belfry.doctor.site import Site

OLDEST, NEWEST = 14, 18
FAR_SECONDS = 0.05
SKEW_SECONDS = 1.0
MUCH_SKEW_SECONDS = 30.0
FULL = 0.8
TRIES = 5


async def postgres(site: Site) -> Finding:
    """Postgres is of a version that Belfry was tried with."""
    number, text, prepared = await site.row(
        "SELECT current_setting('server_version_num')::integer, current_setting('server_version'),"
        " current_setting('max_prepared_transactions')::integer"
    )
    return version(number, text, prepared)


def version(number: int, text: str, prepared: int) -> Finding:
    """What is to be said of a version, and of as many prepared transactions as it allows."""
    if number < OLDEST * 10_000:
        return fail(f"{text} is too old", f"upgrade Postgres to {OLDEST} or newer, best to {NEWEST}")
    if number == 140_000:
        judge = fail if prepared else warn
        return judge("14.0 loses sight of prepared transactions", "install the newest minor release of 14")
    if number >= (NEWEST + 1) * 10_000:
        return warn(f"{text} is newer than what Belfry was tried with ({NEWEST})", "look for a newer Belfry")
    return ok(text)


async def primary(site: Site) -> Finding:
    """The server is a primary, both URLs lead to it, and its sequence counts one by one."""
    await preflight.refuse_unfit(site.direct, site.api)
    both = "; both URLs lead to it" if site.config.direct_url else ""
    return ok(f"a primary, and belfry.position counts one by one{both}")


async def round_trip(site: Site) -> Finding:
    """The server is near: a relay asks it up to 200 times a second."""
    fastest = float("inf")
    for _ in range(TRIES):
        began = time.perf_counter()
        await site.row("SELECT 1")
        fastest = min(fastest, time.perf_counter() - began)
    if fastest > FAR_SECONDS:
        return warn(
            f"a query takes {1000 * fastest:.0f} ms, and so every delivery does at least", "run the relay near Postgres"
        )
    return ok(f"{1000 * fastest:.1f} ms")


async def clock(site: Site) -> Finding:
    """The clock here and the server's agree: tokens live by the one, what is due by the other."""
    skew, error = min([await _skew(site) for _ in range(TRIES)], key=lambda each: each[1])
    beyond = max(0.0, abs(skew) - error)
    if beyond < SKEW_SECONDS:
        return ok(f"{round(1000 * abs(skew))} ms from the server's")
    judge = fail if beyond >= MUCH_SKEW_SECONDS else warn
    behind = "ahead of" if skew < 0 else "behind"
    return judge(
        f"the clock here is {abs(skew):.1f} s {behind} the server's: tokens end and snoozes return at other times",
        "let both follow NTP (`timedatectl set-ntp true`)",
    )


async def _skew(site: Site) -> tuple[float, float]:
    """How far the server's clock is ahead of ours, and how wrong that may be, in seconds."""
    began = time.time()
    (theirs,) = await site.row("SELECT clock_timestamp()")
    ended = time.time()
    assert isinstance(theirs, datetime)
    return theirs.timestamp() - (began + ended) / 2, (ended - began) / 2


OVERRIDES: LiteralString = """
    SELECT CASE WHEN setrole <> 0 THEN 'the role ' || setrole::regrole ELSE 'all of this database' END
    FROM pg_db_role_setting
    WHERE setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
        AND 'synchronous_commit=off' = ANY (setconfig)
"""


async def durability(site: Site) -> Finding:
    """A commit that was confirmed survives a crash of the server."""
    fsync, pages, synchronous = await site.row(
        "SELECT current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit')"
    )
    if fsync == "off" or pages == "off":
        name = "fsync" if fsync == "off" else "full_page_writes"
        return fail(f"{name} is off: a crash may destroy the database", f"ALTER SYSTEM SET {name} = on, and reload")
    loose = [found for (found,) in await site.rows(OVERRIDES)]
    if synchronous == "off" or loose:
        return warn(
            f"synchronous_commit is off for {', '.join(loose) or 'this login'}: a crash takes back the last commits, "
            "which streams may have shown",
            "set it on for who sends; where it must be off, a relay begins a new epoch after such a crash, and every "
            "client gets a reset",
        )
    return ok(f"fsync on, synchronous_commit {synchronous}")


async def connections(site: Site) -> Finding:
    """There is room for more connections: a relay has up to six."""
    used, most, limit = await site.row(
        "SELECT (SELECT count(*) FROM pg_stat_activity WHERE datid IS NOT NULL AND usesysid IS NOT NULL),"
        " current_setting('max_connections')::integer - current_setting('superuser_reserved_connections')::integer,"
        " (SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user)"
    )
    if used > FULL * most:
        return warn(
            f"{used} of {most} are in use", "close idle ones, put a pooler before the apps, or raise max_connections"
        )
    own = "" if limit < 0 else f"; this login may have {limit}"
    if 0 <= limit < 6:
        return fail(f"this login may have {limit}, and a relay needs 6", "ALTER ROLE … CONNECTION LIMIT -1")
    return ok(f"{used} of {most} in use{own}")


KNOWN: LiteralString = """
    SELECT known.token, (to_jsonb(known) ->> 'database')::oid <> own.oid, known.system_identifier, known.timeline
    FROM belfry.settled JOIN belfry.epoch AS known ON known.token = settled.epoch
        JOIN pg_database AS own ON own.datname = current_database()
"""
IDENTITY: LiteralString = """
    SELECT system_identifier, left(pg_walfile_name(pg_current_wal_lsn()), 8) FROM pg_control_system()
"""
BEGINS = "nothing, if a relay is about to start: it begins a new epoch, and every client gets a reset"


async def epoch(site: Site) -> Finding:
    """This is the server, and the database, in which the present history began."""
    token, elsewhere, *known = await site.row(KNOWN)
    if elsewhere:
        return warn(
            "this is another database than the epoch was made in: a dump was restored, or it was copied", BEGINS
        )
    try:
        found = await site.row(IDENTITY)
    except (errors.InsufficientPrivilege, errors.UndefinedFunction, errors.FeatureNotSupported):
        return skipped(
            "this server does not tell which one it is",
            "after a failover that lost commits, or a restored backup: SELECT belfry.new_epoch()",
        )
    if known[0] is not None and known != list(found):
        return warn(
            "this is another server than the epoch was made on: a standby was promoted, or a backup restored",
            BEGINS,
        )
    return ok(f"{token or 'the first'}")
