"""What is committed reaches the streams of its audience, once; what is rolled back reaches nobody."""

from __future__ import annotations

from typing import Any

import pytest

from streams import Client, Serve, eventually, eventually_is, publish, send, subscribe, told, unsubscribe, value

INSERT = "INSERT INTO belfry.notification (recipient, kind, title) VALUES ('u1', 'test', %s) RETURNING id"


async def test_a_commit_is_a_frame_and_a_rollback_is_none(serve: Serve, connect: Any):
    client = await (await serve()).live()
    writer = await connect()
    async with writer.transaction(force_rollback=True):
        await send(writer, "rolled back")
    async with writer.transaction():
        sent = await send(writer, "committed")
    assert (await client.row())["id"] == sent


async def test_nothing_is_shown_before_the_commit(serve: Serve, connect: Any):
    client = await (await serve()).live()
    early, other = await connect(), await connect()
    async with early.transaction():
        await send(early, "held open")
        await send(other, "at once")
        assert await client.titles(1) == ["at once"]
    assert await client.titles(1) == ["held open"]


async def test_send_and_a_plain_insert_look_alike(serve: Serve, connect: Any):
    client = await (await serve()).live()
    writer = await connect()
    await send(writer, "same")
    await writer.execute(INSERT, ("same",))
    first, second = await client.row(), await client.row()
    assert second.pop("id") > first.pop("id")
    assert first.pop("created_at")
    assert second.pop("created_at")
    assert first == second


async def test_of_a_transaction_with_savepoints_only_what_was_kept_arrives(serve: Serve, connect: Any):
    client = await (await serve()).live()
    writer = await connect()
    async with writer.transaction():
        await send(writer, "first")
        async with writer.transaction(force_rollback=True):
            await send(writer, "rolled back to the savepoint")
        async with writer.transaction():
            await send(writer, "second")
    await send(writer, "third")
    assert await client.titles(3) == ["first", "second", "third"]


async def test_a_lower_id_that_commits_later_arrives_late_and_once(serve: Serve, connect: Any):
    belfry = await serve()
    client = await belfry.live()
    slow, quick = await connect(), await connect()
    async with slow.transaction():
        low = await send(slow, "low")
        high = await send(quick, "high")
        assert (await client.row())["id"] == high > low
        assert client.seen[-1].id == f"{high}~1"
    assert (await client.row())["id"] == low
    assert client.seen[-1].id == str(high)
    last = await send(quick, "last")
    assert (await client.row())["id"] == last


async def test_the_rows_of_a_transaction_come_in_the_order_of_their_ids(serve: Serve, connect: Any):
    client = await (await serve()).live()
    writer, other = await connect(), await connect()
    await subscribe(writer, "u1", "team:7")
    assert (await client.next()).name == "change"
    async with writer.transaction():
        for number in range(60):
            await (publish(writer, "team:7", str(number)) if number % 3 else send(writer, str(number)))
            await send(other, "not mine", recipient="u2")
    assert await client.titles(60) == [str(number) for number in range(60)]


async def test_a_gap_that_was_rolled_back_dies_and_all_is_settled(serve: Serve, connect: Any):
    belfry = await serve()
    client = await belfry.live()
    writer, open_one = await connect(), await connect()
    async with open_one.transaction(force_rollback=True):
        lost = await send(open_one, "rolled back")
        kept = await send(writer, "kept")
        assert (await client.row())["id"] == kept
        await eventually(lambda: belfry.relay.tracker.gaps == ((lost, lost),))
        assert await value(writer, "SELECT through FROM belfry.settled") < lost
    await eventually(lambda: belfry.relay.tracker.gaps == ())
    await eventually_is(writer, kept, "SELECT through FROM belfry.settled")


async def test_a_gap_does_not_die_while_its_transaction_only_waits(serve: Serve, connect: Any):
    belfry = await serve()
    client = await belfry.live()
    slow, writer = await connect(), await connect()
    async with slow.transaction():
        low = await send(slow, "low")
        await send(writer, "high")
        assert await client.titles(1) == ["high"]
        asked = belfry.relay.counts["row_queries"]
        await eventually(lambda: belfry.relay.counts["row_queries"] > asked + 5)
        async with writer.transaction(force_rollback=True):
            await send(writer, "rolled back")
        await send(writer, "higher")
        assert await client.titles(1) == ["higher"]
        asked = belfry.relay.counts["row_queries"]
        await eventually(lambda: belfry.relay.counts["row_queries"] > asked + 5)
        assert belfry.relay.tracker.gaps[0] == (low, low)
    assert await client.titles(1) == ["low"]


async def test_a_row_for_another_is_not_shown(serve: Serve, connect: Any):
    belfry = await serve()
    mine, other = await belfry.live("u1"), await belfry.live("u2")
    writer = await connect()
    await send(writer, "for u2", recipient="u2")
    await send(writer, "for u1", recipient="u1")
    assert await mine.titles(1) == ["for u1"]
    assert await other.titles(1) == ["for u2"]


