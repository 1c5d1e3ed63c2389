"""What became of notifications, on the stream: in order, with counts that belong to the frame's cursor."""

from __future__ import annotations

from typing import Any

import pytest

from belfry import hub as hub_module
from belfry import queries
from streams import (
    Belfry,
    Client,
    Connection,
    Ended,
    Serve,
    eventually,
    eventually_is,
    publish,
    send,
    subscribe,
    unsubscribe,
    value,
)

pytestmark = pytest.mark.usefixtures("contents")


async def call(connection: Connection, name: str, *arguments: object) -> Any:
    """A function of the schema with its arguments in their places."""
    places = ", ".join(["%s"] * len(arguments))
    return await value(connection, f"SELECT belfry.{name}({places})", *arguments)


async def change(client: Client) -> dict[str, Any]:
    """The next event's data, which must be a change's."""
    event = await client.next()
    assert event.name == "change", event
    return event.data


async def ready(belfry: Belfry, recipient: str = "u1", **more: Any) -> dict[str, int]:
    """The counts that a new stream is told."""
    client = await belfry.open(recipient, **more)
    data = (await client.until("ready"))[-1].data
    return {"unread": data["unread"], "unseen": data["unseen"]}


def counts(unread: int, unseen: int) -> dict[str, int]:
    return {"unread": unread, "unseen": unseen}


async def test_reading_on_one_device_is_told_to_all_of_them_with_the_counts(serve: Serve, connect: Any):
    belfry = await serve()
    one, other, stranger = await belfry.live(), await belfry.live(), await belfry.live("u2")
    writer = await connect()
    first, second = await send(writer, "first"), await send(writer, "second")
    for client in (one, other):
        assert await client.titles(2) == ["first", "second"]
    assert await call(writer, "mark_read", "u1", [first]) == 1
    for client in (one, other):
        told = await change(client)
        assert {"verb": "read", "ids": [first], **counts(1, 1)}.items() <= told.items()
    await call(writer, "mark_seen", "u1", [second])
    assert (await change(one))["unseen"] == 0
    await send(writer, "for u2", recipient="u2")
    assert await stranger.titles(1) == ["for u2"]


async def test_counts_are_those_of_the_frames_cursor_whatever_commits_before_they_are_counted(
    serve: Serve, connect: Any, monkeypatch: pytest.MonkeyPatch
):
    belfry = await serve()
    client, writer = await belfry.live(), await connect()
    first = await send(writer, "first")
    await client.titles(1)
    count = queries.badges

    async def late(*arguments: Any) -> Any:
        monkeypatch.undo()
        await send(writer, "between the poll and the counting")
        return await count(*arguments)

    monkeypatch.setattr(queries, "badges", late)
    await call(writer, "mark_seen", "u1", [first])
    assert counts(1, 0).items() <= (await change(client)).items()
    assert await client.titles(1) == ["between the poll and the counting"]


async def test_all_read_is_told_by_a_position_and_the_ids_above_it(serve: Serve, connect: Any):
    belfry = await serve()
    client, writer = await belfry.live(), await connect()
    ids = [await send(writer, str(number)) for number in range(5)]
    await client.titles(5)
    await eventually_is(writer, ids[-1], "SELECT through FROM belfry.settled")
    await call(writer, "mark_all_read", "u1")
    told = await change(client)
    assert (told["through"], told["unread"], told["unseen"]) == (ids[-1], 0, 0)


async def test_counts_stand_on_the_last_change_of_a_poll_and_leave_out_what_follows_it(serve: Serve, connect: Any):
    belfry = await serve()
    client, writer = await belfry.live(), await connect()
    first = await send(writer, "first")
    await client.titles(1)
    async with writer.transaction():
        await call(writer, "mark_read", "u1", [first])
        await call(writer, "mark_unread", "u1", [first])
        await send(writer, "after")
    read, unread = await change(client), await change(client)
    assert "unread" not in read
    assert {"verb": "unread", **counts(1, 0)}.items() <= unread.items()
    assert await client.titles(1) == ["after"]
    assert await ready(belfry) == counts(2, 1)


