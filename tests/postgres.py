"""The Postgres that the tests take by themselves; `bench/postgres.py` runs it where it is our own.

In this order: the server of `BELFRY_TEST_DATABASE_URL`, the binaries of `BELFRY_TEST_POSTGRES_BIN`, a container where a
Docker engine answers, an installed server, the embedded one.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import psycopg

from bench.postgres import Cluster, Given, binaries, cluster

IMAGE = "postgres:18-alpine"
SETTINGS = {
    "max_prepared_transactions": "200",
    "shared_buffers": "128MB",
    "track_commit_timestamp": "on",
    "max_wal_size": "256MB",
}
MEMORY, MEMORY_BYTES = Path("/dev/shm"), 4 << 30


@contextlib.contextmanager
def server() -> Generator[Cluster]:
    """The server, for the length of a session."""
    with contextlib.ExitStack() as stack:
        url = os.environ.get("BELFRY_TEST_DATABASE_URL")
        if url is None and engine():
            with contextlib.suppress(Exception):  # an engine that gets no image is of no use, and others are
                url = stack.enter_context(container())
        yield Given(url) if url else stack.enter_context(own())


@contextlib.contextmanager
def own() -> Generator[Cluster]:
    """A server that may be killed."""
    with cluster(SETTINGS, memory()) as server:
        yield server


def memory() -> Path | None:
    """Where files live in memory and there is room; else None.

    Each test makes the thousand files of a database and deletes them. Where many were deleted within the last minute,
    ext4 takes half a second for that: it looks for an inode that was not (`recently_deleted` in its ialloc.c).
    """
    roomy = os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > MEMORY_BYTES
    return MEMORY if roomy else None


def engine() -> bool:
    """Whether a Docker engine answers, and no other server was asked for."""
    if "BELFRY_TEST_POSTGRES_BIN" in os.environ:
        return False
    asked = [sys.executable, "-c", "import docker; docker.from_env(timeout=2).ping()"]  # it leaves its sockets open
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0


@contextlib.contextmanager
def container() -> Generator[str]:
    """The URL of a Postgres in a container."""
    from testcontainers.community.postgres import PostgresContainer

    image = PostgresContainer(IMAGE, driver=None)
    with image.with_command("postgres -c max_connections=300 -c max_prepared_transactions=200") as running:
        yield running.get_connection_url()


def default_major() -> str:
    """The major version of the server that the tests take by themselves."""
    if url := os.environ.get("BELFRY_TEST_DATABASE_URL"):
        with psycopg.connect(url) as connection:
            return str(connection.info.server_version // 10_000)
    return number(IMAGE) if engine() else major(binaries())


def major(directory: Path) -> str:
    """The major version of the server in a directory of binaries."""
    return number(
        subprocess.run([directory / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    )


def number(text: str) -> str:
    """The first number of a text."""
    found = re.search(r"\d+", text)
    assert found, text
    return found[0]
