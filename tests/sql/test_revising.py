"""Changing and withdrawing what was sent: everything or nothing of it, once, and told in the order of the commits."""

from __future__ import annotations

from typing import Any

import pytest
from calling import callers, changes, listed, nothing_is_left, refused, waiting
from psycopg.types.json import Jsonb

LATER = "2100-01-01T00:00:00Z"
LOWEST = -(2**63)
CONTENT: dict[str, Any] = {
    "title": "New", "body": "New body", "data": {"a": 1}, "action_url": "/new", "actions": [{"name": "ok"}],
    "actor": {"name": "someone"}, "tags": ["x"], "severity": "error",
}  # fmt: skip
BAD: list[tuple[str, str | None, str, Any]] = [
    ("BF007", "severity", "severity", "fatal"),
    ("BF007", "data", "data", []),
    ("BF007", "data", "data", None),
    ("BF007", "actions", "actions", {}),
    ("BF007", "actor", "actor", "ann"),
    ("BF007", "tags", "tags", ["a", None]),
    ("BF004", None, "body", "x" * 65536),
]
UNREAD = "SELECT unread FROM belfry.counts('u1')"


async def send(ask: Any, connection: Any, **given: Any) -> int:
    return await ask.call(connection, "send", **({"recipient": "u1", "kind": "k", "title": "Old"} | given))


async def revise(ask: Any, connection: Any, number: int | None, **given: Any) -> bool:
    return await ask.call(connection, "revise", id=number, **given)


# --- revising ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("deliver_at", [None, LATER], ids=["sent", "scheduled"])
async def test_every_field_is_changed_and_null_leaves_it(connect: Any, ask: Any, deliver_at: str | None) -> None:
    connection = await connect()
    number = await send(ask, connection, deliver_at=deliver_at)
    table = "scheduled" if deliver_at else "notification"
    assert await revise(ask, connection, number, **CONTENT, expires_at=LATER)
    for _ in range(2):
        (row,) = await ask.rows(connection, table)
        assert {name: row[name] for name in CONTENT} == CONTENT
        assert row["expires_at"].year == 2100
        assert await revise(ask, connection, number, **dict.fromkeys(CONTENT), expires_at=None)


@pytest.mark.parametrize("deliver_at", [None, LATER], ids=["sent", "scheduled"])
async def test_bad_content_is_refused_by_name_and_changes_nothing(
    connect: Any, ask: Any, deliver_at: str | None
) -> None:
    connection = await connect()
    number = await send(ask, connection, deliver_at=deliver_at)
    for state, column, field, value in BAD:
        given = Jsonb(value) if field in ("data", "actions", "actor") else value
        statement = f"SELECT belfry.revise(%s, title => 'New', {field} => %s)"
        assert await refused(connection, statement, number, given) == (state, column)
    (row,) = await ask.rows(connection, "scheduled" if deliver_at else "notification")
    assert row["title"] == "Old"
    await nothing_is_left(ask, connection)


async def test_what_is_revised_is_told_and_stays_read_and_where_it_was(connect: Any, ask: Any) -> None:
    connection = await connect()
    first, second = await send(ask, connection), await send(ask, connection)
    to_all = await ask.call(connection, "broadcast", kind="k")
    await ask.call(connection, "mark_read", recipient="u1", ids=[first])
    for number in (first, to_all):
        assert await revise(ask, connection, number, title="New")
    assert await listed(ask, connection) == [first, second, to_all]
    assert await listed(ask, connection, state="unread") == [second, to_all]
    assert (await changes(ask, connection))[1:] == [("u1", None, "revised", [first]), (None, "*", "revised", [to_all])]
    assert [row["revised_at"] is not None for row in await ask.rows(connection)] == [True, False, True]


async def test_what_became_of_it_is_told_with_its_tenant(connect: Any, ask: Any) -> None:
    connection = await connect()
    revised, retracted, _ = [await send(ask, connection, tenant=tenant) for tenant in ("acme", "globex", "initech")]
    assert await revise(ask, connection, revised, title="New")
    assert await ask.call(connection, "retract", id=retracted)
    await connection.execute("UPDATE belfry.notification SET expires_at = now() WHERE tenant = 'initech'")
    assert await ask.value(connection, "SELECT belfry.deliver_due()") == 1
    told = {row["verb"]: row["tenant"] for row in await ask.rows(connection, "change")}
    assert told == {"revised": "acme", "retracted": "globex", "expired": "initech"}


async def test_a_revision_that_changes_nothing_tells_nothing(connect: Any, ask: Any) -> None:
    connection = await connect()
    number = await send(ask, connection)
    assert await revise(ask, connection, number)
    assert await revise(ask, connection, number, title="Old")
    assert [row["revised_at"] for row in await ask.rows(connection)] == [None]
    await nothing_is_left(ask, connection)
    assert await revise(ask, connection, number, title="New")
    assert await revise(ask, connection, number, title="New")
    assert len(await changes(ask, connection)) == 1


async def test_a_revision_can_end_it_and_none_brings_it_back(connect: Any, ask: Any) -> None:
    connection = await connect()
    number = await send(ask, connection)
    async with connection.transaction():
        await connection.execute("SELECT belfry.revise(%s, expires_at => now() + interval '1 microsecond')", (number,))
        assert await listed(ask, connection) == [number]
        await connection.execute("SELECT belfry.revise(%s, expires_at => now())", (number,))
        assert (await listed(ask, connection), await ask.value(connection, UNREAD)) == ([], 0)
        assert not await revise(ask, connection, number, expires_at=LATER)
    assert await listed(ask, connection) == []


