"""`belfry serve` as a process: start, stop, development mode, and what is never printed."""

from __future__ import annotations

import secrets
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from commandline import BELFRY, SECRET, Running, environment, free_port, refused, run, running, serving, until

PASSWORD = "pa55word-of-the-database"


def get(address: str) -> int:
    with urllib.request.urlopen(address, timeout=10) as response:
        return response.status


def test_serve_says_one_line_when_it_is_ready_and_ends_with_0_at_a_signal(tmp_path: Path, database: str) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        with serving(tmp_path, database) as (server, address):
            assert get(f"{address}/live") == 200
            began = time.monotonic()
            assert server.end(number) == 0
            assert time.monotonic() - began < 5
        assert server.out == [f"belfry: ready on {address} (1 worker)"]
        assert server.err == []


def test_a_port_in_use_is_told_before_the_database_is_asked(tmp_path: Path, database: str) -> None:
    with serving(tmp_path, database) as (_, address):
        port = address.rpartition(":")[2]
        nowhere = f"postgresql://127.0.0.1:{free_port()}/none"
        for words in ([], ["--workers", "2"], ["--dev"]):
            told = refused(run(tmp_path, "serve", "--port", port, *words, database_url=nowhere, secret=SECRET))
            assert f"port {port} is in use" in told
            assert "--port" in told


def test_serve_never_migrates_outside_development(tmp_path: Path, empty_database: str) -> None:
    refused(run(tmp_path, "serve", "--port", "0", database_url=empty_database, secret=SECRET))
    assert "pending" in run(tmp_path, "migrate", "status", database_url=empty_database).stdout


