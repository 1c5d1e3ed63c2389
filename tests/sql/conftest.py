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
            while not await Asked.value(watcher, query, connection.info.backend_pid):
                await asyncio.sleep(0.01)

    return until
