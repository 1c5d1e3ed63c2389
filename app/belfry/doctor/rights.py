"""Checks of who owns what and who may do what: as sql/grants.sql says it, and nothing for the public."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import LiteralString

from belfry import migrations
from belfry.doctor.finding import Finding, fail, ok
from belfry.doctor.site import Site

ROLES = ("belfry_owner", "belfry_sender", "belfry_relay", "belfry_monitor")
FEW = 5
GRANT_AGAIN = "as belfry_owner: psql --file=sql/grants.sql"
OWN_AGAIN = "restore the dump with its owners and grants, or give each object to belfry_owner and run sql/grants.sql"
MEMBER = "GRANT belfry_sender TO belfry_relay"

Right = tuple[str, str, str, str, str | None]
"""A role, a verb, a kind of object, its name, and one of its columns."""

_GRANT = re.compile(
    r"^GRANT\s+(.+?)\s+ON\s+(?:(ALL TABLES IN SCHEMA|SCHEMA|FUNCTION|SEQUENCE)\s+)?(.+?)\s+TO\s+(.+?);",
    re.DOTALL | re.MULTILINE,
)
_VERB = re.compile(r"(\w+)(?:\s*\(([^)]*)\))?")
_OBJECT = re.compile(r"[\w.]+(?:\([^)]*\))?")


def granted(text: str) -> Iterator[Right]:
    """Each right that the GRANTs of a file give."""
    for verbs, kind, objects, roles in _GRANT.findall(text):
        for verb, columns in _VERB.findall(verbs):
            for name in _OBJECT.findall(objects):
                for role in re.findall(r"\w+", roles):
                    for column in re.findall(r"\w+", columns) or [None]:
                        yield role, verb, kind, name, column


OWNERS: LiteralString = """
    SELECT 'the schema' FROM pg_namespace WHERE nspname = 'belfry' AND nspowner <> 'belfry_owner'::regrole
    UNION ALL
    SELECT relname::text FROM pg_class WHERE relnamespace = 'belfry'::regnamespace AND relkind IN ('r', 'v', 'S')
        AND relowner <> 'belfry_owner'::regrole
    UNION ALL
    SELECT proname::text FROM pg_proc WHERE pronamespace = 'belfry'::regnamespace
        AND proowner <> 'belfry_owner'::regrole
    ORDER BY 1
"""
OPEN_TO_ALL: LiteralString = """
    SELECT 'the schema' FROM pg_namespace, aclexplode(nspacl) WHERE nspname = 'belfry' AND grantee = 0
    UNION
    SELECT relname::text FROM pg_class, aclexplode(relacl)
    WHERE relnamespace = 'belfry'::regnamespace AND grantee = 0
    UNION
    SELECT relname || '.' || attname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid, aclexplode(attacl)
    WHERE relnamespace = 'belfry'::regnamespace AND grantee = 0
    UNION
    SELECT proname::text FROM pg_proc, aclexplode(coalesce(proacl, acldefault('f', proowner)))
    WHERE pronamespace = 'belfry'::regnamespace AND grantee = 0
    ORDER BY 1
"""
LACKING: LiteralString = """
    SELECT format('%%s lacks %%s%%s on %%s', role, verb, ' (' || field || ')', coalesce(one.relname, name))
    FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[]) AS wanted (role, verb, kind, name, field)
    LEFT JOIN LATERAL (
        SELECT 'belfry.' || relname AS relname, oid FROM pg_class
        WHERE kind = 'ALL TABLES IN SCHEMA' AND relnamespace = 'belfry'::regnamespace AND relkind IN ('r', 'v')
    ) AS one ON true
    WHERE NOT coalesce(CASE kind
        WHEN 'SCHEMA' THEN has_schema_privilege(role, name, verb)
        WHEN 'FUNCTION' THEN has_function_privilege(role,
            CASE WHEN name LIKE '%%(%%' THEN to_regprocedure(name)::oid ELSE to_regproc(name)::oid END, verb)
        WHEN 'SEQUENCE' THEN has_sequence_privilege(role, to_regclass(name)::oid, verb)
        WHEN 'ALL TABLES IN SCHEMA' THEN has_table_privilege(role, one.oid, verb)
        ELSE CASE WHEN field IS NULL THEN has_table_privilege(role, to_regclass(name)::oid, verb)
            ELSE has_column_privilege(role, to_regclass(name)::oid,
                (SELECT attnum FROM pg_attribute WHERE attrelid = to_regclass(name) AND attname = field), verb) END
    END, false)
"""


async def grants(site: Site) -> Finding:
    """The roles are there, own and may do what the migrations gave them, and the public may nothing."""
    await site.row("SELECT 'belfry'::regnamespace")
    there = await site.rows("SELECT rolname::text FROM pg_roles WHERE rolname = ANY (%s)", list(ROLES))
    if missing := [name for name in ROLES if (name,) not in there]:
        return fail(
            f"there is no role {', '.join(missing)}",
            f"{'; '.join(f'CREATE ROLE {name} NOLOGIN' for name in missing)}; {MEMBER}; then sql/grants.sql",
        )
    if foreign := await _names(site, OWNERS):
        return fail(f"belfry_owner does not own {foreign}", OWN_AGAIN)
    if not (await site.row("SELECT pg_has_role('belfry_relay', 'belfry_sender', 'USAGE')"))[0]:
        return fail("belfry_relay is no member of belfry_sender: a relay can neither send nor mark", MEMBER)
    rights = zip(*granted((migrations.source() / "grants.sql").read_text(encoding="utf-8")), strict=True)
    if lacking := await _names(site, LACKING, *map(list, rights)):
        return fail(lacking, GRANT_AGAIN)
    if opened := await _names(site, OPEN_TO_ALL):
        return fail(f"everybody may use {opened}", GRANT_AGAIN)
    return ok("four roles, as the migrations made them; nothing is open to the public")


async def _names(site: Site, query: LiteralString, *values: object) -> str:
    """The names that a query finds, the first few of them."""
    names = list(dict.fromkeys(name for (name,) in await site.rows(query, *values)))
    more = f" and {len(names) - FEW} more" if len(names) > FEW else ""
    return ", ".join(names[:FEW]) + more
