"""`belfry prune`, `erase` and `export` as processes against a real database."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from pathlib import Path
from typing import Any

import psycopg
import pytest
from commandline import BELFRY, SECONDS, environment, refused, run


def one(url: str, statement: str) -> Any:
    """The first column of the first row."""
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(statement.encode()).fetchall()[0][0]


@pytest.fixture
def aged(database: str) -> str:
    """A database with three notifications of ten days ago, and one of today."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("SELECT belfry.send('u1', 'test', 'old') FROM generate_series(1, 3)")
        connection.execute("UPDATE belfry.notification SET created_at = now() - interval '10 days'")
        connection.execute("SELECT belfry.send('u1', 'test', 'new')")
        connection.execute("SELECT belfry.settle()")
    return database


KEPT = "SELECT count(*) FROM belfry.notification"


# --- prune -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("words", "settings"), [(["--older-than", "9d"], {}), ([], {"retention_days": "9"})])
def test_prune_removes_what_is_older_and_says_how_much(
    tmp_path: Path, aged: str, words: list[str], settings: dict[str, str]
) -> None:
    tried = run(tmp_path, "prune", *words, "--dry-run", database_url=aged, **settings)
    assert (tried.returncode, tried.stdout, one(aged, KEPT)) == (0, "3 notifications would be removed\n", 4), tried
    done = run(tmp_path, "prune", *words, database_url=aged, **settings)
    assert (done.returncode, done.stdout, one(aged, KEPT)) == (0, "3 rows removed\n", 1), done
    assert run(tmp_path, "prune", *words, database_url=aged, **settings).stdout == "0 rows removed\n"


def test_a_time_that_was_given_wins_over_the_retention(tmp_path: Path, aged: str) -> None:
    done = run(tmp_path, "prune", "--older-than", "11d", database_url=aged, retention_days="9")
    assert (done.stdout, one(aged, KEPT)) == ("0 rows removed\n", 4)


def test_prune_without_an_age_is_wrong_usage_and_removes_nothing(tmp_path: Path, aged: str) -> None:
    assert "--older-than" in refused(run(tmp_path, "prune", database_url=aged), 2)
    assert "'soon'" in refused(run(tmp_path, "prune", "--older-than", "soon", database_url=aged), 2)
    assert one(aged, KEPT) == 4


@pytest.mark.parametrize("age", ["9", "9m", "9s", "0.5"])
def test_what_cannot_be_undone_guesses_no_unit_and_takes_m_for_no_months(tmp_path: Path, aged: str, age: str) -> None:
    assert f"'{age}' is no age" in refused(run(tmp_path, "prune", "--older-than", age, database_url=aged), 2)
    assert one(aged, KEPT) == 4


def test_prune_beside_another_says_to_wait(tmp_path: Path, aged: str) -> None:
    with psycopg.connect(aged, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(1111837766, 5)")
        told = refused(run(tmp_path, "prune", "--older-than", "1d", database_url=aged))
    assert "Another prune is running" in told
    assert one(aged, KEPT) == 4


# --- erase and export ------------------------------------------------------------------------------------------


def test_erase_with_yes_forgets_one_and_nobody_else(tmp_path: Path, database: str) -> None:
    for recipient in ("u1", "u2"):
        one(database, f"SELECT belfry.send('{recipient}', 'test')")
    done = run(tmp_path, "erase", "u1", "--yes", database_url=database)
    assert (done.returncode, "'u1' erased" in done.stdout) == (0, True), done
    assert one(database, "SELECT array_agg(recipient) FROM belfry.notification") == ["u2"]
    again = run(tmp_path, "erase", "u1", "--yes", database_url=database)
    assert (again.returncode, again.stdout) == (0, "nothing was stored about 'u1'\n"), again


def test_erase_does_nothing_where_nobody_can_be_asked(tmp_path: Path, database: str) -> None:
    one(database, "SELECT belfry.send('u1', 'test')")
    done = subprocess.run(
        [*BELFRY, "erase", "u1"],
        cwd=tmp_path,
        env=environment(database_url=database),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert "--yes" in refused(done, 2)
    assert one(database, KEPT) == 1


@pytest.mark.parametrize(("answer", "code", "left"), [("u1\n", 0, 0), ("yes\n", 1, 1), ("\n", 1, 1), ("\x04", 1, 1)])
def test_erase_asks_for_the_name(tmp_path: Path, database: str, answer: str, code: int, left: int) -> None:
    one(database, "SELECT belfry.send('u1', 'test')")
    ours, theirs = pty.openpty()
    try:
        with subprocess.Popen(
            [*BELFRY, "erase", "u1"],
            cwd=tmp_path,
            env=environment(database_url=database),
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as asked:
            os.write(ours, answer.encode())
            _, told = asked.communicate(timeout=SECONDS)
    finally:
        os.close(ours)
        os.close(theirs)
    assert (asked.returncode, one(database, KEPT)) == (code, left), told
    assert "Type the name again" in told
    assert code == 0 or "nothing is erased" in told


def test_export_prints_json_that_has_what_was_sent(tmp_path: Path, database: str) -> None:
    one(database, """SELECT belfry.send('u1', 'test', 'für dich', data => '{"n": 123456789012345678901.5}')""")
    one(database, "SELECT belfry.send('u2', 'test', 'for another')")
    done = run(tmp_path, "export", "u1", database_url=database)
    assert (done.returncode, done.stderr) == (0, ""), done
    assert json.loads(done.stdout)
    assert "für dich" in done.stdout
    assert "123456789012345678901.5" in done.stdout, "no digit is lost"
    assert "for another" not in done.stdout


@pytest.mark.parametrize("command", [["erase", "--yes"], ["export"]], ids=["erase", "export"])
def test_what_is_no_recipient_is_refused_in_one_line(tmp_path: Path, database: str, command: list[str]) -> None:
    assert "a/b" in refused(run(tmp_path, *command, "a/b", database_url=database))
