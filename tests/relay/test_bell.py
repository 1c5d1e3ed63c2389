"""Who sleeps is woken, who polls is not rung for, and the sender pays for a bell only while somebody sleeps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest
from psycopg import sql

from belfry import queries
from belfry.doorbell import BUSY_READS, QUIET_SECONDS, Doorbell
from belfry.ringer import CROWD_IDS
from streams import Belfry, Connection, Serve, eventually, eventually_is, send, value

WOULD_RING = "SELECT NOT pg_try_advisory_xact_lock_shared(1111837766, 1)"
HOLDS_A_SHARE = "SELECT count(*) > 0 FROM pg_locks WHERE pid = pg_backend_pid() AND objsubid = 2"
TERMINATE = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
    " WHERE application_name = %s AND datname = current_database()"
)


async def wake_mode(connection: Connection, mode: str) -> None:
    await connection.execute("UPDATE belfry.setting SET value = %s WHERE name = 'wake_mode'", (mode,))


async def test_an_idle_relay_is_asleep_and_armed_and_a_commit_wakes_it(serve: Serve, connect: Any):
    belfry = await serve(tick_seconds=30.0)  # so that only the bell can be what wakes it
    client = await belfry.live()
    writer = await connect()
    await belfry.asleep()
    assert belfry.relay.bell.armed
    assert await value(writer, WOULD_RING)
    for number in range(BUSY_READS - 1):  # fewer than what makes it poll
        await send(writer, str(number))
        assert await client.titles(1) == [str(number)]
    assert belfry.relay.counts["rows_bell"] == BUSY_READS - 1
    assert belfry.relay.counts["rows_tick"] == 0


async def test_a_sleeping_relay_reads_the_table_once_a_tick_and_no_more(serve: Serve, connect: Any):
    belfry = await serve(tick_seconds=0.5)
    await belfry.asleep()
    before, began = belfry.relay.counts["row_queries"], asyncio.get_running_loop().time()
    await eventually(lambda: belfry.relay.counts["row_queries"] >= before + 4)
    assert asyncio.get_running_loop().time() - began > 1.4


async def test_a_burst_makes_it_poll_and_nobody_is_rung_for_and_silence_lets_it_sleep_again(serve: Serve, connect: Any):
    belfry = await serve()
    client = await belfry.live()
    writer = await connect()
    await belfry.asleep()
    sent = 0
    async with asyncio.timeout(15):
        while belfry.relay.bell.asleep:
            await send(writer, str(sent))
            sent += 1
    assert not belfry.relay.bell.armed
    await eventually_is(writer, False, WOULD_RING)
    for number in range(sent, sent + 20):
        await send(writer, str(number))
    assert await client.titles(sent + 20) == [str(number) for number in range(sent + 20)]
    assert belfry.relay.counts["rows_poll"] > 0
    await belfry.asleep()
    assert await value(writer, WOULD_RING)
    await send(writer, "after the silence")
    assert await client.titles(1) == ["after the silence"]


async def test_where_commits_wait_for_their_turn_to_ring_it_is_disarmed(
    serve: Serve, connect: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Doorbell, "overrun", lambda *_: False)  # what would disarm it a few wakes later
    belfry = await serve(tick_seconds=30.0)
    writers = [await connect() for _ in range(12)]
    await belfry.asleep()

    async def write(writer: Connection) -> None:
        while belfry.relay.bell.armed:
            await send(writer, "one of many")

    async with asyncio.timeout(20):
        await asyncio.gather(*map(write, writers))
    await belfry.asleep()


async def test_ids_that_an_open_transaction_has_taken_do_not_keep_it_awake(serve: Serve, connect: Any):
    """A bulk insert takes them too, and makes nobody wait."""
    belfry = await serve(tick_seconds=30.0)
    client = await belfry.live()
    bulk, writer = await connect(), await connect()
    await belfry.asleep()
    async with bulk.transaction():
        for number in range(2 * CROWD_IDS):
            await send(bulk, str(number))
        writes = [send(writer, "before"), send(bulk, "more"), send(writer, "after")]
        for write in writes:
            await write
            await asyncio.sleep(0.1)  # slower than what overruns it
        assert await client.titles(2) == ["before", "after"]
        assert belfry.relay.bell.armed
        assert belfry.relay.bell.asleep


async def test_it_sleeps_on_when_its_own_word_that_it_has_disarmed_comes_late(serve: Serve, connect: Any):
    """Awake, and holding the bell, it would let every commit ring for nothing."""
    belfry = await serve(tick_seconds=30.0)
    writer = await connect()
    await belfry.asleep()
    notifies = belfry.relay.counts["notifies"]
    await queries.ring(writer, "disarm")
    await eventually(lambda: belfry.relay.counts["notifies"] > notifies)
    await asyncio.sleep(0.05)
    assert belfry.relay.bell.armed
    assert belfry.relay.bell.asleep


async def test_telling_the_others_that_it_has_disarmed_holds_nothing_up(
    serve: Serve, connect: Any, monkeypatch: pytest.MonkeyPatch
):
    """A NOTIFY waits until all that ring before it have committed, each for its own flush."""
    belfry = await serve(tick_seconds=30.0)
    client = await belfry.live()
    writer = await connect()
    await belfry.asleep()
    waits = asyncio.Event()

    async def waiting(connection: Any, payload: str) -> None:
        waits.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(queries, "ring", waiting)
    await wake_up(belfry, writer)
    await asyncio.wait_for(waits.wait(), 10)
    await send(writer, "meanwhile")
    assert await client.titles(1) == ["meanwhile"]


async def test_it_does_not_fall_asleep_while_a_silent_writer_is_open(serve: Serve, connect: Any):
    belfry = await serve(tick_seconds=30.0)
    client = await belfry.live()
    writer = await connect()
    await belfry.asleep()
    async with silent_writer(belfry, writer, "silent"):
        clock = asyncio.get_running_loop().time
        quiet = clock() + 3 * QUIET_SECONDS[1]  # long enough to have tried to arm
        await eventually(lambda: belfry.relay.bell.asleep or clock() > quiet)
        assert not belfry.relay.bell.asleep
    assert await client.titles(1) == ["silent"]
    await belfry.asleep()


@asynccontextmanager
async def silent_writer(belfry: Belfry, writer: Connection, title: str) -> AsyncIterator[None]:
    """An open transaction that has sent, and whose trigger found no relay armed: it shares the bell's lock."""
    silent = False
    while not silent:  # a machine that pauses here for a tenth of a second lets the relay fall asleep again
        await wake_up(belfry, writer)
        async with writer.transaction():
            await send(writer, title)
            silent = await value(writer, HOLDS_A_SHARE)
            if not silent:
                raise psycopg.Rollback
            yield


