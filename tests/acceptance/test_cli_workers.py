"""`belfry serve --workers`: each a process with a socket and a relay of its own; none is lost and none left behind."""

from __future__ import annotations

import asyncio
import http.client
import os
import signal
import socket
import time
import urllib.request
from pathlib import Path

import psycopg
import pytest
from commandline import SECRET, Running, exists, free_port, run, running, serving, until

from belfry import errors, workers
from belfry.config import Config


def children(server: Running) -> set[int]:
    """The process ids of the workers."""
    found: set[int] = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == server.process.pid and fields[0] != "Z":
            found.add(int(path.parent.name))
    return found


def listeners(port: int) -> int:
    """How many sockets listen on a port."""
    wanted = f":{port:04X}"
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return sum(1 for line in lines if line.split()[1].endswith(wanted) and line.split()[3] == "0A")


def test_each_worker_has_a_socket_and_a_relay_of_its_own_and_all_end_at_a_signal(tmp_path: Path, database: str) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        with serving(tmp_path, database, "--workers", "2") as (server, address):
            assert server.out == [f"belfry: ready on {address} (2 workers)"]
            workers = children(server)
            assert len(workers) == 2
            assert listeners(int(address.rpartition(":")[2])) == 2
            with psycopg.connect(database) as connection:
                relays = connection.execute(
                    "SELECT count(*) FROM pg_stat_activity"
                    " WHERE application_name = 'belfry listener' AND datname = current_database()"
                ).fetchone()
            assert relays == (2,)
            assert server.end(number) == 0
            assert not any(map(exists, workers))
        assert server.err == []


def test_every_worker_delivers_to_its_streams(tmp_path: Path, database: str) -> None:
    token = run(tmp_path, "token", "u1", secret=SECRET).stdout.strip()
    with serving(tmp_path, database, "--workers", "2") as (_, address):
        streams: list[http.client.HTTPResponse] = []
        try:
            for _ in range(8):
                request = urllib.request.Request(f"{address}/v1/stream", headers={"Authorization": f"Bearer {token}"})
                streams.append(urllib.request.urlopen(request, timeout=10))
            for stream in streams:
                read_until(stream, b"event: ready")
            with psycopg.connect(database, autocommit=True) as connection:
                connection.execute("SELECT belfry.send('u1', 'a.b', 'to every one')")
            for stream in streams:
                read_until(stream, b"to every one")
        finally:
            for stream in streams:
                stream.close()


def read_until(stream: http.client.HTTPResponse, text: bytes) -> None:
    for line in stream:
        if text in line:
            return
    raise AssertionError(f"the stream ended before {text!r}")


def test_a_worker_that_dies_is_replaced(tmp_path: Path, database: str) -> None:
    with serving(tmp_path, database, "--workers", "2") as (server, address):
        before = children(server)
        victim = min(before)
        os.kill(victim, signal.SIGKILL)
        server.wait_for("worker_died")
        until(lambda: len(children(server)) == 2 and victim not in children(server))
        until(lambda: listeners(int(address.rpartition(":")[2])) == 2)
        assert before - {victim} < children(server), "the other one was left alone"
        assert server.end() == 0
        assert not children(server)


def test_no_worker_outlives_a_parent_that_was_killed(tmp_path: Path, database: str) -> None:
    with serving(tmp_path, database, "--workers", "2") as (server, address):
        workers = children(server)
        assert len(workers) == 2
        assert server.end(signal.SIGKILL) == -signal.SIGKILL
        try:
            until(lambda: not any(map(exists, workers)), seconds=10)
        finally:
            for each in filter(exists, workers):
                os.kill(each, signal.SIGKILL)
        assert listeners(int(address.rpartition(":")[2])) == 0


def test_a_stopped_worker_does_not_keep_the_others_from_ending(tmp_path: Path, database: str) -> None:
    with serving(tmp_path, database, "--workers", "2", drain_seconds="0.2") as (server, _):
        workers = children(server)
        os.kill(min(workers), signal.SIGSTOP)
        try:
            began = time.monotonic()
            assert server.end() == 0
            assert time.monotonic() - began < 15
            assert not any(map(exists, workers))
        finally:
            for each in filter(exists, workers):
                os.kill(each, signal.SIGKILL)


def test_workers_that_cannot_start_end_the_server_with_one_reason(tmp_path: Path, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("ALTER SEQUENCE belfry.position CACHE 10")
    settings = {"database_url": database, "secret": SECRET}
    with running(tmp_path, "serve", "--workers", "2", "--port", str(free_port()), **settings) as server:
        assert server.ended() == 1
        workers = children(server)
        server.wait_for("belfry.position")
        assert not any("Traceback" in line for line in server.err)
        assert server.err[-1].startswith("belfry: No worker became ready")
        assert not workers


async def test_no_worker_outlives_the_parent_that_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter(("60", "0.5"))
    started: dict[str, asyncio.subprocess.Process] = {}

    async def start(theirs: socket.socket) -> asyncio.subprocess.Process:
        life = next(seconds)
        started[life] = await asyncio.create_subprocess_exec("sleep", life)
        return started[life]

    monkeypatch.setattr(workers, "_start", start)
    with pytest.raises(errors.WorkersFailed):
        await workers.Workers(Config(secret=SECRET, workers=2), {}, lambda: None).run()
    assert {life: process.returncode for life, process in started.items()} == {"60": -signal.SIGKILL, "0.5": 0}
