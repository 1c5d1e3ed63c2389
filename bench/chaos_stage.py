"""What a scenario of chaos plays on: servers, standbys, a small disk, a pooler, and relays behind a proxy."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncGenerator, Generator, Mapping
from pathlib import Path

import psycopg

from bench.chaos_faults import Ground, Scenario, Unavailable
from bench.postgres import Cluster, PostgresProblem, database, free_port
from bench.relay import Relay, running
from bench.tcp_proxy import Proxy

DISK = "360m"


@contextlib.contextmanager
def small_disk() -> Generator[Path]:
    """A directory on a file system of its own."""
    directory = Path(tempfile.mkdtemp(prefix="belfry-chaos-disk-"))
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=755", "tmpfs", directory], capture_output=True, check=False
    )
    try:
        if mounted.returncode:
            raise Unavailable("a small file system takes root")
        yield directory
    finally:
        if not mounted.returncode:
            subprocess.run(["umount", "--lazy", directory], check=True)
        directory.rmdir()


@contextlib.contextmanager
def server(scenario: Scenario) -> Generator[Cluster]:
    """The primary; on a small disk where the scenario fills it."""
    with contextlib.ExitStack() as stack:
        if scenario.small_disk:
            parent = stack.enter_context(small_disk())
        else:
            parent = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="belfry-chaos-")))
            parent.chmod(0o755)
        primary = Cluster(parent / "primary", {"shared_buffers": "64MB", **scenario.settings})
        primary.create()
        primary.start()
        stack.callback(primary.stop)
        yield primary


class Standby(Cluster):
    """A streaming copy of another server, through a port that may be a proxy's."""

    def copy(self, of: Cluster, through: int) -> None:
        """pg_basebackup, and what makes it follow."""
        self.directory.mkdir(parents=True)
        user = self._user
        if user:
            shutil.chown(self.directory, user)
        command = [of.bin / "pg_basebackup", "-h", "127.0.0.1", "-p", str(of.port), "-U", "postgres", "-c", "fast"]
        done = subprocess.run(
            [*command, "-D", self.data], user=user, cwd=self.directory, capture_output=True, check=False
        )
        if done.returncode:
            raise PostgresProblem(done.stderr.decode(errors="replace").strip())
        (self.data / "standby.signal").touch()
        with (self.data / "postgresql.conf").open("a") as conf:
            conf.write(f"port = {self.port}\nunix_socket_directories = '{self.directory}'\n")
            conf.write(f"primary_conninfo = 'host=127.0.0.1 port={through} user=postgres'\n")
        if user:
            for path in (self.data / "standby.signal", self.data / "postgresql.conf"):
                shutil.chown(path, user)

    def promote(self) -> None:
        """Make it a primary, and wait until it is."""
        with psycopg.connect(self.superuser_url, autocommit=True) as conn:
            conn.execute("SELECT pg_promote(true, 30)")


@contextlib.contextmanager
def pooler(upstream: Cluster, directory: Path) -> Generator[int]:
    """PgBouncer in transaction mode before a server; its port."""
    program, port = shutil.which("pgbouncer"), free_port()
    if not program:
        raise Unavailable("pgbouncer is not installed (Debian: apt install pgbouncer)")
    ini = directory / "pgbouncer.ini"
    ini.write_text(
        f"[databases]\n* = host=127.0.0.1 port={upstream.port} user=bench_sender\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = any\npool_mode = transaction\n"
        "default_pool_size = 12\nunix_socket_dir =\nignore_startup_parameters = options\n"
    )
    ini.chmod(0o644)
    user = "postgres" if os.geteuid() == 0 else None
    process = subprocess.Popen([program, "-q", ini], user=user, stderr=subprocess.DEVNULL, cwd="/")
    try:
        yield port
    finally:
        process.terminate()
        process.wait(10)


def environment(scenario: Scenario) -> Mapping[str, str]:
    """The relays' settings."""
    return {"BELFRY_HEARTBEAT_SECONDS": "1", **scenario.relay_settings}


@contextlib.asynccontextmanager
async def prepared(scenario: Scenario, logs: Path) -> AsyncGenerator[Ground]:
    """Everything started that the scenario needs, and stopped afterwards."""
    async with contextlib.AsyncExitStack() as stack:
        primary = stack.enter_context(server(scenario))
        dbname = stack.enter_context(database(primary))
        with psycopg.connect(primary.url(dbname), autocommit=True) as conn:
            conn.execute("UPDATE belfry.setting SET value = %s WHERE name = 'wake_mode'", (scenario.wake_mode,))
        network = await stack.enter_async_context(Proxy(primary.port))
        replication = await stack.enter_async_context(Proxy(primary.port))
        standbys: list[Standby] = []
        for number in range(scenario.standbys):
            standby = Standby(primary.directory.parent / f"standby{number}")
            await asyncio.to_thread(standby.copy, primary, replication.port)
            await asyncio.to_thread(standby.start)
            stack.callback(standby.stop)
            standbys.append(standby)
        port = stack.enter_context(pooler(primary, logs)) if scenario.pooler else network.port
        url = f"postgresql://bench_relay@127.0.0.1:{network.port}/{dbname}"
        made = [
            Relay(url, log=logs / f"relay-{n}.log", settings=dict(environment(scenario)))
            for n in range(scenario.relays)
        ]
        relays = await asyncio.to_thread(stack.enter_context, running(made))
        yield Ground(scenario, primary, standbys, dbname, relays, network, replication, port)
