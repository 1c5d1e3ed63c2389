"""The doorbell's trigger: NOTIFY while the bell is held exclusively, otherwise silence and a shared lock."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

BELL = "1111837766, 1"
WRITES = [
    "INSERT INTO belfry.notification (recipient, kind) VALUES ('u1', 'k')",
    "SELECT belfry.send('u1', 'k')",
    "SELECT belfry.send_many('{u1,u2}', 'k')",
    "SELECT belfry.publish('t', 'k', dedupe_key => 'once')",
    "SELECT belfry.subscribe('u1', 't')",
]


async def rings(connection: Any) -> list[tuple[str, str]]:
    """What a listening connection has got once a round trip has passed."""
    await connection.execute("SELECT 1")
    return [(got.channel, got.payload) async for got in connection.notifies(timeout=0.3)]


async def test_a_bell_that_is_held_rings_once_for_each_transaction(connect: Any) -> None:
    relay, listener, writer = await connect(), await connect(), await connect()
    await listener.execute("LISTEN belfry")
    await relay.execute(f"SELECT pg_advisory_lock({BELL})".encode())
    for write in WRITES:
        async with writer.transaction():
            await writer.execute(write.encode())
            await writer.execute("SELECT belfry.send('u1', 'again')")
        assert await rings(listener) == [("belfry", "")], write


async def test_a_rolled_back_writer_does_not_ring(connect: Any) -> None:
    relay, listener, writer = await connect(), await connect(), await connect()
    await listener.execute("LISTEN belfry")
    await relay.execute(f"SELECT pg_advisory_lock({BELL})".encode())
    async with writer.transaction(force_rollback=True):
        await writer.execute("SELECT belfry.send('u1', 'k')")
    assert await rings(listener) == []


@pytest.mark.parametrize("write", WRITES)
async def test_a_free_bell_stays_silent_and_cannot_be_armed_before_the_commit(
    connect: Any, ask: Any, write: str
) -> None:
    relay, listener, writer = await connect(), await connect(), await connect()
    await listener.execute("LISTEN belfry")
    await writer.execute("BEGIN")
    await writer.execute(write.encode())
    assert not await ask.value(relay, f"SELECT pg_try_advisory_lock({BELL})")
    await writer.execute("COMMIT")
    assert await ask.value(relay, f"SELECT pg_try_advisory_lock({BELL})")
    assert await rings(listener) == []


async def test_silent_writers_do_not_wait_for_each_other(connect: Any) -> None:
    one, other = await connect(), await connect()
    for writer in (one, other):
        await writer.execute("SET statement_timeout = '5s'")
        await writer.execute("BEGIN")
        await writer.execute("SELECT belfry.send('u1', 'k')")


async def test_a_silent_transaction_can_be_prepared_and_a_ringing_one_not(connect: Any, ask: Any) -> None:
    relay, writer = await connect(), await connect()
    if await ask.value(writer, "SELECT current_setting('max_prepared_transactions')::int") == 0:
        pytest.skip("this server has max_prepared_transactions = 0")
    name = f"belfry {writer.info.dbname}"
    await writer.execute("BEGIN")
    await writer.execute("SELECT belfry.send('u1', 'k')")
    await writer.execute(f"PREPARE TRANSACTION '{name}'".encode())
    assert not await ask.value(relay, f"SELECT pg_try_advisory_lock({BELL})")
    await writer.execute(f"COMMIT PREPARED '{name}'".encode())
    assert await ask.value(relay, f"SELECT pg_try_advisory_lock({BELL})")
    await writer.execute("BEGIN")
    await writer.execute("SELECT belfry.send('u1', 'k')")
    with pytest.raises(psycopg.errors.FeatureNotSupported):
        await writer.execute(f"PREPARE TRANSACTION '{name}'".encode())


async def test_only_an_insert_rings(connect: Any) -> None:
    relay, listener, writer = await connect(), await connect(), await connect()
    await writer.execute("SELECT belfry.send('u1', 'k')")
    await listener.execute("LISTEN belfry")
    await relay.execute(f"SELECT pg_advisory_lock({BELL})".encode())
    await writer.execute("SELECT belfry.settle(), belfry.ensure_epoch()")
    await writer.execute("DELETE FROM belfry.notification")
    assert await rings(listener) == []
