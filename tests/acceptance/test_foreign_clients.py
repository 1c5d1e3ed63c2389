"""Clients that nobody here wrote, all at once against one relay: what is committed reaches each of them once."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from commandline import SECRET, Running, free_port, run, running, started

from bench.tcp_proxy import Proxy
from streams import Connection, eventually, value

HERE = Path(__file__).parents[1] / "foreign"
CACHE = Path(__file__).parents[2] / ".cache" / "foreign"
BINARIES = CACHE / "node_modules" / ".bin"
ENVIRONMENT = {**os.environ, "NODE_NO_WARNINGS": "1", "PATH": os.pathsep.join([str(BINARIES), os.environ["PATH"]])}
"""With the Node that tests/foreign pins, where it is one for this machine."""
PACKET = "größer als ein Paket\n" * 200
PATIENCE_SECONDS = 40.0


# --- the clients -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Foreign:
    """A client: its name, and the command that runs it."""

    name: str
    command: tuple[str, ...]
    script: str
    missing: Callable[[], str | None]  # why it cannot run here

    def __str__(self) -> str:
        return self.name


@functools.cache
def no_node() -> str | None:
    """Node, and what is pinned in tests/foreign, fetched once into .cache/ with the scripts beside it."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        return "node and npm are not here"
    CACHE.mkdir(parents=True, exist_ok=True)
    for path in filter(Path.is_file, HERE.iterdir()):
        if not (CACHE / path.name).is_file() or (CACHE / path.name).read_bytes() != path.read_bytes():
            shutil.copy(path, CACHE)
    stamp, wanted = CACHE / "stamp", hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()
    if stamp.is_file() and stamp.read_text() == wanted:
        return None
    if subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=CACHE, capture_output=True).returncode:
        return "npm cannot fetch its packages: is there a network?"
    stamp.write_text(wanted)
    return None


@functools.cache
def no_builtin() -> str | None:
    """Node from 24 on has an EventSource behind a flag that comes back."""
    if no_node() is None:
        command = ["node", "--version"]
        told = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=True).stdout
        if int(told.removeprefix("v").partition(".")[0]) < 24:
            return "the EventSource of node before 24 does not come back"
    return no_node()


NODE, PYTHON = ("node",), (sys.executable,)
CLIENTS = [
    Foreign("Node's EventSource", (*NODE, "--experimental-eventsource"), "node_builtin.mjs", no_builtin),
    Foreign("eventsource", NODE, "eventsource.mjs", no_node),
    Foreign("eventsource-client", NODE, "eventsource_client.mjs", no_node),
    Foreign("@microsoft/fetch-event-source", NODE, "fetch_event_source.mjs", no_node),
    Foreign("httpx-sse", PYTHON, "httpx_sse_client.py", lambda: None),
    Foreign("sseclient-py", PYTHON, "sseclient_py_client.py", lambda: None),
]


@dataclass
class Following:
    """A client that runs: what it has told so far."""

    name: str
    process: Running

    def events(self) -> list[dict[str, Any]]:
        """Its events, blocks without data left out: some clients tell them."""
        return [event for event in map(json.loads, list(self.process.out)) if event["data"]]

    def names(self) -> list[str]:
        """The names of its events, heartbeats left out."""
        return [event["name"] for event in self.events() if event["name"] != "heartbeat"]

    def ids(self) -> list[int]:
        """The notifications that it has got."""
        return [json.loads(event["data"])["id"] for event in self.events() if event["name"] == "message"]


# --- the stage -------------------------------------------------------------------------------------------------


@dataclass
class Stage:
    """Servers on ports of their own, all clients on one of them, and a backend that sends."""

    directory: Path
    database: str
    backend: Connection
    stack: ExitStack
    port: int = field(default_factory=free_port)
    clients: list[Following] = field(default_factory=list[Following])
    sent: set[int] = field(default_factory=set[int])

    async def serve(self, port: int) -> Running:
        """A server on that port, ready."""
        words = ("serve", "--port", str(port), "--retry-milliseconds", "50")
        settings = {"database_url": self.database, "secret": SECRET}
        server = self.stack.enter_context(running(self.directory, *words, **settings))
        await asyncio.to_thread(server.wait_for, "ready on")
        return server

    async def follow(self, port: int, asked: int) -> None:
        """Start every client that can run here, and wait until all are live; tickets come from the server `asked`."""
        token = run(self.directory, "token", "u1", secret=SECRET).stdout.strip()
        async with httpx.AsyncClient(headers={"authorization": f"Bearer {token}"}) as http:
            ticket = (await http.post(f"http://127.0.0.1:{asked}/v1/tickets")).json()["ticket"]
        for each in CLIENTS:
            if each.missing() is None:
                place = HERE if each.command == PYTHON else CACHE
                command = [*each.command, place / each.script, f"http://127.0.0.1:{port}/v1/stream", token, ticket]
                process = self.stack.enter_context(started(command, self.directory, ENVIRONMENT))
                self.clients.append(Following(each.name, process))
        await self.all_have("ready", 1)

    async def send(self, count: int, body: str = "") -> None:
        """So many notifications, each a transaction."""
        for _ in range(count):
            self.sent.add(await value(self.backend, "SELECT belfry.send('u1', 'test', 'row', %s)", body))

    async def all_have(self, name: str, count: int) -> None:
        """Return when each client has got so many events of that name."""
        with contextlib.suppress(TimeoutError):
            await eventually(lambda: all(each.names().count(name) >= count for each in self.clients), PATIENCE_SECONDS)
        short = {each.name: each.names()[-9:] for each in self.clients if each.names().count(name) < count}
        assert short == {}, [each.process.err[-5:] for each in self.clients if each.name in short]

    async def all_have_all(self) -> None:
        """Return when each client has got all that was sent; nothing came twice."""
        with contextlib.suppress(TimeoutError):  # the comparison tells who lacks what
            await eventually(lambda: all(self.sent <= set(each.ids()) for each in self.clients), PATIENCE_SECONDS)
        lost = {each.name: sorted(self.sent - set(each.ids())) for each in self.clients}
        twice = {each.name: len(each.ids()) - len(set(each.ids())) for each in self.clients}
        assert lost == {each.name: [] for each in self.clients}
        assert twice == {each.name: 0 for each in self.clients}


