"""The example files of deploy/ in front of a real relay: the stream passes nginx, Caddy and HAProxy as it is."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from streams import Belfry, Client, Serve, eventually, send
from streams import serve as serve  # the fixture

DEPLOY = Path(__file__).parents[2] / "deploy"
FIRST_BYTE_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy: its example file, what in it is of another machine, and how it is started."""

    program: str
    file: str
    changes: dict[str, str]
    arguments: tuple[str, ...]

    another: tuple[str, str]  # how a second relay is written, as a change

    def written(self, directory: Path, port: int, relay: int, second: int | None = None) -> Path:
        """The example, listening without TLS on `port` before one relay, or two."""
        text = (DEPLOY / self.file).read_text().replace("127.0.0.1:8080", f"127.0.0.1:{relay}")
        if second is not None:
            text = re.sub(self.another[0], self.another[1].format(second), text)
            assert str(second) in text
        for pattern, new in self.changes.items():
            text, count = re.subn(pattern, new.format(port=port, directory=directory), text, flags=re.MULTILINE)
            assert count, f"{self.file} has no {pattern}"
        path = directory / self.file
        path.write_text(text)
        return path


PROXIES = [
    Proxy(
        "nginx",
        "nginx.conf",
        {
            r"^worker_processes auto;": "daemon off; worker_processes 1; pid {directory}/pid;",
            r"^worker_rlimit_nofile.*": "",
            r"^error_log \S+": "error_log stderr",
            r"listen 443 ssl http2;": "listen 127.0.0.1:{port};",
            r"^ *ssl_certificate.*\n": "",
            r"allow 127.0.0.1;": "",
        },
        ("-c", "{path}"),
        (r"server 127.0.0.1:\d+ max_fails=0;", r"\g<0> server 127.0.0.1:{} max_fails=0;"),
    ),
    Proxy(
        "caddy",
        "Caddyfile",
        {r"^\{\$BELFRY_SITE:notifications.example.com\}": "http://:{port}"},
        ("run", "--adapter", "caddyfile", "--config", "{path}"),
        (r"reverse_proxy .*RELAYS:(127.0.0.1:\d+)\}", r"reverse_proxy \1 127.0.0.1:{}"),
    ),
    Proxy(
        "haproxy",
        "haproxy.cfg",
        {r"bind :443 ssl.*": "bind 127.0.0.1:{port}"},
        ("-db", "-f", "{path}"),
        (r"# server relay2 10.0.0.2:8080", "server relay2 127.0.0.1:{}"),
    ),
]


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def answers(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


@asynccontextmanager
async def before(proxy: Proxy, relay: int, directory: Path, second: int | None = None) -> AsyncGenerator[int]:
    """The proxy in front of the relay's port, or of two; yields its own."""
    program, port = shutil.which(proxy.program), free_port()
    if program is None:
        pytest.skip(f"{proxy.program} is not installed (Debian: apt install {proxy.program})")
    path = proxy.written(directory, port, relay, second)
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(  # noqa: ASYNC220 - it returns at once
            [program, *(each.format(path=path) for each in proxy.arguments)],
            stdout=log,
            stderr=log,
            env={"HOME": str(directory), "PATH": "/usr/bin:/bin"},
            start_new_session=True,
        )
    try:
        await eventually(lambda: answers(port) or process.poll() is not None)
        assert process.poll() is None, (directory / "log").read_text()
        yield port
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # with its workers: none ends by itself while streams are open
        process.wait(10)


@pytest_asyncio.fixture(params=PROXIES, ids=lambda proxy: proxy.program)
async def through(request: Any, serve: Serve, tmp_path: Path) -> AsyncGenerator[tuple[Belfry, int]]:
    """A relay, and the port of the proxy in front of it."""
    belfry = await serve(heartbeat_seconds=0.2)
    await eventually(lambda: belfry.relay.ready)  # or the proxy's first check finds nobody, and the next is late
    async with before(request.param, belfry.port, tmp_path) as port:
        yield belfry, port


async def stream(belfry: Belfry, port: int, last_id: str | None = None) -> Client:
    headers = {"authorization": f"Bearer {belfry.token()}"}
    if last_id is not None:
        headers["last-event-id"] = last_id
    client = Client(port, "/v1/stream", headers, last_id=last_id or "")
    belfry.clients.append(client)
    return await client.open()


async def test_the_first_byte_leaves_at_once_and_each_row_and_heartbeat_passes(
    through: tuple[Belfry, int], connect: Any
):
    belfry, port = through
    waited: list[float] = []
    for _ in range(5):
        began = time.monotonic()
        await (await stream(belfry, port)).read_bytes(1)
        waited.append(time.monotonic() - began)
    assert statistics.median(waited) < FIRST_BYTE_SECONDS, waited
    client, writer = await stream(belfry, port), await connect()
    await client.until("ready")
    await send(writer, "through a proxy")
    assert await client.titles(1) == ["through a proxy"]
    await client.until("heartbeat")


async def test_a_client_resumes_through_the_proxy_with_what_it_missed(through: tuple[Belfry, int], connect: Any):
    belfry, port = through
    client, writer = await stream(belfry, port), await connect()
    await client.until("ready")
    await send(writer, "seen")
    assert await client.titles(1) == ["seen"]
    client.cut()
    await send(writer, "missed")
    again = await stream(belfry, port, last_id=client.last_id)
    assert await again.titles(1) == ["missed"]
    await eventually(lambda: len(belfry.relay.hub.streams) == 1)  # the proxy has told the relay of the cut


async def test_a_drain_says_goodbye_through_the_proxy_and_ends_the_stream(through: tuple[Belfry, int]):
    belfry, port = through
    client = await stream(belfry, port)
    await client.until("ready")
    await belfry.relay.hub.drain(1.0)
    last = (await client.rest())[-1]
    assert (last.name, last.data) == ("goodbye", {"reason": "drain"})
    assert last.retry


@pytest.mark.timeout(60)
@pytest.mark.parametrize("proxy", PROXIES, ids=lambda proxy: proxy.program)
async def test_without_a_relay_a_stream_is_told_to_come_again_and_nobody_else(proxy: Proxy, tmp_path: Path):
    """Whatever is not 200 ends an EventSource for good. What a log says of it has no ticket."""
    async with before(proxy, free_port(), tmp_path) as port, httpx.AsyncClient(timeout=30) as http:
        told = await http.get(f"http://127.0.0.1:{port}/v1/stream?cursor=0&ticket=good-for-an-hour")
        assert (told.status_code, told.headers["content-type"]) == (200, "text/event-stream")
        assert {line.partition(":")[0] for line in told.text.splitlines() if ":" in line} <= {"retry"}
        assert (await http.get(f"http://127.0.0.1:{port}/v1/inbox")).status_code in (502, 503)
    assert "good-for-an-hour" not in (tmp_path / "log").read_text()


class Standin:
    """All that a relay is in the test below: streams stay open until it goes, and the rest is answered."""

    def __init__(self) -> None:
        self.port = free_port()
        self._streams: list[asyncio.StreamWriter] = []

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", self.port)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readuntil(b"\r\n\r\n")
        if b"/v1/stream" in asked:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nretry: 1\n\n")
            self._streams.append(writer)
            return
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        await writer.drain()
        writer.close()

    def stop(self) -> None:
        self._server.close()
        while self._streams:
            self._streams.pop().close()


async def follow(port: int) -> asyncio.StreamWriter:
    """A stream that is left open."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /v1/stream HTTP/1.1\r\nHost: belfry\r\n\r\n")
    assert b" 200 " in await reader.readline()
    return writer


@pytest.mark.timeout(60)
@pytest.mark.parametrize("proxy", PROXIES, ids=lambda proxy: proxy.program)
async def test_two_relays_are_restarted_one_after_the_other_and_no_request_fails(proxy: Proxy, tmp_path: Path):
    """Neither is the one that is away chosen for having the fewest streams, nor the one that is back taken for dead."""
    relays = [Standin(), Standin()]
    async with AsyncExitStack() as stack:
        for relay in relays:
            await relay.start()
            stack.callback(relay.stop)
        port = await stack.enter_async_context(before(proxy, relays[0].port, tmp_path, relays[1].port))
        http = await stack.enter_async_context(httpx.AsyncClient(timeout=30))
        for relay in [None, *relays]:
            if relay:
                relay.stop()
            for _ in range(4):
                stack.callback((await follow(port)).close)
            said = [(await http.get(f"http://127.0.0.1:{port}/v1/inbox")).status_code for _ in range(4)]
            assert said == [200] * 4
            if relay:
                await relay.start()
                await asyncio.sleep(1)


async def test_what_is_for_the_platform_stays_inside(through: tuple[Belfry, int]):
    _, port = through
    async with httpx.AsyncClient() as http:
        for path in ("/live", "/ready", "/metrics"):
            answer = await http.get(f"http://127.0.0.1:{port}{path}")
            assert answer.status_code in (403, 404), (path, answer.status_code)
