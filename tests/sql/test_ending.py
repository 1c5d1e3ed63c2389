"""What ends at a time: snoozes, after which it is unread again, and notifications that expire; each once."""

from __future__ import annotations

from typing import Any

import pytest
from calling import changes, listed

LATER = "2100-01-01T00:00:00Z"
DUE = "SELECT belfry.deliver_due()"

# --- snoozes -----------------------------------------------------------------------------------------------


async def snooze(ask: Any, connection: Any, recipient: str = "u1", many: int = 1) -> list[int]:
    ids = await ask.call(connection, "send_many", recipients=[recipient] * many, kind="k")
    assert await ask.call(connection, "snooze", recipient=recipient, ids=ids, until=LATER) == many
    return ids


async def wake(connection: Any, moment: str = "now()") -> None:
    """Let the time of all snoozes come."""
    await connection.execute(f"UPDATE belfry.receipt SET snoozed_until = {moment} WHERE snoozed_until > now()".encode())


async def test_a_snooze_ends_at_its_instant_and_not_a_microsecond_before(connect: Any, ask: Any) -> None:
    connection = await connect()
    ids = await snooze(ask, connection)
    await ask.call(connection, "mark_read", recipient="u1", ids=ids)
    async with connection.transaction():
        await wake(connection, "now() + interval '1 microsecond'")
        assert (await ask.value(connection, DUE), await listed(ask, connection)) == (0, [])
        await wake(connection)
        assert (await ask.value(connection, DUE), await listed(ask, connection, state="unseen")) == (1, ids)
    assert await ask.value(connection, DUE) == 0
    assert (await changes(ask, connection))[-1] == ("u1", None, "unsnoozed", ids)
    assert await ask.rows(connection, "receipt") == []


async def test_what_was_archived_retracted_or_has_expired_meanwhile_does_not_return(connect: Any, ask: Any) -> None:
    connection = await connect()
    archived, retracted, expired = await snooze(ask, connection, many=3)
    await ask.call(connection, "archive", recipient="u1", ids=[archived])
    await ask.call(connection, "retract", id=retracted)
    await ask.call(connection, "revise", id=expired, expires_at="2020-01-01T00:00:00Z")
    await wake(connection)
    assert await ask.value(connection, DUE) == 4
    assert await listed(ask, connection) == []
    assert await listed(ask, connection, state="archived") == [archived]
    assert [told[3] for told in await changes(ask, connection, "unsnoozed")] == [[archived]]
    assert await ask.value(connection, DUE) == 0


async def test_no_more_snoozes_end_than_were_asked_for(connect: Any, ask: Any) -> None:
    connection = await connect()
    for recipient in ("u1", "u2", "u3"):
        await snooze(ask, connection, recipient, 2)
    await wake(connection, "now() - (notification_id % 3) * interval '1 s'")  # the oldest is one of each
    assert [await ask.value(connection, "SELECT belfry.deliver_due(3)") for _ in range(3)] == [3, 3, 0]


async def test_who_is_changing_their_inbox_is_passed_over_and_comes_next(connect: Any, ask: Any) -> None:
    one, other = await connect(), await connect()
    mine, theirs = await snooze(ask, one), await snooze(ask, one, "u2")
    await wake(one)
    await one.execute("BEGIN")
    await ask.call(one, "mark_all_seen", recipient="u1")
    await other.execute("SET statement_timeout = '5s'")
    assert await ask.value(other, DUE) == 1
    await one.execute("COMMIT")
    assert await listed(ask, one, "u2") == theirs
    assert await ask.value(other, DUE) == 1
    assert await listed(ask, one, state="unseen") == mine


# --- expiry ------------------------------------------------------------------------------------------------


async def test_what_expires_leaves_at_its_instant_and_is_told_once(connect: Any, ask: Any) -> None:
    connection = await connect()
    direct = await ask.call(connection, "send", recipient="u1", kind="k", expires_at=LATER)
    to_all = await ask.call(connection, "broadcast", kind="k", expires_at=LATER)
    unread = "SELECT unread FROM belfry.counts('u1')"
    for moment, left in (("now() + interval '1 microsecond'", 2), ("now()", 0)):
        async with connection.transaction():
            await connection.execute(f"UPDATE belfry.notification SET expires_at = {moment}".encode())
            assert (await ask.value(connection, unread), len(await listed(ask, connection))) == (left, left)
            assert await ask.value(connection, DUE) == 2 - left
            assert await ask.value(connection, DUE) == 0
    assert await changes(ask, connection) == [("u1", None, "expired", [direct]), (None, "*", "expired", [to_all])]


async def test_what_should_never_have_been_let_in_keeps_nothing_else_from_its_end(connect: Any, ask: Any) -> None:
    """A sender with functions of its own before those of Postgres can fool the table's CHECK."""
    one, other = await connect(), await connect()
    await one.execute("CREATE SCHEMA odd; CREATE FUNCTION odd.octet_length(text) RETURNS int RETURN 0")
    await one.execute("SET search_path = odd, pg_catalog")
    bad = await ask.call(one, "send", recipient="u1", kind="k", body="x" * 70000, expires_at=LATER)
    good = await ask.call(one, "send", recipient="u1", kind="k", expires_at=LATER)
    away = await ask.call(one, "send", recipient="u1", kind="k", body="x" * 70000)
    await one.execute("UPDATE belfry.notification SET expires_at = now() WHERE expires_at IS NOT NULL")
    assert await ask.value(other, DUE) == 2
    assert await ask.call(other, "retract", id=away)
    assert [(verb, ids) for *_, verb, ids in await changes(ask, other)] == [
        ("expired", [bad]), ("expired", [good]), ("retracted", [away])
    ]  # fmt: skip


@pytest.mark.parametrize(("end", "verb"), [("COMMIT", "retracted"), ("ROLLBACK", "expired")])
async def test_what_is_being_retracted_does_not_expire_as_well(connect: Any, ask: Any, end: str, verb: str) -> None:
    one, other = await connect(), await connect()
    number = await ask.call(one, "send", recipient="u1", kind="k")
    await one.execute("BEGIN")
    await one.execute("SELECT now()")
    await other.execute("UPDATE belfry.notification SET expires_at = now()")  # alive to one, expired to the other
    assert await ask.call(one, "retract", id=number)
    await other.execute("SET statement_timeout = '5s'")
    assert await ask.value(other, DUE) == 0
    await one.execute(end.encode())
    await ask.value(other, DUE)
    assert [told[2] for told in await changes(ask, other)] == [verb]
    assert not await ask.call(other, "retract", id=number)
