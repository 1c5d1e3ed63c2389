"""A port of its own for those who watch: /live, /ready and /metrics of this process, whoever has the public port."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from litestar import Litestar
from litestar.di import Provide

from belfry import access
from belfry.web import health, problems


class _Server(uvicorn.Server):
    """A server beside another one, which hears the signals for both."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


@asynccontextmanager
async def watched(app: Litestar, sockets: Sequence[socket.socket]) -> AsyncGenerator[None]:
    """Serve the health routes of an app that has started, while inside. Without sockets nothing is served."""
    server = _Server(
        uvicorn.Config(_routes(app), lifespan="off", log_config=None, access_log=False, server_header=False)
    )
    task = asyncio.create_task(server.serve(sockets=list(sockets))) if sockets else None
    try:
        yield
    finally:
        if task is not None:
            server.should_exit = True
            await task


def _routes(app: Litestar) -> Litestar:
    """The three routes, which read what the other app holds."""
    return Litestar(
        [health.live, health.ready, health.metrics],
        dependencies={
            "relay": Provide(lambda: access.held(app.state, "relay"), sync_to_thread=False),
            "figures": Provide(lambda: access.held(app.state, "figures"), sync_to_thread=False),
        },
        exception_handlers=problems.HANDLERS,
        openapi_config=None,
        logging_config=None,
    )