async def wake_up(belfry: Belfry, connection: Connection) -> None:
    """Make an armed relay disarm and poll, as a burst does."""
    await value(connection, "SELECT 1")
    now = asyncio.get_running_loop().time()
    belfry.relay.bell._rung.extend([now] * 11)
    belfry.relay.wake("")
    await eventually(lambda: not belfry.relay.bell.asleep and not belfry.relay.bell.armed)


async def test_of_two_relays_one_arms_and_both_sleep_and_both_are_woken(serve: Serve, connect: Any):
    relays = [await serve(tick_seconds=30.0), await serve(tick_seconds=30.0)]
    clients = [await belfry.live() for belfry in relays]
    writer = await connect()
    for belfry in relays:
        await belfry.asleep()
    assert sorted(belfry.relay.bell.armed for belfry in relays) == [False, True]
    await send(writer, "for both")
    assert [await client.titles(1) for client in clients] == [["for both"]] * 2


async def test_when_the_armed_one_disarms_the_other_does_not_stay_asleep_deaf(serve: Serve, connect: Any):
    relays = [await serve(tick_seconds=30.0), await serve(tick_seconds=30.0)]
    clients = [await belfry.live() for belfry in relays]
    writer = await connect()
    for belfry in relays:
        await belfry.asleep()
    armed = next(belfry for belfry in relays if belfry.relay.bell.armed)
    other = next(belfry for belfry in relays if belfry is not armed)
    await wake_up(armed, writer)
    await eventually(lambda: not other.relay.bell.asleep or other.relay.bell.armed)
    await send(writer, "for both")
    assert [await client.titles(1) for client in clients] == [["for both"]] * 2


async def test_when_the_armed_relays_connection_is_killed_the_other_hears_all_the_same(serve: Serve, connect: Any):
    relays = [await serve(), await serve()]
    clients = [await belfry.live() for belfry in relays]
    writer = await connect()
    for belfry in relays:
        await belfry.asleep()
    held = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ExclusiveLock'"
    )
    assert (
        await value(writer, held + " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())")
        == 1
    )
    await send(writer, "to whoever sleeps")
    assert [await client.titles(1) for client in clients] == [["to whoever sleeps"]] * 2
    for belfry in relays:
        await belfry.asleep()
    assert await value(writer, WOULD_RING)
    await send(writer, "once more")
    assert [await client.titles(1) for client in clients] == [["once more"]] * 2


