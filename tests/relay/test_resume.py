"""A client that comes back, to any relay and with any cursor, gets what it has not seen, once, or is told."""

from __future__ import annotations

import asyncio
import random
import time
from types import SimpleNamespace
from typing import Any

import pytest

from belfry import replay
from belfry.cursor import MAX_CURSOR_BYTES, Cursor, parse
from streams import (
    Belfry,
    Client,
    Ended,
    Serve,
    eventually,
    eventually_is,
    publish,
    send,
    subscribe,
    told,
    unsubscribe,
    value,
)


async def titles_until_ready(client: Client) -> list[str]:
    events = await client.until("ready")
    return [event.data["title"] for event in events if event.name == "message"]


async def no_recent(serve: Serve, **settings: Any) -> Belfry:
    """A relay whose replays come from the table."""
    return await serve(recent_rows=0, **settings)


@pytest.mark.parametrize("recent_rows", [10_000, 0, 3], ids=["from memory", "from the table", "from both"])
async def test_what_was_missed_comes_once_in_order_and_then_ready(serve: Serve, connect: Any, recent_rows: int):
    belfry = await serve(recent_rows=recent_rows)
    writer = await connect()
    await send(writer, "before")
    client = await belfry.live()
    await send(writer, "seen")
    assert await client.titles(1) == ["seen"]
    client.cut()
    for number in range(10):
        await send(writer, str(number))
        await send(writer, "for another", recipient="u2")
    again = await belfry.open(last_id=client.last_id)
    assert await titles_until_ready(again) == [str(number) for number in range(10)]
    await send(writer, "live")
    assert await again.titles(1) == ["live"]
    source = "recent" if recent_rows == 10_000 else "table"
    assert belfry.replays[source] == 1


@pytest.mark.parametrize("recent_rows", [10_000, 0], ids=["from memory", "from the table"])
async def test_a_replay_that_is_cut_after_any_frame_goes_on_there(serve: Serve, connect: Any, recent_rows: int):
    belfry = await serve(recent_rows=recent_rows, page_rows=4)
    writer, slow = await connect(), await connect()
    await send(writer, "before")
    start = (await belfry.live()).last_id
    async with slow.transaction():
        for number in range(6):
            await send(slow, f"late {number}")
            last = await send(writer, f"early {number}")
        await belfry.caught_up(last)
        first = await belfry.open(last_id=start)
        got = [event.data["title"] for event in (await first.until("ready"))[:-1]]
        assert got == [f"early {number}" for number in range(6)]
        cursor = first.seen[2].id  # the client was cut after its third row
    got = got[:3]
    await eventually(lambda: not belfry.relay.tracker.gaps)
    for _ in range(9):
        client = await belfry.open(last_id=cursor)
        event = await client.next()
        got.append(event.data["title"])
        cursor = event.id
        client.cut()
    last = await belfry.open(last_id=cursor)
    assert await titles_until_ready(last) == []
    assert sorted(got) == sorted([f"{kind} {number}" for kind in ("late", "early") for number in range(6)])


async def test_a_stream_cut_at_any_byte_loses_nothing_and_repeats_nothing(serve: Serve, connect: Any):
    dice = random.Random(11)
    relays = [await serve(), await serve(recent_rows=5, page_rows=7)]
    writer, slow = await connect(), await connect()
    await send(writer, "before")
    cursor = (await relays[0].live()).last_id
    received: list[int] = []
    sent: list[int] = []
    for _ in range(25):
        async with slow.transaction(force_rollback=dice.random() < 0.2) as _:
            held = [await send(slow, "slow") for _ in range(dice.randint(0, 3))]
            sent += [await send(writer, "quick") for _ in range(dice.randint(0, 4))]
            client = await dice.choice(relays).open(last_id=cursor, budget=dice.randint(1, 4000))
            received += await read_to_the_end(client)
            cursor = client.last_id
        sent += [
            each for each in held if await value(writer, "SELECT count(*) FROM belfry.notification WHERE id = %s", each)
        ]
    client = await dice.choice(relays).open(last_id=cursor)
    received += [event.data["id"] for event in (await client.until("ready"))[:-1]]
    assert sorted(received) == sorted(sent)