async def test_a_retracted_broadcast_leaves_every_inbox_and_a_late_client_never_gets_it(serve: Serve, connect: Any):
    belfry = await serve()
    one, other, writer = await belfry.live(), await belfry.live("u2"), await connect()
    sent = await publish(writer, "*", "wrong")
    for client in (one, other):
        assert await client.titles(1) == ["wrong"]
    cursor = one.last_id
    assert await call(writer, "retract", sent)
    for client in (one, other):
        assert {"verb": "retracted", "ids": [sent], **counts(0, 0)}.items() <= (await change(client)).items()
    again = await belfry.open(cursor="0")
    assert [event.data.get("verb") for event in (await again.until("ready"))[:-1]] == ["retracted"]
    resumed = await belfry.open(last_id=cursor)
    assert [event.data.get("verb") for event in (await resumed.until("ready"))[:-1]] == ["retracted"]


@pytest.mark.parametrize("recent_rows", [10_000, 0], ids=["from memory", "from the table"])
async def test_a_revision_is_live_and_replays_show_the_present_content(serve: Serve, connect: Any, recent_rows: int):
    belfry = await serve(recent_rows=recent_rows)
    writer = await connect()
    await send(writer, "before")
    client = await belfry.live()
    start = client.last_id
    sent = await send(writer, "helo")
    await client.titles(1)
    assert await value(writer, "SELECT belfry.revise(%s, title => 'hello')", sent)
    told = await change(client)
    assert (told["verb"], told["ids"], told["notification"]["title"]) == ("revised", [sent], "hello")
    assert "unread" not in told
    again = await belfry.open(last_id=start)
    titles = [event.data["title"] for event in await again.until("ready") if event.name == "message"]
    assert titles == ["hello"]


async def test_a_change_of_a_topics_notification_reaches_who_has_it_former_members_too_and_nobody_else(
    serve: Serve, connect: Any
):
    belfry = await serve()
    writer = await connect()
    await subscribe(writer, "u1", "team:7")
    member, later = await belfry.live("u1"), await belfry.live("u2")
    sent = await publish(writer, "team:7", "for u1 alone")
    assert await member.titles(1) == ["for u1 alone"]
    await unsubscribe(writer, "u1", "team:7")
    await subscribe(writer, "u2", "team:7")
    assert (await change(member))["verb"] == "unsubscribed"
    assert (await change(later))["verb"] == "subscribed"
    await call(writer, "retract", sent)
    await publish(writer, "team:7", "for u2")
    assert (await change(member))["verb"] == "retracted"
    assert await later.titles(1) == ["for u2"]
    away = await belfry.open("u1", cursor="0")
    assert [event.data.get("verb") for event in (await away.until("ready"))[:-1]][-1] == "retracted"


async def test_what_expires_and_what_was_snoozed_is_told_when_it_is_due(serve: Serve, connect: Any):
    belfry = await serve(tick_seconds=0.1)
    client, writer = await belfry.live(), await connect()
    short = await value(
        writer, "SELECT belfry.send('u1', 'test', 'short', expires_at => clock_timestamp() + interval '0.4 s')"
    )
    late = await send(writer, "later")
    await client.titles(2)
    await value(writer, "SELECT belfry.snooze('u1', %s, clock_timestamp() + interval '0.6 s')", [late])
    assert {"verb": "snoozed", **counts(1, 1)}.items() <= (await change(client)).items()
    assert {"verb": "expired", "ids": [short], **counts(0, 0)}.items() <= (await change(client)).items()
    assert {"verb": "unsnoozed", "ids": [late], **counts(1, 1)}.items() <= (await change(client)).items()


async def test_what_is_scheduled_arrives_with_an_id_of_its_moment(serve: Serve, connect: Any):
    belfry = await serve(tick_seconds=0.1)
    client, writer = await belfry.live(), await connect()
    number = await value(
        writer, "SELECT belfry.send('u1', 'test', 'due', deliver_at => clock_timestamp() + interval '0.4 s')"
    )
    now = await send(writer, "at once")
    assert number < 0
    assert await client.titles(1) == ["at once"]
    row = await client.row()
    assert (row["title"], row["id"] > now) == ("due", True)


