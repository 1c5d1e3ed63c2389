"""Forgetting a person, and handing a person their data: no column of any table knows them afterwards."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from calling import NO_NAMES, callers, refused

WHO = "zoe-the-one-to-forget"
COLUMNS = """
    SELECT c.relname, a.attname FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
    WHERE c.relnamespace = 'belfry'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
"""


async def live(ask: Any, connection: Any) -> int:
    """A life with all that can be stored of somebody."""
    await ask.call(connection, "set_traits", recipient=WHO, traits='{"plan": "pro"}')
    await connection.execute("SELECT belfry.define_segment('pro', '{\"plan\": \"pro\"}'::jsonb)")
    await ask.call(connection, "subscribe", recipient=WHO, topic="t")
    await ask.call(connection, "set_preference", recipient=WHO, kind="loud", enabled=False)
    await ask.call(connection, "set_preference", recipient=WHO, kind="loud", enabled=True)
    sent = await ask.call(connection, "send", recipient=WHO, kind="x", title="Hello", dedupe_key="d", group_key="g")
    heard = await ask.call(connection, "publish", topic="t", kind="x")
    await ask.call(connection, "send", recipient=WHO, kind="x", deliver_at="2999-01-01")
    await ask.call(connection, "mark_read", recipient=WHO, ids=[sent, heard])
    await connection.execute("SELECT belfry.snooze(%s, %s, now() + interval '1 day')", (WHO, [sent]))
    await ask.call(connection, "unsubscribe", recipient=WHO, topic="t")
    await ask.call(connection, "retract", id=await ask.call(connection, "send", recipient=WHO, kind="x"))
    return sent


async def traces(connection: Any) -> list[str]:
    """The columns that hold the name anywhere."""
    found: list[str] = []
    for table, column in await (await connection.execute(COLUMNS)).fetchall():
        query = f'SELECT count(*) FROM belfry."{table}" WHERE "{column}"::text LIKE %s'
        if (await (await connection.execute(query.encode(), (f"%{WHO}%",))).fetchall())[0][0]:
            found.append(f"{table}.{column}")
    return found


async def test_a_scan_of_every_column_finds_nothing_of_who_was_erased(connect: Any, ask: Any) -> None:
    connection = await connect()
    await live(ask, connection)
    before = await traces(connection)
    wanted = ("notification", "change", "subscription", "inbox", "receipt", "preference", "traits", "scheduled")
    assert {each.partition(".")[0] for each in before} == set(wanted)
    assert await ask.call(connection, "erase", recipient=WHO) >= len(wanted)
    assert await traces(connection) == []
    assert await ask.call(connection, "erase", recipient=WHO) == 0


async def test_nobody_else_loses_anything(connect: Any, ask: Any) -> None:
    connection = await connect()
    await ask.call(connection, "subscribe", recipient="u1", topic="t")
    direct = await ask.call(connection, "send", recipient="u1", kind="x")
    await live(ask, connection)
    tables = ("notification", "subscription", "inbox", "receipt", "preference")
    before = {table: [row for row in await ask.rows(connection, table) if row["recipient"] != WHO] for table in tables}
    await ask.call(connection, "erase", recipient=WHO)
    for table in tables:
        assert await ask.rows(connection, table) == before[table], table
    assert direct in await ask.column(connection, "SELECT id FROM belfry.list_inbox('u1')")


@pytest.mark.parametrize(
    "other",
    [
        "SELECT belfry.define_segment('all', '{}'::jsonb)",
        f"SELECT belfry.set_traits('{WHO}', '{{\"plan\": \"pro\"}}')",
    ],
    ids=["a segment is defined", "traits are set"],
)
async def test_who_is_put_into_a_segment_meanwhile_is_out_of_it_too(
    connect: Any, ask: Any, until_it_waits: Any, other: str
) -> None:
    one, two = await connect(), await connect()
    await one.execute("SELECT belfry.define_segment('pro', '{\"plan\": \"pro\"}'::jsonb)")
    await ask.call(one, "set_traits", recipient=WHO, traits='{"plan": "free"}')
    async with one.transaction():
        await one.execute(other.encode())
        forgetting = asyncio.create_task(ask.call(two, "erase", recipient=WHO))
        await until_it_waits(two)
    await forgetting
    assert await ask.rows(one, "subscription") == []
    assert await ask.rows(one, "traits") == []


async def test_it_belongs_to_the_callers_transaction(connect: Any, ask: Any) -> None:
    connection = await connect()
    await live(ask, connection)
    before = await traces(connection)
    await connection.execute("BEGIN")
    await ask.call(connection, "erase", recipient=WHO)
    await connection.execute("ROLLBACK")
    assert await traces(connection) == before


async def test_there_is_a_newer_row_afterwards_so_that_relays_do_not_take_it_for_another_history(
    connect: Any, ask: Any
) -> None:
    connection = await connect()
    sent = await live(ask, connection)
    await ask.call(connection, "erase", recipient=WHO)
    last = (await ask.rows(connection, "change"))[-1]
    assert last["id"] > sent
    assert (last["recipient"], last["topic"]) == (None, "/")


async def test_an_export_has_all_that_a_scan_finds_and_nothing_of_others(connect: Any, ask: Any) -> None:
    connection = await connect()
    sent = await live(ask, connection)
    await ask.call(connection, "send", recipient="u1", kind="x", title="Not yours")
    told = await ask.call(connection, "export", recipient=WHO)
    assert told["recipient"] == WHO
    assert told["traits"] == {"plan": "pro"}
    assert [each["title"] for each in told["notifications"] if each["id"] == sent] == ["Hello"]
    assert {each["topic"] for each in told["subscriptions"]} == {"t", "segment:pro"}
    assert [each["enabled"] for each in told["preferences"]] == [False, True]
    assert len(told["scheduled"]) == 1
    assert {each["notification_id"] for each in told["receipts"]} >= {sent}
    assert {"read", "snoozed", "subscribed", "unsubscribed", "preference"} <= {each["verb"] for each in told["changes"]}
    assert told["first_contact"]
    assert "Not yours" not in str(told)


async def test_of_a_stranger_an_export_says_that_there_is_nothing(connect: Any, ask: Any) -> None:
    told = await ask.call(await connect(), "export", recipient="nobody")
    assert told["first_contact"] is None
    assert all(not told[name] for name in ("traits", "preferences", "notifications", "receipts", "changes"))


async def test_who_is_no_recipient_is_refused(connect: Any) -> None:
    connection = await connect()
    for name in NO_NAMES:
        for function in ("erase", "export"):
            assert (await refused(connection, f"SELECT belfry.{function}(%s)", name))[0] == "BF001"


async def test_applications_may_forget_their_people(connect: Any, ask: Any) -> None:
    connection = await connect()
    for function in ("erase", "export"):
        assert await callers(ask, connection, function) == ["belfry_relay", "belfry_sender"]
