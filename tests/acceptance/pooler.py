"""A PgBouncer before a server of the tests."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from commandline import until

from bench.postgres import Cluster, unprivileged

SETTINGS = """
[databases]
* = host=127.0.0.1 port={server} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
logfile = {directory}/pgbouncer.log
{more}
"""


@contextmanager
def pooler(server: Cluster, directory: Path, **settings: str) -> Generator[Cluster]:
    """The pooler in a directory that every user can reach: `url(dbname)` leads through it."""
    program = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/bin")
    if program is None:
        pytest.skip("pgbouncer is not here (Debian: apt-get install pgbouncer)")
    if not server.own:
        pytest.skip("a given server may not let a pooler in: unset BELFRY_TEST_DATABASE_URL")
    through = Cluster(directory)
    lines = "\n".join(f"{name} = {value}" for name, value in settings.items())
    path = directory / "pgbouncer.ini"
    path.write_text(SETTINGS.format(server=server.port, port=through.port, directory=directory, more=lines))
    if user := unprivileged():
        shutil.chown(directory, user)
    process = subprocess.Popen(
        [program, path], user=user, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=directory
    )
    try:
        until(lambda: answers(through.url("postgres")) or process.poll() is not None)
        assert process.poll() is None, (directory / "pgbouncer.log").read_text()
        yield through
    finally:
        process.terminate()
        process.wait(10)


def answers(url: str) -> bool:
    """Whether a connection is taken."""
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True