async def test_each_stream_of_a_recipient_gets_each_row(serve: Serve, connect: Any):
    belfry = await serve()
    clients = [await belfry.live() for _ in range(3)]
    writer = await connect()
    await send(writer, "one")
    await send(writer, "two")
    assert [await client.titles(2) for client in clients] == [["one", "two"]] * 3


# --- topics --------------------------------------------------------------------------------------------------


async def test_a_topic_reaches_its_members_from_subscribe_to_unsubscribe(serve: Serve, connect: Any):
    client = await (await serve()).live()
    writer = await connect()
    await publish(writer, "team:7", "before")
    joined = await subscribe(writer, "u1", "team:7")
    await publish(writer, "team:7", "during")
    left = await unsubscribe(writer, "u1", "team:7")
    await publish(writer, "team:7", "after")
    await send(writer, "end")
    events = [await client.next() for _ in range(4)]
    assert [event.name for event in events] == ["change", "message", "change", "message"]
    assert {"id": joined, "verb": "subscribed", "topic": "team:7"}.items() <= events[0].data.items()
    assert events[1].data["title"] == "during"
    assert events[2].data == {"id": left, "verb": "unsubscribed", "topic": "team:7", "unread": 1, "unseen": 1}
    assert events[3].data["title"] == "end"


async def test_membership_and_rows_of_one_transaction_take_effect_in_order(serve: Serve, connect: Any):
    client = await (await serve()).live()
    writer = await connect()
    async with writer.transaction():
        await publish(writer, "team:7", "before")
        await subscribe(writer, "u1", "team:7")
        await publish(writer, "team:7", "during")
        await unsubscribe(writer, "u1", "team:7")
        await publish(writer, "team:7", "after")
        await send(writer, "end")
    events = [await client.next() for _ in range(4)]
    assert told(events) == [
        "subscribed",
        "during",
        "unsubscribed",
        "end",
    ]


async def test_a_broadcast_reaches_everyone_from_their_first_contact_on(serve: Serve, connect: Any):
    belfry = await serve()
    writer = await connect()
    await publish(writer, "*", "before anybody came")
    first, second = await belfry.live("u1"), await belfry.live("u2")
    await publish(writer, "*", "for all")
    assert await first.titles(1) == ["for all"]
    assert await second.titles(1) == ["for all"]
    third = await belfry.open("u3", cursor="0")
    assert [event.name for event in await third.until("ready")] == ["ready"]
    late = await belfry.open("u1", cursor="0")
    assert [event.data.get("title") for event in await late.until("ready")] == ["for all", None]


async def test_first_contact_is_the_first_direct_notification_when_that_came_before_the_stream(
    serve: Serve, connect: Any
):
    belfry = await serve()
    writer = await connect()
    await publish(writer, "*", "too early")
    await send(writer, "first contact")
    await publish(writer, "*", "mine")
    client = await belfry.open(cursor="0")
    assert [event.data.get("title") for event in await client.until("ready")] == ["first contact", "mine", None]


# --- membership held open ------------------------------------------------------------------------------------


async def test_a_subscribe_held_open_brings_what_was_published_meanwhile_once(serve: Serve, connect: Any):
    belfry = await serve()
    client = await belfry.live()
    slow, writer = await connect(), await connect()
    async with slow.transaction():
        joined = await subscribe(slow, "u1", "team:7")
        owed = [await publish(writer, "team:7", f"owed {number}") for number in range(5)]
        await send(writer, "mine")
        assert await client.titles(1) == ["mine"]
    *events, ready = await client.until("ready")
    assert [event.data["id"] for event in events] == [joined, *owed]
    assert (ready.data["unread"], ready.data["topics"]) == (6, ["*", "team:7"])
    after = await publish(writer, "team:7", "after")
    assert (await client.row())["id"] == after
    assert belfry.replays["rejoin"] == 1


@pytest.mark.parametrize("way", ["live", "away"])
async def test_what_was_imported_under_a_subscribe_held_open_is_told(serve: Serve, connect: Any, way: str):
    belfry = await serve()
    slow, writer = await connect(), await connect()
    client = await belfry.live()
    async with slow.transaction():
        await subscribe(slow, "u1", "team:7")
        imported = await value(writer, """SELECT belfry.import('[{"topic": "team:7", "kind": "test"}]')""")
        await value(writer, """SELECT belfry.import('[{"topic": "team:8", "kind": "test"}]')""")
        await send(writer, "mine")
        assert await client.titles(1) == ["mine"]
        if way == "away":
            client.cut()
    if way == "away":
        client = await belfry.open(last_id=client.last_id)
    events = await client.until("ready")
    assert told(events) == ["subscribed", "delivered", "ready"]
    assert (events[1].data["ids"], events[2].data["unread"]) == ([imported], 2)


