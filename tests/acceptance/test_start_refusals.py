"""What `belfry serve` refuses to run on, met for real: a pooler, a subscriber, a standby, a password that is wrong."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
from commandline import SECRET, refused, run, running
from pooler import pooler

from bench.postgres import SETTINGS, Cluster, cluster, database, unprivileged
from streams import Serve
from streams import serve as serve  # the fixture

PASSWORD = "swordfish"


def refusal(directory: Path, url: str, *words: str, **settings: str) -> str:
    """The one line with which the server does not start."""
    return refused(run(directory, "serve", "--port", "0", *words, database_url=url, secret=SECRET, **settings))


def named(url: str) -> str:
    """The database's name."""
    return urlsplit(url).path.removeprefix("/")


# --- a pooler --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"ignore_startup_parameters": "options"}], ids=["strict", "lenient"])
def test_a_pooler_in_transaction_mode_is_refused_however_often_one_tries(
    project: Path, postgres: Cluster, database: str, settings: dict[str, str]
) -> None:
    with pooler(postgres, project, pool_mode="transaction", **settings) as through:
        for _ in range(3):  # a session that an earlier try has left there must not help
            told = refusal(project, through.url(named(database)))
            assert "A pooler in transaction mode loses LISTEN: set BELFRY_DIRECT_URL" in told


def test_a_pooler_in_transaction_mode_that_is_busy_with_others_is_refused_as_well(
    project: Path, postgres: Cluster, database: str
) -> None:
    lenient = {"ignore_startup_parameters": "options", "server_round_robin": "1"}
    with pooler(postgres, project, pool_mode="transaction", **lenient) as through:
        url = through.url(named(database))
        listening = [psycopg.connect(url, autocommit=True) for _ in range(4)]
        for each in listening:  # so that some sessions of the pool do hear the bell
            each.execute("LISTEN belfry")
        assert "set BELFRY_DIRECT_URL" in refusal(project, url)
        for each in listening:
            each.close()


def test_a_pooler_in_session_mode_is_as_good_as_none(project: Path, postgres: Cluster, database: str) -> None:
    with pooler(postgres, project, pool_mode="session", ignore_startup_parameters="options") as through:
        url = through.url(named(database))
        with running(project, "serve", "--port", "0", database_url=url, secret=SECRET) as server:
            server.wait_for("ready on")
            assert server.end() == 0
        assert server.err == []


async def test_with_a_direct_url_beside_it_all_but_the_relay_goes_through_a_pooler(
    project: Path, postgres: Cluster, database: str, serve: Serve
) -> None:
    with pooler(postgres, project, pool_mode="transaction", default_pool_size="3") as through:
        url = through.url(named(database))
        belfry = await serve(database_url=url, direct_url=database)
        client = await belfry.live()
        start = client.last_id
        key = (await asyncio.to_thread(run, project, "key", "create", "test", database_url=database)).stdout.strip()
        headers = {"authorization": f"Bearer {key}"}
        mine = {"authorization": f"Bearer {belfry.token()}"}
        async with httpx.AsyncClient(base_url=belfry.url) as http:

            async def once(number: int) -> None:
                body = {"recipient": "u1", "kind": "test", "title": str(number)}
                assert (await http.post("/v1/notifications", json=body, headers=headers)).status_code == 201
                assert (await http.get("/v1/inbox", headers=mine)).status_code == 200

            await asyncio.gather(*map(once, range(40)))
        assert sorted(await client.titles(40), key=int) == [str(number) for number in range(40)]
        done = await asyncio.to_thread(run, project, "send", "u1", "test", "--title", "by hand", database_url=url)
        assert done.returncode == 0, done.stderr
        assert await client.titles(1) == ["by hand"]
        late = await serve(database_url=url, direct_url=database, recent_rows=0)  # replays from the table
        again = await late.open(last_id=start)
        assert len(await again.until("ready")) == 42


# --- another kind of server ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def logical() -> Iterator[Cluster]:
    """A server that may publish, and whose data may be copied."""
    if os.environ.get("BELFRY_TEST_DATABASE_URL"):
        pytest.skip("needs a server of its own: unset BELFRY_TEST_DATABASE_URL")
    with cluster({**SETTINGS, "wal_level": "logical", "fsync": "off"}) as server:
        yield server