def test_a_database_that_the_protocols_do_not_hold_on_is_one_line(tmp_path: Path, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("ALTER SEQUENCE belfry.position CACHE 10")
    told = refused(run(tmp_path, "serve", "--port", "0", database_url=database, secret=SECRET))
    assert "belfry.position" in told


# --- development mode ----------------------------------------------------------------------------------------


def shell(cwd: Path, line: str, *, seconds: float = 10) -> str:
    """What a pasted line prints, until its end or that of our patience."""
    try:
        return subprocess.run(
            line, shell=True, cwd=cwd, env=environment(), capture_output=True, text=True, timeout=seconds
        ).stdout
    except subprocess.TimeoutExpired as expired:
        return (expired.stdout or b"").decode()


def walk_through(directory: Path, **settings: str | None) -> None:
    """The first minute of a newcomer, and a second start that finds everything."""
    port = str(free_port())
    made: set[str] = set()
    epochs: set[str] = set()
    for start in (1, 2):
        with running(directory, "serve", "--dev", "--port", port, **settings) as server:
            until(lambda s=server: len(s.out) >= 4 or s.process.poll() is not None)
            assert len(server.out) == 4, server.err
            assert (directory / ".belfry" / "url").stat().st_mode & 0o777 == 0o600
            address, token, stream, send = server.out
            assert get(address.split()[-1]) == 200
            assert token.split()[-1] in stream
            assert shell(directory, send).strip().isdecimal()
            assert "event: ready" in shell(directory, stream.replace("curl ", "curl -s --max-time 1 "))
            replay = stream.replace("curl ", "curl -s --max-time 1 ") + "?cursor=0"
            assert "Hello from the shell" in shell(directory, replay)
            assert run(directory, "key", "list").stdout.count("dev") == 1
            made.add((directory / ".belfry" / "secret").read_text())
            with psycopg.connect((directory / ".belfry" / "url").read_text().strip()) as connection:
                epochs.update(token for (token,) in connection.execute("SELECT epoch FROM belfry.settled"))
            assert any("made a secret" in line for line in server.err) == (start == 1)
            assert server.end() == 0
        assert not (directory / ".belfry" / "url").exists()
        assert not (directory / ".belfry" / "address").exists()
        assert len(server.out) == 4
    assert len(made) == 1
    assert len(epochs - {""}) == len(epochs) == 1  # a tab that knows the positions of one before gets a reset


def test_development_mode_with_a_database_installs_the_schema_itself(tmp_path: Path, empty_database: str) -> None:
    walk_through(tmp_path, database_url=empty_database)


@pytest.mark.timeout(120)
def test_development_mode_brings_its_own_postgres(project: Path) -> None:
    walk_through(project)


def test_a_signal_while_the_server_is_loaded_stops_it_when_it_is_ready(tmp_path: Path, database: str) -> None:
    script = """
import os, signal, sys
from belfry import __main__ as cli
class Loading:
    def find_spec(name, path, target=None):
        if name == "belfry.server":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Loading)
sys.exit(cli.main(["serve", "--port", "0"]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=environment(database_url=database, secret=SECRET),
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_signal_while_development_mode_starts_leaves_nothing_running(project: Path) -> None:
    process = subprocess.Popen(
        [*BELFRY, "serve", "--dev", "--port", str(free_port())],
        cwd=project,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until(lambda: (project / ".belfry" / "secret").exists())
        process.terminate()
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 0, err
    assert out == ""
    assert "Traceback" not in err
    assert not postgres_of(project)


def postgres_of(directory: Path) -> list[str]:
    """The Postgres servers whose command line names this directory."""
    found: list[str] = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if "postgres" in command and str(directory) in command:
            found.append(command)
    return found


def test_of_several_development_servers_in_a_directory_the_youngest_that_runs_is_found(
    tmp_path: Path, database: str
) -> None:
    def left() -> list[str]:
        return sorted(path.name for path in (tmp_path / ".belfry").iterdir() if path.name not in ("secret", "api_key"))

    def found() -> tuple[str, str]:
        return tuple((tmp_path / ".belfry" / name).read_text().strip() for name in ("url", "address"))

    with development(tmp_path, database) as (first, _), development(tmp_path, database) as (second, here):
        assert found() == (database, here)
        assert first.end() == 0
        assert found() == (database, here)
        with development(tmp_path, database) as (third, there), development(tmp_path, database) as (killed, _):
            killed.end(signal.SIGKILL)
            assert third.end() == 0
            assert there != here
            assert found() == (database, here)
        assert second.end() == 0
        assert left() == []


@contextmanager
def development(directory: Path, database: str) -> Iterator[tuple[Running, str]]:
    """A server in development mode, and its address."""
    with running(directory, "serve", "--dev", "--port", "0", database_url=database) as server:
        yield server, server.wait_for("Belfry is at").split()[-1].rstrip("/")


def test_commands_after_a_crash_of_the_development_server_say_that_it_is_gone(tmp_path: Path) -> None:
    (tmp_path / ".belfry").mkdir()
    (tmp_path / ".belfry" / "url").write_text(f"postgresql://127.0.0.1:{free_port()}/none\n")
    assert "serve --dev" in refused(run(tmp_path, "send", "u1", "a.b"))


# --- what is never printed -----------------------------------------------------------------------------------


@pytest.fixture
def login(database: str) -> Iterator[str]:
    """The database by a login of its own, with a password that is found again wherever it goes."""
    name = f"cli_{secrets.token_hex(4)}"
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN SUPERUSER PASSWORD '{PASSWORD}'")
    parts = urlsplit(database)
    host = parts.netloc.rpartition("@")[2]
    yield parts._replace(netloc=f"{name}:{PASSWORD}@{host}").geturl()
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(f"DROP ROLE {name}")


@pytest.mark.parametrize("level", ["debug", "info"])
def test_neither_secrets_nor_tokens_nor_passwords_are_ever_printed(
    tmp_path: Path, database: str, login: str, level: str
) -> None:
    token = run(tmp_path, "token", "u1", secret=SECRET).stdout.strip()
    ticket = run(tmp_path, "token", "u1", "--ticket", secret=SECRET).stdout.strip()
    with serving(tmp_path, login, "--log-level", level) as (server, address):
        for line in (
            f"curl -s --max-time 0.5 '{address}/v1/stream?ticket={ticket}'",
            f"curl -s --max-time 0.5 '{address}/v1/stream?ticket={token}'",
            f"curl -s --max-time 0.5 -H 'Authorization: Bearer {token}' '{address}/v1/stream?cursor=nonsense'",
            f"curl -s --max-time 0.5 -H 'Cookie: belfry_token={token}x' '{address}/v1/stream'",
            f"curl -s --max-time 0.5 -H 'Authorization: Bearer {token}' -d '{{}}' '{address}/v1/notifications'",
        ):
            shell(tmp_path, line)
        assert server.end() == 0
    printed = "\n".join(server.out + server.err)
    for secret in (SECRET, PASSWORD, token, ticket):
        assert secret not in printed


@pytest.mark.parametrize(("format", "workers"), [("json", "1"), ("text", "1"), ("text", "2")])
def test_the_log_has_the_form_that_was_asked_for(tmp_path: Path, database: str, format: str, workers: str) -> None:
    settings = {"log_level": "debug", "log_format": format, "workers": workers}
    with serving(tmp_path, database, **settings) as (server, address):
        with urllib.request.urlopen(f"{address}/live", timeout=30):
            server.wait_for("/live")
        assert server.end() == 0
    assert {line.startswith("{") for line in server.err} == {format == "json"}


def test_a_form_of_the_log_that_there_is_not_is_refused(tmp_path: Path, database: str) -> None:
    refused = run(tmp_path, "serve", database_url=database, secret=SECRET, log_format="xml")
    assert refused.returncode == 2
    assert "BELFRY_LOG_FORMAT must be one of auto, json, text" in refused.stderr
