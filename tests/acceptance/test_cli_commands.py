"""The commands against a real database, as processes: what they do, what they print, with what they end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from commandline import BELFRY, SECRET, environment, free_port, refused, run, running, serving


def sql(url: str, statement: str, *values: object) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement, values)  # type: ignore[call-overload]
        return cursor.fetchall() if cursor.description else []


def without_host(url: str, **changes: str) -> str:
    """The URL with another name of the database, host or user."""
    return psycopg.conninfo.make_conninfo(url, **changes)


# --- migrate -------------------------------------------------------------------------------------------------


def test_the_schema_goes_up_and_down_and_tells_where_it_is(tmp_path: Path, empty_database: str) -> None:
    def migrate(*words: str) -> str:
        done = run(tmp_path, "migrate", *words, database_url=empty_database)
        assert done.returncode == 0, done
        return done.stdout

    assert "pending" in migrate("status")
    assert "CREATE TABLE belfry.notification" in migrate("sql")
    assert migrate("up").startswith("applied 0001_core")
    assert migrate("up") == ""
    assert "applied" in migrate("status")
    done = run(tmp_path, "migrate", "sql", database_url=empty_database)
    assert (done.stdout, done.stderr) == ("", "belfry: nothing to do: the schema is up to date\n")
    assert "reverted 0001_core" in migrate("down", "--steps", "100")
    assert "pending" in migrate("status")


@pytest.mark.parametrize("where", ["/dev/full", "&-"])
def test_an_answer_that_cannot_be_written_is_told_in_one_line_or_swallowed(tmp_path: Path, where: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" >{where}', "sh", *BELFRY, "token", "u1", "--secret", SECRET],
        capture_output=True, text=True, cwd=tmp_path, env=environment(), check=False,
    )  # fmt: skip
    told = {"/dev/full": (1, "belfry: the system refused: No space left on device\n"), "&-": (0, "")}
    assert (done.returncode, done.stderr) == told[where]


@pytest.mark.parametrize("settings", [{"LC_ALL": "C", "PYTHONUTF8": "0"}, {"PYTHONIOENCODING": "ascii"}])
def test_a_name_in_any_alphabet_is_taken_and_shown_in_any_locale(
    tmp_path: Path, database: str, settings: dict[str, str]
) -> None:
    environ = environment(database_url=database) | settings
    for words in (["send", "jürgen", "k", "--title", "€"], ["erase", "jürgen", "--yes"]):
        done = subprocess.run([*BELFRY, *words], capture_output=True, env=environ, cwd=tmp_path, check=False)
        assert done.returncode == 0, done
    assert sql(database, "SELECT count(*) FROM belfry.notification") == [(0,)]


def test_an_argument_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        [*BELFRY, "token", b"\xff"], capture_output=True, text=True, cwd=tmp_path, env=environment(), check=False
    )
    assert (done.returncode, done.stderr) == (2, "belfry: an argument is not UTF-8\n")


# --- send and key --------------------------------------------------------------------------------------------


def test_send_prints_the_id_of_what_it_stored(tmp_path: Path, database: str) -> None:
    words = ["send", "u1", "comment.created", "--title", "Hello", "--data", '{"a": 1}', "--tag", "x", "--tag", "y"]
    words += ["--severity", "warning", "--action-url", "/a", "--actor", '{"id": "u2"}', "--dedupe-key", "k"]
    first = run(tmp_path, *words, "--expires-in", "1h", database_url=database)
    assert first.returncode == 0, first
    assert run(tmp_path, *words, database_url=database).stdout == first.stdout, "the same dedupe key is the same row"
    found = sql(
        database,
        "SELECT id, title, data, tags, severity, action_url, actor, expires_at - created_at < '61 minutes'"
        " FROM belfry.notification",
    )
    assert found == [(int(first.stdout), "Hello", {"a": 1}, ["x", "y"], "warning", "/a", {"id": "u2"}, True)]


def test_send_reaches_topics_and_everybody(tmp_path: Path, database: str) -> None:
    assert run(tmp_path, "send", "a.b", "--topic", "team:7", database_url=database).returncode == 0
    assert run(tmp_path, "send", "a.b", "--broadcast", database_url=database).returncode == 0
    found = sql(database, "SELECT topic FROM belfry.notification ORDER BY id")
    assert found == [("team:7",), ("*",)]


@pytest.mark.parametrize("words", [["u1", "Not A Kind"], ["a/b", "a.b"], ["u1", "a.b", "--data", "[]"]])
def test_what_the_database_refuses_is_one_line_and_nothing_is_stored(
    tmp_path: Path, database: str, words: list[str]
) -> None:
    refused(run(tmp_path, "send", *words, database_url=database))
    assert sql(database, "SELECT count(*) FROM belfry.notification") == [(0,)]


def post(address: str, key: str) -> int:
    request = urllib.request.Request(
        f"{address}/v1/notifications",
        data=json.dumps({"recipient": "u1", "kind": "a.b"}).encode(),
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@pytest.mark.parametrize(
    ("role", "words", "needed"),
    [
        ("belfry_sender", ["key", "create", "billing"], "belfry_owner"),
        ("belfry_relay", ["key", "revoke", "billing"], "belfry_owner"),
        ("belfry_sender", ["key", "list"], "belfry_relay"),
        ("belfry_sender", ["trace", "1"], "belfry_relay"),
        ("belfry_monitor", ["prune", "--older-than", "1d"], "belfry_relay"),
        ("belfry_sender", ["prune", "--older-than", "1d", "--dry-run"], "belfry_monitor"),
        ("belfry_monitor", ["send", "u1", "a.b"], "belfry_sender"),
        ("belfry_monitor", ["export", "u1"], "belfry_sender"),
        ("belfry_monitor", ["erase", "u1", "--yes"], "belfry_sender"),
    ],
)
def test_who_lacks_a_right_is_told_the_role_that_has_it(
    tmp_path: Path, database: str, role: str, words: list[str], needed: str
) -> None:
    name = f"{role}_cli_{os.getpid()}"
    sql(database, f"CREATE ROLE {name} LOGIN PASSWORD 'secret' IN ROLE {role}")
    try:
        login = without_host(database, user=name, password="secret")
        line = refused(run(tmp_path, *words, database_url=login))
    finally:
        sql(database, f"DROP ROLE {name}")
    assert line == f"belfry: The database role lacks a right: this command needs {needed}.\n"


def test_a_key_is_shown_once_works_and_can_be_revoked(tmp_path: Path, database: str) -> None:
    made = run(tmp_path, "key", "create", "billing", database_url=database)
    assert made.returncode == 0, made
    key = made.stdout.strip()
    assert key.startswith("bf_")
    assert "billing" in refused(run(tmp_path, "key", "create", "billing", database_url=database))
    listed = run(tmp_path, "key", "list", database_url=database).stdout
    assert "billing" in listed
    assert "in use" in listed
    assert key not in listed
    assert key not in str(sql(database, "SELECT * FROM belfry.api_key"))
    with serving(tmp_path, database) as (_, address):
        assert post(address, key) == 201
        assert run(tmp_path, "key", "revoke", "billing", database_url=database).returncode == 0
        assert post(address, key) == 401
    assert "revoked" in run(tmp_path, "key", "list", database_url=database).stdout
    assert "nobody" in refused(run(tmp_path, "key", "revoke", "nobody", database_url=database))


# --- the database is not as it should be ---------------------------------------------------------------------

COMMANDS = [["serve", "--port", "0"], ["send", "u1", "a.b"], ["key", "list"], ["tail"]]


@pytest.mark.parametrize("words", [*COMMANDS, ["migrate", "up"]], ids=lambda words: words[0])
def test_no_database_is_one_line(tmp_path: Path, words: list[str]) -> None:
    url = f"postgresql://app:pa55word@127.0.0.1:{free_port()}/app"
    told = refused(run(tmp_path, *words, database_url=url, secret=SECRET))
    assert "Postgres does not answer" in told
    assert "pa55word" not in told


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_a_database_that_does_not_exist_is_one_line(tmp_path: Path, database: str, words: list[str]) -> None:
    url = without_host(database, dbname="there_is_no_such_database")
    assert "does not exist" in refused(run(tmp_path, *words, database_url=as_url(url), secret=SECRET))


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_a_user_that_postgres_refuses_is_one_line(tmp_path: Path, database: str, words: list[str]) -> None:
    url = as_url(without_host(database, user="there_is_no_such_user", password="pa55word"))
    told = refused(run(tmp_path, *words, database_url=url, secret=SECRET))
    assert "user or the password" in told
    assert "pa55word" not in told


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_a_database_without_the_schema_is_one_line(tmp_path: Path, empty_database: str, words: list[str]) -> None:
    assert "belfry migrate up" in refused(run(tmp_path, *words, database_url=empty_database, secret=SECRET))


@pytest.mark.parametrize("words", [["serve", "--port", "0"], ["tail"], ["migrate", "up"]], ids=lambda words: words[0])
def test_a_schema_that_needs_newer_code_is_one_line(tmp_path: Path, database: str, words: list[str]) -> None:
    sql(database, "INSERT INTO belfry.migration (version, name) VALUES (9999, 'future')")
    sql(database, "INSERT INTO belfry.setting (name, value) VALUES ('relays_need', '9999')")
    assert "9999_future" in refused(run(tmp_path, *words, database_url=database, secret=SECRET))


def test_a_migration_that_was_edited_is_one_line(tmp_path: Path, database: str) -> None:
    sql(database, "UPDATE belfry.migration SET checksum = repeat('0', 64)")
    told = refused(run(tmp_path, "serve", "--port", "0", database_url=database, secret=SECRET))
    assert "0001_core" in told


def as_url(conninfo: str) -> str:
    """The same as the settings take it: `host=… dbname=…` is fine too."""
    assert "=" in conninfo or urlsplit(conninfo).scheme
    return conninfo


# --- tail ----------------------------------------------------------------------------------------------------


def test_tail_of_a_recipient_shows_each_notification_as_a_line_and_resumes_on_another_relay(
    tmp_path: Path, database: str
) -> None:
    port = str(free_port())
    settings = {"database_url": database, "secret": SECRET, "port": port, "retry_milliseconds": "200"}
    with running(tmp_path, "serve", **settings) as first:
        first.wait_for("ready on")
        with running(tmp_path, "tail", "--recipient", "u1", **settings) as tail:
            tail.wait_for("Live as u1")
            sql(database, "SELECT belfry.send('u1', 'a.b', 'before')")
            assert "a.b  before" in tail.wait_for("before")
            assert first.end() == 0
            tail.wait_for("Again in")
            sql(database, "SELECT belfry.send('u1', 'a.b', 'meanwhile'), belfry.send('u2', 'a.b', 'not mine')")
            with running(tmp_path, "serve", **settings) as second:
                second.wait_for("ready on")
                tail.wait_for("meanwhile")
                sql(database, "SELECT belfry.send('u1', 'a.b', 'after')")
                tail.wait_for("after")
                assert tail.end(signal.SIGINT) == 0
    assert [line.split()[-1] for line in tail.out] == ["before", "meanwhile", "after"]
    assert not any("Traceback" in line for line in tail.err)


def test_tail_in_json_is_what_a_browser_gets(tmp_path: Path, database: str) -> None:
    sql(database, "SELECT belfry.subscribe('u1', 'team:7')")
    sql(database, "SELECT belfry.publish('team:7', 'a.b', 'one'), belfry.send('u1', 'a.b', 'two')")
    with serving(tmp_path, database) as (_, address):
        words = ["tail", "--recipient", "u1", "--topic", "team:7", "--cursor", "0", "--json", "--url", address]
        with running(tmp_path, *words, secret=SECRET) as tail:
            tail.wait_for("Live as u1")
            assert [json.loads(line)["title"] for line in tail.out] == ["one"]
            assert tail.end(signal.SIGINT) == 0


def test_tail_of_the_table_shows_a_row_that_commits_late(tmp_path: Path, database: str) -> None:
    with running(tmp_path, "tail", "--topic", "team:7", database_url=database) as tail:
        tail.wait_for("Waiting")
        with psycopg.connect(database) as slow:
            slow.execute("SELECT belfry.publish('team:7', 'a.b', 'late')")
            sql(
                database, "SELECT belfry.publish('team:7', 'a.b', 'early'), belfry.publish('other', 'a.b', 'not asked')"
            )
            tail.wait_for("early")
            slow.commit()
        tail.wait_for("late")
        assert tail.end(signal.SIGINT) == 0
    assert [line.split()[-1] for line in tail.out] == ["early", "late"]


def test_tail_of_the_table_misses_nothing_while_its_connection_is_lost(tmp_path: Path, database: str) -> None:
    with running(tmp_path, "tail", database_url=database) as tail:
        tail.wait_for("Waiting")
        sql(
            database,
            "SELECT belfry.send('u1', 'a.b', 'meanwhile'), pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'belfry tail' AND datname = current_database()",
        )
        tail.wait_for("is lost")
        tail.wait_for("meanwhile")
        sql(database, "SELECT belfry.send('u1', 'a.b', 'after')")
        tail.wait_for("after")
        assert tail.end(signal.SIGINT) == 0
    assert [line.split()[-1] for line in tail.out] == ["meanwhile", "after"]


def test_tail_without_a_relay_says_where_it_looked(tmp_path: Path) -> None:
    told = refused(run(tmp_path, "tail", "--recipient", "u1", "--port", str(free_port()), secret=SECRET))
    assert "belfry serve" in told


def test_tail_with_another_secret_is_refused(tmp_path: Path, database: str) -> None:
    with serving(tmp_path, database) as (_, address):
        told = refused(run(tmp_path, "tail", "--recipient", "u1", "--url", address, secret="x" * 40))
        assert "BELFRY_SECRET" in told
