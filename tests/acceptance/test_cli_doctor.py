"""`belfry doctor` as a process: beside a server, behind a pooler, where something is broken."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from commandline import SECRET, free_port, run, serving
from pooler import pooler

from bench.postgres import Cluster


def findings(directory: Path, code: int, **settings: str | None) -> dict[str, dict[str, str]]:
    """What it found, by name; it must end with that code."""
    done = run(directory, "doctor", "--json", **settings)
    assert done.returncode == code, done
    assert done.stderr == ""
    return {each["name"]: each for each in json.loads(done.stdout)["checks"]}


def test_beside_a_server_nothing_fails_and_the_relay_is_seen(tmp_path: Path, database: str) -> None:
    with serving(tmp_path, database):
        found = findings(tmp_path, 0, database_url=database, secret=SECRET, max_streams="100")
    assert {name for name, each in found.items() if each["state"] != "ok"} <= {"login", "wake mode"}
    assert found["relays"]["seen"].startswith("1 connected")


def test_a_fault_ends_it_with_1_and_a_line_that_says_what_to_do(tmp_path: Path, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as owner:
        owner.execute("DROP INDEX belfry.change_recipient_idx")
    done = run(tmp_path, "doctor", database_url=database, secret=SECRET)
    assert (done.returncode, done.stderr) == (1, ""), done
    lines = done.stdout.splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("  fail  indexes"))
    assert "→ CREATE INDEX CONCURRENTLY change_recipient_idx" in lines[place + 1]
    assert "1 failure" in lines[-1]


def test_a_pooler_in_transaction_mode_fails_and_the_direct_url_beside_it_mends_that(
    project: Path, postgres: Cluster, database: str
) -> None:
    name = urlsplit(database).path.removeprefix("/")
    with pooler(postgres, project, pool_mode="transaction", ignore_startup_parameters="options") as through:
        url = through.url(name)
        found = findings(project, 1, database_url=url, secret=SECRET)
        assert (found["pooler"]["state"], "BELFRY_DIRECT_URL" in found["pooler"]["advice"]) == ("fail", True)
        found = findings(project, 1, database_url=database, direct_url=url, secret=SECRET)
        assert "BELFRY_DIRECT_URL" in found["pooler"]["advice"]
        assert "no NOTIFY arrives" in found["listen"]["seen"]
        found = findings(project, 0, database_url=url, direct_url=database, secret=SECRET)
        assert {found[check]["state"] for check in ("pooler", "listen", "primary")} == {"ok"}


def test_a_direct_url_to_another_database_is_not_called_one_without_the_schema(
    tmp_path: Path, postgres: Cluster, database: str
) -> None:
    found = findings(tmp_path, 1, database_url=database, direct_url=postgres.url("postgres"), secret=SECRET)
    assert "lead to two different databases" in found["primary"]["seen"]


@pytest.mark.parametrize("words", [[], ["--json"]], ids=["for people", "as JSON"])
def test_a_database_that_is_away_is_a_finding_without_its_password(tmp_path: Path, words: list[str]) -> None:
    url = f"postgresql://app:pa55word@127.0.0.1:{free_port()}/app"
    done = run(tmp_path, "doctor", *words, database_url=url, secret=SECRET)
    assert (done.returncode, done.stderr) == (1, ""), done
    assert "Postgres does not answer" in done.stdout
    assert "pa55word" not in done.stdout
