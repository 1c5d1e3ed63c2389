"""Large transactions: they are read a page at a time, and nobody waits behind them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from typing import Any

import pytest

from belfry import cursor, queries, rows
from streams import Serve, eventually, publish, send, subscribe

MANY = (
    "INSERT INTO belfry.notification (recipient, kind, title)"
    " SELECT 'u1', 'test', number::text FROM generate_series(1, %s) AS number"
)


async def test_five_thousand_rows_of_one_commit_all_arrive_once_while_new_ones_go_out_beside(
    serve: Serve, connect: Any
):
    belfry = await serve()
    mine, other = await belfry.live("u1"), await belfry.live("u2")
    writer, quick = await connect(), await connect()
    await writer.execute(MANY, (5000,))
    await send(quick, "beside", recipient="u2")
    assert await other.titles(1) == ["beside"]
    got = await mine.titles(5000)
    assert sorted(got, key=int) == [str(number) for number in range(1, 5001)]
    assert len(set(got)) == 5000
    await send(quick, "end")
    assert await mine.titles(1) == ["end"]


async def test_a_row_that_commits_beside_a_backlog_does_not_wait_for_its_end(serve: Serve, connect: Any):
    belfry = await serve(page_rows=50)
    client = await belfry.live("u2")
    writer, quick = await connect(), await connect()
    await writer.execute(MANY, (5000,))
    await eventually(lambda: belfry.relay.tracker.backlog)
    await send(quick, "beside", recipient="u2")
    assert await client.titles(1) == ["beside"]
    assert belfry.relay.tracker.backlog
    await eventually(lambda: not belfry.relay.tracker.backlog)


async def test_who_attaches_in_the_middle_of_a_backlog_gets_each_row_once(serve: Serve, connect: Any):
    belfry = await serve(page_rows=50)
    writer = await connect()
    await send(writer, "before")
    start = (await belfry.live()).last_id
    await writer.execute(MANY, (2000,))
    await eventually(lambda: belfry.relay.tracker.backlog)
    client = await belfry.open(last_id=start)
    got: list[str] = []
    for _ in range(2001):
        event = await client.next()
        if event.name == "message":
            got.append(event.data["title"])
    assert sorted(got, key=int) == [str(number) for number in range(1, 2001)]


async def test_an_open_transaction_of_five_thousand_rows_is_read_when_it_commits(serve: Serve, connect: Any):
    belfry = await serve()
    client = await belfry.live()
    writer, quick = await connect(), await connect()
    async with writer.transaction():
        await writer.execute(MANY, (5000,))
        await send(quick, "above")
        assert await client.titles(1) == ["above"]
    got = await client.titles(5000)
    assert sorted(got, key=int) == [str(number) for number in range(1, 5001)]
    await eventually(lambda: not belfry.relay.tracker.gaps)


async def test_a_relay_that_was_behind_by_many_pages_of_both_tables_catches_up(serve: Serve, connect: Any):
    belfry = await serve(page_rows=20)
    client = await belfry.live()
    writer = await connect()
    async with writer.transaction():
        await writer.execute(
            "DO $$ BEGIN FOR turn IN 1..100 LOOP PERFORM belfry.subscribe('u1', 'topic:' || turn);"
            " PERFORM belfry.publish('topic:' || turn, 'test', turn::text); END LOOP; END $$"
        )
    events = [await client.row_or_change() for _ in range(200)]
    assert len({event.data["id"] for event in events}) == 200
    titles = [event.data["title"] for event in events if event.name == "message"]
    assert sorted(titles, key=int) == [str(turn) for turn in range(1, 101)]


async def test_a_large_transaction_among_many_small_ones_is_read_in_parts_too(
    serve: Serve, connect: Any, monkeypatch: pytest.MonkeyPatch
):
    poll, most = rows.poll, [0]

    async def measured(connection: Any, plan: Any, page: int, **how: Any) -> Any:
        found = await poll(connection, plan, page, **how)
        most.append(len(found.rows))
        return found

    monkeypatch.setattr(rows, "poll", measured)
    belfry = await serve(page_rows=5, stream_buffer_bytes=1 << 24)
    client, second = await belfry.live(), await belfry.live("u2")
    writer, quick = await connect(), await connect()
    start = client.last_id
    async with writer.transaction():
        await subscribe(writer, "u1", "team:1")
        for number in range(20):
            await writer.execute(MANY, (40,))
            await publish(writer, "team:1", f"to the topic {number}")
            await send(quick, "between", recipient="u2")
        await second.titles(20)
        assert len(belfry.relay.tracker.gaps) == 20
        most.clear()
    await send(quick, "after")
    events = [await client.row_or_change() for _ in range(20 * 41 + 2)]
    assert len({event.data["id"] for event in events}) == len(events)
    assert max(most) <= 70, "of all ranges, of those with few ids left, and what is new"
    again = await belfry.open(last_id=start)
    assert {event.data["id"] for event in (await again.until("ready"))[:-1]} == {event.data["id"] for event in events}
    await eventually(lambda: not belfry.relay.tracker.gaps)


async def test_beside_thousands_of_gaps_they_are_merged_for_a_poll_and_not_for_each_of_its_rows(
    serve: Serve, connect: Any, monkeypatch: pytest.MonkeyPatch
):
    belfry = await serve()
    writer, slow = await connect(), await connect()
    client = await belfry.live()
    merged: list[int] = []
    merge = cursor.merge_nearest

    def counted(ranges: list[cursor.Range], keep: int) -> list[cursor.Range]:
        merged.append(len(ranges))
        return merge(ranges, keep)

    async with slow.transaction():
        await send(slow, "still open", recipient="u2")  # whose might each id be that was rolled back meanwhile
        await writer.execute(
            "INSERT INTO belfry.notification (recipient, kind)"
            " SELECT CASE WHEN nextval('belfry.position') > 0 THEN 'u2' END, 'test' FROM generate_series(1, 3000)"
        )
        await belfry.caught_up(await send(writer, "first"))
        assert await client.titles(1) == ["first"]
        assert len(belfry.relay.tracker.gaps) >= 3000
        monkeypatch.setattr(cursor, "merge_nearest", counted)
        await writer.execute(MANY, (100,))
        assert await client.titles(100) == [str(number) for number in range(1, 101)]
        monkeypatch.undo()
    assert sum(size > 1000 for size in merged) < 10, "which takes so long that the loop has time for nothing else"
    again = await belfry.open(last_id=client.seen[50].id)
    rest = [event.data["title"] for event in (await again.until("ready"))[:-1]]
    assert rest == [str(number) for number in range(50, 101)]


async def test_a_crowd_whose_memberships_take_long_to_read_comes_in_by_parts_and_the_relay_goes_on(
    serve: Serve, connect: Any, monkeypatch: pytest.MonkeyPatch
):
    belfry = await serve()
    writer = await connect()
    client = await belfry.live()
    read = queries.members

    async def slowly(connection: Any, recipients: Collection[str]) -> Any:
        found = await read(connection, recipients)
        time.sleep(0.04 * len(found))  # noqa: ASYNC251 - thousands of topics each, made rows of in this loop
        return found

    monkeypatch.setattr(queries, "members", slowly)
    crowd = await asyncio.gather(*(belfry.open(f"crowd{number}") for number in range(100)))
    await asyncio.gather(*(each.until("ready") for each in crowd))
    await send(writer, "beside")
    assert await client.titles(1) == ["beside"]
    assert belfry.relay.counts["connects"] == 1, "the server ends a session that idles in a transaction for 3 s"