async def read_to_the_end(client: Client) -> list[int]:
    """The ids up to `ready`, or to the cut."""
    got: list[int] = []
    try:
        while (event := await client.next()).name != "ready":
            got.append(event.data["id"])
    except Ended:
        pass
    client.cut()
    return got


async def test_a_client_resumes_on_another_relay_that_saw_the_rows_in_another_order(serve: Serve, connect: Any):
    first, second = await serve(), await serve()
    writer, slow = await connect(), await connect()
    await send(writer, "before")
    client = await first.live()
    async with slow.transaction():
        await send(slow, "late")
        await send(writer, "early")
        assert await client.titles(1) == ["early"]
        client.cut()
        moved = await second.open(last_id=client.last_id)
        assert await titles_until_ready(moved) == []
    assert await moved.titles(1) == ["late"]
    moved.cut()
    back = await first.open(last_id=moved.last_id)
    assert await titles_until_ready(back) == []


@pytest.mark.parametrize("hidden", ["a backlog", "a wide gap"])
async def test_a_client_that_knows_more_than_this_relay_has_read_gets_nothing_twice(
    serve: Serve, connect: Any, monkeypatch: pytest.MonkeyPatch, hidden: str
):
    ahead, behind = await serve(), await serve(page_rows=10 if hidden == "a backlog" else 500)
    writer, slow = await connect(), await connect()
    await send(writer, "before")
    client = await ahead.live()
    many = "SELECT belfry.send('u1', 'test', turn::text) FROM generate_series(1, 1200) AS turn"
    if hidden == "a backlog":
        gate = await paused(behind, monkeypatch)
        await writer.execute(many)
    else:
        async with slow.transaction():
            await slow.execute(many)
            above = await send(writer, "above")
            assert await client.titles(1) == ["above"]
            await behind.caught_up(above)
            await eventually(lambda: behind.relay.tracker.plan(0.0).probes == ())  # probed, and not again for a while
            gate = await paused(behind, monkeypatch)
    assert len(set(await client.titles(1200))) == 1200
    client.cut()
    moved = await behind.open(last_id=client.last_id)
    await eventually(lambda: behind.relay.load == 1)
    gate.set()
    events = await moved.until("ready")
    end = await send(writer, "end")
    await behind.caught_up(end)
    while not events or events[-1].data.get("title") != "end":
        events.append(await moved.next())
    assert told(events) == ["ready", "end"]