async def test_there_is_nothing_to_revise_or_retract_where_there_is_none(connect: Any, ask: Any) -> None:
    connection = await connect()
    await send(ask, connection)
    for number in (None, 0, -1, 10**12, LOWEST, LOWEST + 1, 2**63 - 1):
        assert await revise(ask, connection, number, title="New") is False
        assert await ask.call(connection, "retract", id=number) is False
    assert [row["title"] for row in await ask.rows(connection)] == ["Old"]
    await nothing_is_left(ask, connection)


async def test_a_position_that_is_a_change_is_no_notification(connect: Any, ask: Any) -> None:
    connection = await connect()
    changed = await ask.call(connection, "subscribe", recipient="u1", topic="t")
    assert await revise(ask, connection, changed, title="New") is False
    assert await ask.call(connection, "retract", id=changed) is False


# --- retracting --------------------------------------------------------------------------------------------


async def test_what_is_retracted_leaves_every_list_and_count_once(connect: Any, ask: Any) -> None:
    connection = await connect()
    await ask.call(connection, "subscribe", recipient="u2", topic="t")
    direct, to_topic = await send(ask, connection), await ask.call(connection, "publish", topic="t", kind="k")
    for number in (direct, to_topic):
        assert [await ask.call(connection, "retract", id=number) for _ in range(2)] == [True, False]
        assert await revise(ask, connection, number, title="New") is False
    assert (await listed(ask, connection), await listed(ask, connection, "u2")) == ([], [])
    assert await ask.value(connection, UNREAD) == 0
    assert await ask.call(connection, "mark_read", recipient="u1", ids=[direct]) == 0
    told = await changes(ask, connection, "retracted", "revised", "read")
    assert told == [("u1", None, "retracted", [direct]), (None, "t", "retracted", [to_topic])]


async def test_what_has_expired_is_not_retracted_as_well(connect: Any, ask: Any) -> None:
    connection = await connect()
    number = await send(ask, connection, expires_at="2020-01-01T00:00:00Z")
    assert await ask.call(connection, "retract", id=number) is False
    assert await ask.value(connection, "SELECT belfry.deliver_due()") == 1
    assert await changes(ask, connection) == [("u1", None, "expired", [number])]


async def test_a_retraction_that_is_rolled_back_was_none(connect: Any, ask: Any) -> None:
    connection = await connect()
    number = await send(ask, connection)
    async with connection.transaction(force_rollback=True):
        assert await ask.call(connection, "retract", id=number)
    assert await listed(ask, connection) == [number]
    await nothing_is_left(ask, connection)


# --- at the same time --------------------------------------------------------------------------------------


async def test_two_revisions_wait_and_the_later_commit_is_told_last(
    connect: Any, ask: Any, until_it_waits: Any
) -> None:
    one, other = await connect(), await connect()
    number = await send(ask, one)
    await one.execute("BEGIN")
    await revise(ask, one, number, title="first", body="first")
    async with waiting(until_it_waits, other, f"SELECT belfry.revise({number}, title => 'second')") as second:
        taken = await ask.value(one, "SELECT belfry.last_position()")
        await one.execute("COMMIT")
    assert second.result() == [True]
    assert [(row["title"], row["body"]) for row in await ask.rows(one)] == [("second", "first")]
    ids = [row["id"] for row in await ask.rows(one, "change")]
    assert (len(ids), ids[0], ids[1] > taken) == (2, taken, True)


@pytest.mark.parametrize(("end", "revised"), [("COMMIT", False), ("ROLLBACK", True)])
async def test_a_revision_that_waits_for_a_retraction_does_nothing_once_it_is_gone(
    connect: Any, ask: Any, until_it_waits: Any, end: str, revised: bool
) -> None:
    one, other = await connect(), await connect()
    number = await send(ask, one)
    await one.execute("BEGIN")
    assert await ask.call(one, "retract", id=number)
    async with waiting(until_it_waits, other, f"SELECT belfry.revise({number}, title => 'New')") as second:
        await one.execute(end.encode())
    assert second.result() == [revised]
    assert [told[2] for told in await changes(ask, one)] == ["revised" if revised else "retracted"]


async def test_two_retractions_have_one_winner(connect: Any, ask: Any, until_it_waits: Any) -> None:
    one, other = await connect(), await connect()
    number = await send(ask, one)
    await one.execute("BEGIN")
    assert await ask.call(one, "retract", id=number)
    async with waiting(until_it_waits, other, f"SELECT belfry.retract({number})") as second:
        await one.execute("COMMIT")
    assert second.result() == [False]
    assert len(await changes(ask, one)) == 1


async def test_what_is_scheduled_and_being_revised_is_delivered_as_it_became(connect: Any, ask: Any) -> None:
    one, other = await connect(), await connect()
    number = await send(ask, one, deliver_at=LATER)
    await one.execute("UPDATE belfry.scheduled SET deliver_at = now()")
    await one.execute("BEGIN")
    assert await revise(ask, one, number, title="New")
    await other.execute("SET statement_timeout = '5s'")
    assert await ask.value(other, "SELECT belfry.deliver_due()") == 0
    await one.execute("COMMIT")
    assert await ask.value(other, "SELECT belfry.deliver_due()") == 1
    assert [row["title"] for row in await ask.rows(one)] == ["New"]
    assert await revise(ask, one, number, title="Late") is False


async def test_who_may_revise_and_retract(connect: Any, ask: Any) -> None:
    connection = await connect()
    for function in ("revise", "retract"):
        assert await callers(ask, connection, function) == ["belfry_relay", "belfry_sender"], function
    await connection.execute("SET ROLE belfry_sender")
    number = await send(ask, connection)
    assert await revise(ask, connection, number, title="New")
    assert await ask.call(connection, "retract", id=number)
