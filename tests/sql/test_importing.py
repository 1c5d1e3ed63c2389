"""Taking over what was sent elsewhere: with its times and states, all or none of it, and in silence."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from calling import callers, changes, listed, nothing_is_left, refused, waiting

LONG_AGO = "2019-05-06T07:08:09.123456+00:00"
SEEN, READ, ARCHIVED = (f"2019-05-0{day}T00:00:00+00:00" for day in (7, 8, 9))
TABLES = ("notification", "receipt", "inbox")


def item(**given: Any) -> dict[str, Any]:
    return {"recipient": "u1", "kind": "k"} | given


async def take_over(ask: Any, connection: Any, *items: dict[str, Any]) -> list[int]:
    return await ask.column(connection, "SELECT * FROM belfry.import(%s)", json.dumps(items))


# --- refusals ----------------------------------------------------------------------------------------------


async def test_what_is_no_array_of_at_most_ten_thousand_objects_is_refused(connect: Any, ask: Any) -> None:
    connection = await connect()
    too_many = json.dumps([item()] * 10001)
    for items in (None, "null", "{}", '"x"', "1", "[1]", "[[]]", "[null]", '[{"kind": "k"}, "x"]', too_many):
        assert await refused(connection, "SELECT belfry.import(%s::jsonb)", items) == ("BF010", "items")
    await nothing_is_left(ask, connection, *TABLES)


BAD: list[tuple[str, dict[str, Any]]] = [
    ("BF001", {"recipient": ""}),
    ("BF001", {"recipient": "a/b", "read_at": READ}),
    ("BF002", {"recipient": None, "topic": "a/b"}),
    ("BF003", {"kind": None}),
    ("BF003", {"kind": "A b"}),
    ("BF004", {"body": "x" * 65536}),
    ("BF005", {"recipient": None}),
    ("BF005", {"topic": "t"}),
    ("BF007", {"severity": "fatal"}),
    ("BF007", {"data": []}),
    ("BF007", {"actions": {}}),
    ("BF007", {"actor": "ann"}),
    ("BF007", {"tags": ["a", None]}),
    ("BF007", {"tenant": "a/b"}),
    ("BF007", {"dedupe_key": ""}),
    ("BF010", {"created_at": "infinity"}),
    ("BF010", {"created_at": "-infinity"}),
    ("BF010", {"read_at": "infinity"}),
    ("BF010", {"created_at": "2999-01-01T00:00:00Z"}),
    ("BF003", {"kind": "A b", "expires_at": "2020-01-01T00:00:00Z"}),
    ("BF010", {"deliver_at": "2100-01-01T00:00:00Z"}),
]


async def test_one_bad_item_refuses_them_all(connect: Any, ask: Any) -> None:
    connection = await connect()
    for state, given in BAD:
        items = json.dumps([item(), item(recipient="u2", read_at=READ), item(**given), item()])
        assert (await refused(connection, "SELECT belfry.import(%s::jsonb)", items))[0] == state, given
    await nothing_is_left(ask, connection, *TABLES)


NAMED: list[tuple[dict[str, Any], str]] = [
    ({"recipient": "a/b", "read_at": READ}, "[2].recipient"),
    ({"topic": "a/b", "recipient": None}, "[2].topic"),
    ({"topic": "t"}, "[2].recipient"),
    ({"kind": "A b"}, "[2].kind"),
    ({"severity": "fatal"}, "[2].severity"),
    ({"tags": "x"}, "[2].tags"),
    ({"tags": ["a", None]}, "[2].tags"),
    ({"body": "x" * 65536}, "[2]"),
    ({"created_at": "soon"}, "[2].created_at"),
    ({"expires_at": ""}, "[2].expires_at"),
    ({"read_at": "infinity"}, "[2].read_at"),
    ({"seen_at": 1}, "[2].seen_at"),
    ({"deliver_at": "2100-01-01T00:00:00Z"}, "[2].deliver_at"),
    ({"created_at": "2999-01-01T00:00:00Z"}, "[2].created_at"),
]


async def test_a_refusal_names_the_item_and_its_field(connect: Any, ask: Any) -> None:
    connection = await connect()
    for given, column in NAMED:
        with pytest.raises(psycopg.Error) as raised:
            await take_over(ask, connection, item(), item(recipient="u2"), item(**given), item(kind="Also Bad"))
        assert raised.value.diag.column_name == column, given
    await nothing_is_left(ask, connection, *TABLES)


async def test_a_time_that_is_none_and_a_key_that_exists_take_nothing_over(connect: Any, ask: Any) -> None:
    connection = await connect()
    for state, given in (("22007", [item(created_at="soon")]), ("23505", [item(dedupe_key="once")] * 2)):
        with pytest.raises(psycopg.Error) as raised:
            await take_over(ask, connection, item(), *given)
        assert raised.value.sqlstate == state
    await nothing_is_left(ask, connection, *TABLES)


async def test_an_empty_array_is_nothing(connect: Any, ask: Any) -> None:
    connection = await connect()
    assert await take_over(ask, connection) == []
    await nothing_is_left(ask, connection, *TABLES)


# --- what is taken over ------------------------------------------------------------------------------------


async def test_every_field_is_taken_over_and_what_is_missing_or_null_has_its_default(connect: Any, ask: Any) -> None:
    connection = await connect()
    given: dict[str, Any] = {
        "recipient": "u1", "tenant": "acme", "kind": "a.b", "title": "Title", "body": "Body", "data": {"a": [1]},
        "action_url": "/here", "actions": [{"name": "ok"}], "actor": {"name": "someone"}, "tags": ["x", "y"],
        "severity": "error", "dedupe_key": "once", "group_key": "thread",
    }  # fmt: skip
    names = [*given, "seen_at", "read_at", "archived_at", "expires_at", "created_at", "topic"]
    nulls: dict[str, Any] = {name: None for name in names if name not in ("recipient", "kind")}
    assert len(await take_over(ask, connection, given | {"created_at": LONG_AGO}, item(), item(**nulls))) == 3
    full, plain, empty = await ask.rows(connection)
    assert {name: full[name] for name in given} == given
    assert (full["created_at"], full["silent"]) == (datetime.fromisoformat(LONG_AGO), True)
    sent = await ask.call(connection, "send", recipient="u1", kind="k")
    (like,) = [row for row in await ask.rows(connection) if row["id"] == sent]
    own = ("id", "created_at", "silent")
    for row in (plain, empty):
        assert {name: it for name, it in row.items() if name not in own} == {
            name: it for name, it in like.items() if name not in own
        }
        assert datetime.now(UTC) - row["created_at"] < timedelta(minutes=1)
    assert await ask.rows(connection, "receipt") == []


async def test_states_are_those_that_it_had(connect: Any, ask: Any) -> None:
    connection = await connect()
    new, seen, read, archived = await take_over(
        ask, connection, item(), item(seen_at=SEEN), item(read_at=READ), item(archived_at=ARCHIVED)
    )
    assert await listed(ask, connection, state="unread") == [new, seen]
    assert await listed(ask, connection, state="unseen") == [new]
    assert await listed(ask, connection, state="read") == [read]
    assert await listed(ask, connection, state="archived") == [archived]
    cursor = await connection.execute("SELECT unread, unseen, total FROM belfry.counts('u1')")
    assert await cursor.fetchone() == (2, 1, 3)
    at = {name: datetime.fromisoformat(name) for name in (SEEN, READ, ARCHIVED)}
    assert {(row["seen_at"], row["read_at"], row["archived_at"]) for row in await ask.rows(connection, "receipt")} == {
        (at[SEEN], None, None),
        (at[READ], at[READ], None),
        (None, None, at[ARCHIVED]),
    }


async def test_a_topics_item_belongs_to_who_is_there_now_and_has_no_state(connect: Any, ask: Any) -> None:
    connection = await connect()
    await ask.call(connection, "subscribe", recipient="u1", topic="t")
    await ask.call(connection, "subscribe", recipient="u2", topic="other")
    to_topic, to_all = await take_over(
        ask,
        connection,
        item(recipient=None, topic="t", read_at=READ, created_at=LONG_AGO),
        item(recipient=None, topic="*"),
    )
    await ask.call(connection, "subscribe", recipient="u3", topic="t")
    assert await listed(ask, connection, "u1", "unread") == [to_topic, to_all]
    assert await listed(ask, connection, "u2", "unread") == [to_all]
    assert await listed(ask, connection, "u3") == []


async def test_what_has_expired_is_taken_over_as_ended_and_told_to_nobody(connect: Any, ask: Any) -> None:
    connection = await connect()
    (number,) = await take_over(ask, connection, item(expires_at=LONG_AGO))
    assert (await listed(ask, connection), await changes(ask, connection)) == ([], [])
    assert await ask.value(connection, "SELECT belfry.deliver_due()") == 0
    assert [(row["id"], row["ended_at"] is None) for row in await ask.rows(connection)] == [(number, False)]


async def test_badges_are_told_in_one_change_for_each_recipient_and_topic_item(connect: Any, ask: Any) -> None:
    connection = await connect()
    await ask.call(connection, "subscribe", recipient="u9", topic="t")
    ids = await take_over(
        ask,
        connection,
        item(recipient="u2"),
        item(),
        item(recipient=None, topic="t"),
        item(recipient="u2"),
        item(recipient=None, topic="t"),
    )
    assert ids == sorted(ids)
    assert (await changes(ask, connection))[1:] == [
        ("u1", None, "delivered", [ids[1]]),
        ("u2", None, "delivered", [ids[0], ids[3]]),
        (None, "t", "delivered", [ids[2]]),
        (None, "t", "delivered", [ids[4]]),
    ]


async def test_ten_thousand_are_taken_over_in_order_and_told_a_thousand_at_a_time(connect: Any, ask: Any) -> None:
    connection = await connect()
    items = [item(title=str(number), **({"read_at": READ} if number % 2 else {})) for number in range(10000)]
    ids = await take_over(ask, connection, *items)
    assert [row["title"] for row in await ask.rows(connection)] == [str(number) for number in range(10000)]
    assert [len(told[3]) for told in await changes(ask, connection)] == [1000] * 10
    cursor = await connection.execute("SELECT unread, unseen, total FROM belfry.counts('u1')")
    assert await cursor.fetchone() == (5000, 5000, 10000)
    assert ids == [row["id"] for row in await ask.rows(connection)]


async def test_a_mark_that_waits_for_an_import_sees_what_it_brought(
    connect: Any, ask: Any, until_it_waits: Any
) -> None:
    one, other = await connect(), await connect()
    await ask.call(one, "counts", recipient="u1")
    await one.execute("BEGIN")
    await take_over(ask, one, item(), item(seen_at=SEEN))
    async with waiting(until_it_waits, other, "SELECT belfry.mark_all_read('u1')") as marked:
        await one.execute("COMMIT")
    assert marked.result() == [2]
    assert [told[2] for told in await changes(ask, one)] == ["delivered", "read"]


async def test_who_may_take_over(connect: Any, ask: Any) -> None:
    connection = await connect()
    assert await callers(ask, connection, "import") == ["belfry_relay", "belfry_sender"]
    await connection.execute("SET ROLE belfry_sender")
    assert len(await take_over(ask, connection, item(created_at=LONG_AGO, read_at=READ))) == 1
