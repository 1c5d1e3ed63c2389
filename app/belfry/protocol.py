"""How uvicorn hands us the connection itself: its own `send`, a way to cut it off, and a life after the request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

EXTENSION = "belfry.connection"


Receive = Callable[[], Awaitable[Any]]
Afterwards = Callable[[Receive], Awaitable[None]]


class ServerConnection:
    """The connection of a response that is under way, without the wrappers that a framework puts around `send`."""

    __slots__ = ("_cycle", "_flow", "_write", "abort", "afterwards", "send")

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle
        self._flow = cycle.flow
        self._write: Callable[[bytes], None] = cycle.transport.write
        self.send: Any = cycle.send
        self.abort: Callable[[], None] = cycle.transport.abort
        self.afterwards: Afterwards | None = None
        """What goes on with the response when the application has returned, and all that it held has gone."""

    def put(self, chunk: bytes) -> bool:
        """Write a framed chunk of a body that has begun; False, and nothing written, while the socket is full.

        What `send` does with a chunk, without a coroutine and without framing it again for each stream.
        """
        if self._cycle.disconnected:
            return True  # as `send` does: the request's own task hears of it
        if self._flow.write_paused:
            return False
        self._write(chunk)
        return True


class StreamingProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol, which also tells the application its connection.

    `_start_asgi_task` is private to uvicorn: a test watches it, and without it streams use the `send` they are given.
    """

    _answered: RequestResponseCycle | None = None

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answered = cycle
        connection = ServerConnection(cycle)
        extensions: dict[str, Any] = cycle.scope.setdefault("extensions", {})  # type: ignore[assignment]
        extensions[EXTENSION] = connection

        async def request_and_after(scope: Any, receive: Receive, send: Any) -> None:
            await app(scope, receive, send)
            del scope
            if connection.afterwards is not None:
                self._forget_request(cycle)
                afterwards, connection.afterwards = connection.afterwards, None  # a stream knows its connection
                await afterwards(receive)

        super()._start_asgi_task(cycle, request_and_after)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell it the request that is answered; uvicorn tells the newest, which may be one that waits behind it."""
        if self._answered is not None and not self._answered.response_complete:
            self._answered.disconnected = True
            self._answered.message_event.set()
        super().connection_lost(exc)

    def _forget_request(self, cycle: RequestResponseCycle) -> None:
        """Let go of what a request brought and a framework hung on it: a third of what an idle stream held."""
        request = cycle.scope
        cycle.scope = {"method": request["method"]}  # type: ignore[typeddict-item]  # `send` reads that alone
        if self.scope is request:  # else the head of another one has begun to arrive
            self.scope, self.headers = cycle.scope, []


async def until_gone(receive: Receive) -> None:
    """Wait until the client has left, or the response is complete."""
    while (await receive())["type"] != "http.disconnect":
        pass
