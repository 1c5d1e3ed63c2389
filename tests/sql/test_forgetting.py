"""Answers to requests with an Idempotency-Key are forgotten after a day, by relays, and no earlier."""

from __future__ import annotations

from typing import Any

from calling import callers, refused

KEEP = "INSERT INTO belfry.idempotency (api_key, key, digest, created_at) VALUES ('a', %s, 'd', now() - %s::interval)"


async def kept(ask: Any, connection: Any) -> list[str]:
    return await ask.column(connection, "SELECT key FROM belfry.idempotency ORDER BY 1")


async def test_what_is_older_than_that_is_forgotten_to_the_microsecond(connect: Any, ask: Any) -> None:
    connection = await connect()
    async with connection.transaction():
        for key, age in (("older", "1 day 0.000001 s"), ("as old", "1 day"), ("new", "0 s")):
            await connection.execute(KEEP, (key, age))
        assert await ask.value(connection, "SELECT belfry.forget_idempotency()") == 1
        assert await kept(ask, connection) == ["as old", "new"]
        assert await ask.value(connection, "SELECT belfry.forget_idempotency('1 hour')") == 1
        assert await ask.value(connection, "SELECT belfry.forget_idempotency('1 hour')") == 0
        assert await kept(ask, connection) == ["new"]


async def test_no_age_is_refused_and_a_negative_one_too(connect: Any, ask: Any) -> None:
    connection = await connect()
    await connection.execute(KEEP, ("new", "0 s"))
    for age in (None, "-1 second"):
        assert await refused(connection, "SELECT belfry.forget_idempotency(%s)", age) == ("BF010", "age")
    assert await kept(ask, connection) == ["new"]


async def test_a_request_that_is_being_answered_keeps_its_key(connect: Any, ask: Any) -> None:
    one, other = await connect(), await connect()
    await one.execute("BEGIN")
    await one.execute(KEEP, ("new", "0 s"))
    await other.execute("SET statement_timeout = '5s'")
    assert await ask.value(other, "SELECT belfry.forget_idempotency('0 s')") == 0
    await one.execute("COMMIT")
    assert await kept(ask, other) == ["new"]


async def test_relays_may_forget_and_senders_may_not(connect: Any, ask: Any) -> None:
    assert await callers(ask, await connect(), "forget_idempotency") == ["belfry_relay"]
