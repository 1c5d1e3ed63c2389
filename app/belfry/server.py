"""The composition root: builds the app, owns its start, its drain and its stop."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from math import ceil
from pathlib import Path
from typing import Any

import uvicorn
from litestar import Litestar
from litestar.config.cors import CORSConfig
from litestar.datastructures import State
from litestar.di import Provide

from belfry import __version__, access, bodies, database, errors, migrations, monitoring, preflight
from belfry.auth import Verifier
from belfry.config import Config
from belfry.dotenv import environment
from belfry.due import Due
from belfry.figures import Figures
from belfry.hub import Hub
from belfry.observing import Observer
from belfry.protocol import StreamingProtocol
from belfry.pruning import Pruning
from belfry.relay import Relay
from belfry.replay import Replay
from belfry.web import (
    demo,
    health,
    imports,
    inbox,
    kinds,
    notifications,
    preferences,
    problems,
    recipients,
    requests,
    schema,
    segments,
    stream,
    tickets,
    topics,
    widget,
)

log = logging.getLogger(__name__)

API_CONNECTIONS = 4
PROBE_SECONDS = 5.0
CLOSE_SECONDS = 1.0
"""How long a stop waits for each thing that a database which is away does not answer."""
BACKLOG = 4096


def create_app(config: Config | None = None, *, dev_api_key: str = "") -> Litestar:
    """The ASGI application: a relay of its own, and the routes. Serve it alone, or mount it into another.

    Without a configuration it reads the environment and `.env`. A host that mounts it enters its `lifespan()`
    (`docs/mounting.md`). Raises ConfigError where a setting is wrong or there is no key to check tokens with.
    """
    config = config or Config.from_environ(environment(os.environ, Path.cwd()), serving=True)
    config.require_key()
    verifier = Verifier(config)
    handlers: list[Any] = [stream.stream, health.live, health.ready]
    if config.metrics_port is None:
        handlers.append(health.metrics)
    handlers += [each.routes for each in (inbox, preferences, tickets)]  # of recipients
    handlers += [each.routes for each in (notifications, topics, recipients, segments, kinds, imports)]  # of senders
    handlers += widget.routes
    if config.dev:
        handlers += [demo.page, demo.asset, demo.session]
    app = Litestar(
        handlers,
        lifespan=[_lifespan(config)],
        dependencies={
            "config": Provide(lambda: config, sync_to_thread=False),
            "verifier": Provide(lambda: verifier, sync_to_thread=False),
            "dev_api_key": Provide(lambda: dev_api_key, sync_to_thread=False),
            "relay": _held("relay"),
            "replay": _held("replay"),
            "pool": _held("pool"),
            "figures": _held("figures"),
            "me": Provide(access.me, sync_to_thread=False),
            "api_key": Provide(access.api_key, sync_to_thread=False),
        },
        state=State({"config": config, "verifier": verifier, "limits": access.Limits(config)}),
        before_request=bodies.check,
        request_max_body_size=bodies.MAX_BYTES,
        exception_handlers=problems.HANDLERS,
        cors_config=_cors(config),
        openapi_config=schema.document(__version__),
        logging_config=None,
    )
    app.asgi_handler = requests.RequestIds(requests.Shared(requests.Heads(app.asgi_handler)))
    return app


async def serve(
    config: Config,
    sockets: list[socket.socket],
    monitoring_sockets: Sequence[socket.socket] = (),
    *,
    on_ready: Callable[[], None],
    **more: Any,
) -> None:
    """Serve on the sockets until SIGTERM or SIGINT, then drain the streams and return."""
    app = create_app(config, **more)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            http=StreamingProtocol,
            ws="none",  # a stream would not hear of the end of a connection that was upgraded behind it
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            backlog=BACKLOG,
            timeout_graceful_shutdown=max(1, ceil(config.drain_seconds)),
        )
    )
    start = asyncio.create_task(_when_started(server, on_ready))
    try:
        async with monitoring.watched(app, monitoring_sockets):
            with _returning_after_signals():
                await server.serve(sockets=sockets)
    finally:
        start.cancel()
    if not server.started:
        raise errors.BelfryError("the server did not start; the lines above say why")


def _ignore(number: int, frame: Any) -> None:
    """A signal handler that lets the signal pass."""


def _stop_signals() -> tuple[int, ...]:
    """The signals that stop the server; only the main thread may handle them."""
    return (signal.SIGTERM, signal.SIGINT) if threading.current_thread() is threading.main_thread() else ()


@contextmanager
def _returning_after_signals() -> Generator[None]:
    """uvicorn raises the signal that stopped it again: let that do nothing, so that our caller can clean up."""
    before = {number: signal.signal(number, _ignore) for number in _stop_signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


async def _when_started(server: uvicorn.Server, on_ready: Callable[[], None]) -> None:
    while not server.started:  # noqa: ASYNC110 - uvicorn offers no event
        await asyncio.sleep(0.01)
    gc.collect()
    gc.freeze()  # what the start has made stays: a full collection went through it, for 30 ms, and all streams waited
    on_ready()


# --- the life of the relay -----------------------------------------------------------------------------------


def _lifespan(config: Config) -> Callable[[Litestar], Any]:
    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncGenerator[None]:
        async with AsyncExitStack() as stack:
            relay = await _start(config, app.state, stack)
            with _draining(relay, config.drain_seconds):
                yield
            await relay.drain(0)  # whoever is still here, where something else than a signal stopped us

    return lifespan


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel, twice: at the first the driver asks the server to cancel the query, and waits for one that is away."""
    for _ in range(2):
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=CLOSE_SECONDS)


