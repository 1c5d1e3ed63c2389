"""Where most of what is written is for people who are not here, only what somebody expects is read whole."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest

from belfry import rows
from belfry.contents import MANY_UNEXPECTED, SPARSE_PAGES
from belfry.cursor import Cursor
from belfry.tracker import LATE_PAGES
from streams import Belfry, Client, Serve, publish, send, subscribe, value


@pytest.fixture
def sparse(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The ids of which a poll has left the contents out."""
    poll, omitted = rows.poll, list[int]()

    async def watched(*arguments: Any, contents: bool) -> Any:
        found = await poll(*arguments, contents=contents)
        omitted.extend(row.id for row in found.rows if row.verb is None and not contents)
        return found

    monkeypatch.setattr(rows, "poll", watched)
    return omitted


async def elsewhere(writer: Any) -> None:
    """A statement's worth of rows for people who are not here."""
    await writer.execute(
        "INSERT INTO belfry.notification (recipient, kind, title)"
        " SELECT 'away-' || number, 'test', '' FROM generate_series(1, %s) AS number",
        (MANY_UNEXPECTED,),
    )


async def crowded(belfry: Belfry, writer: Any) -> None:
    """From now on the relay expects that most is for others."""
    await elsewhere(writer)
    await belfry.caught_up(await value(writer, "SELECT max(id) FROM belfry.notification"))


async def missed(client: Client) -> list[Any]:
    """What a client is told before `ready`: titles, and verbs of changes."""
    events = (await client.until("ready"))[:-1]
    return [event.data["title"] if event.name == "message" else event.data["verb"] for event in events]


async def test_who_is_here_gets_the_contents_of_its_own(serve: Serve, connect: Any, sparse: list[int]):
    belfry, writer = await serve(), await connect()
    await subscribe(writer, "u1", "team:1")
    client = await belfry.live()
    await crowded(belfry, writer)
    async with writer.transaction():
        await elsewhere(writer)
        sent = await send(writer, "direct")
        posted = await publish(writer, "team:1", "to the topic")
    assert await client.titles(2) == ["direct", "to the topic"]
    assert {sent, posted} <= set(sparse)


async def test_without_contents_a_poll_reads_more_rows(serve: Serve, connect: Any, monkeypatch: pytest.MonkeyPatch):
    belfry, writer = await serve(page_rows=MANY_UNEXPECTED), await connect()
    client = await belfry.live()
    await crowded(belfry, writer)
    poll, found = rows.poll, list[int]()

    async def counted(*arguments: Any, contents: bool) -> Any:
        each = await poll(*arguments, contents=contents)
        found.append(len(each.rows))
        return each

    monkeypatch.setattr(rows, "poll", counted)
    async with writer.transaction():
        for _ in range(SPARSE_PAGES):
            await elsewhere(writer)
        await send(writer, "after them")
    assert await client.titles(1) == ["after them"]
    assert [count for count in found if count] == [SPARSE_PAGES * MANY_UNEXPECTED, 1]


async def test_who_joins_together_with_a_row_gets_it(serve: Serve, connect: Any, sparse: list[int]):
    belfry, writer = await serve(), await connect()
    client = await belfry.live()
    await crowded(belfry, writer)
    async with writer.transaction():
        await elsewhere(writer)
        await publish(writer, "team:1", "before")
        await subscribe(writer, "u1", "team:1")
        posted = await publish(writer, "team:1", "after")
    change = await client.row_or_change()
    assert change.data["verb"] == "subscribed"
    assert await client.titles(1) == ["after"]
    assert posted in sparse


async def test_a_membership_whose_row_is_gone_when_it_is_read_takes_effect(
    serve: Serve, connect: Any, sparse: list[int], monkeypatch: pytest.MonkeyPatch
):
    belfry, writer = await serve(), await connect()
    client = await belfry.live()
    await crowded(belfry, writer)
    monkeypatch.setattr(rows, "CHANGES", rows.CHANGES + " AND false")
    async with writer.transaction():
        await elsewhere(writer)
        await subscribe(writer, "u1", "team:1")
        posted = await publish(writer, "team:1", "after")
    assert await client.titles(1) == ["after"]
    assert posted in sparse


async def away(belfry: Belfry, writer: Any, count: int = 3) -> tuple[str, list[int]]:
    """A client that was here and leaves before `count` rows for it come among others'; its cursor, and their ids."""
    await subscribe(writer, "u1", "team:1")
    client = await belfry.live()
    await send(writer, "seen")
    assert await client.titles(1) == ["seen"]
    client.cut()
    await crowded(belfry, writer)
    async with writer.transaction():
        await elsewhere(writer)
        sent = [await send(writer, f"missed {number}") for number in range(count - 1)]
        sent.append(await publish(writer, "team:1", "missed in the topic"))
    await belfry.caught_up(sent[-1])
    return client.last_id, sent


async def test_who_comes_back_gets_what_it_missed_without_a_query_of_its_own(
    serve: Serve, connect: Any, sparse: list[int]
):
    belfry, writer = await serve(), await connect()
    cursor, sent = await away(belfry, writer)
    assert set(sent) <= set(sparse)
    for _ in range(2):
        client = await belfry.open(last_id=cursor)
        assert await missed(client) == ["missed 0", "missed 1", "missed in the topic"]
    assert (belfry.replays["recent"], belfry.replays["table"]) == (2, 0)


