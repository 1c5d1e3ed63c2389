"""A relay that starts after an app has written for long without one begins near the end, and loses nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from belfry import owners, queries
from streams import Serve, eventually, send

ROWS = 3000


@pytest.fixture
def throughs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """From where on each relay that started has looked for what is missing."""
    missing, found = queries.missing, list[int]()

    async def noted(connection: Any, through: int) -> Any:
        found.append(through)
        return await missing(connection, through)

    monkeypatch.setattr(queries, "missing", noted)
    monkeypatch.setattr(owners, "FAR_IDS", ROWS // 2)
    return found


async def test_what_nobody_has_open_is_settled_without_reading_it(serve: Serve, connect: Any, throughs: list[int]):
    writer = await connect()
    await writer.execute(
        "INSERT INTO belfry.notification (recipient, kind) SELECT 'u2', 'test' FROM generate_series(1, %s)", (ROWS,)
    )
    client = await (await serve()).live()
    assert throughs == [ROWS]
    await send(writer, "new")
    assert await client.titles(1) == ["new"]


async def test_a_transaction_that_is_open_then_is_waited_for_and_its_row_is_not_lost(
    serve: Serve, connect: Any, throughs: list[int]
):
    slow, writer = await connect(), await connect()
    async with slow.transaction():
        await send(slow, "taken first")
        await writer.execute(
            "INSERT INTO belfry.notification (recipient, kind) SELECT 'u2', 'test' FROM generate_series(1, %s)", (ROWS,)
        )
        belfry = await serve()
        client = await belfry.open(cursor="0")
        await asyncio.sleep(0.5)
        assert throughs == []
        async with writer.transaction():
            await send(writer, "taken after")
            await eventually(lambda: not belfry.relay.ready)
    events = await client.until("ready")
    assert [event.data.get("title") for event in events] == ["taken first", "taken after", None]
    assert throughs == [ROWS + 1]


async def test_a_transaction_that_stays_open_is_not_waited_for_for_ever(
    serve: Serve, connect: Any, throughs: list[int], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("belfry.relay.START_SECONDS", 1.0)
    slow, writer = await connect(), await connect()
    async with slow.transaction():
        await send(slow, "held")
        await writer.execute(
            "INSERT INTO belfry.notification (recipient, kind) SELECT 'u2', 'test' FROM generate_series(1, %s)", (ROWS,)
        )
        client = await (await serve()).live()
        assert throughs == [0]
    assert await client.titles(1) == ["held"]
