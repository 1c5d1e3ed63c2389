"""Short ways to ask the HTTP API, as a recipient or as a backend."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import httpx
import psycopg
import pytest
import pytest_asyncio

from belfry import keys
from bench.postgres import Cluster
from streams import Belfry, Connection, Serve, start
from tests.conftest import fresh

Answer = httpx.Response


class Api:
    """One server, asked with any credential."""

    def __init__(self, belfry: Belfry, writer: Connection) -> None:
        self.belfry = belfry
        self.writer = writer
        self.http = httpx.AsyncClient(base_url=belfry.url, timeout=20)
        self._keys: dict[tuple[str, ...], str] = {}

    async def as_recipient(
        self, method: str, path: str, body: Any = None, recipient: str = "u1", **more: Any
    ) -> Answer:
        """Ask with a token of that recipient, or with `token`."""
        token = more.pop("token", None) or self.belfry.token(recipient)
        return await self._ask(method, path, token, body, **more)

    async def as_backend(self, method: str, path: str, body: Any = None, *scopes: str, **more: Any) -> Answer:
        """Ask with an API key of these scopes (all, where none is named)."""
        return await self._ask(method, path, await self.key(*scopes), body, **more)

    async def key(self, *scopes: str) -> str:
        """An API key of these scopes."""
        wanted = scopes or keys.SCOPES
        if wanted not in self._keys:
            self._keys[wanted] = await keys.create(self.writer, f"key for {wanted}", wanted)
        return self._keys[wanted]

    async def _ask(self, method: str, path: str, bearer: str, body: Any, **more: Any) -> Answer:
        headers = {"authorization": f"Bearer {bearer}", **more.pop("headers", {})}
        if body is not None and "content" not in more:
            more["json"] = body
        return await self.http.request(method, path, headers=headers, **more)


@pytest_asyncio.fixture
async def api(serve: Serve, connect: Any) -> AsyncGenerator[Api]:
    """A server, and short ways to ask it."""
    each = Api(await serve(), await connect())
    async with each.http:
        yield each


refusals = pytest.mark.asyncio(loop_scope="module")
"""For tests of requests that are refused: they leave nothing behind, so a module's share one server, `refusing`."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def refusing(postgres: Cluster, template: str) -> AsyncGenerator[Api]:
    """The server of a module's `refusals`."""
    with fresh(postgres, template) as url:
        belfry = await start(url)
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as writer:
            each = Api(belfry, writer)
            async with each.http:
                yield each
        await belfry.stop()


def fields(answer: Answer) -> list[str]:
    """The fields that a problem document names."""
    assert answer.headers["content-type"].startswith("application/problem+json"), answer.text
    document = answer.json()
    assert document["status"] == answer.status_code
    return [each["field"] for each in document.get("errors", [])]
