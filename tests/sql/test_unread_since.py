"""Who still has what unread, for an application's own e-mail: what counts say, after a while, a page at a time."""

from __future__ import annotations

from typing import Any

import pytest
from calling import callers, refused

LATER = "2100-01-01T00:00:00Z"
EVERYONE = "SELECT id, recipient FROM belfry.unread_since('-1 hour')"


async def pairs(connection: Any, query: str = EVERYONE, *given: Any) -> list[tuple[Any, ...]]:
    cursor = await connection.execute(query.encode(), given or None)
    return await cursor.fetchall()


async def send(ask: Any, connection: Any, recipient: str = "u1", **given: Any) -> int:
    return await ask.call(connection, "send", **({"recipient": recipient, "kind": "k"} | given))


NULLS: list[tuple[str, Any]] = [("age", None), ("after_id", None), ("after_recipient", None), ("max_rows", None)]


async def test_an_argument_that_would_hide_everybody_is_refused(connect: Any, ask: Any) -> None:
    connection = await connect()
    await send(ask, connection)
    for name, value in (*NULLS, ("max_rows", 0), ("max_rows", -1), ("kind", "A b"), ("kind", "")):
        given = {"age": "0 s"} | {name: value}
        statement = f"SELECT * FROM belfry.unread_since({', '.join(f'{each} => %s' for each in given)})"
        assert await refused(connection, statement, *given.values()) == ("BF003" if name == "kind" else "BF010", name)


async def test_only_what_is_old_enough_to_the_microsecond(connect: Any, ask: Any) -> None:
    connection = await connect()
    old, young = await send(ask, connection), await send(ask, connection)
    async with connection.transaction():
        change = "UPDATE belfry.notification SET created_at = now() - %s::interval WHERE id = %s"
        await connection.execute(change, ("1 hour", old))
        await connection.execute(change, ("59 min 59.999999 s", young))
        hour = "SELECT id, recipient FROM belfry.unread_since('1 hour')"
        assert await pairs(connection, hour) == [(old, "u1")]
    assert await pairs(connection) == [(old, "u1"), (young, "u1")]


async def test_all_that_a_mail_needs_is_told(connect: Any, ask: Any) -> None:
    connection = await connect()
    sent = await send(ask, connection, title="Title", body="Body", action_url="/here", data={"a": 1})
    rows = await pairs(connection, "SELECT * FROM belfry.unread_since('-1 hour')")
    assert [row[:-1] for row in rows] == [(sent, "u1", "k", "Title", "Body", "/here", {"a": 1})]


async def test_a_kind_narrows(connect: Any, ask: Any) -> None:
    connection = await connect()
    await send(ask, connection)
    other = await send(ask, connection, kind="other")
    query = "SELECT id, recipient FROM belfry.unread_since('-1 hour', %s)"
    assert await pairs(connection, query, "other") == [(other, "u1")]
    assert await pairs(connection, query, "none") == []
    assert len(await pairs(connection, query, None)) == 2


async def test_a_topic_reaches_who_was_there_and_everyone_who_had_been_met(connect: Any, ask: Any) -> None:
    connection = await connect()
    for recipient in ("u1", "u2"):
        await ask.call(connection, "subscribe", recipient=recipient, topic="t")
        await ask.call(connection, "counts", recipient=recipient)
    first = await ask.call(connection, "publish", topic="t", kind="k")
    await ask.call(connection, "unsubscribe", recipient="u1", topic="t")
    second = await ask.call(connection, "publish", topic="t", kind="k")
    to_all = await ask.call(connection, "broadcast", kind="k")
    await ask.call(connection, "subscribe", recipient="late", topic="t")
    await ask.call(connection, "counts", recipient="late")
    expected = [(first, "u1"), (first, "u2"), (second, "u2"), (to_all, "u1"), (to_all, "u2")]
    assert await pairs(connection) == expected


@pytest.mark.parametrize("end", ["mark_read", "archive", "mark_all_read", "archive_all", "retract", "expire"])
async def test_what_is_read_archived_or_over_is_told_to_nobody_any_more(connect: Any, ask: Any, end: str) -> None:
    connection = await connect()
    ids = [await send(ask, connection), await send(ask, connection)]
    assert len(await pairs(connection)) == 2
    for number in ids:
        if end == "retract":
            await ask.call(connection, end, id=number)
        elif end == "expire":
            await ask.call(connection, "revise", id=number, expires_at="2020-01-01T00:00:00Z")
        else:
            await ask.call(connection, end, recipient="u1", **({} if "all" in end else {"ids": [number]}))
    assert await pairs(connection) == []


