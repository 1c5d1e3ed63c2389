"""What the tests of the schema share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

JSON = ("data", "actions", "actor")
SCHEMA = """
SELECT format('schema %s %s %s', nspowner::regrole, nspacl, obj_description(oid, 'pg_namespace'))
FROM pg_namespace WHERE nspname = 'belfry'
UNION ALL SELECT format('relation %s %s %s %s %s %s', relname, relkind, relowner::regrole, relacl, reloptions,
    obj_description(oid, 'pg_class'))
FROM pg_class WHERE relnamespace = 'belfry'::regnamespace
UNION ALL SELECT format('column %s.%s %s %s %s %s %s %s %s', relname, attname, attnum,
    format_type(atttypid, atttypmod), attnotnull, attidentity, pg_get_expr(adbin, adrelid), attacl,
    col_description(attrelid, attnum))
FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
WHERE relnamespace = 'belfry'::regnamespace AND attnum > 0 AND NOT attisdropped
UNION ALL SELECT format('sequence %s %s %s %s %s', seqrelid::regclass, seqtypid::regtype, seqincrement,
    seqcache, seqcycle)
FROM pg_sequence JOIN pg_class ON pg_class.oid = seqrelid WHERE relnamespace = 'belfry'::regnamespace
UNION ALL SELECT format('constraint %s %s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid),
    obj_description(oid, 'pg_constraint'))
FROM pg_constraint WHERE connamespace = 'belfry'::regnamespace
UNION ALL SELECT format('index %s', pg_get_indexdef(indexrelid))
FROM pg_index JOIN pg_class ON pg_class.oid = indrelid WHERE relnamespace = 'belfry'::regnamespace
UNION ALL SELECT format('function %s %s %s %s', pg_get_functiondef(oid), proowner::regrole, proacl,
    obj_description(oid, 'pg_proc'))
FROM pg_proc WHERE pronamespace = 'belfry'::regnamespace
UNION ALL SELECT format('trigger %s %s', pg_get_triggerdef(pg_trigger.oid),
    obj_description(pg_trigger.oid, 'pg_trigger'))
FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
WHERE relnamespace = 'belfry'::regnamespace AND NOT tgisinternal
UNION ALL SELECT format('setting %s %s', name, value) FROM belfry.setting
UNION ALL SELECT format('settled %s %s', through, epoch) FROM belfry.settled
UNION ALL SELECT format('migration %s %s', version, name) FROM belfry.migration
ORDER BY 1
"""


class Asked:
    """Short ways to ask a connection."""

    @staticmethod
    async def value(connection: psycopg.AsyncConnection[Any], query: str, *parameters: object) -> Any:
        """The first column of the first row."""
        cursor = await connection.execute(query.encode(), parameters or None)
        row = await cursor.fetchone()
        assert row is not None, query
        return row[0]

    @staticmethod
    async def column(connection: psycopg.AsyncConnection[Any], query: str, *parameters: object) -> list[Any]:
        """The first column of all rows."""
        cursor = await connection.execute(query.encode(), parameters or None)
        return [row[0] for row in await cursor.fetchall()]

    @staticmethod
    async def call(connection: psycopg.AsyncConnection[Any], function: str, **arguments: Any) -> Any:
        """What a function of Belfry returns, its arguments given by name; a list for send_many."""
        given = {name: Jsonb(it) if name in JSON and it is not None else it for name, it in arguments.items()}
        named = ", ".join(f"{name} => %({name})s" for name in arguments)
        cursor = await connection.execute(f"SELECT belfry.{function}({named})".encode(), given)
        found = [row[0] for row in await cursor.fetchall()]
        return found if function == "send_many" else found[0]

    @staticmethod
    async def insert(connection: psycopg.AsyncConnection[Any], **columns: Any) -> Any:
        """The id of a row of belfry.notification that a plain INSERT makes."""
        given = {name: Jsonb(it) if name in JSON and it is not None else it for name, it in columns.items()}
        names, places = ", ".join(columns), ", ".join(f"%({name})s" for name in columns)
        cursor = await connection.execute(
            f"INSERT INTO belfry.notification ({names}) VALUES ({places}) RETURNING id".encode(), given
        )
        return (await cursor.fetchone() or [None])[0]

    @staticmethod
    async def rows(connection: psycopg.AsyncConnection[Any], table: str = "notification") -> list[dict[str, Any]]:
        """All rows of a table of Belfry, in the order of their first column."""
        async with connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(f"SELECT * FROM belfry.{table} ORDER BY 1".encode())
            return await cursor.fetchall()

    @staticmethod
    async def schema(connection: psycopg.AsyncConnection[Any]) -> list[str]:
        """Everything that makes up the schema belfry, a line each: definitions, owners, privileges, comments."""
        cursor = await connection.execute(SCHEMA.encode())
        return [row[0] for row in await cursor.fetchall()]


@pytest.fixture
def ask() -> type[Asked]:
    """Short ways to ask a connection."""
    return Asked


@pytest.fixture
def until_it_waits(connect: Any) -> Callable[[psycopg.AsyncConnection[Any]], Awaitable[None]]:
    """Return when that connection waits for a lock."""

    async def until(connection: psycopg.AsyncConnection[Any]) -> None:
        watcher = await connect()
        query = "SELECT coalesce(wait_event_type = 'Lock', false) FROM pg_stat_activity WHERE pid = %s"
        async with asyncio.timeout(10):
            while not await Asked.value(watcher, query, connection.info.backend_pid):  # noqa: ASYNC110 - no event tells of it
                await asyncio.sleep(0.01)

    return until
