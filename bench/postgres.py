"""A PostgreSQL cluster of one's own for a run: can be killed, restarted, and given a slow disk.

The server comes from `BELFRY_TEST_POSTGRES_BIN`, else from what is installed (the newest), else it is the embedded one.
As root it runs as the unprivileged user `postgres` (or `nobody`), because the server refuses root.
`BELFRY_BENCH_DATABASE_URL` uses a server that is there already: then nothing can be killed or slowed down.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from belfry import embedded_home

ROOT = Path(__file__).resolve().parent.parent
OLDEST = 14
MIGRATIONS = ROOT / "sql" / "migrations"
SETTINGS: Mapping[str, str] = {
    "max_connections": "300",
    "max_prepared_transactions": "64",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "30min",
    "fsync": "on",
    "synchronous_commit": "on",
    "deadlock_timeout": "200ms",
    "log_min_messages": "warning",
    "wal_level": "replica",
}


class PostgresProblem(Exception):
    """The bench could not start, stop or reach its PostgreSQL server."""


def binaries() -> Path:
    """Directory of the server binaries: the environment's, else the first that is here."""
    if told := os.environ.get("BELFRY_TEST_POSTGRES_BIN"):
        return Path(told)
    for found in here():
        return found
    raise PostgresProblem(
        "no PostgreSQL server found: install one, or set BELFRY_TEST_POSTGRES_BIN to its bin directory"
    )


def here() -> Generator[Path]:
    """The servers of this machine that Belfry supports: installed, on the path, embedded; each the newest first."""
    installed = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    majors = {int(path.parts[-3]): path.parent for path in installed if path.parts[-3].isdecimal()}
    yield from (majors[major] for major in sorted(majors, reverse=True) if major >= OLDEST)
    if found := shutil.which("postgres"):
        yield Path(found).parent
    yield from (root / "bin" for root in sorted(embedded_home.installed(), reverse=True))