async def paused(belfry: Belfry, monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Stop the relay between two turns, until the event is set."""
    gate, held = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        held.set()
        await gate.wait()
        await asyncio.sleep(0.005)

    monkeypatch.setattr(belfry.relay, "_wait", wait)
    belfry.relay.wake("")
    async with asyncio.timeout(15):
        await held.wait()
    return gate


async def test_a_relay_that_starts_finds_the_gaps_that_are_open(serve: Serve, connect: Any):
    first = await serve()
    writer, slow = await connect(), await connect()
    client = await first.live()
    async with slow.transaction():
        await send(slow, "late")
        await send(writer, "early")
        assert await client.titles(1) == ["early"]
        await first.stop()
        second = await serve()
        again = await second.open(last_id=client.last_id)
        assert await titles_until_ready(again) == []
        fresh = await second.open(cursor="0")
        assert await titles_until_ready(fresh) == ["early"]
    assert await again.titles(1) == ["late"]
    assert await fresh.titles(1) == ["late"]


# --- every kind of cursor ------------------------------------------------------------------------------------


async def test_without_a_cursor_a_client_is_live_from_now_on(serve: Serve, connect: Any):
    belfry = await serve()
    writer = await connect()
    await send(writer, "before")
    client = await belfry.live()
    await send(writer, "after")
    assert await client.titles(1) == ["after"]


@pytest.mark.parametrize("page_rows", [3, 1000], ids=["page by page", "rows in memory"])
async def test_cursor_0_brings_all_that_is_retained_and_never_resets(serve: Serve, connect: Any, page_rows: int):
    belfry = await serve(page_rows=page_rows)
    writer = await connect()
    sent = [await send(writer, str(number)) for number in range(10)]
    await belfry.caught_up(sent[-1])
    await prune(writer, sent[3])
    client = await belfry.open(cursor="0")
    assert await titles_until_ready(client) == [str(number) for number in range(4, 10)]
    assert [event.name for event in client.seen if event.name == "reset"] == []


@pytest.mark.parametrize("text", ["abc", "-1", "5~", "5~9", "5~2,1", "1.5", "zzzzzz.", "5~0-99", "9" * 19, "1" * 3000])
async def test_a_malformed_cursor_gets_a_reset_with_the_present_one(serve: Serve, connect: Any, text: str):
    belfry = await serve()
    writer = await connect()
    sent = await send(writer, "before")
    client = await belfry.open(last_id=text)
    reset, ready = await client.next(), await client.next()
    assert reset.name == "reset"
    assert reset.data == {"reason": "malformed", "cursor": str(sent)}
    assert reset.id == ready.id == str(sent)
    assert ready.name == "ready"


async def test_a_cursor_above_the_sequence_gets_a_reset(serve: Serve, connect: Any):
    belfry = await serve()
    sent = await send(await connect(), "before")
    client = await belfry.open(cursor=str(sent + 1))
    reset, ready = await client.next(), await client.next()
    assert (reset.name, reset.data) == ("reset", {"reason": "epoch", "cursor": str(sent)})
    assert (ready.name, ready.id) == ("ready", str(sent))


async def prune(connection: Any, through: int) -> None:
    """What retention does: raise `pruned` and delete in one transaction."""
    async with connection.transaction():
        await connection.execute("UPDATE belfry.settled SET pruned = %s", (through,))
        await connection.execute("DELETE FROM belfry.notification WHERE id <= %s", (through,))


@pytest.mark.parametrize("recent_rows", [10_000, 0], ids=["rows in memory", "from the table"])
async def test_a_cursor_below_what_was_pruned_gets_a_reset_and_all_that_is_retained(
    serve: Serve, connect: Any, recent_rows: int
):
    belfry = await serve(recent_rows=recent_rows)
    writer = await connect()
    sent = [await send(writer, str(number)) for number in range(10)]
    await prune(writer, sent[4])
    client = await belfry.open(cursor=str(sent[1]))
    reset = await client.next()
    assert (reset.name, reset.data) == ("reset", {"reason": "pruned", "cursor": str(sent[4])})
    assert reset.id == str(sent[4])
    assert await titles_until_ready(client) == [str(number) for number in range(5, 10)]
    edge = await belfry.open(cursor=str(sent[4]))
    assert await titles_until_ready(edge) == [str(number) for number in range(5, 10)]
    assert [event.name for event in edge.seen if event.name == "reset"] == []


async def test_a_cursor_with_a_gap_below_what_was_pruned_gets_a_reset(serve: Serve, connect: Any):
    belfry = await serve()
    writer = await connect()
    sent = [await send(writer, str(number)) for number in range(10)]
    await prune(writer, sent[4])
    client = await belfry.open(cursor=f"{sent[8]}~{sent[8] - sent[2]}")
    assert (await client.next()).data["reason"] == "pruned"
    assert await titles_until_ready(client) == [str(number) for number in range(5, 10)]


async def test_pruning_under_a_paged_replay_is_told(serve: Serve, connect: Any, monkeypatch: pytest.MonkeyPatch):
    belfry = await no_recent(serve, page_rows=3)
    writer = await connect()
    sent = [await send(writer, str(number)) for number in range(12)]
    await belfry.caught_up(sent[-1])
    replay = belfry.app.state.replay
    page = replay._page

    async def page_and_prune(*arguments: Any) -> Any:
        found = await page(*arguments)
        if found.rows and found.rows[0].id == sent[1]:
            await prune(writer, sent[8])
        return found

    monkeypatch.setattr(replay, "_page", page_and_prune)
    client = await belfry.open(cursor=str(sent[0]))
    events = await client.until("ready")
    assert told(events) == [
        "1", "2", "3", "pruned", "9", "10", "11", "ready",
    ]  # fmt: skip
    assert events[3].id == str(sent[8])


async def test_a_row_of_a_gap_that_commits_before_a_replay_is_read_comes_once(
    serve: Serve, connect: Any, monkeypatch: pytest.MonkeyPatch
):
    belfry = await no_recent(serve)
    start = (await belfry.live()).last_id
    slow, writer = await connect(), await connect()
    await slow.execute("BEGIN")
    await send(slow, "late")
    await belfry.caught_up(await send(writer, "missed"))
    page = belfry.app.state.replay._page

    async def page_after_commit(*arguments: Any) -> Any:
        await slow.execute("COMMIT")
        return await page(*arguments)

    monkeypatch.setattr(belfry.app.state.replay, "_page", page_after_commit)
    client = await belfry.open(last_id=start)
    assert await titles_until_ready(client) == ["missed"]
    await send(writer, "after")
    assert await client.titles(2) == ["late", "after"]


async def test_a_new_epoch_resets_every_cursor_of_the_old_one(serve: Serve, connect: Any):
    belfry = await serve()
    writer = await connect()
    await send(writer, "before")
    client = await belfry.live()
    old = client.last_id
    token = await value(writer, "SELECT belfry.new_epoch()")
    assert (await client.rest())[-1].data == {"reason": "rotate"}
    again = await belfry.open(last_id=old)
    reset, ready = await again.next(), await again.next()
    assert (reset.name, reset.data["reason"]) == ("reset", "epoch")
    assert reset.id == ready.id == f"{token}.{old}"
    await send(writer, "after")
    assert await again.titles(1) == ["after"]
    again.cut()
    await send(writer, "missed")
    third = await belfry.open(last_id=again.last_id)
    assert await titles_until_ready(third) == ["missed"]


async def test_a_database_that_lost_what_was_seen_begins_a_new_epoch_and_loses_no_row(serve: Serve, connect: Any):
    belfry = await serve()
    writer = await connect()
    sent = [await send(writer, str(number)) for number in range(5)]
    client = await belfry.live()
    old = client.last_id
    async with writer.transaction():  # as after a crash with synchronous_commit = off: ids are given again
        await writer.execute("DELETE FROM belfry.notification WHERE id > %s", (sent[1],))
        await writer.execute("SELECT setval('belfry.position', %s)", (sent[1],))
        await writer.execute("UPDATE belfry.settled SET through = %s", (sent[1],))
        await writer.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'belfry relay' AND datname = current_database()"
        )
    assert (await client.rest())[-1].data == {"reason": "rotate"}
    assert await value(writer, "SELECT epoch FROM belfry.settled") != ""
    again = await belfry.open(last_id=old)
    assert (await again.next()).data["reason"] == "epoch"
    assert (await again.next()).name == "ready"
    repeated = await send(writer, "with an id that was given before")
    assert repeated == sent[2]
    assert (await again.row())["id"] == repeated


@pytest.mark.parametrize("known", ["from the start", "by a poll"])
async def test_the_newest_row_gone_though_the_sequence_is_not_begins_a_new_epoch(
    serve: Serve, connect: Any, known: str
):
    writer = await connect()
    sent = [await send(writer, str(number)) for number in range(3)]
    belfry = await serve()
    client = await belfry.live()
    if known == "by a poll":
        sent.append(await send(writer, "new"))
        assert await client.titles(1) == ["new"]
    await eventually_is(writer, sent[-1], "SELECT through FROM belfry.settled")
    await writer.execute("UPDATE belfry.notification SET created_at = created_at + interval '1 s'")
    await writer.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'belfry relay' AND datname = current_database()"
    )
    assert (await client.rest())[-1].data == {"reason": "rotate"}
    await eventually(lambda: belfry.relay.epoch != "")


async def test_a_newest_row_that_retention_took_is_no_other_history(serve: Serve, connect: Any):
    belfry = await serve()
    client, writer = await belfry.live(), await connect()
    sent = await send(writer, "old")
    assert await client.titles(1) == ["old"]
    await prune(writer, sent)
    await writer.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'belfry relay' AND datname = current_database()"
    )
    await send(writer, "after the connection was lost")
    assert await client.titles(1) == ["after the connection was lost"]
    assert belfry.relay.epoch == ""


# --- owed rows at attach -------------------------------------------------------------------------------------


async def test_a_subscribe_in_a_gap_of_the_cursor_brings_what_is_owed_at_attach(serve: Serve, connect: Any):
    belfry = await serve()
    writer, slow = await connect(), await connect()
    await send(writer, "before")
    async with slow.transaction():
        joined = await subscribe(slow, "u1", "team:7")
        owed = [await publish(writer, "team:7", f"owed {number}") for number in range(5)]
        own = await send(writer, "mine")
        client = await belfry.open(cursor=str(joined - 1))
        assert await titles_until_ready(client) == ["mine"]
        assert client.last_id == f"{own}~{own - joined}"
        client.cut()
    again = await belfry.open(last_id=client.last_id)
    events = await again.until("ready")
    assert [event.data.get("id") for event in events[:-1]] == [joined, *owed]


async def test_past_what_a_cursor_can_tell_all_owed_rows_come_and_none_of_those_between_them_again(
    serve: Serve, connect: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(replay, "MAX_OWED_RANGES", 2)
    belfry = await serve(page_rows=3)
    writer, slow = await connect(), await connect()
    client = await belfry.live()
    async with slow.transaction():
        joined = await subscribe(slow, "u1", "team:7")
        first = await send(writer, "before them")
        assert (await client.row())["id"] == first
        owed = list[int]()
        for number in range(6):
            owed.append(await publish(writer, "team:7", f"owed {number}"))
            between = await send(writer, "between them")
            assert (await client.row())["id"] == between
    got = [event.data["id"] for event in (await client.until("ready"))[:-1]]
    assert got == [joined, *owed]


@pytest.mark.parametrize("live", [True, False], ids=["live", "at attach"])
@pytest.mark.parametrize("after", range(6))
async def test_a_cut_in_the_middle_of_the_owed_rows_loses_none_and_repeats_none(
    serve: Serve, connect: Any, after: int, live: bool
):
    belfry = await serve(page_rows=3)
    writer, slow = await connect(), await connect()
    await send(writer, "before")
    client = await belfry.live()
    async with slow.transaction():
        joined = await subscribe(slow, "u1", "team:7")
        owed = [await publish(writer, "team:7", f"owed {number}") for number in range(5)]
        await send(writer, "mine")
        assert await client.titles(1) == ["mine"]
        if not live:
            client.cut()
    if not live:
        client = await belfry.open(last_id=client.last_id)
    got = [(await client.next()).data["id"] for _ in range(after)]
    cursor = client.seen[-1].id if after else client.last_id
    client.cut()
    again = await belfry.open(last_id=cursor)
    got += [event.data["id"] for event in (await again.until("ready"))[:-1]]
    assert got == [joined, *owed]


async def test_a_stay_that_began_and_ended_while_the_client_was_away_is_replayed(serve: Serve, connect: Any):
    belfry = await serve()
    writer = await connect()
    await send(writer, "before")
    start = (await belfry.live()).last_id
    await subscribe(writer, "u1", "team:7")
    await publish(writer, "team:7", "during")
    await unsubscribe(writer, "u1", "team:7")
    await publish(writer, "team:7", "after")
    again = await belfry.open(last_id=start)
    events = await again.until("ready")
    assert told(events[:-1]) == [
        "subscribed",
        "during",
        "unsubscribed",
    ]
    assert events[-1].data["topics"] == ["*"]


@pytest.mark.parametrize("way", ["live", "away"])
async def test_what_was_sent_in_a_stay_that_another_has_replaced_since_is_kept_and_does_not_come_again(
    serve: Serve, connect: Any, way: str
):
    belfry, writer, other = await serve(), await connect(), await connect()
    await subscribe(writer, "u1", "team:7")
    client = await belfry.live()
    async with other.transaction():
        await unsubscribe(other, "u1", "team:7")
        neither = await publish(writer, "team:7", "held by neither")
        joined = await subscribe(other, "u1", "team:7")
        both = await publish(writer, "team:7", "held by both")
        expected = ["held by neither", "held by both"]
        assert told([await client.next() for _ in expected]) == expected
        if way == "away":
            client.cut()
    await publish(writer, "team:7", "end")
    if way == "away":
        client = await belfry.open(last_id=client.last_id)
    events = [await client.next() for _ in range(3)]
    assert told(events) == ["unsubscribed", "subscribed", "end"]
    if way == "away":
        assert (await client.next()).name == "ready"
    left = events[0].data
    assert left["until"] == joined
    assert left["id"] < neither < joined < both  # so a client drops the one and keeps the other
    assert await value(writer, "SELECT array_agg(id) FROM belfry.list_inbox('u1')") == [events[2].data["id"], both]


async def test_who_was_erased_and_joins_again_is_in_the_topic_once(serve: Serve, connect: Any):
    belfry, writer, slow = await serve(), await connect(), await connect()
    await subscribe(writer, "u1", "team:7")
    client = await belfry.live()
    await value(writer, "SELECT belfry.erase('u1')")
    await subscribe(writer, "u1", "team:7")
    await value(writer, "SELECT belfry.set_preference('u1', 'test', false)")
    async with slow.transaction():
        await value(slow, "SELECT belfry.set_preference('u1', 'test', true)")
        await belfry.caught_up(await publish(writer, "team:7", "once"))
    await send(writer, "end")
    events = [await client.next()]
    while events[-1].data.get("title") != "end":
        events.append(await client.next())
    assert told(events).count("once") == 1


@pytest.mark.parametrize("many", [50, 3000], ids=["told exactly", "widened"])
@pytest.mark.parametrize(
    ("closing", "opening"),
    [
        ("set_preference('u1', 'test', false)", "set_preference('u1', 'test', true)"),
        ("unsubscribe('u1', 'team:7')", "subscribe('u1', 'team:7')"),
    ],
    ids=["a mute", "an end of a stay"],
)
async def test_what_a_cursor_does_not_tell_any_more_costs_no_row(
    serve: Serve, connect: Any, many: int, closing: str, opening: str
):
    """It passed a row over for what it knew, that knowledge lies in a widened gap, and the row is its own after all."""
    belfry, writer, other = await serve(), await connect(), await connect()
    await subscribe(writer, "u1", "team:7")
    await belfry.live()
    query = "INSERT INTO belfry.notification (recipient, kind) SELECT 'away', 'test' FROM generate_series(1, %s)"
    await writer.execute(query, (many,))
    top = await send(writer, "another's, of a transaction open then", recipient="away")
    await writer.execute(f"SELECT belfry.{closing}")  # seen
    async with other.transaction():
        await other.execute(f"SELECT belfry.{opening}")  # comes late
        late = await value(other, "SELECT max(id) FROM belfry.change")
        wanted = await publish(writer, "team:7", "wanted")
        await belfry.caught_up(wanted)
    await belfry.caught_up(late)
    assert (late, wanted) == (top + 2, top + 3)
    gaps = (*((each, each) for each in range(top - many + 2, top + 1, 2)), (late, late))
    text = str(Cursor(wanted, gaps, belfry.relay.epoch))  # of a relay that had passed the row over
    assert parse(text).has(top + 1) == (many == 50)
    client = await belfry.open(last_id=text)
    assert "wanted" in told(await client.until("ready"))


# --- many gaps -----------------------------------------------------------------------------------------------


async def test_with_very_many_gaps_the_cursor_stays_short_and_nothing_is_lost(serve: Serve, connect: Any):
    belfry = await serve()
    writer = await connect()
    await send(writer, "before")
    client = await belfry.live()
    holder = await connect()
    async with holder.transaction(force_rollback=True):  # while it is open, no gap dies
        await send(holder, "never")
        await writer.execute(
            "DO $$ BEGIN FOR turn IN 1..900 LOOP"
            " PERFORM belfry.send('u1', 'test', turn::text);"
            " BEGIN PERFORM belfry.send('u1', 'test', 'rolled back'); RAISE division_by_zero;"
            " EXCEPTION WHEN division_by_zero THEN NULL; END; END LOOP; END $$"
        )
        got = await client.titles(900)
        assert got == [str(turn) for turn in range(1, 901)]
        assert len(belfry.relay.tracker.gaps) > 500
        assert len(client.last_id) <= MAX_CURSOR_BYTES
        assert parse(client.last_id).head == belfry.relay.tracker.head
        client.cut()
        missed = await send(writer, "missed")
        again = await belfry.open(last_id=client.last_id)
        ids = [event.data["id"] for event in (await again.until("ready"))[:-1]]
        assert missed in ids
        assert len(ids) == len(set(ids))


async def test_a_database_emptied_under_a_relay_that_is_connected_begins_a_new_epoch(serve: Serve, connect: Any):
    belfry = await serve()
    client, writer = await belfry.live(), await connect()
    for number in range(5):
        await send(writer, str(number))
    await client.titles(5)
    await eventually(lambda: belfry.relay.state and belfry.relay.state.through == belfry.relay.tracker.head)
    await writer.execute("TRUNCATE belfry.notification, belfry.change, belfry.receipt RESTART IDENTITY")
    assert [event.data for event in await client.rest()] == [{"reason": "rotate"}]
    again = await belfry.open(last_id=client.last_id)
    assert (await again.next()).data["reason"] == "epoch"
    await again.until("ready")
    await send(writer, "of the new history")
    assert await again.titles(1) == ["of the new history"]


async def test_a_relay_whose_clock_runs_ahead_leaves_nothing_out(
    serve: Serve, connect: Any, monkeypatch: pytest.MonkeyPatch
):
    belfry = await serve()
    start = (await belfry.live()).last_id
    writer = await connect()
    await writer.execute("SELECT belfry.send('u1', 'test', 'for an hour', expires_at => now() + interval '1 hour')")
    await send(writer, "for ever")
    monkeypatch.setattr(replay, "time", SimpleNamespace(time=lambda: time.time() + 7200))
    client = await belfry.open(last_id=start)
    assert [event.data.get("title") for event in await client.until("ready")] == ["for an hour", "for ever", None]


async def test_what_is_remembered_of_rolled_back_ids_is_bounded_though_nobody_comes(serve: Serve, connect: Any):
    belfry = await serve(recent_rows=1)
    writer, slow = await connect(), await connect()
    async with slow.transaction():
        await send(slow, "open")
        await writer.execute(
            "INSERT INTO belfry.notification (recipient, kind, title)"
            " SELECT 'u1', 'test', nextval('belfry.position')::text FROM generate_series(1, 2000)"
        )
        for title in ("last but one", "last"):
            await belfry.caught_up(await send(writer, title))
        recent = belfry.relay._recent  # pyright: ignore[reportPrivateUsage]
        assert len(recent._base.gaps) >= 2000  # pyright: ignore[reportPrivateUsage]
    await eventually(lambda: not belfry.relay.tracker.gaps)
    await eventually(lambda: len(recent._base.gaps) < 100)  # pyright: ignore[reportPrivateUsage]
