"""Connecting: each refusal in one line that says what to do, and a pool that is back soon after its server."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from urllib.parse import quote

import psycopg
import pytest

from belfry import database, errors
from bench.postgres import Cluster, free_port, with_database

PASSWORD = "swordfish"


async def refusal(url: str) -> errors.DatabaseError:
    """How a connection is refused; the same for a pool."""
    with pytest.raises(errors.DatabaseError) as first:
        await database.connect(url, application_name="belfry test")
    with pytest.raises(errors.DatabaseError) as second:
        await database.open_pool(url, application_name="belfry test", min_size=1, max_size=1)
    assert str(first.value) == str(second.value)
    assert "\n" not in str(first.value)
    assert PASSWORD not in str(first.value)
    return first.value


async def test_a_server_that_nobody_runs_is_told_in_its_own_words() -> None:
    told = await refusal(f"postgresql://postgres:{PASSWORD}@127.0.0.1:{free_port()}/app")
    assert type(told) is errors.DatabaseUnavailable
    assert "Connection refused" in str(told)
    assert "BELFRY_DATABASE_URL" in str(told)


async def test_a_host_that_does_not_exist_is_told_by_its_name() -> None:
    assert "no-such-host.invalid" in str(await refusal("postgresql://postgres@no-such-host.invalid/app"))


@pytest.mark.timeout(30)
async def test_a_server_that_accepts_and_is_silent_is_given_up_after_some_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(database._SETTINGS, "connect_timeout", 2)  # the smallest that libpq knows
    with socket.create_server(("127.0.0.1", 0)) as silent:  # the kernel accepts, and nobody answers
        port = silent.getsockname()[1]
        with pytest.raises(errors.DatabaseUnavailable, match="timeout"):
            await database.connect(f"postgresql://postgres@127.0.0.1:{port}/app", application_name="test")


async def test_a_database_that_does_not_exist_is_named_as_the_fault(postgres: Cluster) -> None:
    assert type(await refusal(postgres.url("belfry_no_such_database"))) is errors.DatabaseMissing


async def test_a_role_that_does_not_exist_is_refused_as_a_user(postgres: Cluster) -> None:
    told = await refusal(with_database(postgres.url("postgres"), "postgres", "nobody_at_all"))
    assert type(told) is errors.WrongPassword


async def test_a_url_that_cannot_be_read_is_refused_without_repeating_it() -> None:
    for url in (f"postgresql://u:{PASSWORD}@[bad", f"postgresql://u@h/d?secret={PASSWORD}"):
        assert "cannot be read" in str(await refusal(url))


async def test_a_wrong_password_a_full_server_and_a_starting_one_are_told_apart(own_postgres: Cluster) -> None:
    with psycopg.connect(own_postgres.url("postgres"), autocommit=True) as connection:
        connection.execute("CREATE ROLE guarded LOGIN PASSWORD 'right'")
        connection.execute("CREATE ROLE limited LOGIN CONNECTION LIMIT 0")
        hba = own_postgres.data / "pg_hba.conf"
        hba.write_text("host all guarded 127.0.0.1/32 scram-sha-256\n" + hba.read_text())
        connection.execute("SELECT pg_reload_conf()")
    base = own_postgres.url("postgres")
    guarded = base.replace("postgres@", f"guarded:{quote(PASSWORD)}@")
    assert type(await refusal(guarded)) is errors.WrongPassword
    assert type(await refusal(base.replace("postgres@", "guarded@"))) is errors.WrongPassword
    assert type(await refusal(base.replace("postgres@", "limited@"))) is errors.TooManyConnections


# --- the pool --------------------------------------------------------------------------------------------------


@asynccontextmanager
async def pool_of(url: str, size: int = 1) -> AsyncGenerator[database.Pool]:
    """A pool of at most so many connections."""
    pool = await database.open_pool(url, application_name="belfry test", min_size=1, max_size=size)
    try:
        yield pool
    finally:
        await pool.close()


async def test_its_connections_commit_by_themselves_in_utc_and_carry_their_name(database: str) -> None:
    async with pool_of(database) as pool, pool.connection() as connection:
        assert connection.autocommit
        cursor = await connection.execute("SELECT current_setting('TimeZone'), current_setting('application_name')")
        assert await cursor.fetchone() == ("UTC", "belfry test")


async def test_its_connections_have_what_they_are_written_for_whatever_the_database_prefers(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    name = psycopg.conninfo.conninfo_to_dict(database)["dbname"]
    with psycopg.connect(database, autocommit=True) as admin:
        for preference in ("default_transaction_isolation = 'repeatable read'", "datestyle = 'German'"):
            admin.execute(f'ALTER DATABASE "{name}" SET {preference}'.encode())
    async with pool_of(database) as pool, pool.connection() as connection:
        cursor = await connection.execute("SELECT '€', now(), current_setting('default_transaction_isolation')")
        sign, _, isolation = (await cursor.fetchall())[0]
        assert (sign, isolation) == ("€", "read committed")


async def test_its_queries_are_not_compiled_however_dear_they_look(database: str) -> None:
    """The poll beside many gaps does: compiling it took a second each time, in which it could not be cancelled."""
    async with pool_of(database) as pool, pool.connection() as connection:
        assert await (await connection.execute("SHOW jit")).fetchone() == ("off",)


@pytest.mark.timeout(60)
async def test_who_waits_has_a_connection_within_a_second_of_the_server_being_back(own_postgres: Cluster) -> None:
    async with pool_of(own_postgres.url("postgres")) as pool:
        own_postgres.kill()
        with pytest.raises(psycopg.OperationalError):
            async with pool.connection() as connection:
                await connection.execute("SELECT 1")

        async def wait() -> float:
            async with pool.connection(timeout=30) as connection:
                await connection.execute("SELECT 1")
            return time.monotonic()

        waiting = [asyncio.create_task(wait()) for _ in range(3)]
        await asyncio.sleep(4)
        await asyncio.to_thread(own_postgres.start)
        back = time.monotonic()
        assert max(await asyncio.gather(*waiting)) - back < 1


async def test_a_waiter_is_told_that_the_server_is_away_when_its_time_is_up(own_postgres: Cluster) -> None:
    async with pool_of(own_postgres.url("postgres")) as pool:
        own_postgres.kill()
        with pytest.raises(psycopg.OperationalError):
            async with pool.connection() as connection:
                await connection.execute("SELECT 1")
        began = time.monotonic()
        with pytest.raises(psycopg.OperationalError):
            await pool.getconn(timeout=1)
        assert time.monotonic() - began < 2
    assert pool.closed
