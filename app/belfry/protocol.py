"""How uvicorn hands us the connection itself: its own `send`, and a way to cut it off."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

EXTENSION = "belfry.connection"


class ServerConnection:
    """The connection of a response that is under way, without the wrappers that a framework puts around `send`."""

    __slots__ = ("_cycle", "_flow", "_write", "abort", "send")

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle
        self._flow = cycle.flow
        self._write: Callable[[bytes], None] = cycle.transport.write
        self.send: Any = cycle.send
        self.abort: Callable[[], None] = cycle.transport.abort

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

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        extensions: dict[str, Any] = cycle.scope.setdefault("extensions", {})  # type: ignore[assignment]
        extensions[EXTENSION] = ServerConnection(cycle)
        super()._start_asgi_task(cycle, app)
