"""Relays go on while migrations are applied and taken back under load: nothing lost, nothing twice, no stream cut."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import pytest

from belfry import errors, migrations
from belfry.migrations import Migration
from streams import Client, Connection, Serve, send, value

FLOOR = 3
"""The newest migration whose objects an open stream needs. What comes above must be droppable beneath running relays;
raise it only together with the relays that need more, a release after the migration that brings it."""

WRITERS = 4


async def write(connection: Connection, number: int, sent: list[int], ended: asyncio.Event) -> None:
    """Notifications and marks, one after the other, each with the way of a sender of any release."""
    while not ended.is_set():
        sent.append(await send(connection, f"of {number}"))
        sent.append(await value(connection, "SELECT belfry.broadcast('test', 'for all')"))
        await mark(connection, sent[-1])
        await asyncio.sleep(0.01)


async def mark(connection: Connection, id: int) -> None:
    """A call that is under way while what it calls is taken back is refused as a whole: it is made again."""
    for _ in range(3):
        with contextlib.suppress(psycopg.errors.UndefinedFunction, psycopg.errors.UndefinedColumn):
            await connection.execute("SELECT belfry.mark_read('u1', %s)", ([id],))
            return
    raise AssertionError("marks are refused again and again")


async def follow(client: Client, got: list[int], wanted: asyncio.Future[set[int]]) -> None:
    """Rows until all that is wanted has come; a frame that ends the stream is a failure."""
    while not (wanted.done() and set(got) >= wanted.result()):
        event = await client.next()
        assert event.name in ("message", "change", "ready"), event
        if event.name == "message":
            got.append(event.data["id"])
        elif event.data.get("verb") == "delivered":
            got += event.data["ids"]  # it was marked already when a relay that had been held up came to it


async def patiently(move: Callable[[Connection], Awaitable[list[Migration]]], connection: Connection) -> list[str]:
    """As an operator does who is told to try again, for senders are in the way; the names of what was done."""
    for _ in range(50):
        with contextlib.suppress(errors.MigrationBusy):
            return [one.label for one in await move(connection)]
    raise AssertionError("the locks were never to be had")


async def down_to(connection: Connection, version: int) -> list[str]:
    """Take back what is above; the names."""
    done: list[str] = []
    while await newest(connection) > version:
        done += await patiently(migrations.down, connection)
    return done


async def up(connection: Connection) -> list[str]:
    """Apply what is missing, whatever of it one attempt could do; the names."""
    before = await newest(connection)
    await patiently(migrations.up, connection)
    return [one.label for one in migrations.load() if one.version > before]


async def newest(connection: Connection) -> int:
    return await value(connection, "SELECT max(version) FROM belfry.migration")


@pytest.mark.timeout(120)
async def test_streams_live_through_every_migration_above_the_floor_down_and_up_again(serve: Serve, connect: Any):
    relays = [await serve(), await serve()]
    clients = [await relay.live() for relay in relays for _ in range(3)]
    operator, ended = await connect(), asyncio.Event()
    sent: list[int] = []
    wanted: asyncio.Future[set[int]] = asyncio.get_running_loop().create_future()
    got: list[list[int]] = [[] for _ in clients]
    async with asyncio.TaskGroup() as group:
        for client, rows in zip(clients, got, strict=True):
            group.create_task(follow(client, rows, wanted))
        writers = [group.create_task(write(await connect(), number, sent, ended)) for number in range(WRITERS)]
        before = await newest(operator)
        for _ in range(2):
            await asyncio.sleep(0.3)
            taken = await down_to(operator, FLOOR)
            await asyncio.sleep(0.3)
            assert await up(operator) == taken[::-1]
        await asyncio.sleep(0.3)
        ended.set()
        await asyncio.gather(*writers)
        wanted.set_result(set(sent))
        last = await send(operator, "so that everybody looks once more")
    assert await newest(operator) == before
    assert len(sent) > 50
    for rows in got:
        assert sorted(id for id in rows if id != last) == sorted(sent)  # each once
    assert await ready_counts(relays[0]) == await value(operator, "SELECT unread FROM belfry.counts('u1')")


async def ready_counts(relay: Any) -> int:
    """What a stream is told that opens afterwards."""
    return (await (await relay.open()).until("ready"))[-1].data["unread"]
