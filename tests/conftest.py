"""A real Postgres for every test: one server for the session, a clone of a migrated template for each test."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from pathlib import Path
from types import FrameType
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from belfry import migrations
from bench.postgres import Cluster
from tests import postgres as servers

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # `streams` and its like

TEMPLATE = f"belfry_template_{os.getpid()}"

Connect = Callable[..., Awaitable[psycopg.AsyncConnection[Any]]]


def pytest_configure() -> None:
    """Every wish to end ends the run as Ctrl-C does, so that no server is left behind."""
    for wish in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(wish) is not signal.SIG_IGN:  # as under nohup
            signal.signal(wish, interrupt)


def interrupt(number: int, frame: FrameType | None) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as behind a shell's `&`
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.raise_signal(signal.SIGINT)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What tests the schema runs on every major version."""
    for item in items:
        if item.path.is_relative_to(HERE / "sql"):
            item.add_marker("majors")


def admin(server: Cluster, statement: str, *names: str) -> None:
    """Run one statement on the server's own database."""
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


@pytest.fixture(scope="session")
def postgres() -> Generator[Cluster]:
    """The server of the session; `tests/postgres.py` says which."""
    with servers.server() as server:
        yield server


@pytest.fixture(scope="session")
def template(postgres: Cluster) -> Generator[str]:
    """A migrated database that tests clone."""
    admin(postgres, "DROP DATABASE IF EXISTS {} WITH (FORCE)", TEMPLATE)
    admin(postgres, "CREATE DATABASE {} TEMPLATE template0", TEMPLATE)

    async def migrate() -> None:
        async with await psycopg.AsyncConnection.connect(postgres.url(TEMPLATE), autocommit=True) as connection:
            await migrations.up(connection)

    asyncio.run(migrate())
    yield TEMPLATE
    admin(postgres, "DROP DATABASE IF EXISTS {} WITH (FORCE)", TEMPLATE)


@contextlib.contextmanager
def fresh(server: Cluster, template: str) -> Generator[str]:
    name = f"belfry_test_{os.getpid()}_{secrets.token_hex(4)}"
    admin(server, "CREATE DATABASE {} TEMPLATE {}", name, template)
    try:
        yield server.url(name)
    finally:
        admin(server, "DROP DATABASE IF EXISTS {} WITH (FORCE)", name)


def filled(fill: Callable[[psycopg.Connection[Any]], None]) -> Any:
    """A fixture that replaces `template` in a module: the template with what `fill` adds, once for all its tests."""

    @pytest.fixture(scope="module", name="template")
    def fuller(postgres: Cluster, template: str) -> Generator[str]:
        with fresh(postgres, template) as url:
            with psycopg.connect(url, autocommit=True) as connection:
                fill(connection)
            yield str(conninfo_to_dict(url)["dbname"])

    return fuller


@pytest.fixture
def database(postgres: Cluster, template: str) -> Generator[str]:
    """The URL of a fresh database with the schema."""
    with fresh(postgres, template) as url:
        yield url


@pytest.fixture
def empty_database(postgres: Cluster) -> Generator[str]:
    """The URL of a fresh database without the schema."""
    with fresh(postgres, "template0") as url:
        yield url


@pytest.fixture
def default_database(request: pytest.FixtureRequest) -> str:
    """Where `connect` leads when nothing else is said: `database`, unless the test asked for the empty one alone."""
    asked = request.fixturenames
    name = "empty_database" if "empty_database" in asked and "database" not in asked else "database"
    return request.getfixturevalue(name)


@pytest_asyncio.fixture
async def connect(default_database: str) -> AsyncGenerator[Connect]:
    """Opens autocommit connections, to `database` unless told otherwise; all are closed at the end."""
    opened: list[psycopg.AsyncConnection[Any]] = []

    async def open_one(url: str | None = None, **options: Any) -> psycopg.AsyncConnection[Any]:
        connection = await psycopg.AsyncConnection.connect(url or default_database, autocommit=True, **options)
        opened.append(connection)
        return connection

    yield open_one
    for connection in opened:
        await connection.close()


@pytest.fixture
def own_postgres() -> Generator[Cluster]:
    """A server of this test's own, to be killed and restarted."""
    if os.environ.get("BELFRY_TEST_DATABASE_URL"):
        pytest.skip("needs a server of its own: unset BELFRY_TEST_DATABASE_URL")
    with servers.own() as server:
        yield server
