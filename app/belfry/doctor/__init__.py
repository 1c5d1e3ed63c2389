"""`belfry doctor`: is all as Belfry needs it, and what to do where it is not. Each check is one function."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable

import psycopg

from belfry import errors
from belfry.config import Config
from belfry.doctor import bell, growth, here, rights, schema, server
from belfry.doctor.finding import Finding, fail, refused, skipped
from belfry.doctor.site import Site, visited

CHECK_SECONDS = 5.0
CHECKS: tuple[Callable[[Site], Awaitable[Finding]], ...] = (
    server.postgres,
    server.primary,
    schema.schema,
    schema.login,
    rights.grants,
    schema.indexes,
    schema.triggers,
    bell.pooler,
    bell.listen,
    bell.wake_mode,
    bell.relays,
    bell.transactions,
    bell.queue,
    bell.watches,
    growth.vacuum,
    growth.retention,
    server.durability,
    server.connections,
    server.epoch,
    server.round_trip,
    server.clock,
)


def name_of(check: Callable[..., object]) -> str:
    """What a check is called for people."""
    return check.__name__.replace("_", " ")


async def examine(config: Config) -> dict[str, Finding]:
    """What every check has found, by its name; without a database, what can be seen without one."""
    found: dict[str, Finding] = {}
    try:
        async with visited(config) as site:
            found["database"] = Finding("ok", where(site))
            for check in CHECKS:
                found[name_of(check)] = await looked(check, site)
    except errors.DatabaseError as error:
        found["database"] = refused(error)
    return found | {name_of(check): check(config) for check in here.CHECKS}


def where(site: Site) -> str:
    """Which database was looked at, and as whom."""
    info = site.direct.info
    return f"{info.dbname} on {info.host}:{info.port}, as {info.user}"


async def looked(check: Callable[[Site], Awaitable[Finding]], site: Site) -> Finding:
    """The finding of a check; what keeps it from looking is a finding too."""
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await check(site)
    except errors.NotPermitted as error:
        return dataclasses.replace(refused(error), state="skipped")
    except errors.BelfryError as error:
        return refused(error)
    except psycopg.errors.InsufficientPrivilege as error:
        return skipped(
            f"this login may not look: {error.diag.message_primary}", f"GRANT belfry_monitor TO {site.login}"
        )
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedFunction, psycopg.errors.InvalidSchemaName):
        return skipped("the schema is not there, or older")
    except TimeoutError:
        return fail(f"no answer within {CHECK_SECONDS:g} s", "see what Postgres does: SELECT * FROM pg_stat_activity")
    except psycopg.Error as error:
        text = error.diag.message_primary or type(error).__name__
        return fail(f"the database refused: {text}", "")
