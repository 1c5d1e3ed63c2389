"""A real Postgres for every test: one server for the session, a clone of a migrated template for each test."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from psycopg import sql

from belfry import migrations
from bench.postgres import Cluster, Given, cluster

sys.path.insert(0, str(Path(__file__).parent))  # `streams` and its like

TEMPLATE = "belfry_template"
SETTINGS = {"max_prepared_transactions": "200", "shared_buffers": "128MB"}
numbers = itertools.count(1)

Connect = Callable[..., Awaitable[psycopg.AsyncConnection[Any]]]


def pytest_configure() -> None:
    """A SIGTERM ends the run as Ctrl-C does, so that no server is left behind."""
    signal.signal(signal.SIGTERM, lambda number, frame: signal.raise_signal(signal.SIGINT))


def admin(server: Cluster, statement: str, *names: str) -> None:
    """Run one statement on the server's own database."""
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


@contextlib.contextmanager
def container() -> Generator[str | None]:
    """The URL of a Postgres in a container, or None where no Docker engine answers."""
    try:
        import docker
        from testcontainers.postgres import PostgresContainer

        docker.from_env(timeout=2).ping()
    except Exception:  # noqa: BLE001 - whatever is missing, there is no engine to ask
        yield None
        return
    image = PostgresContainer("postgres:18-alpine", driver=None)
    with image.with_command("postgres -c max_connections=300 -c max_prepared_transactions=200") as running:
        yield running.get_connection_url()


@pytest.fixture(scope="session")
def postgres() -> Generator[Cluster]:
    """A server: the one of BELFRY_TEST_DATABASE_URL, else a container, else our own of what is installed."""
    with contextlib.ExitStack() as stack:
        given = os.environ.get("BELFRY_TEST_DATABASE_URL")
        if given is None and "BELFRY_TEST_POSTGRES_BIN" not in os.environ:
            given = stack.enter_context(container())
        yield Given(given) if given else stack.enter_context(cluster(SETTINGS))


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
    name = f"belfry_test_{os.getpid()}_{next(numbers)}"
    admin(server, "CREATE DATABASE {} TEMPLATE {}", name, template)
    try:
        yield server.url(name)
    finally:
        admin(server, "DROP DATABASE IF EXISTS {} WITH (FORCE)", name)


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
    with cluster(SETTINGS) as server:
        yield server