async def _start(config: Config, state: State, stack: AsyncExitStack) -> Relay:
    """Open the pools, check the database, start the listener and the relay; the stack ends them all."""
    if config.database_url is None or config.listen_url is None:
        raise errors.DatabaseUrlMissing()
    api = await database.open_pool(
        config.database_url,
        application_name="belfry api",
        min_size=1,
        max_size=API_CONNECTIONS,
        pooled=config.direct_url is not None,
    )
    stack.push_async_callback(api.close, CLOSE_SECONDS)
    direct = [
        await database.open_pool(config.listen_url, application_name=name, min_size=1, max_size=1)
        for name in ("belfry relay", "belfry listener")
    ]
    for pool in direct:
        stack.push_async_callback(pool.close, CLOSE_SECONDS)
    hub = Hub(retry_milliseconds=config.retry_milliseconds, heartbeat_seconds=config.heartbeat_seconds)
    replay = Replay(config, hub, api)
    relay = Relay(config, hub, direct[0], direct[1], api, replay)
    observer = Observer(relay, api, config.tick_seconds)
    pruning = None if config.retention_days is None else Pruning(config.listen_url, config.retention_days)
    pools = {"api": api, "relay": direct[0], "listener": direct[1]}
    figures = Figures(__version__, relay, replay, observer, pruning, pools, config.max_streams)
    state.update({"relay": relay, "replay": replay, "pool": api, "figures": figures})
    with database.reached():
        async with direct[0].connection() as connection, direct[1].connection() as other:
            await preflight.refuse_pooler(connection, other)
        async with direct[0].connection() as connection, api.connection() as other:
            await migrations.check(connection)
            await preflight.refuse_unfit(connection, other)
        tasks = [asyncio.create_task(relay.listener.run())]
        stack.push_async_callback(_end, tasks)
        async with direct[0].connection() as connection:
            await preflight.ring_until_heard(connection, relay.probe, relay.heard_probe, PROBE_SECONDS)
    lives = [relay.run(), relay.greeter.run(), relay.ringer.run(), Due(api, config.tick_seconds).run(), observer.run()]
    if pruning is not None:
        lives.append(pruning.run())
    tasks.extend(map(asyncio.create_task, lives))
    return relay


@contextmanager
def _draining(relay: Relay, drain_seconds: float) -> Generator[None]:
    """While inside, SIGTERM and SIGINT drain the streams before they stop the server.

    uvicorn waits for open responses before it tells the application to stop, so the application must hear of the
    signal itself. It works under any launcher: the handler that was there is called afterwards.
    """
    loop = asyncio.get_running_loop()
    tasks: list[asyncio.Task[None]] = []

    def drain() -> None:
        tasks.append(loop.create_task(relay.drain(drain_seconds)))

    def hear(number: int, frame: Any) -> None:
        loop.call_soon_threadsafe(drain)
        handler = before[number]
        if callable(handler):
            handler(number, frame)

    before = {number: signal.getsignal(number) for number in _stop_signals()}
    for number in before:
        signal.signal(number, hear)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _held(name: str) -> Provide:
    def give(state: State) -> Any:
        return access.held(state, name)

    return Provide(give, sync_to_thread=False)


def _cors(config: Config) -> CORSConfig | None:
    if not config.cors_origins:
        return None
    return CORSConfig(
        allow_origins=list(config.cors_origins),
        allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
        allow_headers=["authorization", "content-type", "idempotency-key", "last-event-id", "x-request-id"],
        expose_headers=["retry-after", "idempotent-replayed", "x-request-id"],
        allow_credentials=True,
    )
