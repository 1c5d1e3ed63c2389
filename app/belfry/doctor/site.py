"""Where a check looks: the settings, and the connections that a relay would have."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from belfry import database, errors
from belfry.config import Config

Connection = psycopg.AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Site:
    """`api` leads where requests go, `direct` and `other` where a relay listens and polls."""

    config: Config
    api: Connection
    direct: Connection
    other: Connection

    @property
    def login(self) -> str:
        """Who is asking, as SQL would name them."""
        return sql.Identifier(self.direct.info.user).as_string(self.direct)

    async def row(self, query: LiteralString, *values: object) -> tuple[Any, ...]:
        """The one row of a query."""
        return (await self.rows(query, *values))[0]

    async def rows(self, query: LiteralString, *values: object) -> list[tuple[Any, ...]]:
        """The rows of a query, asked directly."""
        cursor = await self.direct.execute(query, values or None)
        return await cursor.fetchall()


@asynccontextmanager
async def visited(config: Config) -> AsyncGenerator[Site]:
    """Open the connections; they are closed at the end. Raises DatabaseError, naming the URL that leads nowhere."""
    async with AsyncExitStack() as stack:

        async def open_one(url: str | None, variable: str, *, pooled: bool = False) -> Connection:
            try:
                connection = await database.connect(url or "", application_name="belfry cli", pooled=pooled)
            except errors.DatabaseError as error:
                raise type(error)(error.message.replace("BELFRY_DATABASE_URL", variable)) from error
            connection.prepare_threshold = None  # a pooler in the way must not be hidden by what it makes of them
            return await stack.enter_async_context(connection)

        pooled = config.direct_url is not None
        variable = "BELFRY_DIRECT_URL" if pooled else "BELFRY_DATABASE_URL"
        direct = [await open_one(config.listen_url, variable) for _ in range(2)]
        api = await open_one(config.database_url, "BELFRY_DATABASE_URL", pooled=pooled)
        yield Site(config, api, *direct)
