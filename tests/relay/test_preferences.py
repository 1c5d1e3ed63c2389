"""What a recipient does not want makes no frame: by position, like membership, in the order of the rows."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from test_state import call, change, counts

from belfry import hub, rows
from streams import Serve, publish, send, value

pytestmark = pytest.mark.usefixtures("contents")


async def test_a_muted_kind_makes_no_frame_from_the_change_on_and_no_count(serve: Serve, connect: Any):
    belfry = await serve()
    client, writer = await belfry.live(), await connect()
    await send(writer, "before")
    assert await client.titles(1) == ["before"]
    await call(writer, "set_preference", "u1", "test", False)
    assert {"verb": "preference", "kind": "test", "enabled": False, **counts(1, 1)}.items() <= (
        await change(client)
    ).items()
    muted = await send(writer, "muted")
    await publish(writer, "*", "muted too")
    await call(writer, "set_preference", "u1", "test", True)
    assert {"enabled": True, **counts(1, 1)}.items() <= (await change(client)).items()
    await send(writer, "after")
    assert await client.titles(1) == ["after"]
    again = await belfry.open(cursor="0")
    events = await again.until("ready")
    assert [event.data["title"] for event in events if event.name == "message"] == ["before", "after"]
    assert muted not in [event.data.get("id") for event in events]
    assert events[-1].data["unread"] == 2


async def test_a_kind_that_is_off_reaches_those_who_chose_it_and_a_required_one_everybody(serve: Serve, connect: Any):
    writer = await connect()
    await call(writer, "declare_kind", "digest", "Digest", False, False)
    await call(writer, "set_preference", "u1", "digest", True)
    belfry = await serve()
    chose, did_not = await belfry.live("u1"), await belfry.live("u2")
    await value(writer, "SELECT belfry.broadcast('digest', 'weekly')")
    await call(writer, "declare_kind", "alarm", "Alarm", True, True)
    await call(writer, "set_preference", "u2", "*", False)
    await value(writer, "SELECT belfry.broadcast('alarm', 'fire')")
    await send(writer, "end", recipient="u1")
    assert await chose.titles(3) == ["weekly", "fire", "end"]
    assert (await change(did_not))["kind"] == "*"
    assert await did_not.titles(1) == ["fire"]


async def test_a_choice_held_open_brings_what_was_sent_meanwhile_once(serve: Serve, connect: Any):
    belfry = await serve()
    slow, writer = await connect(), await connect()
    await call(writer, "set_preference", "u1", "test", False)
    client = await belfry.live()
    async with slow.transaction():
        await call(slow, "set_preference", "u1", "test", True)
        owed = [await send(writer, f"owed {number}") for number in range(3)]
        last = await value(writer, "SELECT belfry.send('u1', 'other', 'mine')")
        assert (await client.row())["id"] == last
    events = await client.until("ready")
    assert [event.data["id"] for event in events if event.name == "message"] == owed
    assert events[-1].data["unread"] == 4
    await send(writer, "after")
    assert await client.titles(1) == ["after"]


async def test_a_replay_under_way_ends_before_others_are_written_what_it_learns_late(
    serve: Serve, connect: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(hub, "YIELD_EVERY", 1)
    page_was_read, go_on, read = asyncio.Event(), asyncio.Event(), rows.replay

    async def slowly(connection: Any, recipient: str, *more: Any) -> Any:
        page = await read(connection, recipient, *more)
        if recipient == "u1" and not page_was_read.is_set():
            page_was_read.set()
            await go_on.wait()
        return page

    monkeypatch.setattr(rows, "replay", slowly)
    belfry = await serve(recent_rows=0)
    slow, writer = await connect(), await connect()
    for number in range(20):
        await belfry.live(f"other {number}")
    await call(writer, "set_preference", "u1", "test", False)
    async with slow.transaction():
        await call(slow, "set_preference", "u1", "test", True)
        owed = [await send(writer, f"owed {number}") for number in range(3)]
        await belfry.caught_up(owed[-1])
        client = await belfry.open(cursor="0")
        await asyncio.wait_for(page_was_read.wait(), 10)
        follow = belfry.relay.hub._follow
        monkeypatch.setattr(belfry.relay.hub, "_follow", lambda row: (follow(row), go_on.set()))
        await publish(slow, "*", "to all")  # in one poll with the choice
    got = [event.data.get("id") for event in await client.rest() if event.name == "message"]
    again = await belfry.open(last_id=client.last_id or None, cursor=None if client.last_id else "0")
    got += [event.data["id"] for event in await again.until("ready") if event.name == "message"]
    assert [got.count(each) for each in owed] == [1, 1, 1]


async def test_what_is_muted_is_not_shown_when_it_is_revised(serve: Serve, connect: Any):
    belfry = await serve()
    client, writer = await belfry.live(), await connect()
    await call(writer, "set_preference", "u1", "test", False)
    assert (await change(client))["verb"] == "preference"
    muted = await send(writer, "muted")
    await value(writer, "SELECT belfry.revise(%s, title => 'muted as well')", muted)
    await value(writer, "SELECT belfry.send('u1', 'other', 'shown')")
    assert await client.titles(1) == ["shown"]
    again = await belfry.open(cursor="0")
    assert "muted as well" not in str(await again.until("ready"))
