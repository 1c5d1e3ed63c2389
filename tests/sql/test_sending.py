"""Sending: a function or a plain INSERT, inside the caller's own transaction."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

ARGUMENTS: dict[str, Any] = {
    "kind": "comment.created",
    "title": "Ann answered",
    "body": "Yes, at nine.",
    "data": {"comment": 7},
    "action_url": "/comments/7",
    "actions": [{"name": "reply", "label": "Reply", "url": "/comments/7#reply", "style": "primary"}],
    "actor": {"id": "ann", "name": "Ann", "avatar_url": "/ann.png"},
    "tags": ["team", "comments"],
    "severity": "success",
    "tenant": "acme",
    "dedupe_key": "comment-7",
    "group_key": "thread-3",
    "expires_at": datetime(2100, 1, 1, tzinfo=UTC),
}
DEFAULTS: dict[str, Any] = {
    "title": "",
    "body": "",
    "data": {},
    "action_url": None,
    "actions": [],
    "actor": None,
    "tags": [],
    "severity": "info",
    "tenant": "",
    "dedupe_key": None,
    "group_key": None,
    "expires_at": None,
}
UNTOLD: dict[str, Any] = {"ended_at": None, "revised_at": None, "silent": False}  # no sender may say it
WAYS = [
    ("send", {"recipient": "u1"}, {"recipient": "u1", "topic": None}),
    ("send_many", {"recipients": ["u1"]}, {"recipient": "u1", "topic": None}),
    ("publish", {"topic": "team:7"}, {"recipient": None, "topic": "team:7"}),
    ("broadcast", {}, {"recipient": None, "topic": "*"}),
]


def contents(row: dict[str, Any]) -> dict[str, Any]:
    return {name: it for name, it in row.items() if name not in ("id", "created_at")}


@pytest.mark.parametrize(("function", "audience", "expected"), WAYS, ids=[way[0] for way in WAYS])
@pytest.mark.parametrize("without", [(), ("dedupe_key",)], ids=["every argument", "all but dedupe_key"])
async def test_every_argument_arrives_in_its_column(
    connect: Any, ask: Any, function: str, audience: Any, expected: Any, without: tuple[str, ...]
) -> None:
    connection = await connect()
    arguments = {name: it for name, it in ARGUMENTS.items() if name not in without}
    sent = await ask.call(connection, function, **audience, **arguments)
    (row,) = await ask.rows(connection)
    assert sent in (row["id"], [row["id"]])
    assert contents(row) == expected | DEFAULTS | UNTOLD | arguments


@pytest.mark.parametrize(("function", "audience", "expected"), WAYS, ids=[way[0] for way in WAYS])
async def test_all_but_audience_and_kind_have_defaults_and_null_stands_for_them(
    connect: Any, ask: Any, function: str, audience: Any, expected: Any
) -> None:
    connection = await connect()
    await ask.call(connection, function, **audience, kind="k")
    await ask.call(connection, function, **audience, kind="k", deliver_at=None, **dict.fromkeys(DEFAULTS))
    one, other = await ask.rows(connection)
    assert contents(one) == contents(other) == expected | DEFAULTS | UNTOLD | {"kind": "k"}


async def test_a_plain_insert_makes_the_same_row_as_send(connect: Any, ask: Any) -> None:
    connection = await connect()
    sent = await ask.call(connection, "send", recipient="u1", **ARGUMENTS)
    inserted = await ask.insert(connection, recipient="u2", **ARGUMENTS)
    one, other = await ask.rows(connection)
    assert [one["id"], other["id"]] == [sent, inserted]
    assert contents(one) | {"recipient": None} == contents(other) | {"recipient": None}


async def test_arguments_by_position_are_audience_kind_title_body(connect: Any, ask: Any) -> None:
    connection = await connect()
    await connection.execute("SELECT belfry.send('u1', 'k', 'title', 'body'), belfry.publish('t', 'k', 'title')")
    await connection.execute("SELECT belfry.broadcast('k', 'title')")
    await connection.execute("SELECT belfry.send_many('{u2}', 'k', 'title')")
    rows = await ask.rows(connection)
    assert [(row["recipient"], row["topic"], row["title"]) for row in rows] == [
        ("u1", None, "title"),
        (None, "t", "title"),
        (None, "*", "title"),
        ("u2", None, "title"),
    ]


async def test_send_many_returns_ids_in_the_order_of_the_array(connect: Any, ask: Any) -> None:
    connection = await connect()
    recipients = [f"u{number}" for number in (3, 1, 2, 1)]
    ids = await ask.call(connection, "send_many", recipients=recipients, kind="k")
    assert [row["recipient"] for row in await ask.rows(connection)] == recipients
    assert [row["id"] for row in await ask.rows(connection)] == ids
    keyed = await ask.call(connection, "send_many", recipients=recipients, kind="k", dedupe_key="once")
    owners = {row["id"]: row["recipient"] for row in await ask.rows(connection)}
    assert [owners[one] for one in keyed] == recipients
    assert keyed[1] == keyed[3]


async def test_send_many_to_nobody_sends_nothing(connect: Any, ask: Any) -> None:
    connection = await connect()
    assert await ask.call(connection, "send_many", recipients=[], kind="k") == []
    assert await ask.rows(connection) == []


@pytest.mark.parametrize("way", ["send", "insert"])
async def test_rollback_sends_nothing_and_commit_sends(connect: Any, ask: Any, way: str) -> None:
    connection, reader = await connect(), await connect()

    async def send(recipient: str) -> None:
        if way == "send":
            await ask.call(connection, "send", recipient=recipient, kind="k")
        else:
            await ask.insert(connection, recipient=recipient, kind="k")

    async with connection.transaction(force_rollback=True):
        await send("rolled back")
    async with connection.transaction():
        await send("before the savepoint")
        async with connection.transaction(force_rollback=True):
            await send("in a savepoint rolled back")
        async with connection.transaction():
            await send("in a savepoint released")
        assert await ask.rows(reader) == []
    assert [row["recipient"] for row in await ask.rows(reader)] == ["before the savepoint", "in a savepoint released"]


async def test_a_notification_and_the_apps_own_row_stand_or_fall_together(connect: Any, ask: Any) -> None:
    connection = await connect()
    await connection.execute("CREATE TABLE comment (id int PRIMARY KEY)")
    for _ in range(2):
        try:
            async with connection.transaction():
                await ask.call(connection, "send", recipient="u1", kind="comment.created")
                await connection.execute("INSERT INTO comment VALUES (1)")
        except psycopg.errors.UniqueViolation:
            pass
    assert len(await ask.rows(connection)) == 1


async def test_limits_are_reached_exactly(connect: Any, ask: Any) -> None:
    connection = await connect()
    longest = "é" * 255
    await ask.call(
        connection, "send", recipient=longest, kind="k" * 255, tenant=longest, dedupe_key=longest, group_key=longest
    )
    await ask.call(connection, "publish", topic=longest, kind="a-1.b_2", body="x" * (65536 - len("{}[]{}")))
    await ask.insert(connection, recipient="u1", kind="k", body="é" * ((65536 - len("{}[]{}")) // 2))
    assert len(await ask.rows(connection)) == 3


async def test_deliver_at_that_has_passed_delivers_now(connect: Any, ask: Any) -> None:
    connection = await connect()
    await ask.call(connection, "send", recipient="u1", kind="k", deliver_at=datetime.now(UTC) - timedelta(seconds=5))
    assert len(await ask.rows(connection)) == 1


async def test_neither_id_nor_order_can_be_chosen(connect: Any, ask: Any) -> None:
    connection = await connect()
    with pytest.raises(psycopg.errors.GeneratedAlways):
        await ask.insert(connection, id=7, recipient="u1", kind="k")
    assert await ask.rows(connection) == []
