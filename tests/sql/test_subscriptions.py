"""Subscriptions: intervals of positions, whose changes stand in the one order with notifications."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest

PAIR = {"recipient": "u1", "topic": "t"}
BELONGS = """
SELECT n.id FROM belfry.notification n JOIN belfry.subscription s
    ON s.topic = n.topic AND s.since < n.id AND (s.until IS NULL OR n.id < s.until)
WHERE s.recipient = 'u1' ORDER BY n.id
"""


async def test_a_stay_begins_and_ends_with_its_changes(connect: Any, ask: Any) -> None:
    connection = await connect()
    since = await ask.call(connection, "subscribe", **PAIR)
    inside = await ask.call(connection, "publish", topic="t", kind="k")
    until = await ask.call(connection, "unsubscribe", **PAIR)
    outside = await ask.call(connection, "publish", topic="t", kind="k")
    again = await ask.call(connection, "subscribe", **PAIR)
    assert since < inside < until < outside < again
    assert await ask.column(connection, BELONGS) == [inside]
    assert await ask.column(connection, "SELECT until FROM belfry.subscription ORDER BY since") == [until, None]
    changes = await ask.rows(connection, "change")
    assert [(row["id"], row["recipient"], row["topic"], row["verb"]) for row in changes] == [
        (since, "u1", "t", "subscribed"),
        (until, "u1", "t", "unsubscribed"),
        (again, "u1", "t", "subscribed"),
    ]


async def test_what_is_already_so_changes_nothing(connect: Any, ask: Any) -> None:
    connection = await connect()
    assert await ask.call(connection, "unsubscribe", **PAIR) is None
    assert await ask.call(connection, "subscribe", **PAIR) is not None
    assert await ask.call(connection, "subscribe", **PAIR) is None
    assert len(await ask.rows(connection, "change")) == 1


async def test_a_stay_in_one_transaction_holds_what_was_published_in_it(connect: Any, ask: Any) -> None:
    connection = await connect()
    async with connection.transaction():
        await ask.call(connection, "subscribe", **PAIR)
        inside = await ask.call(connection, "publish", topic="t", kind="k")
        await ask.call(connection, "unsubscribe", **PAIR)
    assert await ask.column(connection, BELONGS) == [inside]


async def test_rollback_leaves_no_subscription(connect: Any, ask: Any) -> None:
    connection = await connect()
    async with connection.transaction(force_rollback=True):
        await ask.call(connection, "subscribe", **PAIR)
    assert await ask.rows(connection, "change") == await ask.rows(connection, "subscription") == []


@pytest.mark.parametrize("ending", ["commit", "rollback"])
async def test_the_second_of_a_pair_waits_and_sees_what_the_first_did(
    connect: Any, ask: Any, until_it_waits: Any, ending: str
) -> None:
    first, second = await connect(), await connect()
    await first.execute("BEGIN")
    held = await ask.call(first, "subscribe", **PAIR)
    waiting = asyncio.create_task(ask.call(second, "subscribe", **PAIR))
    await until_it_waits(second)
    await first.execute(ending)
    got = await asyncio.wait_for(waiting, 10)
    assert got is None if ending == "commit" else got > held
    assert len(await ask.rows(second, "subscription")) == 1


async def test_ids_of_a_pair_are_in_the_order_of_commits(connect: Any, ask: Any, until_it_waits: Any) -> None:
    first, second = await connect(), await connect()
    await ask.call(first, "subscribe", **PAIR)
    await first.execute("BEGIN")
    left = await ask.call(first, "unsubscribe", **PAIR)
    waiting = asyncio.create_task(ask.call(second, "subscribe", **PAIR))
    await until_it_waits(second)
    await ask.call(first, "publish", topic="t", kind="k")
    await first.execute("COMMIT")
    back = await asyncio.wait_for(waiting, 10)
    assert back > left + 1, "the id was taken before the wait"
    assert await ask.column(second, "SELECT until FROM belfry.subscription ORDER BY since") == [left, None]


async def test_another_pair_does_not_wait(connect: Any, ask: Any) -> None:
    first, second = await connect(), await connect()
    await first.execute("BEGIN")
    await ask.call(first, "subscribe", **PAIR)
    async with asyncio.timeout(15):
        assert await ask.call(second, "subscribe", recipient="u1", topic="other") is not None
        assert await ask.call(second, "publish", topic="t", kind="k") is not None


async def test_many_callers_at_once_leave_stays_that_do_not_overlap(connect: Any, ask: Any) -> None:
    connections = [await connect() for _ in range(6)]

    async def back_and_forth(connection: Any) -> None:
        for _ in range(20):
            await ask.call(connection, "subscribe", **PAIR)
            await ask.call(connection, "unsubscribe", **PAIR)

    await asyncio.gather(*(back_and_forth(one) for one in connections))
    changes = await ask.rows(connections[0], "change")
    assert [row["verb"] for row in changes] == ["subscribed", "unsubscribed"] * (len(changes) // 2)
    stays = await ask.rows(connections[0], "subscription")
    bounds = sorted((row["since"], row["until"]) for row in stays)
    assert [one for stay in bounds for one in stay] == [row["id"] for row in changes]


async def test_under_repeatable_read_a_conflict_is_a_serialization_failure(connect: Any, ask: Any) -> None:
    first, second = await connect(), await connect()
    await second.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    await ask.rows(second)
    await ask.call(first, "subscribe", **PAIR)
    with pytest.raises(psycopg.errors.SerializationFailure):
        await ask.call(second, "subscribe", **PAIR)
    await second.execute("ROLLBACK")
    await second.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    await ask.rows(second)
    await ask.call(first, "unsubscribe", **PAIR)
    with pytest.raises(psycopg.errors.SerializationFailure):
        await ask.call(second, "unsubscribe", **PAIR)


async def test_whoever_takes_an_id_holds_the_lock_that_relays_look_for(connect: Any, ask: Any) -> None:
    connection, watcher = await connect(), await connect()
    held = (
        "SELECT DISTINCT relation::regclass::text FROM pg_locks WHERE pid = %s AND mode = 'RowExclusiveLock'"
        " AND granted AND relation IN ('belfry.notification'::regclass, 'belfry.change'::regclass)"
    )
    pid = connection.info.backend_pid
    for function, arguments, table in (
        ("send", {"recipient": "u1", "kind": "k"}, "belfry.notification"),
        ("subscribe", PAIR, "belfry.change"),
        ("unsubscribe", PAIR, "belfry.change"),
    ):
        await connection.execute("BEGIN")
        assert await ask.call(connection, function, **arguments) is not None
        assert table in await ask.column(watcher, held, pid)
        await connection.execute("COMMIT")
        assert await ask.column(watcher, held, pid) == []


async def test_a_subscriber_that_waits_has_no_id_yet(connect: Any, ask: Any, until_it_waits: Any) -> None:
    first, second = await connect(), await connect()
    await first.execute("BEGIN")
    await ask.call(first, "subscribe", **PAIR)
    waiting = asyncio.create_task(ask.call(second, "subscribe", **PAIR))
    await until_it_waits(second)
    assert await ask.value(first, "SELECT belfry.last_position()") == 1
    await first.execute("ROLLBACK")
    assert await asyncio.wait_for(waiting, 10) == 2
