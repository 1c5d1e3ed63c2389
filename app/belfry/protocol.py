"""How uvicorn hands us the connection itself: once a stream's response has begun, the rest of it is ours.

For each connection uvicorn keeps a parser, a request with its events, and a task: most of what an idle stream held.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from belfry import sse

EXTENSION = "belfry.take_over"
"""The name of ours among the extensions of a request's scope (ASGI, "Extensions")."""
FLUSH_SECONDS = 5.0
"""How long the end of a response may take to reach its client."""


class Connection(asyncio.Protocol):
    """The connection of a response that has begun and lasts: all that may still happen to it.

    It is the last response of its connection, which ends with it (RFC 9112, 9.6): what the client may still send is
    not read as a request. `gone` is called once, when the connection has ended, by whom ever.
    """

    __slots__ = ("_connections", "_gone", "_transport", "_writable", "_write")

    def __init__(self, transport: asyncio.Transport, connections: set[Any], gone: Callable[[], None]) -> None:
        self._transport = transport
        self._connections = connections  # those that the server waits for when it stops
        self._gone: Callable[[], None] | None = gone
        self._writable: asyncio.Event | None = None  # while the socket is full
        self._write: Callable[[bytes], None] = transport.write
        connections.add(self)
        transport.set_protocol(self)

    def put(self, chunk: bytes) -> bool:
        """Write a framed chunk of the body; False, and nothing written, while the socket is full."""
        if self._writable is not None:
            return False
        self._write(chunk)
        return True

    async def send(self, message: Any) -> None:
        """ASGI's `send` of a body message: it waits while the socket is full, and writes in one step."""
        while self._writable is not None:
            await self._writable.wait()
        if self._gone is None:
            return
        self._write(sse.chunk(message["body"]))
        if not message["more_body"]:
            self._write(sse.chunk(b""))
            self._transport.close()
            if self._transport.get_write_buffer_size():  # closing waits for who does not read, without end
                asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._transport.abort)

    def abort(self) -> None:
        """Cut the connection at once."""
        self._transport.abort()

    def shutdown(self) -> None:
        """The server is about to stop and waits for us: the relay ends its streams by itself."""

    def pause_writing(self) -> None:
        """The socket is full."""
        self._writable = asyncio.Event()

    def resume_writing(self) -> None:
        """There is room again; or there is nobody any more."""
        if self._writable is not None:
            self._writable.set()
            self._writable = None

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has left, or the response is complete."""
        self._connections.discard(self)
        gone, self._gone = self._gone, None
        self._write = _to_nobody
        self.resume_writing()
        if gone is not None:
            gone()


def _to_nobody(chunk: bytes) -> None:
    """Stands for `write` when the connection has ended."""


TakeOver = Callable[[Callable[[], None]], Connection | None]
"""Given what to call when the connection has ended, takes it over; None when it has ended already."""


def take_over_of(scope: Any) -> TakeOver | None:
    """How to take over the connection of a request, where the server offers it."""
    return scope.get("extensions", {}).get(EXTENSION)


class StreamingProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol, which also lets the application take over its connection.

    `_start_asgi_task` is private to uvicorn: a test watches it, and without it streams use the `send` they are given.
    """

    _answered: RequestResponseCycle | None = None

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answered = cycle

        async def with_extension(scope: Any, receive: Any, send: Any) -> None:
            extensions = scope.setdefault("extensions", {})
            extensions[EXTENSION] = partial(self._take_over, cycle)
            try:
                await app(scope, receive, send)
            finally:
                del extensions[EXTENSION]  # the request and its scope would refer to each other

        super()._start_asgi_task(cycle, with_extension)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell it the request that is answered; uvicorn tells the newest, which may be one that waits behind it."""
        if self._answered is not None and not self._answered.response_complete:
            self._answered.disconnected = True
            self._answered.message_event.set()
        super().connection_lost(exc)

    def _take_over(self, cycle: RequestResponseCycle, gone: Callable[[], None]) -> Connection | None:
        """Part with the connection of a response that has begun; as far as uvicorn knows, it is complete."""
        if cycle.disconnected:
            return None
        cycle.response_complete = True
        self.connections.discard(self)
        self.parser = None  # type: ignore[assignment]  # they refer to each other
        self.pipeline.clear()  # what waits behind is not answered
        self.cycle = cycle
        self.flow.resume_reading()
        connection = Connection(self.transport, self.connections, gone)
        if self.flow.write_paused:
            connection.pause_writing()
        return connection
