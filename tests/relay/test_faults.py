"""What fails, fails for itself: a fault of one client, one row or one connection loses nothing for the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import jwt
import psycopg
import pytest
from psycopg import sql

from belfry import errors, preflight, rows, server, sse
from belfry.config import Config
from belfry.hub import Stream
from bench.tcp_proxy import Proxy
from streams import SECRET, Belfry, Serve, eventually, send, value


@asynccontextmanager
async def database_away(belfry: Belfry) -> AsyncGenerator[None]:
    """While inside, nobody can connect to the database, and who was connected is not any more."""
    name = psycopg.conninfo.conninfo_to_dict(belfry.config.database_url or "")["dbname"]
    elsewhere = psycopg.conninfo.make_conninfo(belfry.config.database_url or "", dbname="postgres")
    allow = sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS {}")
    async with await psycopg.AsyncConnection.connect(elsewhere, autocommit=True) as connection:
        await connection.execute(allow.format(sql.Identifier(str(name)), sql.SQL("false")))
        await connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        try:
            await eventually(lambda: not belfry.relay.ready)
            yield
        finally:
            await connection.execute(allow.format(sql.Identifier(str(name)), sql.SQL("true")))


async def test_open_streams_survive_the_loss_of_the_database_and_beat_on(serve: Serve, connect: Any):
    belfry = await serve(heartbeat_seconds=0.3)
    await send(await connect(), "before")
    client = await belfry.live()
    async with database_away(belfry):
        beat = (await client.until("heartbeat"))[-1]
        assert beat.id == client.seen[0].id
        beat = (await client.until("heartbeat"))[-1]
    await send(await connect(), "after")
    assert await client.titles(1) == ["after"]


@pytest.mark.parametrize("step", ["refuse_pooler", "refuse_unfit", "ring_until_heard"])
async def test_a_start_that_loses_the_database_is_refused_in_words(
    database: str, monkeypatch: pytest.MonkeyPatch, step: str
):
    async def cut_off(connection: Any, *_: Any) -> None:
        await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    monkeypatch.setattr(preflight, step, cut_off)
    app = server.create_app(Config(database_url=database, secret=SECRET))
    told = pytest.RaisesExc(errors.DatabaseUnavailable, match="Postgres does not answer .*terminating connection")
    with pytest.RaisesGroup(told):
        async with app.lifespan():
            pass
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_who_comes_while_the_database_is_away_gets_retry_at_once_and_is_let_in_later(serve: Serve, connect: Any):
    belfry = await serve()
    await send(await connect(), "before")
    async with database_away(belfry):
        client = await belfry.open(cursor="0")
        assert client.status == 200
        assert (await client.read_bytes(7)) == b"retry: "
    events = await client.until("ready")
    assert [event.data.get("title") for event in events] == ["before", None]


async def test_a_stop_does_not_wait_for_a_database_that_does_not_answer(serve: Serve, database: str):
    port = int(psycopg.conninfo.conninfo_to_dict(database)["port"] or 5432)
    async with Proxy(port) as network:
        belfry = await serve(database_url=psycopg.conninfo.make_conninfo(database, port=network.port), tick_seconds=0.1)
        await eventually(lambda: belfry.relay.ready)
        network.freeze()
        clock = asyncio.get_running_loop().time
        await eventually(lambda: not belfry.relay.listener.alive(clock()))
        async with asyncio.timeout(10):  # a second for each thing that is waited for; it was more than fifteen
            await belfry.stop()


async def test_who_leaves_while_the_database_is_away_is_not_counted_any_more(serve: Serve):
    belfry = await serve(max_streams=2)
    async with database_away(belfry):
        for _ in range(2):
            client = await belfry.open()
            await client.read_bytes(7)
            client.cut()
        await eventually(lambda: belfry.relay.load == 0)


@pytest.mark.parametrize("replayed", ["the table", "memory"])
async def test_a_credential_that_expired_while_its_stream_waited_gets_no_rows(
    serve: Serve, connect: Any, replayed: str
):
    belfry = await serve()
    start = (await belfry.live()).last_id
    await send(await connect(), "not for an expired token")
    async with database_away(belfry):
        cursor = {"cursor": "0"} if replayed == "the table" else {"last_id": start}
        client = await belfry.open(token=belfry.token(seconds=2), **cursor)
        await asyncio.sleep(2.1)  # a token lives for whole seconds: one at least, to come in
    events = await client.rest()
    assert [event.data.get("reason") or event.data.get("title") for event in events] == ["expired"]


async def test_a_stop_says_goodbye_to_who_waits_for_the_database_and_to_who_comes_then(serve: Serve):
    belfry = await serve()
    async with database_away(belfry):
        waiting = await belfry.open()
        await waiting.read_bytes(7)
        await belfry.relay.drain(1.0)
        for client in (waiting, await belfry.open()):
            (goodbye,) = await client.rest(5)
            assert (goodbye.name, goodbye.data) == ("goodbye", {"reason": "drain"})


async def test_a_stop_without_a_signal_says_goodbye_too_and_waits_for_nobody_who_does_not_read(serve: Serve):
    belfry = await serve()
    client, deaf = await belfry.live(), await belfry.live("u2")
    (stream,) = belfry.relay.hub.of("u2")
    assert stream.put
    while stream.put(sse.chunk(b":" + b"x" * 100_000 + b"\n\n")):
        pass
    belfry.server.should_exit = True
    assert (await client.next(10)).data == {"reason": "drain"}
    async with asyncio.timeout(10):
        await belfry.task
    assert not belfry.server.server_state.connections
    deaf.cut()


async def test_listening_goes_on_after_a_fault_of_our_own(serve: Serve, connect: Any, monkeypatch: pytest.MonkeyPatch):
    belfry = await serve()
    client = await belfry.live()
    await belfry.asleep()
    wake = belfry.relay.listener._wake  # pyright: ignore[reportPrivateUsage]
    faults = [ValueError("nobody knows why")]

    def faulty(payload: str) -> None:
        if faults:
            raise faults.pop()
        wake(payload)

    monkeypatch.setattr(belfry.relay.listener, "_wake", faulty)
    connects = belfry.relay.listener.connects
    await send(await connect(), "found by the tick")
    assert await client.titles(1) == ["found by the tick"]
    await eventually(lambda: belfry.relay.listener.connects == connects + 1)


async def test_a_replay_waits_for_the_database_and_then_goes_on(
    serve: Serve, connect: Any, monkeypatch: pytest.MonkeyPatch
):
    belfry = await serve(page_rows=2)
    writer = await connect()
    for number in range(7):
        last = await send(writer, str(number))
    await belfry.caught_up(last)
    replay, calls = rows.replay, 0

    async def failing(connection: Any, *arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls in (2, 3):
            await connection.close()
        return await replay(connection, *arguments)

    monkeypatch.setattr(rows, "replay", failing)
    client = await belfry.open(cursor="0")
    events = await client.until("ready")
    assert [event.data.get("title") for event in events[:-1]] == [str(number) for number in range(7)]


async def test_a_replay_that_waits_for_the_database_keeps_its_connection_alive(
    serve: Serve, connect: Any, monkeypatch: pytest.MonkeyPatch
):
    belfry = await serve()
    await belfry.caught_up(await send(await connect(), "at last"))
    replay, calls = rows.replay, 0

    async def failing(connection: Any, *arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls < 3:
            await connection.close()
        return await replay(connection, *arguments)

    monkeypatch.setattr(rows, "replay", failing)
    client = await belfry.open(cursor="0")
    assert await client.titles(1) == ["at last"]
    assert client.body.count(b":\n\n") == 2
    assert [event.name for event in client.seen] == ["message"]


async def test_a_recipient_whose_name_the_database_refuses_does_not_stop_the_relay(serve: Serve, connect: Any):
    belfry = await serve()
    client = await belfry.live()
    claims = {"sub": "half a pair \ud800", "exp": 4102444800}
    odd = await belfry.open(token=jwt.encode(claims, SECRET, algorithm="HS256"))
    if odd.status == 200:
        await odd.read_bytes(7)
    await send(await connect(), "for everybody else")
    assert await client.titles(1) == ["for everybody else"]


async def test_a_fault_in_the_loop_sends_every_client_away_to_resume_and_loses_nothing(
    serve: Serve, connect: Any, monkeypatch: pytest.MonkeyPatch
):
    belfry = await serve()
    writer = await connect()
    await send(writer, "before")
    client = await belfry.live()
    waiting = asyncio.Event()
    dispatch = belfry.relay.hub.dispatch

    async def fails_once(*arguments: Any) -> None:
        monkeypatch.setattr(belfry.relay.hub, "dispatch", dispatch)
        waiting.set()
        raise RuntimeError("a fault of the test")

    monkeypatch.setattr(belfry.relay.hub, "dispatch", fails_once)
    await send(writer, "seen and not dispatched")
    assert [event.data for event in await client.rest()] == [{"reason": "rotate"}]
    again = await belfry.open(last_id=client.last_id)
    events = await again.until("ready")
    assert [event.data.get("title") for event in events[:-1]] == ["seen and not dispatched"]
    assert waiting.is_set()


async def test_a_fault_in_the_loop_does_not_hide_that_the_history_is_another(
    serve: Serve, connect: Any, caplog: pytest.LogCaptureFixture
):
    """A restore in place, at which the relay looks while `belfry.settled` is still empty."""
    belfry, writer = await serve(), await connect()
    client = await belfry.live()
    for title in ("seen", "lost", "lost too"):
        await send(writer, title)
    await client.titles(3)
    client.cut()
    epoch = await value(writer, "DELETE FROM belfry.settled RETURNING epoch")
    await eventually(lambda: "starts over after a fault of its own" in caplog.text)
    async with writer.transaction():
        await writer.execute("DELETE FROM belfry.notification WHERE title LIKE 'lost%'")
        await writer.execute("SELECT setval('belfry.position', 1)")
        await writer.execute("INSERT INTO belfry.settled (through, pruned, epoch) VALUES (1, 0, %s)", (epoch,))
    for title in ("new", "new", "new"):
        await send(writer, title)
    await eventually(lambda: belfry.relay.ready)
    again = await belfry.open(last_id=client.last_id)
    assert (await again.next()).name == "reset"


async def test_who_waits_to_be_let_in_at_a_fault_of_the_loop_is_not_forgotten(
    serve: Serve, connect: Any, monkeypatch: pytest.MonkeyPatch
):
    belfry = await serve()
    writer = await connect()
    start = await send(writer, "before")
    other = await belfry.live()  # so that there is somebody to dispatch to
    dispatch, poll = belfry.relay.hub.dispatch, belfry.relay._poll

    async def fails_once(*arguments: Any) -> None:
        monkeypatch.setattr(belfry.relay.hub, "dispatch", dispatch)
        raise RuntimeError("a fault of the test")

    async def polls_with_somebody_waiting(*arguments: Any, **more: Any) -> int:
        if belfry.relay.load > len(belfry.relay.hub.streams):
            await send(writer, "found in the poll that lets them in")
            monkeypatch.setattr(belfry.relay.hub, "dispatch", fails_once)
            monkeypatch.setattr(belfry.relay, "_poll", poll)
        return await poll(*arguments, **more)

    monkeypatch.setattr(belfry.relay, "_poll", polls_with_somebody_waiting)
    client = await belfry.open(cursor=str(start))
    assert [event.name for event in await other.rest()] == ["goodbye"]  # the fault has happened
    events = [await client.next()]
    if events[0].name == "goodbye":  # sent away to resume is as good as let in
        client = await belfry.open(cursor=str(start))
        events = [await client.next()]
    assert events[0].data["title"] == "found in the poll that lets them in"


async def test_a_client_whose_connection_fails_while_it_is_let_in_concerns_nobody_else(serve: Serve, connect: Any):
    belfry = await serve()
    client = await belfry.live()

    async def fails(message: Any) -> None:
        raise OSError("a fault of the test")

    belfry.relay.attach(Stream("u1", fails, 10_000), None)
    await eventually(lambda: belfry.relay.load == len(belfry.relay.hub.streams))
    await send(await connect(), "for everybody else")
    assert await client.titles(1) == ["for everybody else"]
    assert belfry.relay.load == 1


async def test_a_client_that_stops_reading_is_cut_off_and_delays_nobody(serve: Serve, connect: Any):
    belfry = await serve(stream_buffer_bytes=65536)
    writer = await connect()
    reader = await belfry.live("u2")
    stuck = await belfry.open("u1", receive_bytes=4096)
    assert (await stuck.next()).name == "ready"
    body = "x" * 20_000
    sent = 0
    async with asyncio.timeout(40):
        while belfry.relay.hub.ended.get("lagging") is None:
            await writer.execute("SELECT belfry.broadcast('test', %s, %s)", (str(sent), body))
            assert await reader.titles(1) == [str(sent)]
            sent += 1
    assert belfry.relay.hub.of("u1") == []
    got = [event.data["title"] for event in await stuck.rest() if event.name == "message"]
    assert got == [str(number) for number in range(len(got))]
    assert len(got) < sent
    again = await belfry.open("u1", last_id=stuck.last_id)
    events = await again.until("ready")
    assert [event.data["title"] for event in events[:-1]] == [str(number) for number in range(len(got), sent)]


async def test_a_relay_refuses_a_sequence_that_was_changed(database: str, connect: Any):
    connection = await connect()
    await connection.execute("ALTER SEQUENCE belfry.position CACHE 10")
    assert (await value(connection, "SELECT cache_size FROM pg_sequences WHERE sequencename = 'position'")) == 10
    app = server.create_app(Config(database_url=database, secret=SECRET))
    with pytest.raises(ExceptionGroup) as refusal:
        async with app.lifespan():
            raise AssertionError("it has started")
    assert refusal.group_contains(errors.SequenceChanged)


async def test_a_replay_to_who_does_not_read_holds_no_page_of_large_rows(serve: Serve, connect: Any):
    belfry = await serve(stream_buffer_bytes=400_000)
    writer = await connect()
    start = await send(writer, "before")
    await writer.execute(
        "INSERT INTO belfry.notification (recipient, kind, title, body)"
        " SELECT 'u1', 'test', number::text, repeat('x', 60000) FROM generate_series(1, 300) AS number"
    )
    client = await belfry.open(last_id=str(start), receive_bytes=4096)
    held: list[int] = []
    await eventually(lambda: belfry.relay.hub.streams)
    (stream,) = belfry.relay.hub.streams
    transport = stream.put.__self__._transport  # type: ignore[union-attr]
    await eventually(lambda: transport.get_write_buffer_size() > 0)
    for _ in range(50):
        held.append(transport.get_write_buffer_size())
        await asyncio.sleep(0.01)
    assert max(held) < 1_000_000, "what is written beside what waits, of a page of 18 MB"
    events = await client.until("ready")
    assert [event.data["title"] for event in events[:-1]] == [str(number) for number in range(1, 301)]
    assert belfry.replays["row_queries"] < 100
