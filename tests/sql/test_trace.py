"""Why did they not get it? Each reason has its sentence, and the facts beside it."""

from __future__ import annotations

from typing import Any

from calling import NO_NAMES, callers, nothing_is_left, refused
from psycopg.rows import dict_row

LATER = "2100-01-01T00:00:00Z"
LOWEST = -(2**63)
NEVER = "No notification ever had this id."


async def trace(connection: Any, number: int | None, recipient: str = "u1") -> dict[str, Any]:
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute("SELECT * FROM belfry.trace(%s, %s)", (number, recipient))
        (found,) = await cursor.fetchall()
    return found


async def verdict(connection: Any, number: int | None, recipient: str = "u1") -> str:
    return (await trace(connection, number, recipient))["verdict"]


async def send(ask: Any, connection: Any, **given: Any) -> int:
    return await ask.call(connection, "send", **({"recipient": "u1", "kind": "k"} | given))


async def test_what_is_no_recipient_and_no_id_is_refused(connect: Any, ask: Any) -> None:
    connection = await connect()
    number = await send(ask, connection)
    for name in NO_NAMES:
        assert (await refused(connection, "SELECT belfry.trace(%s, %s)", number, name))[0] == "BF001"
    assert await refused(connection, "SELECT belfry.trace(NULL, 'u1')") == ("BF010", "id")
    await nothing_is_left(ask, connection, "inbox")


# --- where there is no notification ------------------------------------------------------------------------


async def test_an_id_that_was_never_taken(connect: Any, ask: Any) -> None:
    connection = await connect()
    number = await send(ask, connection)
    for none in (0, -1, LOWEST, LOWEST + 1, number + 1, 2**63 - 1):
        assert await verdict(connection, none) == NEVER, none


async def test_what_is_scheduled_until_it_is_delivered_or_cancelled(connect: Any, ask: Any) -> None:
    connection = await connect()
    first, second = await send(ask, connection, deliver_at=LATER), await send(ask, connection, deliver_at=LATER)
    assert await verdict(connection, first) == "It is scheduled and has not been delivered yet."
    await connection.execute("UPDATE belfry.scheduled SET deliver_at = now() WHERE number = %s", (-first,))
    assert await ask.value(connection, "SELECT belfry.deliver_due()") == 1
    await ask.call(connection, "retract", id=second)
    gone = "It was scheduled, and has been delivered with an id of that moment, or cancelled."
    assert [await verdict(connection, number) for number in (first, second, second - 1)] == [gone, gone, NEVER]


async def test_an_id_whose_transaction_is_open_or_was_rolled_back_and_that_of_a_change(connect: Any, ask: Any) -> None:
    connection, other = await connect(), await connect()
    await other.execute("BEGIN")
    number = await send(ask, other)
    open_ = "There is none yet: the transaction that took this id is open, or was rolled back."
    assert await verdict(connection, number) == open_
    await other.execute("ROLLBACK")
    assert await verdict(connection, number) == open_
    changed = await ask.call(connection, "subscribe", recipient="u1", topic="t")
    told = "There is none: this is the position of a change."
    assert await verdict(connection, changed) == told
    await connection.execute("SELECT belfry.settle()")
    assert await verdict(connection, changed) == told
    gone = await trace(connection, number)
    assert gone["verdict"].startswith("There is none: the transaction that took this id was rolled back")
    assert gone["settled"] is True


async def test_what_retention_has_removed(connect: Any, ask: Any) -> None:
    connection = await connect()
    first, second = await send(ask, connection), await send(ask, connection)
    await connection.execute("UPDATE belfry.settled SET pruned = %s", (first,))
    await connection.execute("DELETE FROM belfry.notification")
    assert await verdict(connection, first) == "It may have been there: retention has removed it."
    assert await verdict(connection, second) != await verdict(connection, first)
    assert await verdict(connection, -first) == NEVER


# --- where there is one ------------------------------------------------------------------------------------


