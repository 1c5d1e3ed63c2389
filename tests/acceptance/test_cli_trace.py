"""`belfry trace` and `belfry key create --scope`, as processes against a real database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest
from commandline import refused, run


def one(url: str, statement: str) -> Any:
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(statement.encode()).fetchall()[0][0]


def test_trace_tells_what_was_sent_to_how_many_and_who_read_it(tmp_path: Path, database: str) -> None:
    one(database, "SELECT belfry.subscribe('u1', 't')")
    sent = one(database, "SELECT belfry.publish('t', 'deploy.finished', 'Version 42 is live')")
    one(database, f"SELECT belfry.mark_read('u1', ARRAY[{sent}])")
    done = run(tmp_path, "trace", str(sent), database_url=database)
    assert done.returncode == 0, done
    assert "Version 42 is live" in done.stdout
    assert "sent to 1, seen by 1, read by 1, archived by 0" in done.stdout


@pytest.mark.parametrize(("recipient", "words"), [("u1", "They have it"), ("u2", "not subscribed to the topic")])
def test_trace_says_why_one_person_has_it_or_has_not(tmp_path: Path, database: str, recipient: str, words: str) -> None:
    one(database, "SELECT belfry.subscribe('u1', 't')")
    sent = one(database, "SELECT belfry.publish('t', 'test', 'to t')")
    done = run(tmp_path, "trace", str(sent), "--recipient", recipient, database_url=database)
    assert done.returncode == 0, done
    assert words in done.stdout.splitlines()[-1]


def test_trace_says_whether_a_relay_is_there_to_show_it(tmp_path: Path, database: str) -> None:
    sent = str(one(database, "SELECT belfry.send('u1', 'test', 'for u1')"))
    done = run(tmp_path, "trace", sent, "--recipient", "u1", database_url=database)
    assert "  relays         none: streams show nothing new\n" in done.stdout, done
    listening = psycopg.conninfo.make_conninfo(database, application_name="belfry listener")
    with psycopg.connect(listening):
        done = run(tmp_path, "trace", sent, "--recipient", "u1", database_url=database)
    assert "  relays         1\n" in done.stdout, done


def test_trace_of_what_is_scheduled_and_of_what_is_not_there(tmp_path: Path, database: str) -> None:
    number = one(database, "SELECT belfry.send('u1', 'test', 'later', deliver_at => now() + interval '1 day')")
    scheduled = run(tmp_path, "trace", "--recipient", "u1", "--", str(number), database_url=database)
    assert "has not been delivered yet" in scheduled.stdout, scheduled
    missing = run(tmp_path, "trace", "999999", "--recipient", "u1", database_url=database)
    assert (missing.returncode, "No notification ever had this id" in missing.stdout) == (1, True)
    assert "999999" in refused(run(tmp_path, "trace", "999999", database_url=database))


@pytest.mark.parametrize("words", [["one"], ["1.5"], [str(2**63)], ["9" * 5000], []])
def test_what_is_no_id_is_wrong_usage(tmp_path: Path, words: list[str]) -> None:
    refused(run(tmp_path, "trace", *words, database_url="postgresql://127.0.0.1:1/none"), 2)


def test_what_is_no_recipient_is_refused_in_one_line(tmp_path: Path, database: str) -> None:
    done = run(tmp_path, "trace", "1", "--recipient", "a/b", database_url=database)
    assert "not a recipient" in refused(done)


@pytest.mark.parametrize(
    ("words", "scopes"),
    [([], "send"), (["--scope", "manage"], "manage"), (["--scope", "send,manage"], "send,manage")],
)
def test_a_key_has_the_scopes_that_were_asked_for(tmp_path: Path, database: str, words: list[str], scopes: str) -> None:
    assert run(tmp_path, "key", "create", "k", *words, database_url=database).returncode == 0
    assert one(database, "SELECT array_to_string(scopes, ',') FROM belfry.api_key") == scopes
    assert scopes in run(tmp_path, "key", "list", database_url=database).stdout