def test_a_logical_subscriber_is_refused_and_its_publisher_is_not(tmp_path: Path, logical: Cluster) -> None:
    with database(logical) as ours, database(logical) as theirs:
        publisher, subscriber = logical.url(ours), logical.url(theirs)
        with psycopg.connect(publisher, autocommit=True) as one, psycopg.connect(subscriber, autocommit=True) as other:
            one.execute("CREATE PUBLICATION belfry FOR TABLE belfry.notification, belfry.change")
            # In one cluster the slot must be made apart: CREATE SUBSCRIPTION would wait for its own transaction.
            one.execute("SELECT pg_create_logical_replication_slot('belfry', 'pgoutput')")
            other.execute(
                f"CREATE SUBSCRIPTION belfry CONNECTION '{publisher}' PUBLICATION belfry"
                " WITH (create_slot = false, slot_name = 'belfry', copy_data = false)"
            )
        assert "receives belfry's tables by logical replication" in refusal(tmp_path, subscriber)
        with running(tmp_path, "serve", "--port", "0", database_url=publisher, secret=SECRET) as server:
            server.wait_for("ready on")
        with psycopg.connect(subscriber, autocommit=True) as other:
            other.execute("DROP SUBSCRIPTION belfry")


@pytest.fixture
def standby(logical: Cluster, project: Path) -> Iterator[tuple[Cluster, str]]:
    """A copy of the server that waits for more of its log, and the name of a database with the schema on both."""
    copy = Cluster(project / "standby")
    with database(logical) as name:
        logical.stop()
        shutil.copytree(logical.data, copy.data)
        logical.start()
        (copy.data / "standby.signal").touch()
        with (copy.data / "postgresql.conf").open("a") as conf:
            conf.write(f"port = {copy.port}\nunix_socket_directories = '{copy.directory}'\n")
        if user := unprivileged():
            subprocess.run(["chown", "-R", user, copy.directory], check=True)
        copy.start()
        try:
            yield copy, name
        finally:
            copy.stop()


def test_a_standby_is_refused_by_every_command_that_writes(
    tmp_path: Path, logical: Cluster, standby: tuple[Cluster, str]
) -> None:
    primary, (server, name) = logical, standby
    told = "This Postgres is a standby and cannot be written to: point BELFRY_DATABASE_URL at the primary."
    assert told in refusal(tmp_path, server.url(name))
    assert told in refusal(tmp_path, server.url(name), direct_url=primary.url(name))
    for words in (["send", "u1", "test"], ["key", "create", "app"]):
        assert told in refused(run(tmp_path, *words, database_url=server.url(name)))


@pytest.mark.parametrize("other", ["another server", "another database"])
def test_two_urls_that_lead_to_two_databases_are_refused(
    tmp_path: Path, logical: Cluster, postgres: Cluster, database: str, other: str
) -> None:
    url = (logical if other == "another server" else postgres).url("postgres")
    assert "lead to two different databases" in refusal(tmp_path, url, direct_url=database)
    assert "lead to two different databases" in refusal(tmp_path, database, direct_url=url)


@pytest.mark.parametrize("given", [f":{PASSWORD}", ""], ids=["wrong", "none"])
def test_a_password_that_is_wrong_or_missing_is_one_line_without_it(
    tmp_path: Path, logical: Cluster, given: str
) -> None:
    with psycopg.connect(logical.url("postgres"), autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS guarded")
        connection.execute("CREATE ROLE guarded LOGIN PASSWORD 'right'")
        hba = logical.data / "pg_hba.conf"
        hba.write_text("host all guarded 127.0.0.1/32 scram-sha-256\n" + hba.read_text())
        connection.execute("SELECT pg_reload_conf()")
    told = refusal(tmp_path, logical.url("postgres").replace("postgres@", f"guarded{given}@"))
    assert told.endswith("Postgres refused the user or the password: correct them in BELFRY_DATABASE_URL.\n")
