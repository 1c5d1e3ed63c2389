"""Checks of what is installed: migrations, the login's roles, indexes, triggers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import LiteralString

from psycopg import sql

from belfry import migrations
from belfry.doctor.finding import Finding, fail, ok, warn
from belfry.doctor.rights import ROLES
from belfry.doctor.site import Connection, Site


async def schema(site: Site) -> Finding:
    """The migrations in the database are those of this Belfry."""
    done = await migrations.status(site.direct)
    if {each.state for each in done} == {"applied", "unknown"}:
        newer = ", ".join(each.label for each in done if each.state == "unknown")
        return warn(f"the database has {newer}, which this Belfry does not know", "install the newer version of Belfry")
    await migrations.check(site.direct)
    return ok(f"{done[-1].label} is the newest of {len(done)}, nothing is missing")


# --- the login ----------------------------------------------------------------------------------------------

LOGIN: LiteralString = """
    SELECT current_user::text, (SELECT rolsuper FROM pg_roles WHERE rolname = current_user),
        ARRAY(SELECT rolname::text FROM pg_roles
            WHERE rolname = ANY (%s) AND pg_has_role(current_user, oid, 'USAGE') ORDER BY rolname)
"""


async def login(site: Site) -> Finding:
    """The logins of both URLs may do what a relay does, and no more."""
    found = [await _login(each) for each in (site.direct, site.api)[: 2 if site.config.direct_url else 1]]
    return next((each for each in found if each.state == "fail"), None) or next(
        (each for each in found if each.state == "warn"), found[0]
    )


async def _login(connection: Connection) -> Finding:
    cursor = await connection.execute(LOGIN, (list(ROLES),))
    name, is_super, roles = (await cursor.fetchall())[0]
    quoted = sql.Identifier(name).as_string(connection)
    if is_super:
        return warn(
            f"{name} is a superuser, and a relay needs no such power",
            "CREATE ROLE my_relay LOGIN PASSWORD '…' IN ROLE belfry_relay, and use that",
        )
    if "belfry_relay" in roles:
        return ok(f"{name} is a relay")
    if roles:
        return warn(
            f"{name} has {', '.join(roles)}: enough for this look, not to serve",
            f"where a relay is to use this login: GRANT belfry_relay TO {quoted}",
        )
    return fail(f"{name} has no role of Belfry's", f"GRANT belfry_relay TO {quoted}")


# --- triggers ------------------------------------------------------------------------------------------------

RINGS: LiteralString = """
    SELECT wanted.name, wanted.source, coalesce(t.tgenabled, '-') FROM (VALUES
        ('notification_ring', 'belfry.notification'), ('change_ring', 'belfry.change')) AS wanted (name, source)
    LEFT JOIN pg_trigger AS t ON t.tgname = wanted.name AND t.tgrelid = wanted.source::regclass
    WHERE t.tgenabled IS NULL OR t.tgenabled NOT IN ('O', 'A')
"""


async def triggers(site: Site) -> Finding:
    """The triggers that ring the bell are there and enabled."""
    for name, source, state in await site.rows(RINGS):
        if state == "-":
            return fail(
                f"{name} is gone: nobody rings, and rows are found by the tick",
                f"as belfry_owner: psql --file=sql/triggers/{name}.sql",
            )
        return fail(
            f"{name} is disabled: nobody rings, and rows are found by the tick",
            f"ALTER TABLE {source} ENABLE TRIGGER {name}",
        )
    return ok("the bell is rung")


# --- indexes -------------------------------------------------------------------------------------------------

_INDEX = re.compile(r"CREATE (?:UNIQUE )?INDEX (\w+)(.*?);|DROP INDEX ([^;]+);", re.DOTALL)
INDEXES: LiteralString = """
    SELECT c.relname::text, i.indisvalid AND i.indisready, i.indisprimary, i.indrelid::regclass::text
    FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
    WHERE c.relnamespace = 'belfry'::regnamespace
"""
TABLES: LiteralString = """
    SELECT oid::regclass::text FROM pg_class WHERE relnamespace = 'belfry'::regnamespace AND relkind = 'r'
"""


def declared(texts: Iterable[str]) -> dict[str, str]:
    """The statement that makes each index that these migrations leave, by its name."""
    found: dict[str, str] = {}
    for text in texts:
        for match in _INDEX.finditer(text):
            if match[1]:
                found[match[1]] = " ".join(match[0].split())
            for name in _dropped(match[3] or ""):
                found.pop(name, None)
    return found


def _dropped(names: str) -> Iterator[str]:
    return (name.strip().removeprefix("belfry.") for name in names.removeprefix("IF EXISTS ").split(","))


async def indexes(site: Site) -> Finding:
    """Every index of the migrations is there and valid."""
    there = await site.rows(INDEXES)
    if invalid := [name for name, valid, _, _ in there if not valid]:
        return fail(f"not valid: {', '.join(invalid)}", f"REINDEX INDEX CONCURRENTLY belfry.{invalid[0]}")
    wanted = declared(each.up for each in migrations.load())
    if missing := [name for name in wanted if name not in {name for name, *_ in there}]:
        statement = wanted[missing[0]].replace(" INDEX ", " INDEX CONCURRENTLY ", 1)
        return fail(f"missing: {', '.join(missing)}", statement)
    keyed = {table for _, _, primary, table in there if primary}
    if bare := [table for (table,) in await site.rows(TABLES) if table not in keyed]:
        return fail(
            f"no primary key: {', '.join(bare)}", "add it as sql/migrations has it, from a copy of the database"
        )
    return ok(f"{len(there)}, all valid")
