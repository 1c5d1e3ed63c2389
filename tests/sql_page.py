"""The reference of the schema, docs/sql.md, from the comments in it: `python -m tests.sql_page` writes it anew."""

from __future__ import annotations

import asyncio
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, LiteralString

import psycopg

from belfry import migrations
from tests import postgres

PAGE = Path(__file__).resolve().parent.parent / "docs" / "sql.md"
HEAD = """# The schema, piece by piece

Written by `python -m tests.sql_page` from the comments in the schema, which `\\df+ belfry.*` and `\\d+ belfry.*` show
as well; a test keeps it true. [sql/README.md](../sql/README.md) explains how it all goes together.
"""

CAST = re.compile(r"::[a-z ]+(?:\[\])?(?=[,)])")
FUNCTIONS: LiteralString = """
    SELECT p.proname,
           concat(p.proname, '(', pg_get_function_arguments(p.oid), ')',
              CASE pg_get_function_result(p.oid) WHEN 'void' THEN ''
                   ELSE ' → ' || pg_get_function_result(p.oid) END),
           obj_description(p.oid, 'pg_proc')
      FROM pg_proc AS p
     WHERE p.pronamespace = 'belfry'::regnamespace AND p.prokind = 'f'
       AND p.prorettype <> 'trigger'::regtype
       AND NOT obj_description(p.oid, 'pg_proc') LIKE 'Internal%%'
       AND has_function_privilege(%s, p.oid, 'EXECUTE') = %s
       AND has_function_privilege(%s, p.oid, 'EXECUTE')
     ORDER BY p.proname, p.pronargs, 2"""
RELATIONS: LiteralString = """
    SELECT c.relname, obj_description(c.oid, 'pg_class'),
           (SELECT array_agg(ARRAY[a.attname, format_type(a.atttypid, a.atttypmod),
                                   coalesce(col_description(c.oid, a.attnum), '')] ORDER BY a.attnum)
              FROM pg_attribute AS a
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
      FROM pg_class AS c
     WHERE c.relnamespace = 'belfry'::regnamespace AND c.relkind::text = ANY (%s)
     ORDER BY c.relname"""


def flat(text: str | None) -> str:
    """A comment as one line of a table."""
    return " ".join((text or "").split()).replace("|", "\\|")


def plain(signature: str) -> str:
    """As one would write it: types of defaults go without saying."""
    short = CAST.sub("", signature).replace("timestamp with time zone", "timestamptz")
    return textwrap.fill(short, 100, subsequent_indent="    ", break_long_words=False)


def functions(connection: psycopg.Connection[Any], title: str, role: str, beside: str) -> list[str]:
    """Those that a role may call, but not those that another may call too."""
    rows = connection.execute(FUNCTIONS, (beside, role == beside, role)).fetchall()
    lines = [f"\n## {title}"]
    for name, signature, comment in rows:
        lines += [f"\n### {name}\n", "```sql", plain(signature), "```\n", " ".join(comment.split())]
    return lines


def relations(connection: psycopg.Connection[Any], title: str, kinds: Sequence[str]) -> list[str]:
    """Tables or views with their columns."""
    lines = [f"\n## {title}"]
    for name, comment, columns in connection.execute(RELATIONS, (list(kinds),)).fetchall():
        lines += [f"\n### {name}\n", f"{flat(comment)}\n", "| column | type | |", "|---|---|---|"]
        lines += [f"| `{column}` | {kind} | {flat(text)} |" for column, kind, text in columns]
    return lines


def written(url: str) -> str:
    """The page, from the schema in a database."""
    with psycopg.connect(url) as connection:
        parts = [
            *functions(connection, "Functions for applications (`belfry_sender`)", "belfry_sender", "belfry_sender"),
            *functions(connection, "Functions for relays alone (`belfry_relay`)", "belfry_relay", "belfry_sender"),
            *functions(connection, "Functions for the owner alone (`belfry_owner`)", "belfry_owner", "belfry_relay"),
            *relations(connection, "Views", ("v",)),
            *relations(connection, "Tables", ("r", "p")),
        ]
    return HEAD + "\n".join(parts) + "\n"


async def migrate(url: str) -> None:
    """The schema in an empty database."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await migrations.up(connection)


def main() -> None:
    """Write the page."""
    with postgres.own() as server:
        asyncio.run(migrate(server.url("postgres")))
        PAGE.write_text(written(server.url("postgres")), encoding="utf-8")


if __name__ == "__main__":
    main()
