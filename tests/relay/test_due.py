"""What is due is delivered once, in time, by whichever relay comes first, and no failure ends that."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from belfry import due
from streams import Connection, Serve, eventually, eventually_is, send, value

LOCK = "SELECT pg_advisory_lock(1111837766, 6)"
UNLOCK = "SELECT pg_advisory_unlock(1111837766, 6)"


async def schedule(connection: Connection, title: str, seconds: float = 0.3) -> int:
    """A notification for later."""
    return await value(
        connection,
        "SELECT belfry.send('u1', 'test', %s, deliver_at => clock_timestamp() + make_interval(secs => %s))",
        title,
        seconds,
    )


async def test_two_relays_deliver_each_thing_once(serve: Serve, connect: Any):
    one, other = await serve(tick_seconds=0.1), await serve(tick_seconds=0.1)
    here, there, writer = await one.live(), await other.live(), await connect()
    titles = [str(number) for number in range(20)]
    for title in titles:
        await schedule(writer, title)
    for client in (here, there):
        assert sorted(await client.titles(20)) == sorted(titles)
    await send(writer, "end")
    assert (await here.titles(1), await there.titles(1)) == (["end"], ["end"])


async def test_only_who_holds_the_lock_delivers(serve: Serve, connect: Any):
    belfry = await serve(tick_seconds=0.05)
    client, writer, holder = await belfry.live(), await connect(), await connect()
    await holder.execute(LOCK)
    await schedule(writer, "due", seconds=0.1)
    polls = belfry.relay.counts["row_queries"]
    await eventually(lambda: belfry.relay.counts["row_queries"] > polls + 8)  # ticks, with which others would deliver
    assert await value(writer, "SELECT count(*) FROM belfry.scheduled") == 1
    await holder.execute(UNLOCK)
    assert await client.titles(1) == ["due"]


async def test_full_batches_follow_each_other_without_a_pause(
    serve: Serve, connect: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(due, "BATCH_ROWS", 2)
    belfry = await serve(tick_seconds=3)
    client, writer = await belfry.live(), await connect()
    async with writer.transaction():
        for number in range(7):
            await schedule(writer, str(number), seconds=0)
    await client.titles(1, seconds=6)
    began = asyncio.get_running_loop().time()
    await client.titles(6)
    assert asyncio.get_running_loop().time() - began < 2


@pytest.mark.parametrize("fault", ["the database's", "our own"])
async def test_a_failure_is_logged_and_the_next_tick_delivers(
    serve: Serve, connect: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, fault: str
):
    belfry = await serve(tick_seconds=0.05)
    client, writer = await belfry.live(), await connect()
    if fault == "our own":
        with monkeypatch.context() as broken:
            broken.setattr(due, "DELIVER", None)
            await eventually(lambda: "due_failed" in [getattr(each, "action", "") for each in caplog.records])
    else:
        await writer.execute("ALTER FUNCTION belfry.deliver_due(integer) RENAME TO elsewhere")
        await eventually(lambda: "due_failed" in [getattr(each, "action", "") for each in caplog.records])
        await writer.execute("ALTER FUNCTION belfry.elsewhere(integer) RENAME TO deliver_due")
    await schedule(writer, "all the same")
    assert await client.titles(1) == ["all the same"]


async def test_answers_of_more_than_a_day_ago_are_forgotten(serve: Serve, connect: Any):
    writer = await connect()
    for key, age in (("old", "25 hours"), ("young", "23 hours")):
        await writer.execute(
            "INSERT INTO belfry.idempotency (api_key, key, digest, created_at)"
            " VALUES ('a', %s, 'x', now() - %s::interval)",
            (key, age),
        )
    await serve(tick_seconds=0.05)
    await eventually_is(writer, ["young"], "SELECT array_agg(key ORDER BY key) FROM belfry.idempotency")
