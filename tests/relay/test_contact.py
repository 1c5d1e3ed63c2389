"""Whoever comes for the first time is recorded, and nobody waits for that but they themselves."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from streams import Serve, publish, send, value


async def test_an_open_transaction_that_records_a_newcomer_holds_up_the_newcomer_alone(serve: Serve, connect: Any):
    belfry = await serve()
    client = await belfry.live()
    app, other = await connect(), await connect()
    async with app.transaction():
        await app.execute("SELECT * FROM belfry.list_inbox('newcomer')")
        newcomer = await belfry.open("newcomer")
        await newcomer.read_bytes(7)
        another = await belfry.open("another newcomer")
        for title in ("one", "two"):
            await send(other, title)
            assert await client.titles(1, seconds=5) == [title]
        assert (await another.next(seconds=5)).name == "ready"
        with pytest.raises(TimeoutError):
            await newcomer.next(0.3)
    assert (await newcomer.next(seconds=5)).name == "ready"
    await publish(other, "*", "for all")
    assert await newcomer.titles(1) == await another.titles(1) == ["for all"]


async def test_who_was_left_to_wait_for_such_a_transaction_is_recorded_though_it_rolls_back(serve: Serve, connect: Any):
    belfry = await serve()
    app = await connect()
    async with app.transaction(force_rollback=True):
        await app.execute("SELECT * FROM belfry.list_inbox('newcomer')")
        newcomer = await belfry.open("newcomer")
        await newcomer.read_bytes(7)
        await asyncio.sleep(0.3)
    assert (await newcomer.next(seconds=5)).name == "ready"
    assert await value(app, "SELECT count(*) FROM belfry.inbox WHERE recipient = 'newcomer'") == 1