@pytest_asyncio.fixture
async def stage(tmp_path: Path, database: str, connect: Any) -> AsyncGenerator[Stage]:
    """An empty stage; all that was started is gone in the end."""
    with ExitStack() as stack:
        yield Stage(tmp_path, database, await connect(), stack)


# --- the scenarios ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("client", CLIENTS, ids=str)
def test_each_client_is_here(client: Foreign) -> None:
    """The others run without it: so that somebody hears of it."""
    if why := client.missing():
        pytest.skip(why)


async def test_what_is_committed_arrives_as_it_was_sent(stage: Stage):
    await stage.serve(stage.port)
    await stage.follow(stage.port, stage.port)
    await stage.send(5, body='two\nlines, "quotes", \u2028 and 🔔')
    await stage.send(1, body=PACKET)
    await stage.all_have_all()
    for client in stage.clients:
        bodies = [json.loads(event["data"])["body"] for event in client.events() if event["name"] == "message"]
        assert bodies == ['two\nlines, "quotes", \u2028 and 🔔'] * 5 + [PACKET], client.name


async def test_a_server_that_is_killed_and_comes_back_has_lost_nothing(stage: Stage):
    server = await stage.serve(stage.port)
    await stage.follow(stage.port, stage.port)
    await stage.send(3)
    await stage.all_have("message", 3)
    server.end(signal.SIGKILL)
    await stage.send(3)
    await stage.serve(stage.port)
    await stage.send(3)
    await stage.all_have_all()


async def test_a_server_that_drains_is_left_and_found_again(stage: Stage):
    server = await stage.serve(stage.port)
    await stage.follow(stage.port, stage.port)
    await stage.send(3)
    assert await asyncio.to_thread(server.end) == 0
    await stage.all_have("goodbye", 1)
    await stage.send(3)
    await stage.serve(stage.port)
    await stage.all_have("ready", 2)
    await stage.send(3)
    await stage.all_have_all()


class Cutter(Proxy):
    """Passes on some bytes of an answer, cuts it wherever that is, and leads the next request to the other server."""

    def __init__(self, ports: Sequence[int], rng: random.Random) -> None:
        super().__init__(ports[0])
        self.cuts = 0
        self._ports, self._rng = ports, rng

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        left = self._rng.randrange(500, 30_000)
        while left and (chunk := await reader.read(left)):
            left -= len(chunk)
            writer.write(chunk)
            await writer.drain()
        self.cuts += not left
        self.upstream = self._ports[self.cuts % len(self._ports)]
        raise EOFError


async def test_streams_that_are_cut_inside_a_row_resume_on_another_relay(stage: Stage):
    ports = (stage.port, free_port())
    for port in ports:
        await stage.serve(port)
    async with Cutter(ports, random.Random(4)) as proxy:
        await stage.follow(proxy.port, ports[0])
        await stage.send(60, body=PACKET)
        await stage.all_have_all()
        assert proxy.cuts > 10 * len(stage.clients)


async def test_a_history_that_has_forked_is_told_by_a_reset_and_followed_from_there(stage: Stage):
    server = await stage.serve(stage.port)
    await stage.follow(stage.port, stage.port)
    await stage.send(3)
    await stage.all_have_all()
    server.end(signal.SIGKILL)
    await stage.backend.execute("SELECT belfry.new_epoch()")
    before = await value(stage.backend, "SELECT belfry.send('u1', 'test', 'for a list that is loaded anew')")
    server = await stage.serve(stage.port)
    await stage.all_have("ready", 2)
    await stage.send(3)
    await stage.all_have_all()
    assert await asyncio.to_thread(server.end) == 0
    await stage.serve(stage.port)
    await stage.all_have("ready", 3)
    for client in stage.clients:
        names = [name for name in client.names() if name in ("ready", "reset")]
        assert names[:3] == ["ready", "reset", "ready"], client.name
        assert names.count("reset") == 1, client.name
        assert before not in client.ids()