async def test_who_it_was_not_for(connect: Any, ask: Any) -> None:
    connection = await connect()
    direct = await send(ask, connection, recipient="u2")
    assert await verdict(connection, direct) == "It was sent to another recipient."
    early = await ask.call(connection, "publish", topic="t", kind="k")
    to_all = await ask.call(connection, "broadcast", kind="k")
    joined = await ask.call(connection, "subscribe", recipient="u1", topic="t")
    inside = await ask.call(connection, "publish", topic="t", kind="k")
    left = await ask.call(connection, "unsubscribe", recipient="u1", topic="t")
    late = await ask.call(connection, "publish", topic="t", kind="k")
    not_there = "They were not subscribed to the topic when it was sent."
    assert [await verdict(connection, number) for number in (early, late)] == [not_there] * 2
    assert await verdict(connection, to_all) == "It was sent to everyone before the first contact with them."
    facts = await trace(connection, inside)
    assert (facts["audience"], facts["stay_since"], facts["stay_until"]) == ("topic t", joined, left)
    assert facts["first_contact"] == joined
    assert facts["verdict"].startswith("They have it, and have not seen it")


async def test_what_was_retracted_or_has_expired_before_and_after_it_was_swept(connect: Any, ask: Any) -> None:
    connection = await connect()
    retracted = await send(ask, connection, expires_at=LATER)
    expired = await send(ask, connection, expires_at="2020-01-01T00:00:00Z")
    await ask.call(connection, "retract", id=retracted)
    for _ in range(2):
        assert await verdict(connection, retracted) == "It was retracted."
        assert await verdict(connection, expired) == "It has expired."
        await connection.execute("SELECT belfry.deliver_due()")
    assert (await trace(connection, expired))["ended_at"] is not None


async def test_what_was_muted_when_it_was_sent_whatever_they_chose_since(connect: Any, ask: Any) -> None:
    connection = await connect()
    before = await send(ask, connection)
    await ask.call(connection, "set_preference", recipient="u1", kind="k", enabled=False)
    during = await send(ask, connection)
    await ask.call(connection, "set_preference", recipient="u1", kind="k", enabled=None)
    await ask.call(connection, "declare_kind", kind="off", enabled=False)
    off = await send(ask, connection, kind="off")
    muted = "They had muted its kind when it was sent, or it is off unless chosen."
    assert [await verdict(connection, number) for number in (during, off)] == [muted] * 2
    assert [(await trace(connection, number))["muted"] for number in (before, during)] == [False, True]


async def test_what_they_have_and_what_they_did_with_it(connect: Any, ask: Any) -> None:
    connection = await connect()
    ids = await ask.call(connection, "send_many", recipients=["u1"] * 5, kind="k")
    unseen, seen, read, snoozed, archived = ids
    (imported,) = await ask.column(connection, """SELECT * FROM belfry.import('[{"recipient": "u1", "kind": "k"}]')""")
    for function, number in (("mark_seen", seen), ("mark_read", read), ("archive", archived)):
        await ask.call(connection, function, recipient="u1", ids=[number])
    await ask.call(connection, "snooze", recipient="u1", ids=[snoozed], until=LATER)
    assert [await verdict(connection, number) for number in (*ids, imported)] == [
        "They have it, and have not seen it: no page of theirs has shown it yet.",
        "They have it, and have seen it.",
        "They have it, and have read it.",
        "They have it, and have snoozed it.",
        "They have it, and have archived it.",
        "They have it, unseen; it was imported, so no stream has shown it as new.",
    ]
    facts = await trace(connection, read)
    assert (facts["audience"], facts["muted"], facts["settled"]) == ("recipient u1", False, False)
    assert (facts["seen"], facts["read"], facts["archived"]) == (True, True, False)
    await ask.call(connection, "mark_all_read", recipient="u1")
    assert await verdict(connection, unseen) == "They have it, and have read it."


async def test_asking_writes_nothing(connect: Any, ask: Any) -> None:
    connection = await connect()
    sent = await ask.call(connection, "broadcast", kind="k")
    await connection.execute("SET default_transaction_read_only = on")
    assert await verdict(connection, sent) == "It was sent to everyone before the first contact with them."
    assert (await trace(connection, sent))["first_contact"] is None
    await nothing_is_left(ask, connection, "inbox")


async def test_who_may_ask(connect: Any, ask: Any) -> None:
    connection = await connect()
    assert await callers(ask, connection, "trace") == ["belfry_relay", "belfry_sender"]
    await connection.execute("SET ROLE belfry_sender")
    assert (await verdict(connection, await send(ask, connection))).startswith("They have it")