async def test_an_unsubscribe_held_open_stops_the_topic_when_it_commits(serve: Serve, connect: Any):
    belfry = await serve()
    slow, writer = await connect(), await connect()
    await subscribe(writer, "u1", "team:7")
    client = await belfry.live()
    async with slow.transaction():
        early = await publish(slow, "team:7", "below the unsubscribe, late")
        left = await unsubscribe(slow, "u1", "team:7")
        await publish(writer, "team:7", "meanwhile")
        assert await client.titles(1) == ["meanwhile"]
    assert (await client.row())["id"] == early
    counts = {"unread": 1, "unseen": 1}  # not the one meanwhile
    assert (await client.next()).data == {"id": left, "verb": "unsubscribed", "topic": "team:7", **counts}
    await publish(writer, "team:7", "after")
    await send(writer, "end")
    assert await client.titles(1) == ["end"]


async def test_a_late_row_of_the_time_in_a_topic_reaches_a_former_member(serve: Serve, connect: Any):
    belfry = await serve()
    slow, writer = await connect(), await connect()
    await subscribe(writer, "u1", "team:7")
    member, stranger = await belfry.live(), await belfry.live("u2")
    async with slow.transaction():
        await publish(slow, "team:7", "late, but of my time")
        await unsubscribe(writer, "u1", "team:7")
        assert (await member.next()).data["verb"] == "unsubscribed"
        await subscribe(writer, "u2", "team:7")
        assert (await stranger.next()).data["verb"] == "subscribed"
    assert await member.titles(1) == ["late, but of my time"]
    await send(writer, "end", recipient="u2")
    assert await stranger.titles(1) == ["end"]


async def test_a_removed_member_gets_no_later_row_though_the_removal_is_past_the_page(serve: Serve, connect: Any):
    writer = await connect()
    people = [f"p{number:02}" for number in range(30)]
    for person in people:
        await subscribe(writer, person, "team:7")
    client = await (await serve(page_rows=10)).live("p29")
    async with writer.transaction():
        for person in people:
            await unsubscribe(writer, person, "team:7")
        await publish(writer, "team:7", "for nobody of them")
    await send(writer, "end", recipient="p29")
    events = [await client.row_or_change(), await client.row_or_change()]
    assert sorted(told(events)) == ["end", "unsubscribed"]


async def test_a_member_who_joined_past_the_page_gets_the_rows_that_follow_once(serve: Serve, connect: Any):
    belfry = await serve(page_rows=10)
    client = await belfry.live("p29")
    writer = await connect()
    async with writer.transaction():
        for number in range(30):
            await subscribe(writer, f"p{number:02}", "team:7")
        await publish(writer, "team:7", "for all of them")
    await eventually(lambda: not belfry.relay.tracker.backlog)
    await send(writer, "end", recipient="p29")
    events = [await client.row_or_change() for _ in range(3)]
    assert sorted(told(events)) == ["end", "for all of them", "subscribed"]


# --- expiry --------------------------------------------------------------------------------------------------


async def replayed_beside_expired(client: Client) -> list[str | None]:
    """The titles up to `ready`; that something has expired is told with the relay's next tick, in between or later."""
    events = await client.until("ready")
    return [event.data.get("title") for event in events if event.data.get("verb") != "expired"]


async def test_what_has_expired_is_not_sent(serve: Serve, connect: Any):
    belfry = await serve()
    client = await belfry.live()
    writer = await connect()
    await writer.execute("SELECT belfry.send('u1', 'test', 'over', expires_at => now() - interval '1 s')")
    await send(writer, "end")
    assert await client.titles(1) == ["end"]
    again = await belfry.open(cursor="0")
    assert await replayed_beside_expired(again) == ["end", None]


async def test_a_notification_that_never_expires_is_delivered(serve: Serve, connect: Any):
    """Python has no infinite time: one such row must not stop the poll of everybody."""
    client = await (await serve()).live()
    writer = await connect()
    await writer.execute("SELECT belfry.send('u1', 'test', 'for ever', expires_at => 'infinity')")
    await send(writer, "end")
    assert await client.titles(2) == ["for ever", "end"]


async def test_what_has_expired_since_it_was_sent_is_not_replayed(serve: Serve, connect: Any):
    belfry = await serve()
    writer = await connect()
    await send(writer, "so that the cursor is not 0")
    client = await belfry.live()
    start = client.last_id
    await writer.execute("SELECT belfry.send('u1', 'test', 'short', expires_at => now() + interval '2 s')")
    await send(writer, "end")
    assert await client.titles(2) == ["short", "end"]
    await eventually_is(
        writer, True, "SELECT bool_or(expires_at < now()) FROM belfry.notification WHERE expires_at IS NOT NULL"
    )
    again = await belfry.open(last_id=start)
    assert await replayed_beside_expired(again) == ["end", None]
