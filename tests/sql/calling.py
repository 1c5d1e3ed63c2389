"""How the tests of the functions call them: refusals that must say what is wrong, waiting callers, and who may call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest

BELL = "1111837766, 1"
NO_NAMES: tuple[Any, ...] = (None, "", "a/b", "a\nb", "x" * 256)
NO_KINDS: tuple[Any, ...] = (None, "", "A", ".a", "a.", "a b", "a\n", "k" * 256)
CALLERS = """
    SELECT coalesce(array_agg(name ORDER BY name), '{}')
    FROM unnest(ARRAY['belfry_monitor', 'belfry_relay', 'belfry_sender']) AS name
    WHERE (SELECT bool_and(has_function_privilege(name, oid, 'EXECUTE')) FROM pg_proc
        WHERE pronamespace = 'belfry'::regnamespace AND proname = %s)
"""

Waits = Callable[[psycopg.AsyncConnection[Any]], Awaitable[None]]


async def refused(connection: Any, statement: str, *given: Any) -> tuple[str | None, str | None]:
    """The SQLSTATE and the named argument of a refusal, which says in full what is wrong and what to do."""
    with pytest.raises(psycopg.Error) as raised:
        await connection.execute(statement.encode(), given or None)
    diag = raised.value.diag
    assert diag.message_primary, statement
    assert diag.message_detail, statement
    assert diag.message_hint, statement
    return diag.sqlstate, diag.column_name


async def nothing_is_left(ask: Any, connection: Any, *tables: str) -> None:
    for table in (*tables, "change"):
        assert await ask.rows(connection, table) == [], table


async def callers(ask: Any, connection: Any, function: str) -> list[str]:
    """Which of our roles may call every function of that name."""
    return await ask.value(connection, CALLERS, function)


@asynccontextmanager
async def waiting(until_it_waits: Waits, connection: Any, statement: str) -> AsyncGenerator[asyncio.Task[Any]]:
    """A call that waits for another; after the block it has ended, and the task has the first column of its rows."""

    async def call() -> Any:
        cursor = await connection.execute(statement.encode())
        return [row[0] for row in await cursor.fetchall()]

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        task = group.create_task(call())
        await until_it_waits(connection)
        yield task


async def listed(ask: Any, connection: Any, recipient: str = "u1", state: str = "all") -> list[int]:
    """The ids in a list, the oldest first."""
    return await ask.column(connection, "SELECT id FROM belfry.list_inbox(%s, %s) ORDER BY id", recipient, state)


async def changes(ask: Any, connection: Any, *verbs: str) -> list[tuple[Any, ...]]:
    """What was told, in order: recipient, topic, verb, ids."""
    rows = await ask.rows(connection, "change")
    return [
        (row["recipient"], row["topic"], row["verb"], row["ids"]) for row in rows if not verbs or row["verb"] in verbs
    ]


@asynccontextmanager
async def armed(connect: Any) -> AsyncGenerator[Callable[[], Awaitable[list[str]]]]:
    """While a relay sleeps: what rang until now."""
    relay, listener = await connect(), await connect()
    await listener.execute("LISTEN belfry")
    await relay.execute(f"SELECT pg_advisory_lock({BELL})".encode())

    async def rings() -> list[str]:
        await listener.execute("SELECT 1")
        return [got.channel async for got in listener.notifies(timeout=0.2)]

    yield rings
