"""What is due at a time: it is sent then, once, by one of many callers, or it was cancelled before, never both."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from calling import armed, callers, nothing_is_left, refused, waiting

LATER = "2100-01-01T00:00:00Z"
DUE = "SELECT belfry.deliver_due()"
CONTENT = ("recipient", "topic", "tenant", "kind", "title", "body", "data", "action_url", "actions", "actor", "tags")
CONTENT += ("severity", "dedupe_key", "group_key", "expires_at")


async def schedule(ask: Any, connection: Any, **given: Any) -> int:
    audience = {} if "topic" in given else {"recipient": "u1"}
    function = "publish" if "topic" in given else "send"
    return await ask.call(connection, function, **(audience | {"kind": "k", "deliver_at": LATER} | given))


async def pass_by(connection: Any, moment: str = "now()") -> None:
    """Let the time of everything scheduled come."""
    await connection.execute(
        f"UPDATE belfry.scheduled SET deliver_at = {moment} - number * interval '0 s' WHERE deliver_at > now()".encode()
    )


async def titles(ask: Any, connection: Any) -> list[str]:
    return [row["title"] for row in await ask.rows(connection)]


# --- until it is due ---------------------------------------------------------------------------------------


async def test_what_is_scheduled_is_nowhere_and_takes_no_position(connect: Any, ask: Any) -> None:
    connection = await connect()
    async with armed(connect) as rings:
        assert await schedule(ask, connection) == -1
        assert await schedule(ask, connection, topic="t") == -2
        assert await rings() == []
    await nothing_is_left(ask, connection, "notification")
    assert await ask.value(connection, "SELECT belfry.last_position()") == 0
    assert await ask.value(connection, DUE) == 0


async def test_bad_arguments_are_refused_before_anything_is_kept(connect: Any, ask: Any) -> None:
    connection = await connect()
    send = "SELECT belfry.send(%s, 'k', severity => %s, deliver_at => now() + interval '1 hour')"
    assert (await refused(connection, send, "a/b", "info"))[0] == "BF001"
    assert (await refused(connection, send, "u1", "fatal"))[0] == "BF007"
    await nothing_is_left(ask, connection, "scheduled", "notification")


async def test_no_rows_at_most_are_refused_and_nothing_is_delivered(connect: Any, ask: Any) -> None:
    connection = await connect()
    await schedule(ask, connection)
    await pass_by(connection)
    for many in (0, -1, None):
        assert await refused(connection, "SELECT belfry.deliver_due(%s)", many) == ("BF010", "max_rows")
    assert len(await ask.rows(connection, "scheduled")) == 1


async def test_a_dedupe_key_is_one_for_what_is_scheduled_and_what_was_sent(connect: Any, ask: Any) -> None:
    connection = await connect()
    first = await schedule(ask, connection, dedupe_key="once")
    assert await schedule(ask, connection, dedupe_key="once") == first
    assert await schedule(ask, connection, dedupe_key="once", deliver_at=None) == first
    to_topic = await schedule(ask, connection, topic="u1", dedupe_key="once")
    assert to_topic != first  # a topic of the same name is somebody else
    await pass_by(connection)
    assert await ask.value(connection, DUE) == 2
    sent = {row["recipient"] or row["topic"]: row["id"] for row in await ask.rows(connection) if row["recipient"]}
    assert await schedule(ask, connection, dedupe_key="once") == sent["u1"]
    assert await ask.rows(connection, "scheduled") == []


async def test_a_dedupe_key_of_what_is_scheduled_counts_for_one_recipient(connect: Any, ask: Any) -> None:
    connection = await connect()
    await ask.call(connection, "send", recipient="u3", kind="k", dedupe_key="once")
    both = await ask.call(
        connection, "send_many", recipients=["u1", "u2"], kind="k", dedupe_key="once", deliver_at=LATER
    )
    assert [await schedule(ask, connection, recipient=one, dedupe_key="once") for one in ("u1", "u2")] == both
    assert [row["recipient"] for row in await ask.rows(connection, "scheduled")] == ["u1", "u2"]


async def test_a_row_that_was_inserted_meanwhile_stands_for_what_was_scheduled(connect: Any, ask: Any) -> None:
    connection = await connect()
    await schedule(ask, connection, dedupe_key="once", title="scheduled")
    await ask.insert(connection, recipient="u1", kind="k", dedupe_key="once", title="inserted")
    await pass_by(connection)
    assert await ask.value(connection, DUE) == 1
    assert await titles(ask, connection) == ["inserted"]
    assert await ask.rows(connection, "scheduled") == []


async def test_it_is_put_off_and_brought_forward_until_it_is_sent(connect: Any, ask: Any) -> None:
    connection = await connect()
    number, other = await schedule(ask, connection, title="one"), await schedule(ask, connection, title="other")
    assert await ask.call(connection, "reschedule", id=number, deliver_at="2101-01-01T00:00:00Z")
    assert [row["deliver_at"].year for row in await ask.rows(connection, "scheduled")] == [2101, 2100]
    assert await ask.value(connection, DUE) == 0
    assert await ask.call(connection, "reschedule", id=number, deliver_at="2001-01-01T00:00:00Z")
    assert await ask.value(connection, DUE) == 1
    assert await titles(ask, connection) == ["one"]
    for none in (number, other - 1, 1, 0, None, -(2**63)):
        assert await ask.call(connection, "reschedule", id=none, deliver_at=LATER) is False, none


async def test_a_time_that_is_none_moves_nothing(connect: Any, ask: Any) -> None:
    connection = await connect()
    number = await schedule(ask, connection)
    move = "SELECT belfry.reschedule(%s, %s)"
    assert await refused(connection, move, number, "infinity") == ("BF006", "deliver_at")
    assert await refused(connection, move, number, None) == ("BF010", "deliver_at")
    assert [row["deliver_at"].year for row in await ask.rows(connection, "scheduled")] == [2100]


# --- when it is due ----------------------------------------------------------------------------------------


async def test_it_is_due_at_its_instant_and_not_a_microsecond_before(connect: Any, ask: Any) -> None:
    connection = await connect()
    await schedule(ask, connection)
    async with connection.transaction():
        await pass_by(connection, "now() + interval '1 microsecond'")
        assert await ask.value(connection, DUE) == 0
        await pass_by(connection, "now()")
        assert await ask.value(connection, DUE) == 1
        assert await ask.value(connection, DUE) == 0
    assert len(await ask.rows(connection)) == 1


async def test_everything_that_was_said_arrives(connect: Any, ask: Any) -> None:
    connection = await connect()
    said: dict[str, Any] = {
        "recipient": "u1", "topic": None, "tenant": "acme", "kind": "a.b", "title": "Title", "body": "Body",
        "data": {"a": None}, "action_url": "/here", "actions": [{"name": "ok"}], "actor": {"name": "someone"},
        "tags": ["x", "y"], "severity": "error", "dedupe_key": "once", "group_key": "thread", "expires_at": LATER,
    }  # fmt: skip
    await ask.call(connection, "send", **{key: it for key, it in said.items() if key != "topic"}, deliver_at=LATER)
    await pass_by(connection)
    assert await ask.value(connection, DUE) == 1
    (row,) = await ask.rows(connection)
    assert {key: row[key] for key in CONTENT} == said | {"expires_at": row["expires_at"]}
    assert row["expires_at"].year == 2100
    assert row["silent"] is False


async def test_what_is_due_is_sent_in_the_order_of_its_times_with_ids_of_that_moment(connect: Any, ask: Any) -> None:
    connection = await connect()
    for minutes in (1, 3, 2, 3):
        await schedule(ask, connection, title=f"{minutes} ago")
        await connection.execute(
            "UPDATE belfry.scheduled SET deliver_at = now() - %s * interval '1 minute' WHERE deliver_at > now()",
            (minutes,),
        )
    between = await ask.call(connection, "send", recipient="u1", kind="k", title="at once")
    assert await ask.value(connection, "SELECT belfry.deliver_due(3)") == 3
    assert await ask.value(connection, "SELECT belfry.deliver_due(3)") == 1
    assert await titles(ask, connection) == ["at once", "3 ago", "3 ago", "2 ago", "1 ago"]
    assert (await ask.rows(connection))[0]["id"] == between


async def test_what_has_expired_before_it_was_due_is_not_sent_and_wakes_nobody(connect: Any, ask: Any) -> None:
    connection = await connect()
    await schedule(ask, connection, expires_at="2020-01-01T00:00:00Z")
    await pass_by(connection)
    async with armed(connect) as rings:
        assert await ask.value(connection, DUE) == 1
        assert await rings() == []
    await nothing_is_left(ask, connection, "scheduled", "notification")
    await schedule(ask, connection, expires_at="2020-01-01T00:00:00Z", title="expired")
    await schedule(ask, connection, title="beside it")
    await pass_by(connection)
    assert await ask.value(connection, DUE) == 2
    assert await titles(ask, connection) == ["beside it"]


async def test_a_delivery_of_nothing_wakes_nobody_and_one_of_something_does(connect: Any, ask: Any) -> None:
    connection, other = await connect(), await connect()
    expiring = await ask.call(connection, "send", recipient="u1", kind="k", expires_at=LATER)
    async with armed(connect) as rings:
        assert await ask.value(connection, DUE) == 0
        await schedule(ask, connection)
        await pass_by(connection)
        await connection.execute("UPDATE belfry.notification SET expires_at = now() WHERE id = %s", (expiring,))
        await other.execute("BEGIN")
        assert await ask.value(other, DUE) == 2
        assert await ask.value(connection, DUE) == 0  # all of it is another's
        assert await rings() == []
        await other.execute("COMMIT")
        assert await rings() == ["belfry"]


# --- at the same time --------------------------------------------------------------------------------------


async def test_two_callers_share_what_is_due_and_wait_for_nobody(connect: Any, ask: Any) -> None:
    one, other = await connect(), await connect()
    for title in "abcd":
        await schedule(ask, one, title=title)
    await pass_by(one)
    await one.execute("BEGIN")
    assert await ask.value(one, "SELECT belfry.deliver_due(2)") == 2
    await other.execute("SET statement_timeout = '5s'")
    assert await ask.value(other, DUE) == 2
    await one.execute("COMMIT")
    assert sorted(await titles(ask, one)) == ["a", "b", "c", "d"]
    assert await ask.value(one, DUE) == 0


async def test_of_two_who_schedule_with_one_key_at_once_one_does(connect: Any, ask: Any, until_it_waits: Any) -> None:
    one, other = await connect(), await connect()
    await one.execute("BEGIN")
    number = await schedule(ask, one, dedupe_key="once")
    again = f"SELECT belfry.send('u1', 'k', dedupe_key => 'once', deliver_at => '{LATER}')"
    async with waiting(until_it_waits, other, again) as second:
        await one.execute("COMMIT")
    assert second.result() == [number]
    assert len(await ask.rows(one, "scheduled")) == 1


async def test_many_callers_at_once_send_each_thing_once(connect: Any, ask: Any) -> None:
    callers_ = [await connect() for _ in range(6)]
    for number in range(60):
        await schedule(ask, callers_[0], title=str(number))
    await pass_by(callers_[0])

    async def work(connection: Any) -> int:
        return sum([await ask.value(connection, "SELECT belfry.deliver_due(3)") for _ in range(12)])

    assert sum(await asyncio.gather(*map(work, callers_))) + await ask.value(callers_[0], DUE) == 60
    assert sorted(await titles(ask, callers_[0]), key=int) == [str(number) for number in range(60)]


async def test_a_delivery_that_is_rolled_back_was_none(connect: Any, ask: Any) -> None:
    connection = await connect()
    await schedule(ask, connection)
    await pass_by(connection)
    async with connection.transaction(force_rollback=True):
        assert await ask.value(connection, DUE) == 1
    assert await ask.rows(connection) == []
    assert await ask.value(connection, DUE) == 1


async def test_cancelling_what_is_being_delivered_comes_too_late(connect: Any, ask: Any, until_it_waits: Any) -> None:
    one, other = await connect(), await connect()
    number = await schedule(ask, one)
    await pass_by(one)
    await one.execute("BEGIN")
    assert await ask.value(one, DUE) == 1
    async with waiting(until_it_waits, other, f"SELECT belfry.retract({number})") as cancelled:
        await one.execute("COMMIT")
    assert cancelled.result() == [False]
    assert len(await ask.rows(one)) == 1


async def test_cancelling_wins_over_a_delivery_that_is_rolled_back(connect: Any, ask: Any, until_it_waits: Any) -> None:
    one, other = await connect(), await connect()
    number = await schedule(ask, one)
    await pass_by(one)
    await one.execute("BEGIN")
    assert await ask.value(one, DUE) == 1
    async with waiting(until_it_waits, other, f"SELECT belfry.retract({number})") as cancelled:
        await one.execute("ROLLBACK")
    assert cancelled.result() == [True]
    assert (await ask.value(one, DUE), await ask.rows(one)) == (0, [])


@pytest.mark.parametrize(("end", "sent"), [("COMMIT", 0), ("ROLLBACK", 1)])
async def test_what_is_being_cancelled_is_passed_over(connect: Any, ask: Any, end: str, sent: int) -> None:
    one, other = await connect(), await connect()
    number = await schedule(ask, one)
    await pass_by(one)
    await one.execute("BEGIN")
    assert await ask.call(one, "retract", id=number)
    await other.execute("SET statement_timeout = '5s'")
    assert await ask.value(other, DUE) == 0
    await one.execute(end.encode())
    assert await ask.value(other, DUE) == sent
    assert len(await ask.rows(other)) == sent


async def test_cancelling_and_delivering_at_once_have_exactly_one_winner(connect: Any, ask: Any) -> None:
    one, other = await connect(), await connect()
    numbers = [await schedule(ask, one, title=str(number)) for number in range(40)]
    await pass_by(one)

    async def cancel() -> set[str]:
        won = [await ask.call(one, "retract", id=number) for number in reversed(numbers)]
        return {str(-number - 1) for number, mine in zip(reversed(numbers), won, strict=True) if mine}

    async def deliver() -> int:
        return sum([await ask.value(other, "SELECT belfry.deliver_due(1)") for _ in numbers])

    cancelled, delivered = await asyncio.gather(cancel(), deliver())
    sent = set(await titles(ask, one))
    assert cancelled.isdisjoint(sent)
    assert cancelled | sent == {str(number) for number in range(40)}
    assert (len(sent), await ask.rows(one, "scheduled")) == (delivered, [])


async def test_who_may_deliver_and_who_may_not_reach_below(connect: Any, ask: Any) -> None:
    connection = await connect()
    for function in ("deliver_due", "reschedule"):
        assert await callers(ask, connection, function) == ["belfry_relay", "belfry_sender"], function
    for function in ("deliver_scheduled", "end_snoozes", "end_expired"):
        assert await callers(ask, connection, function) == [], function
    await schedule(ask, connection)
    await pass_by(connection)
    await connection.execute("SET ROLE belfry_sender")
    assert await ask.value(connection, DUE) == 1


# --- beside a sender of the same key that is still open ------------------------------------------------------


async def test_who_is_still_open_with_the_same_dedupe_key_keeps_back_nothing_else(connect: Any, ask: Any) -> None:
    sender, relay, other = await connect(), await connect(), await connect()
    await ask.call(sender, "contact", recipients=["u1"])
    await sender.execute("BEGIN")
    first = await ask.call(sender, "send", recipient="u9", kind="k", dedupe_key="once")
    before = await schedule(ask, other, title="before")
    stuck = await schedule(ask, other, recipient="u9", dedupe_key="once", title="stuck")
    keyed = await schedule(ask, other, dedupe_key="another", title="after")
    await pass_by(other)
    await other.execute("SET lock_timeout = '2s'; SET statement_timeout = '5s'")
    assert await ask.value(relay, DUE) == 2
    assert await titles(ask, other) == ["before", "after"]
    assert await ask.column(other, "SELECT number FROM belfry.scheduled") == [-stuck]
    assert await ask.value(relay, DUE) == 0
    assert await ask.value(relay, "SHOW lock_timeout") == "0"
    # Nor does it wait in a circle with the sender.
    await sender.execute("SET lock_timeout = '2s'")
    assert await ask.call(sender, "retract", id=before) is False
    assert await ask.call(sender, "retract", id=keyed) is False
    await sender.execute("COMMIT")
    assert await ask.value(relay, DUE) == 1
    assert await ask.rows(other, "scheduled") == []
    assert await ask.column(other, "SELECT id FROM belfry.notification WHERE dedupe_key = 'once'") == [first]


async def test_who_had_the_same_dedupe_key_and_rolled_back_is_followed_by_what_was_scheduled(
    connect: Any, ask: Any
) -> None:
    sender, other = await connect(), await connect()
    await sender.execute("BEGIN")
    await ask.call(sender, "send", recipient="u1", kind="k", dedupe_key="once", title="first")
    await schedule(ask, other, dedupe_key="once", title="scheduled")
    await pass_by(other)
    assert await ask.value(other, DUE) == 0
    await sender.execute("ROLLBACK")
    assert await ask.value(other, DUE) == 1
    assert await titles(ask, other) == ["scheduled"]
