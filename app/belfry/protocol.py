"""How uvicorn hands us the connection itself: its own `send`, and a way to cut it off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

EXTENSION = "belfry.connection"


@dataclass(frozen=True, slots=True)
class ServerConnection:
    """The server's `send` without the wrappers that a framework puts around it, and the socket's own abort."""

    send: Any
    abort: Callable[[], None]


class StreamingProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol, which also tells the application its connection.

    `_start_asgi_task` is private to uvicorn: a test watches it, and without it streams use the `send` they are given.
    """

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        extensions: dict[str, Any] = cycle.scope.setdefault("extensions", {})  # type: ignore[assignment]
        extensions[EXTENSION] = ServerConnection(cycle.send, cycle.transport.abort)
        super()._start_asgi_task(cycle, app)
