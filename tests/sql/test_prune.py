"""Retention: old rows go in batches, never above what is settled, and what belongs to them follows."""

from __future__ import annotations

from typing import Any

import pytest
from calling import callers, refused, waiting

AGE = "UPDATE belfry.notification SET created_at = now() - interval '10 days' WHERE id <= %s"
AGE_CHANGES = "UPDATE belfry.change SET created_at = now() - interval '10 days' WHERE id <= %s"


async def grow_old(connection: Any, through: int) -> None:
    for statement in (AGE, AGE_CHANGES):
        await connection.execute(statement.encode(), (through,))


async def prune(ask: Any, connection: Any, most: int = 10_000) -> int:
    return await ask.value(connection, "SELECT belfry.prune('7 days', %s)", most)


async def whole(ask: Any, connection: Any, most: int = 10_000) -> int:
    """Batches until nothing is left; how many there were."""
    batches = 0
    while await prune(ask, connection, most):
        batches += 1
        assert batches < 100
    return batches


async def ids(ask: Any, connection: Any) -> list[int]:
    return await ask.column(connection, "SELECT id FROM belfry.notification ORDER BY id")


async def test_what_is_old_goes_with_receipts_stays_and_choices_and_the_rest_is_untouched(
    connect: Any, ask: Any
) -> None:
    connection = await connect()
    await ask.call(connection, "subscribe", recipient="u1", topic="t")
    await ask.call(connection, "set_preference", recipient="u1", kind="a", enabled=False)
    old = [await ask.call(connection, "send", recipient="u1", kind="x") for _ in range(3)]
    old.append(await ask.call(connection, "publish", topic="t", kind="x"))
    await ask.call(connection, "mark_read", recipient="u1", ids=old)
    await ask.call(connection, "unsubscribe", recipient="u1", topic="t")
    last = await ask.call(connection, "set_preference", recipient="u1", kind="a", enabled=None)
    new = await ask.call(connection, "send", recipient="u1", kind="x")
    await ask.call(connection, "settle")
    await grow_old(connection, last)
    await whole(ask, connection)
    assert await ids(ask, connection) == [new]
    for table in ("receipt", "subscription", "preference", "change"):
        assert await ask.rows(connection, table) == [], table
    assert await ask.value(connection, "SELECT pruned FROM belfry.settled") == new - 1
    assert (await ask.rows(connection, "inbox"))[0]["recipient"] == "u1"
    assert tuple((await (await connection.execute("SELECT * FROM belfry.counts('u1')")).fetchall())[0]) == (1, 1, 1)


async def test_a_stay_that_goes_on_and_a_choice_that_holds_remain(connect: Any, ask: Any) -> None:
    connection = await connect()
    await ask.call(connection, "subscribe", recipient="u1", topic="t")
    await ask.call(connection, "set_preference", recipient="u1", kind="a", enabled=False)
    old = await ask.call(connection, "publish", topic="t", kind="x")
    await ask.call(connection, "settle")
    await grow_old(connection, old)
    await whole(ask, connection)
    new = await ask.call(connection, "publish", topic="t", kind="x")
    muted = await ask.call(connection, "publish", topic="t", kind="a")
    listed = await ask.column(connection, "SELECT id FROM belfry.list_inbox('u1')")
    assert listed == [new]
    assert muted not in listed


async def test_a_stay_and_a_choice_that_are_over_hold_for_what_is_left_of_their_time(connect: Any, ask: Any) -> None:
    connection = await connect()
    old = await ask.call(connection, "send", recipient="u1", kind="x")
    await ask.call(connection, "subscribe", recipient="u1", topic="t")
    await ask.call(connection, "set_preference", recipient="u1", kind="a", enabled=False)
    left, _ = [await ask.call(connection, "publish", topic="t", kind=kind) for kind in ("x", "a")]
    await ask.call(connection, "unsubscribe", recipient="u1", topic="t")
    await ask.call(connection, "set_preference", recipient="u1", kind="a", enabled=None)
    await ask.call(connection, "settle")
    await grow_old(connection, old)
    await whole(ask, connection)
    assert await ask.column(connection, "SELECT id FROM belfry.list_inbox('u1')") == [left]


async def test_a_batch_takes_the_oldest_and_leaves_no_hole_below_the_position_that_it_records(
    connect: Any, ask: Any
) -> None:
    connection = await connect()
    sent = [await ask.call(connection, "send", recipient="u1", kind="x") for _ in range(10)]
    await ask.call(connection, "settle")
    await grow_old(connection, sent[7])
    assert await prune(ask, connection, 3) == 3
    assert await ids(ask, connection) == sent[3:]
    assert await ask.value(connection, "SELECT pruned FROM belfry.settled") == sent[2]
    assert await whole(ask, connection, 3) == 2
    assert await ids(ask, connection) == sent[8:]
    assert await prune(ask, connection, 3) == 0