async def test_what_was_only_seen_or_is_unread_again_below_the_watermark_is_told(connect: Any, ask: Any) -> None:
    connection = await connect()
    first, second = await send(ask, connection), await send(ask, connection)
    await ask.call(connection, "mark_all_read", recipient="u1")
    assert await ask.value(connection, "SELECT read_through FROM belfry.inbox") >= second
    await ask.call(connection, "mark_unread", recipient="u1", ids=[first])
    third = await send(ask, connection)
    await ask.call(connection, "mark_all_seen", recipient="u1")
    assert await pairs(connection) == [(first, "u1"), (third, "u1")]


async def test_what_was_muted_when_it_was_sent_is_told_to_nobody(connect: Any, ask: Any) -> None:
    connection = await connect()
    before = await send(ask, connection)
    await ask.call(connection, "set_preference", recipient="u1", kind="k", enabled=False)
    await send(ask, connection)
    theirs = await send(ask, connection, "u2")
    await ask.call(connection, "declare_kind", kind="k", required=True)
    required = await send(ask, connection)
    assert await pairs(connection) == [(before, "u1"), (theirs, "u2"), (required, "u1")]


async def test_a_snooze_hides_it_until_its_instant_as_it_does_from_the_counts(connect: Any, ask: Any) -> None:
    connection = await connect()
    number = await send(ask, connection)
    await ask.call(connection, "snooze", recipient="u1", ids=[number], until=LATER)
    async with connection.transaction():
        for moment, unread in (("now() + interval '1 microsecond'", 0), ("now()", 1)):
            await connection.execute(f"UPDATE belfry.receipt SET snoozed_until = {moment}".encode())
            assert await ask.value(connection, "SELECT unread FROM belfry.counts('u1')") == unread
            assert len(await pairs(connection)) == unread, moment
        await ask.value(connection, "SELECT belfry.deliver_due()")
        assert await pairs(connection) == [(number, "u1")]


async def test_pages_of_any_size_tell_everyone_once_in_order(connect: Any, ask: Any) -> None:
    connection = await connect()
    for recipient in ("u1", "Z", "é", "u10"):
        await ask.call(connection, "counts", recipient=recipient)
    for _ in range(2):
        await ask.call(connection, "broadcast", kind="k")
        await send(ask, connection)
    whole = await pairs(connection)
    assert [recipient for _, recipient in whole] == ["Z", "u1", "u10", "é", "u1"] * 2
    page = "SELECT id, recipient FROM belfry.unread_since('-1 hour', NULL, %s, %s, %s)"
    for size in (1, 2, 3, 100):
        told: list[tuple[Any, ...]] = []
        last: tuple[Any, ...] = (0, "")
        while found := await pairs(connection, page, *last, size):
            assert len(found) <= size
            told, last = told + found, found[-1]
        assert told == whole, size


@pytest.mark.parametrize("after", ["", "u100"], ids=["the first", "a later one"])
async def test_a_page_costs_a_page_however_many_are_in_the_topic(connect: Any, ask: Any, after: str) -> None:
    connection = await connect()
    await connection.execute(
        "INSERT INTO belfry.inbox (recipient, since) SELECT 'u' || n, 0 FROM generate_series(1, 900) n"
    )
    sent = await ask.call(connection, "broadcast", kind="k")
    await ask.call(connection, "mark_all_read", recipient="u11")
    async with connection.transaction():
        await connection.execute("SET LOCAL track_functions = 'all'")
        page = "SELECT id, recipient FROM belfry.unread_since('-1 hour', NULL, %s, %s, 5)"
        assert len(await pairs(connection, page, sent, after)) == 5
        judged = "SELECT calls FROM pg_stat_xact_user_functions WHERE funcname = 'mailbox'"
        assert 5 <= await ask.value(connection, judged) < 10


async def test_what_a_batch_of_read_ones_precedes_is_told(connect: Any, ask: Any) -> None:
    connection = await connect()
    for _ in range(2):
        await connection.execute(
            "INSERT INTO belfry.notification (recipient, kind) SELECT 'u1', 'k' FROM generate_series(1, 1000)"
        )
        await ask.call(connection, "mark_all_read", recipient="u1")
    sent = await send(ask, connection)
    assert await pairs(connection) == [(sent, "u1")]


async def test_who_may_ask(connect: Any, ask: Any) -> None:
    connection = await connect()
    assert await callers(ask, connection, "unread_since") == ["belfry_relay", "belfry_sender"]
    await connection.execute("SET ROLE belfry_sender")
    sent = await send(ask, connection)
    assert await pairs(connection) == [(sent, "u1")]
