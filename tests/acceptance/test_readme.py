"""The README's commands, as a newcomer would run them: in a fresh clone, with python3 and make alone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from belfry import migrations

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
INSTALL_SECONDS = 400


def block(mark: str) -> str:
    """The code block after `<!-- test: MARK -->`."""
    found = re.search(rf"<!-- test: {mark} -->\n```\w+\n(.*?)```", README, re.DOTALL)
    assert found, f"the README has no block {mark}"
    return found[1]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def made(clone: Path, port: int) -> Generator[subprocess.Popen[str]]:
    """`make run` in a clone, in a session of its own; whatever happens it is gone afterwards."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BELFRY_")}
    running = subprocess.Popen(
        ["make", "run", f"PYTHON={sys.executable}"],
        cwd=clone,
        env={**environment, "BELFRY_PORT": str(port)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    with running:
        try:
            yield running
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)


def four_lines(running: subprocess.Popen[str]) -> list[str]:
    """What `make run` prints from the address on."""
    assert running.stdout
    before: list[str] = []
    for line in running.stdout:
        before.append(line.rstrip())
        if line.startswith("Belfry is at"):
            return [before[-1], *(running.stdout.readline().rstrip() for _ in range(3))]
    raise AssertionError("\n".join(before))


def postgres_below(directory: Path) -> list[str]:
    """The servers whose data lie below a directory."""
    told = subprocess.run(["ps", "-wweo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in told.splitlines() if str(directory) in line and "postgres" in line and "make" not in line]


@pytest.mark.timeout(INSTALL_SECONDS)
def test_a_newcomers_minute(project: Path):
    clone = project / "belfry"
    subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
    port = free_port()
    with made(clone, port) as running:
        address, token, follow, send = four_lines(running)
        assert address == f"Belfry is at http://127.0.0.1:{port}/"
        assert "token" in token
        assert postgres_below(clone)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as page:
            assert b"Belfry" in page.read()
        with subprocess.Popen(
            shlex.split(follow), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as curl:
            assert curl.stdout
            until(curl.stdout, "event: ready")
            subprocess.run(shlex.split(send), cwd=clone, check=True, capture_output=True, timeout=30)
            assert "Hello from the shell" in until(curl.stdout, 'data: {"id"')
            os.killpg(running.pid, signal.SIGTERM)
            until(curl.stdout, "event: goodbye")
            curl.terminate()
        running.wait(20)
    deadline = time.monotonic() + 10
    while postgres_below(clone) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert postgres_below(clone) == []


def until(lines: Any, beginning: str) -> str:
    """The next line that begins so; the test's own time-out bounds the wait."""
    for line in lines:
        if line.startswith(beginning):
            return line
    raise AssertionError(f"the stream ended before {beginning!r}")


async def test_the_sql_of_the_first_five_minutes_sends_what_it_says(connect: Any):
    connection = await connect()
    await connection.execute(block("sql").encode())
    cursor = await connection.execute("SELECT kind FROM belfry.notification ORDER BY id")
    assert [kind for (kind,) in await cursor.fetchall()] == ["order.shipped", "deploy.finished", "invoice.paid"]


@pytest.mark.skipif(shutil.which("psql") is None, reason="needs psql")
async def test_psql_alone_installs_the_whole_schema_as_its_readme_says(empty_database: str, connect: Any):
    page = (ROOT / "sql/README.md").read_text(encoding="utf-8")
    found = re.search(r"^## Install\n\n```sh\n(.*?)^# or$", page, re.DOTALL | re.MULTILINE)
    assert found
    environment = {**os.environ, "DATABASE_URL": empty_database}
    script = ["sh", "-euc", found[1]]
    await asyncio.to_thread(subprocess.run, script, cwd=ROOT, env=environment, check=True, timeout=60)
    await migrations.check(await connect())


def test_ci_runs_the_readmes_test_command():
    commands = re.findall(r"^(make \w+) ", README, re.MULTILINE)
    assert commands == ["make run", "make test"]
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert {"make check", "make test"} <= set(script)


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\]\(([\w./-]+)\)", README))))
def test_every_link_of_the_readme_leads_somewhere(name: str):
    assert (ROOT / name).exists()


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`((?:tests|sql|bench|docs)/[\w./]+)`", README))))
def test_every_file_that_the_readme_names_exists(name: str):
    assert (ROOT / name).exists()