async def test_a_dead_listen_connection_costs_no_row_and_is_replaced(serve: Serve, connect: Any):
    belfry = await serve()
    client = await belfry.live()
    writer = await connect()
    await belfry.asleep()
    connects = belfry.relay.listener.connects
    async with writer.transaction():
        assert await value(writer, TERMINATE, "belfry listener") == 1
        await send(writer, "while nobody listens")
    assert await client.titles(1) == ["while nobody listens"]
    await eventually(lambda: belfry.relay.listener.connects > connects)
    await belfry.asleep()
    await send(writer, "heard again")
    assert await client.titles(1) == ["heard again"]


async def test_a_relay_that_cannot_hear_polls_and_does_not_make_writers_ring(
    serve: Serve, connect: Any, monkeypatch: pytest.MonkeyPatch
):
    belfry = await serve()
    writer = await connect()
    await belfry.asleep()
    assert await value(writer, WOULD_RING)
    monkeypatch.setattr(belfry.relay.listener, "alive", lambda now: False)
    await eventually(lambda: not belfry.relay.bell.asleep)
    await eventually_is(writer, False, WOULD_RING)
    monkeypatch.undo()
    await belfry.asleep()
    await eventually_is(writer, True, WOULD_RING)


async def test_a_dead_relay_connection_loses_no_row_and_no_stream(serve: Serve, connect: Any):
    belfry = await serve()
    client = await belfry.live()
    writer, slow = await connect(), await connect()
    async with slow.transaction():
        await send(slow, "late")
        await send(writer, "before")
        assert await client.titles(1) == ["before"]
        for number in range(3):
            assert await value(writer, TERMINATE, "belfry relay") == 1
            await send(writer, str(number))
            assert await client.titles(1) == [str(number)]
            await eventually_is(
                writer,
                1,
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE application_name = 'belfry relay' AND datname = current_database()",
            )
    assert await client.titles(1) == ["late"]


async def test_the_bell_is_a_lease_that_a_relay_which_stands_still_loses(
    serve: Serve, connect: Any, monkeypatch: pytest.MonkeyPatch
):
    belfry = await serve()
    client = await belfry.live()
    writer = await connect()
    await belfry.asleep()
    gate = asyncio.Event()
    monkeypatch.setattr(belfry.relay, "_wait", gate.wait)  # stopped, as by SIGSTOP
    belfry.relay.wake("")
    await eventually_is(writer, True, WOULD_RING)
    await eventually_is(writer, False, WOULD_RING, seconds=6)
    await send(writer, "while it stands still")
    monkeypatch.undo()
    gate.set()
    assert await client.titles(1) == ["while it stands still"]
    await belfry.asleep()


async def test_the_lease_holds_within_a_transaction_too(serve: Serve, connect: Any, monkeypatch: pytest.MonkeyPatch):
    belfry = await serve()
    client = await belfry.live()
    writer = await connect()
    await belfry.asleep()
    gate = asyncio.Event()

    async def read(connection: Connection, *_: Any) -> Any:
        async with connection.transaction():
            await connection.execute("SELECT 1")
            await gate.wait()  # stopped there, as by SIGSTOP
            await connection.execute("SELECT 1")

    monkeypatch.setattr(belfry.relay._reader, "read", read)
    await eventually_is(writer, True, WOULD_RING)
    await eventually_is(writer, False, WOULD_RING, seconds=8)
    await send(writer, "while it stands still")
    monkeypatch.undo()
    gate.set()
    assert await client.titles(1) == ["while it stands still"]


async def test_a_relay_that_was_stopped_in_a_poll_goes_on_at_once(
    serve: Serve, connect: Any, monkeypatch: pytest.MonkeyPatch
):
    """It rests twice as long as a poll takes: after two seconds longer than its lease, on each connection anew."""
    belfry = await serve()
    client = await belfry.live()
    writer = await connect()
    reader, read = belfry.relay._reader, belfry.relay._reader.read

    async def stopped(*arguments: Any) -> Any:
        monkeypatch.undo()
        found = await read(*arguments)
        await asyncio.sleep(2)
        return found

    monkeypatch.setattr(reader, "read", stopped)
    for title in ("read by it", "after it", "later"):
        await send(writer, title)
        assert await client.titles(1) == [title]