async def test_nothing_above_what_is_settled_goes(connect: Any, ask: Any) -> None:
    connection, other = await connect(), await connect()
    await other.execute("BEGIN")
    await ask.call(other, "send", recipient="u1", kind="x")
    sent = await ask.call(connection, "send", recipient="u1", kind="x")
    await ask.call(connection, "settle")
    await grow_old(connection, sent)
    assert [await prune(ask, connection, most) for most in (10_000, 1)] == [0, 0]
    await other.execute("COMMIT")
    await ask.call(connection, "settle")
    await grow_old(connection, sent)
    assert await prune(ask, connection) == 2


async def test_a_young_row_among_old_ones_stops_it_until_that_is_old(connect: Any, ask: Any) -> None:
    connection = await connect()
    sent = [await ask.call(connection, "send", recipient="u1", kind="x") for _ in range(3)]
    await ask.call(connection, "settle")
    await grow_old(connection, sent[2])
    await connection.execute(b"UPDATE belfry.notification SET created_at = now() WHERE id = %s", (sent[1],))
    await whole(ask, connection)
    assert await ids(ask, connection) == sent[1:]


async def test_while_one_prunes_another_does_nothing_and_nobody_waits(connect: Any, ask: Any) -> None:
    one, other = await connect(), await connect()
    sent = await ask.call(one, "send", recipient="u1", kind="x")
    await ask.call(one, "settle")
    await grow_old(one, sent)
    await one.execute("BEGIN")
    assert await prune(ask, one) == 1
    await other.execute("SET statement_timeout = '3s'")
    assert await prune(ask, other) == 0
    new = await ask.call(other, "send", recipient="u1", kind="x")
    await ask.call(other, "mark_all_read", recipient="u1")
    await ask.call(other, "declare_kind", kind="k")
    await one.execute("COMMIT")
    assert await ids(ask, one) == [new]


async def test_many_receipts_of_one_broadcast_go_in_batches_too(connect: Any, ask: Any) -> None:
    connection = await connect()
    sent = await ask.call(connection, "broadcast", kind="x")
    for number in range(9):
        await connection.execute(b"SELECT belfry.mark_read(%s, %s)", (f"u{number}", [sent]))
    new = await ask.call(connection, "broadcast", kind="x")
    await ask.call(connection, "settle")
    await grow_old(connection, sent)
    await connection.execute(
        b"INSERT INTO belfry.receipt (recipient, notification_id, read_at)"
        b" SELECT 'r' || n, %s, now() FROM generate_series(1, 9) AS n",
        (sent,),
    )
    sizes: list[int] = []
    while size := await prune(ask, connection, 4):
        sizes.append(size)
    assert max(sizes) <= 8
    assert await ids(ask, connection) == [new]
    assert await ask.value(connection, "SELECT count(*) FROM belfry.receipt WHERE notification_id <= %s", sent) == 0


@pytest.mark.parametrize(
    ("age", "most", "argument"),
    [(None, 1, "older_than"), ("-1 day", 1, "older_than"), ("1 day", 0, "max_rows"), ("1 day", None, "max_rows")],
)
async def test_an_age_or_a_number_that_is_none_is_refused_by_name(
    connect: Any, age: str | None, most: int | None, argument: str
) -> None:
    found = await refused(await connect(), "SELECT belfry.prune(%s, %s)", age, most)
    assert found == ("BF010", argument)


async def test_relays_prune_and_senders_do_not(connect: Any, ask: Any) -> None:
    assert await callers(ask, await connect(), "prune") == ["belfry_relay"]


async def test_a_batch_reads_no_more_than_it_takes(connect: Any, ask: Any) -> None:
    connection = await connect()
    await connection.execute(
        "INSERT INTO belfry.notification (recipient, kind)"
        " SELECT 'u' || n % 50, 'x' FROM generate_series(1, 20000) AS n"
    )
    await ask.call(connection, "settle")
    await grow_old(connection, 10**6)
    await connection.execute("VACUUM ANALYZE belfry.notification")
    await prune(ask, connection, 100)
    fresh = await connect()  # it has counted nothing yet
    async with fresh.transaction():
        assert await prune(ask, fresh, 100) == 100
        scanned = "SELECT pg_stat_get_xact_tuples_returned('belfry.notification'::regclass)"
        assert await ask.value(fresh, scanned) == 0
        fetched = "SELECT pg_stat_get_xact_tuples_fetched('belfry.notification'::regclass)"
        assert await ask.value(fresh, fetched) <= 300


async def test_prune_that_waits_for_who_marks_all_keeps_no_sender_waiting(
    connect: Any, ask: Any, until_it_waits: Any
) -> None:
    reader, pruner, sender = await connect(), await connect(), await connect()
    first = await ask.call(sender, "send", recipient="u1", kind="k", dedupe_key="once")
    await ask.call(sender, "settle")
    await grow_old(sender, first)
    last = await ask.call(sender, "send", recipient="u1", kind="k")
    await reader.execute("BEGIN")
    await ask.call(reader, "mark_all_read", recipient="u1")
    async with waiting(until_it_waits, pruner, "SELECT belfry.prune('7 days')") as pruning:
        await sender.execute("SET statement_timeout = '5s'")
        assert await ask.call(sender, "send", recipient="u1", kind="k", dedupe_key="once") == first
        await reader.execute("COMMIT")
    assert pruning.result() == [1]
    assert await ids(ask, sender) == [last]
