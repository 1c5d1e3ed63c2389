"""A whole Belfry in the test's own event loop, and a raw SSE client that can be cut at any byte or stop reading.

The client knows HTTP/1.1 and the event stream format from their specifications and shares no code with Belfry, so a
mistake there cannot hide behind the same mistake here.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import psycopg
import pytest
import pytest_asyncio
import uvicorn

from belfry import auth, server
from belfry.config import Config
from belfry.contents import Contents
from belfry.protocol import StreamingProtocol
from belfry.relay import Relay

SECRET = "a secret of the tests: 64 bytes and more, so that HS512 is content"
PATIENCE_SECONDS = 30.0


# --- the client ----------------------------------------------------------------------------------------------


class Ended(Exception):
    """The stream is over: the server closed it, or the client has cut it."""


@dataclass(frozen=True, slots=True)
class Event:
    """One dispatched event."""

    name: str
    text: str
    id: str
    retry: int | None = None

    @property
    def data(self) -> Any:
        return json.loads(self.text)


@dataclass
class Client:
    """One EventSource, read only when it is asked: a client that is not asked has stopped reading."""

    port: int
    target: str
    headers: dict[str, str]
    last_id: str = ""
    retry: int | None = None
    budget: int | None = None  # bytes of the body that it still reads before it is cut
    status: int = 0
    answer: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)  # all bytes of the body that were read
    seen: list[Event] = field(default_factory=list)
    _lines: bytearray = field(default_factory=bytearray)

    async def open(self, *, receive_bytes: int | None = None) -> Client:
        """Connect and read the head of the answer."""
        sock = socket.socket()
        sock.setblocking(False)
        if receive_bytes is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self.port))
            self._reader, self._writer = await asyncio.open_connection(sock=sock, limit=receive_bytes or 65536)
            fields = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
            self._writer.write(f"GET {self.target} HTTP/1.1\r\nhost: localhost\r\n{fields}\r\n".encode("latin-1"))
            first, *rest = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        self.status = int(first.split()[1])
        self.answer = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest if line)}
        return self

    async def next(self, seconds: float = PATIENCE_SECONDS, *, heartbeats: bool = False) -> Event:
        """The next event. Raises Ended, or TimeoutError."""
        async with asyncio.timeout(seconds):
            while True:
                while (end := self._lines.find(b"\n\n")) < 0:
                    await self._read_chunk()
                block = bytes(self._lines[:end])
                del self._lines[: end + 2]
                event = self._dispatched(block.decode())
                if event is not None and (heartbeats or event.name != "heartbeat"):
                    return event

    async def until(self, name: str, seconds: float = PATIENCE_SECONDS) -> list[Event]:
        """The events up to, and with, the next one of that name."""
        events = [await self.next(seconds, heartbeats=name == "heartbeat")]
        while events[-1].name != name:
            events.append(await self.next(seconds, heartbeats=name == "heartbeat"))
        return events

    async def row(self, seconds: float = PATIENCE_SECONDS) -> dict[str, Any]:
        """The next event's data, which must be a notification's."""
        event = await self.next(seconds)
        assert event.name == "message", event
        return event.data

    async def row_or_change(self, seconds: float = PATIENCE_SECONDS) -> Event:
        """The next event that has an id of its own; a `ready` that ends a replay in between is passed over."""
        while (event := await self.next(seconds)).name == "ready":
            pass
        return event

    async def titles(self, count: int, seconds: float = PATIENCE_SECONDS) -> list[str]:
        """The titles of the next notifications."""
        return [(await self.row(seconds))["title"] for _ in range(count)]

    async def rest(self, seconds: float = PATIENCE_SECONDS) -> list[Event]:
        """All events up to the end of the stream, heartbeats left out."""
        events: list[Event] = []
        try:
            while True:
                events.append(await self.next(seconds))
        except Ended:
            return events

    async def read_bytes(self, count: int, seconds: float = PATIENCE_SECONDS) -> bytes:
        """The first bytes of the body, as they came."""
        async with asyncio.timeout(seconds):
            while len(self.body) < count:
                await self._read_chunk()
        return bytes(self.body[:count])

    def cut(self) -> None:
        """Drop the connection at once, whatever is under way."""
        self._writer.transport.abort()

    async def _read_chunk(self) -> None:
        """Read on for one chunk of the body, or up to the budget."""
        if self.budget == 0:
            self.cut()
            raise Ended
        try:
            size = int(await self._reader.readuntil(b"\r\n"), 16)
            chunk = await self._reader.readexactly(size)
            await self._reader.readexactly(2)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise Ended from error
        if self.budget is not None:
            chunk, self.budget = chunk[: self.budget], self.budget - min(size, self.budget)
        self.body += chunk
        self._lines += chunk
        if not size:
            raise Ended

    def _dispatched(self, block: str) -> Event | None:
        """The event of a block, by the rules of the standard; the last id and the retry time are remembered."""
        name, data, retry = "message", list[str](), None
        for line in block.split("\n"):
            key, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if key == "id":
                self.last_id = value
            elif key == "event":
                name = value
            elif key == "data":
                data.append(value)
            elif key == "retry":
                self.retry = retry = int(value)
        if not data:
            return None
        event = Event(name, "\n".join(data), self.last_id, retry)
        self.seen.append(event)
        return event


# --- the server ----------------------------------------------------------------------------------------------


@dataclass
class Belfry:
    """A running server, and short ways to ask it."""

    config: Config
    app: Any
    server: uvicorn.Server
    task: asyncio.Task[None]
    clients: list[Client] = field(default_factory=list)

    @property
    def port(self) -> int:
        return self.server.servers[0].sockets[0].getsockname()[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def relay(self) -> Relay:
        return self.app.state.relay

    @property
    def replays(self) -> Any:
        return self.app.state.replay.counts

    def token(self, recipient: str = "u1", *, seconds: float = 600, **more: Any) -> str:
        return auth.mint(self.config, recipient, seconds, **more)

    async def open(
        self,
        recipient: str = "u1",
        *,
        cursor: str | None = None,
        last_id: str | None = None,
        token: str | None = None,
        query: list[tuple[str, str]] | None = None,
        headers: dict[str, str] | None = None,
        budget: int | None = None,
        receive_bytes: int | None = None,
    ) -> Client:
        """A client whose request is answered: the head is read, the body is not."""
        given = {"authorization": f"Bearer {token or self.token(recipient)}"} if headers is None else dict(headers)
        if last_id is not None:
            given["last-event-id"] = last_id
        asked = [*(query or []), *([("cursor", cursor)] if cursor is not None else [])]
        target = "/v1/stream" + (f"?{urlencode(asked)}" if asked else "")
        client = Client(self.port, target, given, last_id=last_id or "", budget=budget)
        self.clients.append(client)
        return await client.open(receive_bytes=receive_bytes)

    async def live(self, recipient: str = "u1", **more: Any) -> Client:
        """A client that has got `ready`, and nothing before it."""
        client = await self.open(recipient, **more)
        event = await client.next()
        assert event.name == "ready", event
        return client

    async def asleep(self, seconds: float = PATIENCE_SECONDS) -> None:
        """Return when the relay sleeps."""
        await eventually(lambda: self.relay.bell.asleep, seconds)

    async def caught_up(self, position: int) -> None:
        """Return when the relay has seen that row, and no backlog is left."""
        await eventually(lambda: self.relay.tracker.cursor().has(position) and not self.relay.tracker.backlog)

    async def stop(self) -> None:
        """Cut the clients and stop the server."""
        for client in self.clients:
            if hasattr(client, "_writer"):
                client.cut()
        self.server.should_exit = True
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.task


Serve = Callable[..., Awaitable[Belfry]]


async def start(database_url: str, **settings: Any) -> Belfry:
    """Serve on a free port, in this event loop."""
    config = Config(**{"database_url": database_url, "secret": SECRET, "tick_seconds": 0.5, **settings})
    app = server.create_app(config)
    instance = uvicorn.Server(
        uvicorn.Config(
            app,
            port=0,
            http=StreamingProtocol,
            lifespan="on",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=1,
        )
    )
    task = asyncio.create_task(instance._serve())  # pyright: ignore[reportPrivateUsage] - serve() takes the signals
    await eventually(lambda: instance.started or task.done())
    if task.done():
        await task
        raise AssertionError("the server did not start")
    return Belfry(config, app, instance, task)


@pytest_asyncio.fixture
async def serve(database: str) -> AsyncGenerator[Serve]:
    """Starts servers on the test's database; settings are given by name. Stops them afterwards."""
    running: list[Belfry] = []

    async def serve_on(**settings: Any) -> Belfry:
        running.append(await start(settings.pop("database_url", database), **settings))
        return running[-1]

    yield serve_on
    for each in running:
        await each.stop()


