"""What is settled, the epoch, and first contact."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo


async def send(ask: Any, connection: Any, recipient: str = "u1") -> Any:
    return await ask.call(connection, "send", recipient=recipient, kind="k")


async def through(ask: Any, connection: Any) -> Any:
    return await ask.value(connection, "SELECT through FROM belfry.settled")


# --- settle, for relays ------------------------------------------------------------------------------------


async def test_settled_goes_up_and_never_down(connect: Any, ask: Any) -> None:
    connection = await connect()
    for _ in range(5):
        await send(ask, connection)
    assert await ask.value(connection, "SELECT belfry.settle(3, '')") == 3
    assert await ask.value(connection, "SELECT belfry.settle(2, '')") == 3
    assert await ask.value(connection, "SELECT belfry.settle(5, '')") == 5


async def test_a_foreign_epoch_settles_nothing(connect: Any, ask: Any) -> None:
    connection = await connect()
    await send(ask, connection)
    for epoch in ("abc123", None):
        with pytest.raises(psycopg.Error) as refused:
            await connection.execute("SELECT belfry.settle(1, %s)", (epoch,))
        assert refused.value.sqlstate == "BF008"
        assert refused.value.diag.message_detail
        assert refused.value.diag.message_hint
    assert await through(ask, connection) == 0


async def test_nothing_is_settled_above_the_sequence(connect: Any, ask: Any) -> None:
    connection = await connect()
    for position in (1, 2, None):
        with pytest.raises(psycopg.Error) as refused:
            await connection.execute("SELECT belfry.settle(%s::bigint, '')", (position,))
        assert refused.value.sqlstate == "BF009"
        assert refused.value.diag.message_detail
        assert refused.value.diag.message_hint
        assert await through(ask, connection) == 0
        if position == 1:
            await send(ask, connection)


async def test_a_relay_does_not_wait_for_one_who_settles_in_a_long_transaction(connect: Any, ask: Any) -> None:
    app, relay = await connect(), await connect()
    await send(ask, app)
    await send(ask, app)
    await app.execute("BEGIN")
    assert await ask.value(app, "SELECT belfry.settle()") == 2
    async with asyncio.timeout(15):
        assert await ask.value(relay, "SELECT belfry.settle(1, '')") == 0
    await app.execute("ROLLBACK")
    assert await ask.value(relay, "SELECT belfry.settle(1, '')") == 1


# --- settle, without a relay -------------------------------------------------------------------------------


async def test_without_open_senders_all_is_settled(connect: Any, ask: Any) -> None:
    connection = await connect()
    assert await ask.value(connection, "SELECT belfry.settle()") == 0
    await send(ask, connection)
    async with connection.transaction(force_rollback=True):
        await send(ask, connection)
    assert await ask.value(connection, "SELECT belfry.settle()") == 2


@pytest.mark.parametrize("what", ["send", "subscribe"])
async def test_an_open_sender_holds_it_back(connect: Any, ask: Any, what: str) -> None:
    sender, app = await connect(), await connect()
    await send(ask, app)
    await sender.execute("BEGIN")
    if what == "send":
        await send(ask, sender)
    else:
        await ask.call(sender, "subscribe", recipient="u1", topic="t")
    await send(ask, app)
    assert await ask.value(app, "SELECT belfry.settle()") == 0
    await sender.execute("COMMIT")
    assert await ask.value(app, "SELECT belfry.settle()") == 3


async def test_ones_own_transaction_does_not_hold_it_back(connect: Any, ask: Any) -> None:
    connection = await connect()
    async with connection.transaction():
        sent = await send(ask, connection)
        assert await ask.value(connection, "SELECT belfry.settle()") == sent


async def test_a_prepared_transaction_holds_it_back(connect: Any, ask: Any) -> None:
    connection = await connect()
    if await ask.value(connection, "SELECT current_setting('max_prepared_transactions')::int") == 0:
        pytest.skip("this server has max_prepared_transactions = 0")
    await connection.execute("BEGIN")
    await send(ask, connection)
    name = f"belfry {connection.info.dbname}"
    await connection.execute(f"PREPARE TRANSACTION '{name}'".encode())
    await send(ask, connection)
    assert await ask.value(connection, "SELECT belfry.settle()") == 0
    await connection.execute(f"COMMIT PREPARED '{name}'".encode())
    assert await ask.value(connection, "SELECT belfry.settle()") == 2


async def test_an_open_writer_of_another_table_or_database_does_not_hold_it_back(
    connect: Any, ask: Any, database: str, empty_database: str
) -> None:
    elsewhere = await connect(empty_database)
    name = conninfo_to_dict(database)["dbname"]
    # A clone, whose tables have the same object ids.
    await elsewhere.execute(f"CREATE DATABASE {name}_clone TEMPLATE {name}".encode())
    there = await connect(make_conninfo(database, dbname=f"{name}_clone"))
    try:
        here, other = await connect(), await connect()
        await there.execute("BEGIN")
        await send(ask, there)
        await other.execute("CREATE TABLE other (id int)")
        await other.execute("BEGIN")
        await other.execute("INSERT INTO other VALUES (1)")
        await send(ask, here)
        assert await ask.value(here, "SELECT belfry.settle()") == 1
    finally:
        await there.close()
        await elsewhere.execute(f"DROP DATABASE {name}_clone WITH (FORCE)".encode())


# --- the epoch ---------------------------------------------------------------------------------------------


async def test_the_first_epoch_is_empty_and_stays_on_the_same_server(connect: Any, ask: Any) -> None:
    connection = await connect()
    assert await ask.value(connection, "SELECT belfry.ensure_epoch()") == ""
    (row,) = await ask.rows(connection, "epoch")
    assert row["system_identifier"]
    assert re.fullmatch("[0-9A-F]{8}", row["timeline"])


@pytest.mark.parametrize("change", ["system_identifier = system_identifier + 1", "timeline = '0000FFFF'"])
async def test_another_server_or_timeline_begins_a_new_epoch_once(connect: Any, ask: Any, change: str) -> None:
    connection = await connect()
    await connection.execute(f"UPDATE belfry.epoch SET {change}".encode())
    token = await ask.value(connection, "SELECT belfry.ensure_epoch()")
    assert re.fullmatch("[a-z0-9]{6}", token)
    assert await ask.value(connection, "SELECT belfry.ensure_epoch()") == token
    assert len(await ask.rows(connection, "epoch")) == 2


async def test_a_copy_of_a_database_on_the_same_server_is_another_history(
    database: str, connect: Any, ask: Any
) -> None:
    here = await connect()
    assert await ask.value(here, "SELECT belfry.ensure_epoch()") == ""
    await here.close()
    name = conninfo_to_dict(database)["dbname"]
    server = await connect(make_conninfo(database, dbname="postgres"))
    await server.execute(f"CREATE DATABASE {name}_restored TEMPLATE {name}".encode())
    there = await connect(make_conninfo(database, dbname=f"{name}_restored"))
    try:
        token = await ask.value(there, "SELECT belfry.ensure_epoch()")
        assert re.fullmatch("[a-z0-9]{6}", token)
        assert await ask.value(there, "SELECT belfry.ensure_epoch()") == token
    finally:
        await there.close()
        await server.execute(f"DROP DATABASE {name}_restored WITH (FORCE)".encode())


async def test_a_new_epoch_is_random_and_recorded(connect: Any, ask: Any) -> None:
    connection = await connect()
    tokens = [await ask.value(connection, "SELECT belfry.new_epoch()") for _ in range(20)]
    assert len(set(tokens)) == 20
    assert await ask.value(connection, "SELECT epoch FROM belfry.settled") == tokens[-1]
    assert {row["token"] for row in await ask.rows(connection, "epoch")} == {"", *tokens}


async def test_a_new_epoch_takes_settled_and_pruned_down_to_the_sequence(connect: Any, ask: Any) -> None:
    connection = await connect()
    await send(ask, connection)
    await connection.execute("UPDATE belfry.settled SET through = 70, pruned = 60")
    await ask.value(connection, "SELECT belfry.new_epoch('')")
    (row,) = await ask.rows(connection, "settled")
    assert (row["through"], row["pruned"]) == (1, 1)


async def test_of_many_callers_with_one_expectation_one_makes_an_epoch(connect: Any, ask: Any) -> None:
    connections = [await connect() for _ in range(8)]
    got = await asyncio.gather(*(ask.value(one, "SELECT belfry.new_epoch('')") for one in connections))
    assert len(set(got)) == 1
    assert got[0] != ""
    assert len(await ask.rows(connections[0], "epoch")) == 2


async def test_the_second_of_two_callers_waits_and_gets_the_firsts_epoch(
    connect: Any, ask: Any, until_it_waits: Any
) -> None:
    first, second = await connect(), await connect()
    await first.execute("BEGIN")
    token = await ask.value(first, "SELECT belfry.new_epoch('')")
    waiting = asyncio.create_task(ask.value(second, "SELECT belfry.new_epoch('')"))
    await until_it_waits(second)
    await first.execute("COMMIT")
    assert await asyncio.wait_for(waiting, 10) == token


async def test_a_relay_of_the_old_epoch_settles_nothing_in_the_new(connect: Any, ask: Any) -> None:
    connection = await connect()
    await send(ask, connection)
    token = await ask.value(connection, "SELECT belfry.new_epoch()")
    with pytest.raises(psycopg.Error) as refused:
        await connection.execute("SELECT belfry.settle(1, '')")
    assert refused.value.sqlstate == "BF008"
    assert await ask.value(connection, "SELECT belfry.settle(1, %s)", token) == 1


# --- first contact -----------------------------------------------------------------------------------------


async def contact(connection: Any, *recipients: str) -> dict[str, int]:
    cursor = await connection.execute("SELECT recipient, since FROM belfry.contact(%s)", (list(recipients),))
    return dict(await cursor.fetchall())


async def test_first_contact_is_the_first_direct_row_the_first_stay_or_now(connect: Any, ask: Any) -> None:
    connection = await connect()
    subscribed = await ask.call(connection, "subscribe", recipient="subscriber", topic="t")
    direct = await send(ask, connection, "addressee")
    await ask.call(connection, "subscribe", recipient="addressee", topic="t")
    await send(ask, connection, "subscriber")
    now = await ask.call(connection, "broadcast", kind="k")
    got = await contact(connection, "newcomer", "addressee", "subscriber", "addressee")
    assert got == {"addressee": direct, "subscriber": subscribed, "newcomer": now}


async def test_first_contact_never_changes(connect: Any, ask: Any) -> None:
    connection = await connect()
    assert await contact(connection, "u1") == {"u1": 0}
    await send(ask, connection)
    assert await contact(connection, "u1", "u2") == {"u1": 0, "u2": 1}


async def test_relays_that_meet_the_same_recipients_agree(connect: Any) -> None:
    connections = [await connect() for _ in range(4)]
    names = [f"u{number}" for number in range(200)]
    found = await asyncio.gather(
        *(contact(one, *(names if turn % 2 else reversed(names))) for turn, one in enumerate(connections))
    )
    assert all(one == found[0] and len(one) == 200 for one in found)


async def test_a_sender_writes_no_inbox(connect: Any, ask: Any) -> None:
    connection = await connect()
    await send(ask, connection)
    await ask.call(connection, "subscribe", recipient="u1", topic="t")
    assert await ask.rows(connection, "inbox") == []