async def test_a_narrowed_stream_is_told_the_counts_of_what_it_shows(serve: Serve, connect: Any):
    belfry = await serve()
    writer = await connect()
    await value(writer, "SELECT belfry.send('u1', 'test', 'of acme', tenant => 'acme')")
    await send(writer, "of nobody")
    await subscribe(writer, "u1", "team:7")
    await publish(writer, "team:7", "of the team")
    assert await ready(belfry) == counts(3, 3)
    assert await ready(belfry, query=[("tenant", "acme")]) == counts(1, 1)
    assert await ready(belfry, query=[("topic", "other")]) == counts(2, 2)
    assert await ready(belfry, query=[("topic", "other"), ("tenant", "other")]) == counts(0, 0)
    for name in ("topic", "tenant"):
        with pytest.raises(Ended):
            await ready(belfry, query=[(name, "nul \0")])


async def test_a_late_notification_that_has_a_state_already_is_told_by_a_change_with_exact_counts(
    serve: Serve, connect: Any
):
    belfry = await serve()
    client, slow, writer = await belfry.live(), await connect(), await connect()
    async with slow.transaction():
        late = await send(slow, "late")
        await send(writer, "on time")
        assert await client.titles(1) == ["on time"]
        await slow.execute("SELECT belfry.mark_seen('u1', %s)", ([late],))
    frames = [await client.next(), await client.next()]
    assert [event.data["verb"] for event in frames] == ["delivered", "seen"]
    assert frames[0].data["ids"] == [late]
    assert {**counts(2, 1)}.items() <= frames[1].data.items()


async def test_a_late_notification_that_a_watermark_covers_adds_nothing(serve: Serve, connect: Any):
    belfry = await serve()
    client, slow, writer = await belfry.live(), await connect(), await connect()
    async with slow.transaction():
        late = await send(slow, "late")
        await send(writer, "on time")
        assert await client.titles(1) == ["on time"]
        # As if another relay had read it already, and settled what this one has yet to see.
        await writer.execute("UPDATE belfry.settled SET through = belfry.last_position()")
        await call(writer, "mark_all_read", "u1")
        assert {"verb": "read", **counts(0, 0)}.items() <= (await change(client)).items()
    assert {"verb": "delivered", "ids": [late], **counts(0, 0)}.items() <= (await change(client)).items()


async def test_a_change_for_very_many_tells_no_counts(serve: Serve, connect: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hub_module, "MAX_COUNTED_STREAMS", 1)
    belfry = await serve()
    one, other, writer = await belfry.live(), await belfry.live("u2"), await connect()
    sent = await publish(writer, "*", "for all")
    for client in (one, other):
        await client.titles(1)
    await call(writer, "retract", sent)
    for client in (one, other):
        assert "unread" not in await change(client)


async def test_counts_of_many_changes_take_one_query_a_poll(serve: Serve, connect: Any):
    belfry = await serve()
    writer = await connect()
    clients = [await belfry.live(f"u{number}") for number in range(10)]
    asked = belfry.relay.counts["badge_queries"]
    async with writer.transaction():
        for number in range(10):
            sent = await send(writer, "x", recipient=f"u{number}")
            await call(writer, "mark_read", f"u{number}", [sent])
    for client in clients:
        await client.titles(1)
        assert (await change(client))["unread"] == 0
    assert belfry.relay.counts["badge_queries"] == asked + 1


async def test_what_is_imported_makes_no_frame_of_its_own_and_a_badge_that_follows(serve: Serve, connect: Any):
    belfry = await serve()
    client, writer = await belfry.live(), await connect()
    items = '[{"recipient": "u1", "kind": "test", "title": "old", "created_at": "2020-01-01T00:00:00Z"}]'
    await writer.execute("SELECT * FROM belfry.import(%s)", (items,))
    assert {"verb": "delivered", **counts(1, 1)}.items() <= (await change(client)).items()
    await send(writer, "new")
    assert await client.titles(1) == ["new"]
    await eventually(lambda: belfry.relay.bell.asleep)
