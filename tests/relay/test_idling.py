"""A transaction that idles keeps its own gap alive, and nobody else's, where the relay may see that it idles."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncGenerator
from typing import Any

import psycopg
import pytest
import pytest_asyncio

from streams import Belfry, Connection, Serve, eventually, send, value


@pytest_asyncio.fixture
async def plain_relay(connect: Any, database: str) -> AsyncGenerator[str]:
    """The URL for a login that is a relay and no more: of other sessions it sees only that they are there.

    Ask for it before `serve`: what is asked for first is there last.
    """
    owner: Connection = await connect()
    name = f"belfry_test_plain_{os.getpid()}"
    await owner.execute(f"DROP ROLE IF EXISTS {name}".encode())
    await owner.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'relay' IN ROLE belfry_relay".encode())
    yield psycopg.conninfo.make_conninfo(database, user=name, password="relay")
    await owner.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s AND pid <> pg_backend_pid()", (name,)
    )
    await owner.execute(f"DROP ROLE {name}".encode())


async def ticks(belfry: Belfry, count: int) -> None:
    """Return when the relay has ticked so often since now: each writes the moment anew."""
    for _ in range(count):
        last = belfry.relay._ticked_at
        await eventually(lambda: belfry.relay._ticked_at > last)  # noqa: B023 - it is over by then


async def rolled_back(writer: Connection, belfry: Belfry, title: str) -> int:
    """The id of a row that never comes; the row after it has been seen."""
    async with writer.transaction(force_rollback=True):
        gone = await send(writer, "rolled back")
    await belfry.caught_up(await send(writer, title))
    return gone


async def test_gaps_that_begin_while_another_transaction_idles_die(serve: Serve, connect: Any):
    belfry = await serve(tick_seconds=0.1)
    client = await belfry.live()
    idle, writer = await connect(), await connect()
    async with idle.transaction():
        waits = await send(idle, "waits")
        await send(writer, "after it")
        await ticks(belfry, 2)
        for number in range(20):
            await rolled_back(writer, belfry, str(number))
        await eventually(lambda: belfry.relay.tracker.gaps == ((waits, waits),))
    assert await client.titles(22) == ["after it", *map(str, range(20)), "waits"]


async def test_gaps_that_begin_while_another_is_prepared_die(serve: Serve, connect: Any):
    belfry = await serve(tick_seconds=0.1)
    writer, name = await connect(), f"belfry-tests-{uuid.uuid4().hex}"
    if await value(writer, "SHOW max_prepared_transactions") == "0":
        pytest.skip("this server does not prepare transactions")
    await writer.execute("UPDATE belfry.setting SET value = 'poll' WHERE name = 'wake_mode'")
    await eventually(lambda: belfry.relay.bell.mode == "poll")
    client = await belfry.live()
    await writer.execute("BEGIN")
    waits = await send(writer, "waits")
    await writer.execute(f"PREPARE TRANSACTION '{name}'".encode())
    try:
        await send(writer, "after it")
        await ticks(belfry, 2)
        await rolled_back(writer, belfry, "last")
        await eventually(lambda: belfry.relay.tracker.gaps == ((waits, waits),))
    finally:
        await writer.execute(f"COMMIT PREPARED '{name}'".encode())
    assert await client.titles(3) == ["after it", "last", "waits"]


async def test_who_works_on_between_two_looks_keeps_what_it_takes(serve: Serve, connect: Any):
    belfry = await serve(tick_seconds=0.1)
    client = await belfry.live()
    slow, writer = await connect(), await connect()
    sent: list[str] = []
    async with slow.transaction():
        for number in range(10):
            await send(slow, f"slow {number}")
            await send(writer, f"quick {number}")
            sent += [f"slow {number}", f"quick {number}"]
            await ticks(belfry, 1)
        await ticks(belfry, 3)
        assert len(belfry.relay.tracker.gaps) == 10
    assert sorted(await client.titles(20)) == sorted(sent)


async def test_without_the_right_to_see_it_the_gaps_wait_and_nothing_is_lost(
    plain_relay: str, serve: Serve, connect: Any
):
    belfry = await serve(tick_seconds=0.1, database_url=plain_relay)
    client = await belfry.live()
    idle, writer = await connect(), await connect()
    async with idle.transaction():
        waits = await send(idle, "waits")
        await send(writer, "after it")
        await ticks(belfry, 2)
        gone = await rolled_back(writer, belfry, "last")
        await ticks(belfry, 5)
        assert belfry.relay.tracker.gaps == ((waits, waits), (gone, gone))
    assert await client.titles(3) == ["after it", "last", "waits"]
    await eventually(lambda: belfry.relay.tracker.gaps == ())