@pytest.fixture(params=["whole", "left out"])
def contents(request: pytest.FixtureRequest) -> Generator[None]:
    """Polls that read all contents, as where everybody is here; and polls that leave them out, as where few are."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "left out":
            always = property(lambda _: True, lambda _, __: None)
            patch.setattr(Contents, "left_out", always, raising=False)
        yield


def told(events: Iterable[Event]) -> list[str]:
    """What each event tells, in a word: the title, the verb, the reason, or else its name."""
    words = ("title", "verb", "reason")
    return [next((event.data[word] for word in words if event.data.get(word)), event.name) for event in events]


async def eventually(condition: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> None:
    """Return when the condition holds; raise TimeoutError when it does not in time."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - any condition, of anything
            await asyncio.sleep(0.005)


# --- what a backend does -------------------------------------------------------------------------------------

Connection = psycopg.AsyncConnection[Any]


async def value(connection: Connection, query: str, *parameters: object) -> Any:
    """The first column of the first row."""
    cursor = await connection.execute(query.encode(), parameters or None)
    row = await cursor.fetchone()
    assert row is not None, query
    return row[0]


async def eventually_is(
    connection: Connection, wanted: object, query: str, *parameters: object, seconds: float = PATIENCE_SECONDS
) -> None:
    """Return when a query gives that value; raise TimeoutError when it does not in time."""
    async with asyncio.timeout(seconds):
        while await value(connection, query, *parameters) != wanted:  # noqa: ASYNC110 - any query
            await asyncio.sleep(0.01)


async def send(connection: Connection, title: str, recipient: str = "u1") -> int:
    """One notification to one recipient."""
    return await value(connection, "SELECT belfry.send(%s, 'test', %s)", recipient, title)


async def publish(connection: Connection, topic: str, title: str) -> int:
    """One notification to a topic."""
    return await value(connection, "SELECT belfry.publish(%s, 'test', %s)", topic, title)


async def subscribe(connection: Connection, recipient: str, topic: str) -> int:
    """A membership begins."""
    return await value(connection, "SELECT belfry.subscribe(%s, %s)", recipient, topic)


async def unsubscribe(connection: Connection, recipient: str, topic: str) -> int:
    """A membership ends."""
    return await value(connection, "SELECT belfry.unsubscribe(%s, %s)", recipient, topic)
