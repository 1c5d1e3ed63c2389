"""Belfry inside another application: the code of docs/mounting.md, run as its readers would run it."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import psycopg
import pytest
import pytest_asyncio
import uvicorn
from commandline import SECRET, free_port

from belfry import auth
from belfry.config import Config
from streams import Client, eventually, send

ROOT = Path(__file__).resolve().parents[2]
SECTIONS = re.findall(r"^## (\w+)\n\n```python\n(.*?)^```", (ROOT / "docs/mounting.md").read_text(), re.M | re.S)
HOSTS = dict(SECTIONS)


@dataclass
class Host:
    """An application with Belfry under /belfry, in a process of its own."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {auth.mint(Config(secret=SECRET), 'u1', 600)}"}

    def post(self, path: str, body: Any) -> httpx.Response:
        return httpx.post(self.url + path, headers=self.headers(), json=body, timeout=30)

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.url + path, headers=self.headers(), timeout=30)

    async def stream(self, last_id: str = "") -> Client:
        headers = self.headers() | ({"last-event-id": last_id} if last_id else {})
        return await Client(self.port, "/belfry/v1/stream", headers, last_id=last_id).open()

    def ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.get("/belfry/ready").status_code == 200
        except httpx.TransportError:
            return False


@pytest_asyncio.fixture(params=HOSTS)
async def host(request: Any, database: str, tmp_path: Path) -> AsyncGenerator[Host]:
    (tmp_path / "host.py").write_text(HOSTS[request.param])
    port, log = free_port(), tmp_path / "log"
    given = {name: value for name, value in os.environ.items() if not name.startswith("BELFRY_")}
    given |= {"BELFRY_DATABASE_URL": database, "BELFRY_SECRET": SECRET, "PYTHONPATH": str(ROOT / "app")}
    with log.open("wb") as file:
        process = subprocess.Popen(  # noqa: ASYNC220 - it returns at once
            [sys.executable, "-m", "uvicorn", "host:app", "--port", str(port)],
            cwd=tmp_path, env=given, stdout=file, stderr=file,
        )  # fmt: skip
    one = Host(process, port, log)
    try:
        await eventually(one.ready, 60)
        yield one
    finally:
        process.kill()
        process.wait(10)


def test_the_page_shows_fastapi_starlette_and_litestar() -> None:
    assert list(HOSTS) == ["FastAPI", "Starlette", "Litestar"]


async def test_the_host_goes_on_and_belfry_stands_below_its_path(host: Host, connect: Any) -> None:
    writer: psycopg.AsyncConnection[Any] = await connect()
    assert "home" in host.get("/").text
    client = await host.stream()
    assert (await client.next()).name == "ready"
    first = await send(writer, "live")
    assert await client.titles(1) == ["live"]
    client.cut()
    await send(writer, "missed")
    again = await host.stream(client.last_id)
    assert await again.titles(1) == ["missed"]
    page = host.get("/belfry/v1/inbox").json()
    assert [each["title"] for each in page["items"]] == ["missed", "live"]
    done = host.post("/belfry/v1/inbox/read", {"ids": [first]})
    assert done.status_code < 300
    assert (await again.until("change"))[-1].data["unread"] == 1
    entry = host.get("/belfry/widget.js").text
    (path,) = re.findall(r'"\./(widget/[^"]+)"', entry)
    assert "customElements" in host.get(f"/belfry/{path}").text
    (reference,) = re.findall(r'href="([^"]+)"', host.get("/belfry/schema").text)
    paths = host.get(urljoin("/belfry/schema", reference)).json()
    assert "/v1/stream" in paths["paths"]
    assert host.get("/belfry/nowhere").json()["status"] == 404
    assert "belfry_streams 1.0" in host.get("/belfry/metrics").text
    await stops(host, again)


async def stops(host: Host, client: Client) -> None:
    """A stop says goodbye to the stream, and ends."""
    host.process.send_signal(signal.SIGTERM)
    last = (await client.rest())[-1]
    assert (last.name, last.data) == ("goodbye", {"reason": "drain"})
    client.cut()
    await asyncio.to_thread(host.process.wait, 30)
    assert "Traceback" not in host.log.read_text()


async def test_a_middleware_that_waits_after_it_wrote_makes_nothing_twice(database: str, connect: Any) -> None:
    """Or a server that does, as one that drains its socket after each write."""
    from belfry import create_app

    belfry = create_app(Config(database_url=database, secret=SECRET))

    async def host(scope: Any, receive: Any, send: Any) -> None:
        async def counted(message: Any) -> None:
            await send(message)
            await asyncio.sleep(0)

        await belfry(scope, receive, counted)

    server = uvicorn.Server(uvicorn.Config(host, port=0, lifespan="on", log_config=None))
    serving = asyncio.create_task(server._serve())
    await eventually(lambda: server.started)
    writer = await connect()
    port = server.servers[0].sockets[0].getsockname()[1]
    token = auth.mint(Config(secret=SECRET), "u1", 600)
    client = await Client(port, "/v1/stream", {"authorization": f"Bearer {token}"}).open()
    await client.until("ready")
    titles = [f"number {number}" for number in range(20)]
    for title in titles:
        await send(writer, title)
    assert await client.titles(len(titles)) == titles
    await send(writer, "end")
    assert await client.titles(1) == ["end"]
    client.cut()
    server.should_exit = True
    await serving


TOKEN = auth.mint(Config(secret=SECRET), "u1", 600)


@pytest.mark.parametrize(
    ("method", "path", "credential"),
    [
        ("GET", "/v1/stream", TOKEN),
        ("GET", "/v1/inbox", TOKEN),
        ("GET", "/ready", TOKEN),
        ("GET", "/metrics", TOKEN),
        ("GET", "/v1/notifications/1", "bf_key"),
        ("POST", "/v1/notifications", "bf_key"),
    ],
)
async def test_a_host_that_forgets_the_lifespan_is_told_so(
    database: str, method: str, path: str, credential: str
) -> None:
    from fastapi import FastAPI

    from belfry import create_app

    app = FastAPI()
    app.mount("/belfry", create_app(Config(database_url=database, secret=SECRET)))
    headers = {"authorization": f"Bearer {credential}"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://host", headers=headers) as http:
        answer = await http.request(method, f"/belfry{path}", json={} if method == "POST" else None)
    assert answer.status_code == 503
    assert "lifespan" in answer.json()["detail"]


def test_without_a_configuration_the_environment_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from belfry import create_app, errors

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BELFRY_SECRET", "short")
    monkeypatch.setenv("BELFRY_PORT", "many")
    with pytest.raises(errors.ConfigError, match=r"BELFRY_SECRET.*BELFRY_PORT"):
        create_app()