def unprivileged() -> str | None:
    """User to run the server as: None unless we are root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in ("postgres", "nobody") if name in names), None)


def free_port() -> int:
    """A TCP port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def with_database(url: str, dbname: str, user: str | None = None) -> str:
    """The same server, another database and, where given, another user."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(path=f"/{dbname}", netloc=f"{user}@{host}" if user else parts.netloc))


class Cluster:
    """A running server: `url(dbname)`, and where it is our own `kill()`, `start()`, `slow_flush()`."""

    def __init__(self, directory: Path, settings: Mapping[str, str] | None = None) -> None:
        self.directory = directory
        self.data = directory / "data"
        self.port = free_port()
        self.own = True
        self._settings = {**SETTINGS, **(settings or {})}
        self._user = unprivileged()
        self.bin = binaries()
        self._process: subprocess.Popen[bytes] | None = None

    def create(self) -> None:
        """Make the cluster on disk."""
        self.directory.mkdir(parents=True, exist_ok=True)
        if self._user:
            shutil.chown(self.directory, self._user)
            if not embedded_home.reachable(self.bin):  # a checkout that is root's alone, with the server inside
                self.bin = embedded_home.copied(self.bin.parent, self.directory / "binaries") / "bin"
        arguments = ["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "--no-sync"]
        made = subprocess.run(
            [self.bin / "initdb", *arguments, "-D", self.data],
            user=self._user,
            cwd=self.directory,
            capture_output=True,
            check=False,
        )
        if made.returncode:
            raise PostgresProblem(made.stderr.decode(errors="replace").strip())
        lines = [f"{name} = '{value}'" for name, value in self._settings.items()]
        lines += [
            f"port = {self.port}",
            f"unix_socket_directories = '{self.directory}'",
            "listen_addresses = '127.0.0.1'",
        ]
        with (self.data / "postgresql.conf").open("a") as conf:
            conf.write("\n".join(lines) + "\n")

    def start(self, timeout: float = 30) -> None:
        """Start the server and wait until it answers; tried again while a killed one's children are going."""
        deadline = time.monotonic() + timeout
        while True:
            with (self.directory / "postgres.log").open("ab") as log:
                command = [self.bin / "postgres", "-D", self.data]
                self._process = subprocess.Popen(
                    command,
                    user=self._user,
                    cwd=self.directory,
                    env=self._environment(),
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            if self._answers(deadline):
                return
            if time.monotonic() > deadline:
                raise PostgresProblem(f"the server did not start; see {self.directory / 'postgres.log'}")
            time.sleep(0.1)

    def _environment(self) -> dict[str, str]:
        """The server's: with the shim that can make its flush slow, where a C compiler is at hand."""
        shim, compiler = self.directory / "slow_flush.so", shutil.which("cc")
        if compiler and not shim.exists():
            source = Path(__file__).with_name("slow_flush.c")
            subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", shim, source, "-ldl"], check=True)
        preload = {"LD_PRELOAD": str(shim), "SLOW_FLUSH": str(self._slow)} if shim.exists() else {}
        return {**os.environ, **preload}

    @property
    def _slow(self) -> Path:
        return self.directory / "slow"

    def _answers(self, deadline: float) -> bool:
        assert self._process
        while self._process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(self.url("postgres"), connect_timeout=2).close()
                return True
            time.sleep(0.05)
        return False

    def kill(self) -> None:
        """SIGKILL to the postmaster and every backend, as a crash of the machine would."""
        assert self._process
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for victim in [pid, *map(int, children)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
        self._process.wait(10)

    def stop(self) -> None:
        """Stop the server at once, cleanly."""
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
        self._process = None

    def url(self, dbname: str, user: str = "postgres") -> str:
        """TCP address of a database."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{dbname}"

    @property
    def superuser_url(self) -> str:
        """Address of the database that is always there."""
        return self.url("postgres")

    @property
    def version(self) -> int:
        """The major version."""
        with psycopg.connect(self.superuser_url) as connection:
            return connection.info.server_version // 10_000

    @property
    def socket_host(self) -> str:
        """Host for the cheapest connection (a Unix socket)."""
        return str(self.directory)

    def slow_flush(self, milliseconds: int) -> None:
        """Each flush of the log takes so much longer. Raises PostgresProblem without a C compiler."""
        if not (self.directory / "slow_flush.so").exists():
            raise PostgresProblem("the slow flush needs a C compiler as cc (Debian: gcc, libc6-dev)")
        self._slow.write_bytes(bytes(milliseconds))


class Given(Cluster):
    """A server that is not ours: databases only."""

    def __init__(self, base: str) -> None:
        parts = urlsplit(base)
        self._base, self.own, self.port = base, False, parts.port or 5432
        self._host = parts.hostname or "localhost"

    def url(self, dbname: str, user: str = "") -> str:
        return with_database(self._base, dbname, user or None)

    @property
    def socket_host(self) -> str:
        return self._host

    def slow_flush(self, milliseconds: int) -> None:
        raise PostgresProblem("the flush of a given server is not ours to slow down")

    def kill(self) -> None:
        raise PostgresProblem("a given server is not ours to kill")

    def stop(self) -> None:
        """Nothing: it was there before us."""


@contextlib.contextmanager
def cluster(settings: Mapping[str, str] | None = None, parent: Path | None = None) -> Generator[Cluster]:
    """A server for the length of a run, gone afterwards; its directory is made in `parent`, else in `TMPDIR`."""
    if base := os.environ.get("BELFRY_BENCH_DATABASE_URL"):
        yield Given(base)
        return
    directory = Path(tempfile.mkdtemp(prefix="belfry-bench-", dir=parent))
    directory.chmod(0o755)
    server = Cluster(directory, settings)
    try:
        server.create()
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def database(server: Cluster, *, schema: bool = True) -> Generator[str]:
    """A fresh database with the schema `belfry` (from sql/migrations) and two logins, dropped afterwards."""
    name = f"belfry_bench_{os.getpid()}_{time.monotonic_ns() % 1_000_000}"
    with psycopg.connect(server.url("postgres"), autocommit=True) as conn:
        conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        if schema:
            install(server.url(name))
        yield name
    finally:
        with contextlib.suppress(psycopg.Error), psycopg.connect(server.url("postgres"), autocommit=True) as conn:
            conn.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def install(url: str) -> None:
    """Apply the migrations, and make the logins `bench_relay` and `bench_sender` with their roles alone.

    The relay may see who idles, as `docs/security.md` advises.
    """
    files = sorted(MIGRATIONS.glob("*.up.sql"))
    if not files:
        raise PostgresProblem(f"no migrations in {MIGRATIONS}")
    with psycopg.connect(url, autocommit=True) as conn:
        for file in files:
            run_file(conn, file.read_text())
        logins = (
            ("bench_relay", "belfry_relay"),
            ("bench_relay", "pg_read_all_stats"),
            ("bench_sender", "belfry_sender"),
        )
        for login, role in logins:
            with contextlib.suppress(psycopg.errors.DuplicateObject):
                conn.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(login)))
            conn.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(role), sql.Identifier(login)))


def run_file(conn: psycopg.Connection[Any], text: str) -> None:
    """Run a file of statements in one transaction."""
    with conn.transaction():
        conn.execute(text.encode())
