"""A dedupe_key sends once for each recipient or topic, also when two callers race."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest

KEYED: dict[str, Any] = {"recipient": "u1", "kind": "k", "dedupe_key": "once"}


async def test_a_repeated_key_returns_the_first_id_and_sends_nothing(connect: Any, ask: Any) -> None:
    connection = await connect()
    first = await ask.call(connection, "send", **KEYED, title="first")
    assert await ask.call(connection, "send", **KEYED, title="second") == first
    assert await ask.call(connection, "send_many", recipients=["u1"], kind="k", dedupe_key="once") == [first]
    assert [row["title"] for row in await ask.rows(connection)] == ["first"]


async def test_a_key_counts_for_one_recipient_or_topic(connect: Any, ask: Any) -> None:
    connection = await connect()
    for recipient in ("u1", "u2"):
        await ask.call(connection, "send", recipient=recipient, kind="k", dedupe_key="once")
    for topic in ("u1", "t"):
        await ask.call(connection, "publish", topic=topic, kind="k", dedupe_key="once")
    first = await ask.call(connection, "broadcast", kind="k", dedupe_key="once")
    assert await ask.call(connection, "broadcast", kind="k", dedupe_key="once") == first
    assert len(await ask.rows(connection)) == 5


async def test_a_plain_insert_of_a_repeated_key_is_a_unique_violation(connect: Any, ask: Any) -> None:
    connection = await connect()
    await ask.call(connection, "send", **KEYED)
    with pytest.raises(psycopg.errors.UniqueViolation):
        await ask.insert(connection, **KEYED)


@pytest.mark.parametrize("ending", ["commit", "rollback"])
async def test_of_two_racing_callers_the_second_waits_for_the_first(
    connect: Any, ask: Any, until_it_waits: Any, ending: str
) -> None:
    first, second = await connect(), await connect()
    await first.execute("BEGIN")
    held = await ask.call(first, "send", **KEYED, title="first")
    racing = asyncio.create_task(ask.call(second, "send", **KEYED, title="second"))
    await until_it_waits(second)
    await first.execute(ending)
    got = await asyncio.wait_for(racing, 10)
    rows = await ask.rows(second)
    assert [row["id"] for row in rows] == [got]
    assert [row["title"] for row in rows] == (["first"] if ending == "commit" else ["second"])
    assert (got == held) == (ending == "commit")


async def test_many_callers_at_once_send_one(connect: Any, ask: Any) -> None:
    connections = [await connect() for _ in range(8)]
    for attempt in range(10):
        ids = await asyncio.gather(
            *(ask.call(one, "publish", topic="t", kind="k", dedupe_key=f"{attempt}") for one in connections)
        )
        assert len(set(ids)) == 1
    assert len(await ask.rows(connections[0])) == 10


async def test_send_many_in_two_orders_does_not_deadlock(connect: Any, ask: Any) -> None:
    one, other = await connect(), await connect()
    recipients = [f"u{number}" for number in range(200)]
    for attempt in range(5):
        forth, back = await asyncio.gather(
            ask.call(one, "send_many", recipients=recipients, kind="k", dedupe_key=f"{attempt}"),
            ask.call(other, "send_many", recipients=recipients[::-1], kind="k", dedupe_key=f"{attempt}"),
        )
        assert forth == back[::-1]


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
async def test_under_repeatable_read_the_second_may_have_to_repeat(connect: Any, ask: Any, level: str) -> None:
    first, second = await connect(), await connect()
    await second.execute(f"BEGIN ISOLATION LEVEL {level}")
    await ask.rows(second)  # the snapshot is taken
    sent = await ask.call(first, "send", **KEYED)
    with pytest.raises(psycopg.errors.SerializationFailure):
        await ask.call(second, "send", **KEYED)
    await second.execute("ROLLBACK")
    assert await ask.call(second, "send", **KEYED) == sent


async def test_a_sequence_below_the_ids_ends_in_an_error_and_not_in_a_circle(connect: Any, ask: Any) -> None:
    connection = await connect()
    await connection.execute(
        "INSERT INTO belfry.notification (id, recipient, kind) OVERRIDING SYSTEM VALUE"
        " SELECT id, 'u1', 'k' FROM generate_series(1, 200) AS id"
    )
    with pytest.raises(psycopg.errors.UniqueViolation) as refused:
        await ask.call(connection, "send", **KEYED)
    assert refused.value.diag.message_hint
