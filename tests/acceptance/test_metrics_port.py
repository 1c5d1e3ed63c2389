"""BELFRY_METRICS_PORT: the figures of each worker on a port of its own, and no longer on the public one."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest
from commandline import SECRET, free_port, run, running, serving, until


def get(port: int | str, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        return refusal.code, ""


def two_free_ports() -> int:
    """The first of two ports that follow each other."""
    while True:
        first = free_port()
        with socket.socket() as second, suppress(OSError):
            second.bind(("127.0.0.1", first + 1))
            return first


def streams(port: int) -> str:
    """How many streams a worker says that it has."""
    lines = get(port, "/metrics")[1].splitlines()
    return next(line for line in lines if line.startswith("belfry_streams ")).split()[1]


def test_each_worker_tells_its_own_figures_and_the_public_port_tells_none(tmp_path: Path, database: str) -> None:
    first = two_free_ports()
    with serving(tmp_path, database, "--workers", "2", metrics_port=str(first)) as (server, address):
        public = address.rpartition(":")[2]
        assert get(public, "/metrics")[0] == 404
        until(lambda: get(public, "/ready")[0] == 200)
        token = run(tmp_path, "token", "u1", secret=SECRET).stdout.strip()
        request = urllib.request.Request(f"{address}/v1/stream", headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(request, timeout=10):
            until(lambda: sorted(streams(first + worker) for worker in range(2)) == ["0.0", "1.0"])
        assert get(first, "/live")[0] == 200
        until(lambda: get(first, "/ready")[0] == 200)
        assert get(first, "/v1/inbox")[0] == 404
        assert server.end() == 0
    assert [line for line in server.err if '"path": "/ready"' not in line] == []  # it was asked before it was ready


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"metrics_port": "65535", "workers": "2"}, "choose a lower one"), ({"metrics_port": "{port}"}, "choose another")],
)
def test_ports_that_clash_are_refused_at_the_start(tmp_path: Path, settings: dict[str, str], words: str) -> None:
    port = str(free_port())
    settings = {name: value.format(port=port) for name, value in settings.items()}
    with running(tmp_path, "serve", "--port", port, secret=SECRET, **settings) as server:
        server.wait_for(words)
        assert server.ended() != 0


def test_a_metrics_port_that_is_taken_is_named(tmp_path: Path, database: str) -> None:
    with serving(tmp_path, database, metrics_port=str(free_port())) as (_, address):
        taken = address.rpartition(":")[2]
        settings = {"database_url": database, "secret": SECRET, "metrics_port": taken}
        with running(tmp_path, "serve", "--port", str(free_port()), **settings) as second:
            second.wait_for(f"port {taken} is in use")
            assert second.ended() == 1