async def test_a_tick_that_is_longer_than_the_lease_was_keeps_its_connection(serve: Serve):
    belfry = await serve(tick_seconds=3.5)
    await belfry.asleep()
    ticked = belfry.relay._ticked_at
    await eventually(lambda: belfry.relay._ticked_at > ticked)
    assert belfry.relay.counts["connects"] == 1


@pytest.mark.parametrize("mode", ["auto", "poll", "notify"])
async def test_every_wake_mode_delivers(serve: Serve, connect: Any, mode: str):
    writer = await connect()
    await wake_mode(writer, mode)
    client = await (await serve()).live()
    for number in range(30):
        await send(writer, str(number))
    assert await client.titles(30) == [str(number) for number in range(30)]


async def test_in_mode_poll_nobody_rings_and_a_transaction_can_be_prepared(serve: Serve, connect: Any):
    belfry = await serve()
    client = await belfry.live()
    writer, other = await connect(), await connect()
    await belfry.asleep()
    await wake_mode(writer, "poll")
    await eventually(lambda: not belfry.relay.bell.asleep and not belfry.relay.bell.armed)
    await eventually_is(writer, False, WOULD_RING)
    await send(writer, "polled")
    assert await client.titles(1) == ["polled"]
    if await value(writer, "SHOW max_prepared_transactions") == "0":
        pytest.skip("this server does not prepare transactions")
    name = sql.Literal(f"prepared in {writer.info.dbname}")
    await writer.execute("BEGIN")
    await send(writer, "prepared")
    await writer.execute(sql.SQL("PREPARE TRANSACTION {}").format(name))
    await other.execute(sql.SQL("COMMIT PREPARED {}").format(name))
    assert await client.titles(1) == ["prepared"]
    await wake_mode(writer, "auto")
    await belfry.asleep()


async def test_in_mode_notify_it_never_disarms(serve: Serve, connect: Any):
    writer = await connect()
    await wake_mode(writer, "notify")
    belfry = await serve()
    client = await belfry.live()
    await belfry.asleep()
    for number in range(100):
        await send(writer, str(number))
    assert await client.titles(100) == [str(number) for number in range(100)]
    assert belfry.relay.bell.armed
    assert belfry.relay.bell.asleep


async def test_a_new_epoch_does_not_leave_the_bell_held_twice(serve: Serve, connect: Any):
    belfry = await serve()
    writer = await connect()
    await belfry.asleep()
    token = await value(writer, "SELECT belfry.new_epoch()")
    await eventually(lambda: belfry.relay.epoch == token)
    await belfry.asleep()
    await wake_mode(writer, "poll")
    await eventually(lambda: not belfry.relay.bell.armed)
    await eventually_is(writer, False, WOULD_RING)


async def test_a_fault_of_the_loop_does_not_leave_the_bell_held_twice(
    serve: Serve, connect: Any, monkeypatch: pytest.MonkeyPatch
):
    belfry = await serve()
    await belfry.live()
    writer = await connect()
    await belfry.asleep()
    dispatch, failed = belfry.relay.hub.dispatch, asyncio.Event()

    async def fails_once(*arguments: Any) -> None:
        monkeypatch.setattr(belfry.relay.hub, "dispatch", dispatch)
        failed.set()
        raise RuntimeError("a fault of the test")

    monkeypatch.setattr(belfry.relay.hub, "dispatch", fails_once)
    await send(writer, "seen and not dispatched")
    async with asyncio.timeout(15):
        await failed.wait()
    await eventually(lambda: not belfry.relay.bell.asleep)
    await belfry.asleep()  # on the same session, which the pool has kept
    await wake_mode(writer, "poll")
    await eventually(lambda: not belfry.relay.bell.armed)
    await eventually_is(writer, False, WOULD_RING)


async def test_another_database_of_the_cluster_that_is_armed_does_not_count(serve: Serve, connect: Any):
    """The bell's lock belongs to one database: this is why `pg_locks` is not asked."""
    belfry = await serve()
    await belfry.asleep()
    here = await connect()
    elsewhere = await psycopg.AsyncConnection.connect(
        psycopg.conninfo.make_conninfo(belfry.config.database_url, dbname="postgres"), autocommit=True
    )
    async with elsewhere:
        assert await value(here, WOULD_RING)
        assert not await value(elsewhere, WOULD_RING)
