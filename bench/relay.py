"""Relays as processes of their own: start, kill, freeze, and read what they cost and count."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import jwt

from bench.postgres import ROOT, free_port

SECRET = "bench-secret-of-at-least-32-bytes-length"
METRIC = re.compile(r"^(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>[^}]*)\})?\s+(?P<value>\S+)$")
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class RelayProblem(Exception):
    """A relay did not start, or ended by itself."""


def token(recipient: str, seconds: float = 3600) -> str:
    """A recipient's credential as an application would make it."""
    return jwt.encode({"sub": recipient, "exp": int(time.time() + seconds)}, SECRET, algorithm="HS256")


def ask(port: int, path: str, credential: str, timeout: float = 10) -> Any:
    """The JSON of a GET with a recipient's credential. Raises RelayProblem, or OSError where nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {credential}"})
        answer = connection.getresponse()
        body = answer.read()
    except http.client.HTTPException as error:
        raise RelayProblem(f"{path}: {error!r}") from error
    finally:
        connection.close()
    if answer.status != 200:
        raise RelayProblem(f"{path}: {answer.status} {body[:200]!r}")
    return json.loads(body)


class Relay:
    """One `belfry serve` (or another module that takes the same arguments) on a port of its own."""

    def __init__(
        self,
        database_url: str,
        *,
        log: Path,
        settings: dict[str, str] | None = None,
        command: Sequence[str] = ("-m", "belfry", "serve"),
    ) -> None:
        self.port = free_port()
        self.log = log
        self._command = [sys.executable, *command, "--port", str(self.port)]
        self._environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("BELFRY_")},
            "BELFRY_DATABASE_URL": database_url,
            "BELFRY_SECRET": SECRET,
            "BELFRY_PORT": str(self.port),
            "BELFRY_HOST": "127.0.0.1",
            "BELFRY_LOG_LEVEL": "warning",
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "app")]),
            **(settings or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Process id of the running relay."""
        assert self._process
        return self._process.pid

    def start(self, *, wait: bool = True, timeout: float = 20) -> None:
        """Start it, and wait for `/ready`."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environment, cwd=ROOT, stdout=log, stderr=log, start_new_session=True
            )
        if wait:
            self.wait_ready(timeout)

    def wait_ready(self, timeout: float = 20) -> None:
        """Until `/ready` says 200."""
        deadline = time.monotonic() + timeout
        while (status := self.get("/ready")[0]) != 200:
            if not self.running():
                raise RelayProblem(f"the relay ended by itself:\n{self.tail()}")
            if time.monotonic() > deadline:
                raise RelayProblem(f"the relay was not ready within {timeout:.0f} s (/ready: {status})\n{self.tail()}")
            time.sleep(0.05)

    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def get(self, path: str, timeout: float = 5) -> tuple[int, str]:
        """Status and body of a GET; status 0 when nobody answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        except (OSError, http.client.HTTPException):
            return 0, ""
        finally:
            connection.close()

    def metrics(self) -> dict[str, float]:
        """`/metrics` as `name` or `name{labels}` to value; empty where there is none."""
        status, text = self.get("/metrics")
        found = (METRIC.match(line) for line in text.splitlines()) if status == 200 else ()
        return {m["name"] + (f"{{{m['labels']}}}" if m["labels"] else ""): float(m["value"]) for m in found if m}

    def processor_seconds(self) -> float:
        """User and system time spent so far."""
        return processor_seconds(self.pid)

    def resident_bytes(self) -> int:
        """Resident memory now."""
        return resident_bytes(self.pid)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the relay."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL, and wait."""
        self.signal(signal.SIGKILL)
        self.wait(10)

    def wait(self, timeout: float) -> int:
        """Exit status; raises subprocess.TimeoutExpired."""
        assert self._process
        return self._process.wait(timeout)

    def stop(self) -> None:
        """SIGTERM, then SIGKILL for one that does not hear."""
        if not self.running():
            return
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            self.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()

    def tail(self, lines: int = 30) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""


def processor_seconds(pid: int) -> float:
    """User and system time of a process, from /proc."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def resident_bytes(pid: int) -> int:
    """Resident memory of a process, from /proc."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def total(metrics: dict[str, float], name: str) -> float:
    """Sum of a metric over its labels; NaN when it is not there."""
    values = [value for key, value in metrics.items() if key.partition("{")[0] == name]
    return sum(values) if values else float("nan")


@contextlib.contextmanager
def running(relays: Sequence[Relay]) -> Generator[Sequence[Relay]]:
    """Start these relays, stop them afterwards."""
    try:
        for relay in relays:
            relay.start(wait=False)
        for relay in relays:
            relay.wait_ready()
        yield relays
    finally:
        for relay in relays:
            relay.stop()
