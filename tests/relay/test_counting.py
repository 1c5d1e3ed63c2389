"""Counting for some keeps nobody else waiting, however much there is to count."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from belfry import queries, reading, relay
from belfry.stream import Scope
from streams import Serve, send, value

SLOW = "slow"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[Scope]]:
    """Every question for counts, which are slow: 10 ms for each scope, and half a minute for one recipient."""
    badges, asked = queries.badges, list[Sequence[Scope]]()

    async def slowly(connection: Any, scopes: Sequence[Scope], cursor: Any) -> Any:
        asked.append(scopes)
        slow = 30.0 if any(scope.recipient == SLOW for scope in scopes) else 0.01 * len(scopes)
        await asyncio.sleep(slow)
        found, seconds = await badges(connection, scopes, cursor)
        return found, seconds + slow

    monkeypatch.setattr(queries, "badges", slowly)
    monkeypatch.setattr(reading, "COUNT_SECONDS", 0.8)
    monkeypatch.setattr(relay, "QUERY_SECONDS", 2.5)
    return asked


async def test_a_crowd_whose_counts_are_slow_is_let_in_in_parts_and_nobody_else_waits(
    serve: Serve, connect: Any, asked: list[Sequence[Scope]]
):
    belfry = await serve()
    client, writer, gate = await belfry.live(), await connect(), await connect()
    async with gate.transaction():
        await gate.execute("LOCK TABLE belfry.settled")  # so that they all come at once
        crowd = await asyncio.gather(*(belfry.open(f"c{number}") for number in range(300)))
    clock = asyncio.get_running_loop().time
    longest = 0.0
    ready = asyncio.gather(*(each.next() for each in crowd))
    while not ready.done():
        began = clock()
        await send(writer, "live")
        await client.titles(1)
        longest = max(longest, clock() - began)
    assert [event.data["unread"] for event in await ready] == [0] * len(crowd)
    assert longest < 5
    assert max(map(len, asked)) > reading.FEWEST_CLIENTS, "nobody was told 'wait'"


async def test_who_has_too_much_to_count_is_told_no_counts_and_holds_nobody_up(
    serve: Serve, connect: Any, asked: list[Sequence[Scope]]
):
    belfry = await serve()
    client, writer = await belfry.live(), await connect()
    slow = await belfry.live(SLOW)
    assert "unread" not in slow.seen[0].data
    sent = await send(writer, "to be read", recipient=SLOW)
    assert await slow.titles(1) == ["to be read"]
    before = len(asked)
    await value(writer, "SELECT belfry.mark_read(%s, %s)", SLOW, [sent])
    event = await slow.next()
    assert (event.name, event.data["verb"], "unread" in event.data) == ("change", "read", False)
    assert not any(asked[before:]), "for a minute nobody asks again"
    await send(writer, "for the others")
    assert await client.titles(1, seconds=5) == ["for the others"]
