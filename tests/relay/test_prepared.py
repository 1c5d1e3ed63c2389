"""Two-phase commit: while a transaction is prepared its gap lives, whichever session took the id or commits it."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any, LiteralString

import pytest
import pytest_asyncio
from psycopg import sql

from streams import PATIENCE_SECONDS, Belfry, Connection, Serve, eventually, send, value

SESSIONS = 10
EACH = 25


def gid() -> str:
    """A name for a prepared transaction; names are the whole server's, other test runs' too."""
    return f"belfry-tests-{uuid.uuid4().hex}"


async def end(connection: Connection, verb: LiteralString, name: str) -> None:
    """PREPARE TRANSACTION, COMMIT PREPARED or ROLLBACK PREPARED."""
    await connection.execute(sql.SQL(verb) + sql.SQL(" ") + sql.Literal(name))


@pytest_asyncio.fixture
async def poll_mode(connect: Any) -> AsyncGenerator[None]:
    """No relay arms the bell, so that nobody rings: a transaction that has notified cannot be prepared."""
    connection = await connect()
    if await value(connection, "SHOW max_prepared_transactions") == "0":
        pytest.skip("this server does not prepare transactions")
    await connection.execute("UPDATE belfry.setting SET value = 'poll' WHERE name = 'wake_mode'")
    yield
    cursor = await connection.execute("SELECT gid FROM pg_prepared_xacts WHERE database = current_database()")
    for (name,) in await cursor.fetchall():  # of a test that failed: the database could not be dropped
        await end(connection, "ROLLBACK PREPARED", name)


async def test_it_arrives_though_another_session_commits_it_late_and_its_own_is_gone(
    serve: Serve, connect: Any, poll_mode: None
):
    belfry = await serve()
    client = await belfry.live()
    writer, other, name = await connect(), await connect(), gid()
    await writer.execute("BEGIN")
    low = await send(writer, "prepared")
    await end(writer, "PREPARE TRANSACTION", name)
    await writer.close()
    for number in range(3):
        async with other.transaction(force_rollback=True):
            await send(other, "rolled back")
        await send(other, str(number))
        assert await client.titles(1) == [str(number)]
        asked = belfry.relay.counts["row_queries"]
        await eventually(lambda: belfry.relay.counts["row_queries"] > asked + 7)  # noqa: B023 - it is over by then
        assert not belfry.relay.tracker.cursor().has(low)
    await end(other, "COMMIT PREPARED", name)
    assert await client.titles(1) == ["prepared"]


# --- hundreds of them, with two relays -------------------------------------------------------------------------


@dataclass
class Many:
    """What the sessions did, and which rows a relay took for dead while they were prepared."""

    relays: list[Belfry]
    rng: random.Random
    committed: set[int] = field(default_factory=set[int])
    buried: list[int] = field(default_factory=list[int])

    async def polls(self, count: int) -> None:
        """Return when each relay has polled so often since now."""
        wanted = [(each.relay, each.relay.counts["row_queries"] + count) for each in self.relays]
        await eventually(lambda: all(relay.counts["row_queries"] >= until for relay, until in wanted))

    async def session(self, writer: Connection, other: Connection) -> None:
        """Prepare, let others commit and roll back beside it, commit it from elsewhere."""
        for _ in range(EACH):
            name = gid()
            await writer.execute("BEGIN")
            position = await send(writer, "prepared")
            await self.polls(self.rng.choice((0, 0, 1, 3)))
            await end(writer, "PREPARE TRANSACTION", name)
            async with writer.transaction(force_rollback=True):
                await send(writer, "rolled back")
            if self.rng.random() < 0.3:
                self.committed.add(await send(writer, "beside"))
            await self.polls(self.rng.choice((0, 1, 5, 12)))
            self.buried += [position for each in self.relays if each.relay.tracker.cursor().has(position)]
            await end(other, "COMMIT PREPARED", name)
            self.committed.add(position)


async def test_of_hundreds_no_gap_is_buried_while_its_transaction_is_prepared(
    serve: Serve, connect: Any, poll_mode: None
):
    relays = [await serve(), await serve()]
    clients = [await each.live() for each in relays]
    many = Many(relays, random.Random(4))
    async with asyncio.timeout(PATIENCE_SECONDS * 2), asyncio.TaskGroup() as group:
        for _ in range(SESSIONS):
            group.create_task(many.session(await connect(), await connect()))
    assert many.buried == []
    assert len(many.committed) > SESSIONS * EACH
    for client in clients:
        got = [(await client.row())["id"] for _ in many.committed]
        assert sorted(got) == sorted(many.committed)
