"""The list: states, pages, filters, groups, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

LATER = "2100-01-01T00:00:00Z"
CONTENT: dict[str, Any] = {
    "kind": "comment.created",
    "title": "Ann answered",
    "body": "Yes, at nine.",
    "data": {"comment": 7},
    "action_url": "/comments/7",
    "actions": [{"name": "reply", "label": "Reply"}],
    "actor": {"id": "ann"},
    "tags": ["team", "comments"],
    "severity": "success",
    "tenant": "acme",
    "group_key": "thread-3",
    "expires_at": datetime(2100, 1, 1, tzinfo=UTC),
}


async def page(connection: Any, **arguments: Any) -> list[dict[str, Any]]:
    named = ", ".join(f"{name} => %({name})s" for name in {"recipient": "u1", **arguments})
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(f"SELECT * FROM belfry.list_inbox({named})".encode(), {"recipient": "u1", **arguments})
        return await cursor.fetchall()


async def ids(connection: Any, **arguments: Any) -> list[int]:
    return [row["id"] for row in await page(connection, **arguments)]


async def test_an_item_tells_everything_of_its_notification(connect: Any, ask: Any) -> None:
    connection = await connect()
    sent = await ask.call(connection, "send", recipient="u1", **CONTENT)
    (row,) = await page(connection)
    (stored,) = await ask.rows(connection)
    assert CONTENT.items() <= row.items()
    assert row == {name: it for name, it in stored.items() if name in row} | {
        "group_count": 1, "group_ids": [sent], "seen": False, "read": False, "archived": False, "snoozed_until": None,
    }  # fmt: skip


async def test_each_state_lists_what_is_in_it(connect: Any, ask: Any) -> None:
    connection = await connect()
    await ask.call(connection, "send_many", recipients=["u1"] * 6, kind="k")
    await ask.call(connection, "mark_seen", recipient="u1", ids=[2])
    await ask.call(connection, "mark_read", recipient="u1", ids=[3])
    await ask.call(connection, "archive", recipient="u1", ids=[4, 6])
    await ask.call(connection, "snooze", recipient="u1", ids=[5, 6], until=LATER)
    assert {state: await ids(connection, state=state) for state in ("all", "unread", "read", "unseen", "seen")} == {
        "all": [3, 2, 1], "unread": [2, 1], "read": [3], "unseen": [1], "seen": [3, 2],
    }  # fmt: skip
    assert await ids(connection, state="archived") == [6, 4]
    ((snoozed),) = await page(connection, state="snoozed")
    assert (snoozed["id"], snoozed["snoozed_until"]) == (5, datetime(2100, 1, 1, tzinfo=UTC))


async def test_pages_follow_each_other_over_all_sources(connect: Any, ask: Any) -> None:
    connection = await connect()
    for topic in ("t", "s"):
        await ask.call(connection, "subscribe", recipient="u1", topic=topic)
    sent: list[int] = []
    for number in range(25):
        where = {0: {"recipient": "u1"}, 1: {"topic": "t"}, 2: {"topic": "s"}, 3: {"topic": "*"}}[number * 7 % 4]
        sent.append(await ask.call(connection, "send" if "recipient" in where else "publish", kind="k", **where))
    found: list[int] = []
    while more := await ids(connection, max_rows=4, before=found[-1] if found else None):
        assert len(more) <= 4
        found += more
    assert found == sent[::-1]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"kinds": ["k.a"]}, [3, 1]),
        ({"kinds": ["k.a", "k.b"]}, [3, 2, 1]),
        ({"kinds": ["none"]}, []),
        ({"kinds": []}, []),
        ({"tags": ["x"]}, [2, 1]),
        ({"tags": ["y", "z"]}, [3, 2]),
        ({"tags": ["x"], "kinds": ["k.b"]}, [2]),
        ({"tenant": "acme"}, [3]),
        ({"before": 3}, [2, 1]),
        ({"before": 1}, []),
        ({"before": -5}, []),
        ({"max_rows": 2}, [3, 2]),
    ],
)
async def test_filters(connect: Any, ask: Any, filters: dict[str, Any], expected: list[int]) -> None:
    connection = await connect()
    for kind, tags, tenant in (("k.a", ["x"], ""), ("k.b", ["x", "y"], ""), ("k.a", ["z"], "acme")):
        await ask.call(connection, "send", recipient="u1", kind=kind, tags=tags, tenant=tenant)
    assert await ids(connection, **filters) == expected


@pytest.mark.parametrize(
    ("argument", "given"),
    [("state", "unknown"), ("state", ""), ("state", None), ("max_rows", 0), ("max_rows", 1001), ("max_rows", None)],
)
async def test_what_is_no_state_or_number_of_rows_is_refused(connect: Any, argument: str, given: object) -> None:
    connection = await connect()
    with pytest.raises(psycopg.Error) as refused:
        await page(connection, **{argument: given})
    assert (refused.value.sqlstate, refused.value.diag.column_name) == ("BF010", argument)
    assert refused.value.diag.message_detail
    assert refused.value.diag.message_hint


# --- groups ------------------------------------------------------------------------------------------------


async def test_the_newest_of_a_group_stands_for_it_within_one_audience(connect: Any, ask: Any) -> None:
    connection = await connect()
    await ask.call(connection, "subscribe", recipient="u1", topic="t")  # id 1
    for where in ({"recipient": "u1"}, {"topic": "t"}, {"recipient": "u1"}, {"topic": "t"}, {"recipient": "u2"}):
        await ask.call(connection, "send" if "recipient" in where else "publish", kind="k", group_key="g", **where)
    await ask.call(connection, "broadcast", kind="k", group_key="g")
    await ask.call(connection, "send", recipient="u1", kind="k")
    rows = await page(connection)
    assert [(row["id"], row["group_count"], row["group_ids"]) for row in rows] == [
        (8, 1, [8]), (7, 1, [7]), (5, 2, [5, 3]), (4, 2, [4, 2]),
    ]  # fmt: skip
    # The newest that the filter shows: what was read is no longer behind what is unread.
    await ask.call(connection, "mark_read", recipient="u1", ids=[4])
    rows = await page(connection, state="unread")
    assert [(row["id"], row["group_count"]) for row in rows] == [(8, 1), (7, 1), (5, 2), (2, 1)]


async def test_a_group_stands_once_on_all_pages_together(connect: Any, ask: Any) -> None:
    connection = await connect()
    for number in range(60):
        await ask.call(connection, "send", recipient="u1", kind="k", group_key="g" if number % 4 else None)
    found: list[int] = []
    while more := await ids(connection, max_rows=3, before=found[-1] if found else None):
        found += more
    assert found == [60, *range(57, 0, -4)]


async def test_a_group_of_hundreds_tells_its_size_and_the_newest_hundred(connect: Any, ask: Any) -> None:
    connection = await connect()
    (first,) = await ask.call(connection, "send_many", recipients=["u1"], kind="k")
    await ask.call(connection, "send_many", recipients=["u1"] * 300, kind="k", group_key="g")
    rows = await page(connection, max_rows=2)
    assert [(row["id"], row["group_count"], row["group_ids"]) for row in rows] == [
        (301, 300, list(range(301, 201, -1))), (first, 1, [first]),
    ]  # fmt: skip


async def test_a_group_of_a_topic_holds_only_what_was_published_during_the_stay(connect: Any, ask: Any) -> None:
    connection = await connect()
    for step in ("publish", "subscribe", "publish", "publish", "unsubscribe", "publish"):
        given = (
            {"topic": "t", "kind": "k", "group_key": "g"} if step == "publish" else {"recipient": "u1", "topic": "t"}
        )
        await ask.call(connection, step, **given)
    (row,) = await page(connection)
    assert (row["id"], row["group_ids"]) == (4, [4, 3])