async def test_a_crowd_that_comes_back_makes_no_queries_of_its_own(serve: Serve, connect: Any, sparse: list[int]):
    belfry, writer = await serve(page_rows=2 * MANY_UNEXPECTED), await connect()
    crowd = [f"u{number}" for number in range(150)]
    await send(writer, "for another", recipient="u-1")
    for client in [await belfry.live(recipient) for recipient in crowd]:
        client.cut()
    cursor = str(belfry.relay.tracker.cursor())
    await crowded(belfry, writer)
    await writer.execute("SELECT belfry.send_many(%s, 'test', 'missed')", (crowd,))
    await elsewhere(writer)
    await crowded(belfry, writer)
    queries = belfry.relay.counts["row_queries"]
    again = await asyncio.gather(*(belfry.open(recipient, last_id=cursor) for recipient in crowd))
    assert [await missed(client) for client in again] == [["missed"]] * len(crowd)
    assert sparse
    assert (belfry.replays["recent"], belfry.replays["table"]) == (len(crowd), 0)
    assert belfry.relay.counts["row_queries"] - queries < 50


@pytest.mark.parametrize(
    "choices", [{}, {"*": False, "test": True}], ids=["who chose nothing", "who wants but this kind"]
)
async def test_who_missed_more_than_some_pages_gets_it_from_the_table(
    serve: Serve, connect: Any, sparse: list[int], choices: dict[str, bool]
):
    belfry, writer = await serve(page_rows=2 * MANY_UNEXPECTED), await connect()
    for kind, enabled in choices.items():
        await writer.execute("SELECT belfry.set_preference('u1', %s, %s)", (kind, enabled))
    cursor, sent = await away(belfry, writer, (LATE_PAGES + 1) * 2 * MANY_UNEXPECTED)
    assert set(sent) & set(sparse)
    got = await missed(await belfry.open(last_id=cursor))
    assert got == [*(f"missed {number}" for number in range(len(sent) - 1)), "missed in the topic"]
    assert belfry.replays["table"] == 1


async def test_what_a_client_has_seen_elsewhere_is_not_read_for_it(
    serve: Serve, connect: Any, sparse: list[int], monkeypatch: pytest.MonkeyPatch
):
    belfry, writer = await serve(), await connect()
    _, sent = await away(belfry, writer)
    read, asked = rows.notifications, list[int]()

    async def watched(connection: Any, ids: list[int]) -> Any:
        asked.extend(ids)
        return await read(connection, ids)

    monkeypatch.setattr(rows, "notifications", watched)
    middle = str(Cursor(sent[1], ((sent[0], sent[0]),), belfry.relay.epoch))
    for cursor in (str(belfry.relay.tracker.cursor(belfry.relay.epoch)), "0", "malformed", "abcdef.1", None):
        await (await belfry.open(last_id=cursor)).until("ready")
    assert asked == []
    assert await missed(await belfry.open(last_id=middle)) == ["missed 0", "missed in the topic"]
    assert set(asked) == set(sent)


async def test_who_comes_back_gets_what_is_left_of_it(serve: Serve, connect: Any, sparse: list[int]):
    belfry, writer = await serve(), await connect()
    cursor, (first, second, third) = await away(belfry, writer)
    await value(writer, "SELECT belfry.retract(%s)", first)
    await value(writer, "SELECT belfry.revise(%s, title => 'revised')", second)
    await value(writer, "SELECT belfry.revise(%s, title => 'revised in the topic')", third)
    await belfry.caught_up(await value(writer, "SELECT max(id) FROM belfry.change"))
    got = await missed(await belfry.open(last_id=cursor))
    assert got == ["revised", "revised in the topic", "retracted", "revised", "revised"]
    assert belfry.replays["table"] == 0


async def test_a_row_that_is_erased_before_its_contents_are_read_is_passed_over(
    serve: Serve, connect: Any, sparse: list[int], monkeypatch: pytest.MonkeyPatch
):
    belfry, writer = await serve(), await connect()
    client = await belfry.live()
    await crowded(belfry, writer)
    read = rows.notifications

    async def erased(connection: Any, ids: list[int]) -> Any:
        monkeypatch.setattr(rows, "notifications", read)
        return {}

    monkeypatch.setattr(rows, "notifications", erased)
    delivered = belfry.relay.hub.delivered
    async with writer.transaction():
        await elsewhere(writer)
        gone = await send(writer, "gone")
    await belfry.caught_up(gone)
    await send(writer, "there")
    assert await client.titles(1) == ["there"]
    assert gone in sparse
    assert belfry.relay.hub.delivered == delivered + 1


async def test_contents_that_cannot_be_read_are_read_with_the_next_poll(
    serve: Serve, connect: Any, sparse: list[int], monkeypatch: pytest.MonkeyPatch
):
    belfry, writer = await serve(), await connect()
    client = await belfry.live()
    await crowded(belfry, writer)
    read, failed = rows.notifications, list[int]()

    async def failing(connection: Any, ids: list[int]) -> Any:
        monkeypatch.setattr(rows, "notifications", read)
        failed.extend(ids)
        raise psycopg.OperationalError("the connection was lost")

    monkeypatch.setattr(rows, "notifications", failing)
    async with writer.transaction():
        await elsewhere(writer)
        sent = await send(writer, "told twice, heard once")
    await send(writer, "and then")
    assert await client.titles(2) == ["told twice, heard once", "and then"]
    assert sent in failed
