"""Checks of what is installed: migrations, roles, grants, indexes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import LiteralString

from psycopg import sql

from belfry import migrations
from belfry.doctor.finding import Finding, fail, ok, warn
from belfry.doctor.site import Connection, Site

ROLES = ("belfry_owner", "belfry_sender", "belfry_relay", "belfry_monitor")
FEW = 5
GRANT_AGAIN = "as belfry_owner: psql --file=sql/grants.sql"
OWN_AGAIN = "restore the dump with its owners and grants, or give each object to belfry_owner and run sql/grants.sql"


async def schema(site: Site) -> Finding:
    """The migrations in the database are those of this Belfry."""
    done = await migrations.status(site.direct)
    if {each.state for each in done} == {"applied", "unknown"}:
        newer = ", ".join(each.label for each in done if each.state == "unknown")
        return warn(f"the database has {newer}, which this Belfry does not know", "install the newer version of Belfry")
    await migrations.check(site.direct)
    return ok(f"{done[-1].label} is the newest of {len(done)}, nothing is missing")


# --- who may do what -----------------------------------------------------------------------------------------

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


OWNERS: LiteralString = """
    SELECT relname::text FROM pg_class WHERE relnamespace = 'belfry'::regnamespace AND relkind IN ('r', 'v', 'S')
        AND relowner <> 'belfry_owner'::regrole
    UNION ALL
    SELECT proname::text FROM pg_proc WHERE pronamespace = 'belfry'::regnamespace
        AND proowner <> 'belfry_owner'::regrole
    ORDER BY 1
"""
OPEN_TO_ALL: LiteralString = """
    SELECT relname::text FROM pg_class, aclexplode(relacl)
    WHERE relnamespace = 'belfry'::regnamespace AND grantee = 0
    UNION
    SELECT proname::text FROM pg_proc, aclexplode(coalesce(proacl, acldefault('f', proowner)))
    WHERE pronamespace = 'belfry'::regnamespace AND grantee = 0
    ORDER BY 1
"""
LACKING: LiteralString = """
    SELECT what FROM (VALUES
        ('belfry_sender may not use the schema', has_schema_privilege('belfry_sender', 'belfry', 'USAGE')),
        ('belfry_sender may not insert notifications',
            has_column_privilege('belfry_sender', 'belfry.notification', 'recipient', 'INSERT')),
        ('belfry_relay may not use the schema', has_schema_privilege('belfry_relay', 'belfry', 'USAGE')),
        ('belfry_relay may not read every table', NOT EXISTS (
            SELECT FROM pg_class WHERE relnamespace = 'belfry'::regnamespace AND relkind = 'r'
                AND NOT has_table_privilege('belfry_relay', oid, 'SELECT'))),
        ('belfry_monitor may not read belfry.settled',
            has_table_privilege('belfry_monitor', 'belfry.settled', 'SELECT')),
        ('a function may be called by no role', NOT EXISTS (
            SELECT FROM pg_proc WHERE pronamespace = 'belfry'::regnamespace AND proname IN ('send', 'contact', 'settle')
                AND NOT has_function_privilege('belfry_sender', oid, 'EXECUTE')
                AND NOT has_function_privilege('belfry_relay', oid, 'EXECUTE')))
    ) AS probe (what, is_so) WHERE NOT is_so
"""


async def grants(site: Site) -> Finding:
    """The roles are there, own and may do what the migrations gave them, and the public may nothing."""
    await site.row("SELECT 'belfry'::regnamespace")
    there = {
        name for (name,) in await site.rows("SELECT rolname::text FROM pg_roles WHERE rolname = ANY (%s)", list(ROLES))
    }
    if missing := [name for name in ROLES if name not in there]:
        return fail(f"there is no role {', '.join(missing)}", f"CREATE ROLE {missing[0]} NOLOGIN, then sql/grants.sql")
    if foreign := await _names(site, OWNERS):
        return fail(f"belfry_owner does not own {foreign}", OWN_AGAIN)
    if lacking := [what for (what,) in await site.rows(LACKING)]:
        return fail("; ".join(lacking), GRANT_AGAIN)
    if opened := await _names(site, OPEN_TO_ALL):
        return fail(f"everybody may use {opened}", GRANT_AGAIN)
    return ok("four roles, as the migrations made them; nothing is open to the public")


async def _names(site: Site, query: LiteralString) -> str:
    """The names that a query finds, the first few of them."""
    names = list(dict.fromkeys(name for (name,) in await site.rows(query)))
    more = f" and {len(names) - FEW} more" if len(names) > FEW else ""
    return ", ".join(names[:FEW]) + more


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
