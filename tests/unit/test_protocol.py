"""uvicorn's private parts that we build on are still there: the installed one hands us its connection."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import uvicorn

from belfry import protocol, sse
from belfry.protocol import Connection, StreamingProtocol, TakeOver, take_over_of

REQUEST = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"
START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}


class Server:
    """uvicorn with an application that begins a response, has its connection taken over, and returns."""

    def __init__(self) -> None:
        self.given: asyncio.Queue[Connection] = asyncio.Queue()
        self.gone = asyncio.Event()
        self.request, self.requests = REQUEST, 0
        self.writers: list[asyncio.StreamWriter] = []

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        self.requests += 1
        await send(START)
        connection = take_over(scope)(self.gone.set)
        assert connection is not None
        await self.given.put(connection)

    async def __aenter__(self) -> Server:
        config = uvicorn.Config(
            self.app,
            port=0,
            http=StreamingProtocol,
            lifespan="off",
            interface="asgi3",
            log_config=None,
            timeout_graceful_shutdown=1,
        )
        self.server = uvicorn.Server(config)
        self.task = asyncio.create_task(self.server._serve())
        await eventually(lambda: self.server.started)
        return self

    async def __aexit__(self, *_: object) -> None:
        for writer in self.writers:
            writer.transport.abort()
        self.server.should_exit = True
        async with asyncio.timeout(10):
            await self.task

    async def reach(self, more: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        port = self.server.servers[0].sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        self.writers.append(writer)
        writer.write(self.request + more)
        return reader, writer

    async def connect(self, more: bytes = b"") -> tuple[Connection, asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await self.reach(more)
        async with asyncio.timeout(10):
            return await self.given.get(), reader, writer

    @property
    def connections(self) -> set[Any]:
        """What uvicorn waits for when it stops."""
        return self.server.server_state.connections


def take_over(scope: Any) -> TakeOver:
    """What the server offers."""
    offered = take_over_of(scope)
    assert offered is not None
    return offered


async def eventually(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 - no event tells it
            await asyncio.sleep(0.005)


async def read(reader: asyncio.StreamReader, until: bytes) -> bytes:
    async with asyncio.timeout(10):
        return await reader.readuntil(until)


async def test_the_connections_own_send_reaches_the_client():
    async with Server() as server:
        connection, reader, _ = await server.connect()
        await connection.send(sse.body(b"by send"))
        assert (await read(reader, b"by send\r\n")).endswith(b"\r\n\r\n7\r\nby send\r\n")


async def test_put_writes_a_framed_chunk_between_two_sends():
    async with Server() as server:
        connection, reader, _ = await server.connect()
        await connection.send(sse.body(b"one"))
        assert connection.put(sse.chunk(b"two")) is True
        await connection.send(sse.body(b"three", more=False))
        assert (await read(reader, b"0\r\n\r\n")).endswith(b"3\r\none\r\n3\r\ntwo\r\n5\r\nthree\r\n0\r\n\r\n")


async def test_put_refuses_while_the_socket_is_full_and_writes_nothing():
    async with Server() as server:
        connection, reader, _ = await server.connect()
        await connection.send(sse.body(b"begin"))
        written = 0
        while connection.put(sse.chunk(b"x" * 100_000)):
            written += 1
            assert written < 1000
        assert connection.put(sse.chunk(b"refused")) is False
        suspended = asyncio.ensure_future(connection.send(sse.body(b"waits")))
        await asyncio.sleep(0)
        assert not suspended.done()
        body = (await read_slowly(reader, suspended)).partition(b"begin")[2]
        assert body.count(b"x") == written * 100_000
        assert b"refused" not in body
        assert body.endswith(b"waits\r\n")


async def read_slowly(reader: asyncio.StreamReader, suspended: asyncio.Future[Any]) -> bytes:
    body = b""
    async with asyncio.timeout(20):
        while not (suspended.done() and body.endswith(b"waits\r\n")):
            body += await reader.read(1 << 20)
    return body


async def test_a_socket_that_is_full_when_it_is_taken_over_takes_nothing_until_it_is_read():
    async with Server() as server:

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send(START)
            await send(sse.body(b"x" * 20_000_000))
            await server.given.put(take_over(scope)(server.gone.set))  # type: ignore[arg-type]

        server.server.config.loaded_app = app
        connection, reader, _ = await server.connect()
        assert connection.put(sse.chunk(b"refused")) is False
        waits = asyncio.ensure_future(connection.send(sse.body(b"waits")))
        assert b"refused" not in await read_slowly(reader, waits)


async def test_abort_cuts_the_connection_at_once():
    async with Server() as server:
        connection, reader, _ = await server.connect()
        await connection.send(sse.body(b"begin"))
        connection.abort()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await read(reader, b"never")


async def test_after_the_client_has_left_writing_is_harmless():
    async with Server() as server:
        connection, _, writer = await server.connect()
        await connection.send(sse.body(b"begin"))
        writer.transport.abort()
        await eventually(server.gone.is_set)
        assert connection.put(sse.chunk(b"to nobody")) is True
        await connection.send(sse.body(b"to nobody"))


async def test_who_waits_for_a_full_socket_is_released_when_the_client_has_left():
    async with Server() as server:
        connection, _, writer = await server.connect()
        while connection.put(sse.chunk(b"x" * 100_000)):
            pass
        suspended = asyncio.ensure_future(connection.send(sse.body(b"waits")))
        await asyncio.sleep(0)
        writer.transport.abort()
        async with asyncio.timeout(10):
            await suspended


# --- the connection is ours, and its end is the end ------------------------------------------------------------


async def test_its_end_is_heard_of_once():
    async with Server() as server:
        _, _, writer = await server.connect()
        assert not server.gone.is_set()
        writer.transport.abort()
        await eventually(server.gone.is_set)
        assert not server.connections


async def test_a_client_that_closes_its_side_has_left():
    async with Server() as server:
        _, reader, writer = await server.connect()
        writer.write_eof()
        await eventually(server.gone.is_set)
        async with asyncio.timeout(10):
            await reader.read()


async def test_who_has_left_before_has_nothing_to_take_over():
    async with Server() as server:
        taken: list[Connection | None] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            taken.append(take_over(scope)(server.gone.set))

        server.server.config.loaded_app = app
        _, writer = await server.reach()
        await asyncio.sleep(0.05)
        writer.transport.abort()
        await eventually(lambda: bool(taken))
        assert taken == [None]
        assert not server.gone.is_set()


async def test_the_last_message_ends_the_connection():
    async with Server() as server:
        connection, reader, _ = await server.connect()
        await connection.send(sse.body(b"farewell", more=False))
        async with asyncio.timeout(10):
            assert (await reader.read()).endswith(b"8\r\nfarewell\r\n0\r\n\r\n")
        await eventually(server.gone.is_set)


@pytest.mark.parametrize("more", [REQUEST, REQUEST[:20], b"POST / HTTP/1.1\r\n", b"\0no HTTP\r\n\r\n"])
async def test_what_comes_behind_the_request_is_no_request(more: bytes):
    """At once or later: the stream goes on, its end is heard of, and nothing else is answered."""
    async with Server() as server:
        connection, reader, writer = await server.connect(more if more is REQUEST else b"")
        writer.write(more)
        await asyncio.sleep(0.05)
        await connection.send(sse.body(b"goes on"))
        await read(reader, b"goes on\r\n")
        assert server.requests == 1
        writer.transport.abort()
        await eventually(server.gone.is_set)


async def test_the_server_waits_for_it_when_it_stops():
    async with Server() as server:
        connection, reader, _ = await server.connect()
        assert server.connections == {connection}
        server.server.should_exit = True
        await asyncio.sleep(0.3)
        assert not server.task.done()
        await connection.send(sse.body(b"farewell", more=False))
        await read(reader, b"farewell\r\n0\r\n\r\n")
        async with asyncio.timeout(10):
            await server.task


async def test_who_leaves_while_its_response_waits_behind_another_one_that_it_did_not_read_is_heard_of():
    """uvicorn tells only the newest request that the client has left: that may be a third one."""
    taken: list[Connection | None] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        if scope["path"] == "/large":
            await send(sse.body(b"x" * 20_000_000, more=False))
        else:
            taken.append(take_over(scope)(lambda: None))

    async with Server() as server:
        server.server.config.loaded_app = app
        server.request = REQUEST.replace(b"/", b"/large", 1)
        reader, writer = await server.reach(REQUEST + REQUEST)
        await read(reader, b"x")
        await asyncio.sleep(0.1)
        assert not taken
        writer.transport.abort()
        await eventually(lambda: bool(taken))
        await asyncio.sleep(0.1)
        assert taken == [None]
        assert not server.connections


async def test_who_only_waits_hears_that_the_client_has_left_though_another_request_came_behind():
    heard = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        heard.set()

    async with Server() as server:
        server.server.config.loaded_app = app
        _, writer = await server.reach(REQUEST)
        await asyncio.sleep(0.05)
        writer.transport.abort()
        await eventually(heard.is_set)


async def test_who_does_not_read_the_end_is_cut_off(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(protocol, "FLUSH_SECONDS", 0.1)
    async with Server() as server:
        connection, _, _ = await server.connect()
        await connection.send(sse.body(b"x" * 20_000_000, more=False))
        await eventually(server.gone.is_set)
        assert not server.connections


@pytest.mark.parametrize("more", [b"", REQUEST + REQUEST])
async def test_what_the_request_held_goes_while_the_response_lasts_and_the_rest_with_it(more: bytes):
    """All of it by itself: nothing is left for the collector of garbage."""

    class Heavy:
        """Stands for what a framework keeps while a request is under way, or a stream for as long as it lasts."""

        connection: Any = None

        def end(self) -> None:
            server.gone.set()

    request, life = list[weakref.ref[Any]](), list[weakref.ref[Any]]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        heavy = scope["heavy"] = Heavy()
        request.extend([weakref.ref(heavy), weakref.ref(send.__self__.on_response.__self__)])  # uvicorn's protocol
        await send(START)
        lasting = Heavy()
        life.append(weakref.ref(lasting))
        lasting.connection = take_over(scope)(lasting.end)

    async with Server() as server:
        server.server.config.loaded_app = app
        gc.disable()
        try:
            reader, writer = await server.reach(more)
            await read(reader, b"\r\n\r\n")
            await eventually(lambda: all(held() is None for held in request))
            assert life[0]() is not None
            writer.transport.abort()
            await eventually(lambda: life[0]() is None)
        finally:
            gc.enable()
        assert server.gone.is_set()
