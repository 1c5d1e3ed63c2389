"""uvicorn's private parts that we build on are still there: the installed one hands us its connection."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest
import uvicorn

from belfry import sse
from belfry.protocol import EXTENSION, ServerConnection, StreamingProtocol, until_gone

START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}


class Server:
    """uvicorn with an application that keeps the connection open and hands it to the test."""

    def __init__(self) -> None:
        self.given: asyncio.Queue[tuple[ServerConnection, Any]] = asyncio.Queue()
        self.writers: list[asyncio.StreamWriter] = []

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await self.given.put((scope["extensions"][EXTENSION], send))
        while (await receive())["type"] != "http.disconnect":
            pass

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
        async with asyncio.timeout(10):
            while not self.server.started:  # noqa: ASYNC110 - uvicorn offers no event
                await asyncio.sleep(0.005)
        return self

    async def __aexit__(self, *_: object) -> None:
        for writer in self.writers:
            writer.transport.abort()
        self.server.should_exit = True
        async with asyncio.timeout(10):
            await self.task

    async def connect(self, more: bytes = b"") -> tuple[ServerConnection, asyncio.StreamReader, asyncio.StreamWriter]:
        port = self.server.servers[0].sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        self.writers.append(writer)
        writer.write(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n" + more)
        async with asyncio.timeout(10):
            connection, _ = await self.given.get()
        return connection, reader, writer


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
        async with asyncio.timeout(10):
            while not connection._cycle.disconnected:  # noqa: ASYNC110 - uvicorn offers no event
                await asyncio.sleep(0.005)
        assert connection.put(sse.chunk(b"to nobody")) is True
        await connection.send(sse.body(b"to nobody"))


# --- a response that outlives its request ---------------------------------------------------------------------


class Heavy:
    """Stands for what a framework keeps while a request is under way."""


async def lasting(server: Server, more: bytes = b"") -> tuple[asyncio.StreamWriter, weakref.ref[Heavy], asyncio.Event]:
    """A response that goes on after its application; what that held, and an event for the end."""
    gone, held = asyncio.Event(), list[weakref.ref[Heavy]]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        heavy = scope["heavy"] = Heavy()
        held.append(weakref.ref(heavy))
        await send(START)
        scope["extensions"][EXTENSION].afterwards = afterwards
        await server.given.put((scope["extensions"][EXTENSION], send))

    async def afterwards(receive: Any) -> None:
        await until_gone(receive)
        gone.set()

    server.server.config.loaded_app = app
    _, _, writer = await server.connect(more)
    return writer, held[0], gone


async def test_what_the_request_held_goes_while_the_response_lasts():
    async with Server() as server:
        _, held, gone = await lasting(server)
        async with asyncio.timeout(10):
            while held() is not None:  # noqa: ASYNC110 - no event tells it
                await asyncio.sleep(0.005)
        assert not gone.is_set()


async def test_its_end_is_heard_of():
    async with Server() as server:
        writer, _, gone = await lasting(server)
        writer.transport.abort()
        async with asyncio.timeout(10):
            await gone.wait()


async def test_its_end_is_heard_of_when_a_second_request_waits_behind_it():
    """uvicorn tells the newest request alone that the client has left."""
    async with Server() as server:
        writer, _, gone = await lasting(server, more=b"GET /second HTTP/1.1\r\nhost: localhost\r\n\r\n")
        await asyncio.sleep(0.05)
        assert not gone.is_set()
        writer.transport.abort()
        async with asyncio.timeout(10):
            await gone.wait()


async def test_a_second_request_whose_head_is_half_here_is_answered_all_the_same():
    async with Server() as server:
        await lasting(server)
        connection, reader, writer = await server.connect(b"HEAD /second HTTP/1.1\r\nhost: localhost\r\n")
        await asyncio.sleep(0.05)
        writer.write(b"\r\n")
        await connection.send(sse.body(b"to the first", more=False))
        assert (await read(reader, b"0\r\n\r\n")).endswith(b"to the first\r\n0\r\n\r\n")
        assert (await read(reader, b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")


async def test_what_lives_with_the_connection_goes_when_it_ends_and_waits_for_no_collector():
    gone: list[weakref.ref[Life]] = []

    class Life:
        def __init__(self, connection: ServerConnection) -> None:
            self.connection = connection  # as a stream does, to write to it
            gone.append(weakref.ref(self))

        async def __call__(self, receive: Any) -> None:
            await until_gone(receive)

    async with Server() as server:

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send(START)
            scope["extensions"][EXTENSION].afterwards = Life(scope["extensions"][EXTENSION])

        server.server.config.loaded_app = app
        gc.disable()
        try:
            port = server.server.servers[0].sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
            await read(reader, b"\r\n\r\n")
            await asyncio.sleep(0.05)
            assert gone[0]() is not None
            writer.transport.abort()
            async with asyncio.timeout(10):
                while gone[0]() is not None:  # noqa: ASYNC110 - no event tells it
                    await asyncio.sleep(0.005)
        finally:
            gc.enable()
