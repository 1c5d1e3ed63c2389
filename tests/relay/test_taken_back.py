"""A choice that commits below the head: what it mutes after all, and was sent already, is taken back exactly."""

from __future__ import annotations

from typing import Any

import pytest

from streams import Belfry, Client, Connection, Serve, send, value

LATE = {
    "a kind muted": "SELECT belfry.set_preference('u1', 'test', false)",
    "everything muted": "SELECT belfry.set_preference('u1', '*', false)",
    "a kind off for everybody": "SELECT belfry.declare_kind('test', enabled => false)",
}


async def alert(connection: Connection, recipient: str) -> int:
    """A notification of a kind that nobody can mute."""
    return await value(connection, "SELECT belfry.send(%s, 'alert', 'alert')", recipient)


async def until_counts(client: Client) -> list[tuple[str, Any]]:
    """The frames up to `ready`, with which a late choice ends: the changes, the ids of rows, the counts."""
    told: list[tuple[str, Any]] = []
    for event in await client.until("ready"):
        if event.name == "message":
            told.append(("row", event.data["id"]))
        elif event.name == "change":
            told.append((event.data["verb"], event.data.get("ids")))
        else:
            told.append(("counts", (event.data["unread"], event.data["unseen"])))
    return told


async def muted_late(belfry: Belfry, connect: Any, statement: str, client: Client) -> tuple[int, int]:
    """What was sent while the choice was held open, and reached the client: one of the kind, one that is required."""
    slow, writer = await connect(), await connect()
    await writer.execute("SELECT belfry.declare_kind('alert', required => true)")
    await slow.execute("BEGIN")
    await slow.execute(statement.encode())
    sent, required = await send(writer, "sent"), await alert(writer, "u1")
    assert [(await client.row())["id"] for _ in range(2)] == [sent, required]
    await belfry.caught_up(required)
    await slow.execute("COMMIT")
    return sent, required


@pytest.mark.parametrize("what", LATE)
async def test_a_live_stream_is_told_what_it_has_to_drop_and_the_counts(serve: Serve, connect: Any, what: str):
    belfry = await serve()
    client = await belfry.live()
    sent, _ = await muted_late(belfry, connect, LATE[what], client)
    told = await until_counts(client)
    assert told[0] == ("retracted", [sent])
    assert told[-1] == ("counts", (1, 1))
    assert [one for one in told if one[0] == "row"] == []


async def test_a_client_that_was_away_at_the_commit_is_told_when_it_returns_and_cut_off_again(
    serve: Serve, connect: Any
):
    belfry = await serve()
    client = await belfry.live()
    slow, writer = await connect(), await connect()
    await slow.execute("BEGIN")
    await slow.execute("SELECT belfry.set_preference('u1', '*', false)")
    sent = await send(writer, "sent")
    assert (await client.row())["id"] == sent
    client.cut()
    await slow.execute("COMMIT")
    again = await belfry.open(last_id=client.last_id)
    assert (await again.next()).data["ids"] == [sent]
    again.cut()  # before the choice itself has come: the cursor does not claim it yet
    once_more = await belfry.open(last_id=again.last_id)
    assert await until_counts(once_more) == [("retracted", [sent]), ("preference", None), ("counts", (0, 0))]
    at_last = await belfry.open(last_id=once_more.last_id)
    assert await until_counts(at_last) == [("counts", (0, 0))]
