"""`belfry` as a process: run to its end, or running beside the test; every wait has an end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

SECRET = "a-secret-of-more-than-thirty-two-bytes"
SECONDS = 40.0
BELFRY = [sys.executable, "-m", "belfry"]


def environment(**settings: str | None) -> dict[str, str]:
    """This process's environment with these settings of Belfry and no others."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("BELFRY_")}
    return clean | {f"BELFRY_{name.upper()}": value for name, value in settings.items() if value is not None}


def run(cwd: Path, *words: str, **settings: str | None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [*BELFRY, *words], cwd=cwd, env=environment(**settings), capture_output=True, text=True, timeout=SECONDS
    )


def refused(done: subprocess.CompletedProcess[str], code: int = 1) -> str:
    """The one line with which a command was refused."""
    assert done.returncode == code, done
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("belfry: ")
    return done.stderr


def free_port() -> int:
    """A port that nobody has at the moment."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def until(what: Callable[[], object], seconds: float = SECONDS) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not become true in time"
        time.sleep(0.02)


def exists(pid: int) -> bool:
    """Whether a process runs; one that waits to be buried does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


class Running:
    """A command that runs beside the test; its lines are read as they come."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.out: list[str] = []
        self.err: list[str] = []
        self._readers = [
            threading.Thread(target=self._read, args=args, daemon=True)
            for args in ((process.stdout, self.out), (process.stderr, self.err))
        ]
        for each in self._readers:
            each.start()

    def _read(self, file: Iterator[str], lines: list[str]) -> None:
        for line in file:
            lines.append(line.rstrip("\n"))

    def wait_for(self, text: str, seconds: float = SECONDS) -> str:
        """The first line, of either kind, with this text in it."""

        def found() -> list[str]:
            return [line for line in (*self.out, *self.err) if text in line]

        until(lambda: found() or self.process.poll() is not None, seconds)
        if not found():
            self._hear_out(1)
        assert found(), f"ended with {self.process.returncode}: {self.out} {self.err}"
        return found()[0]

    def end(self, number: signal.Signals = signal.SIGTERM, seconds: float = SECONDS) -> int:
        """Send a signal and wait for the end; the exit code."""
        self.process.send_signal(number)
        return self.ended(seconds)

    def ended(self, seconds: float = SECONDS) -> int:
        """Wait for the end, and for its last words; the exit code."""
        code = self.process.wait(seconds)
        self._hear_out(SECONDS)
        return code

    def _hear_out(self, seconds: float) -> None:
        """It has ended: the pipes may hold lines yet."""
        for each in self._readers:
            each.join(seconds)

    def close(self) -> None:
        """Close the pipes; one that a grandchild still holds is left, for closing it would wait."""
        for reader, file in zip(self._readers, (self.process.stdout, self.process.stderr), strict=True):
            reader.join(1)
            if file and not reader.is_alive():
                file.close()


def _hear_interrupts() -> None:
    """Behind a shell's `&` Ctrl-C is ignored, and so it would be by all that we start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def started(command: Sequence[str | Path], cwd: Path, environment: Mapping[str, str]) -> Iterator[Running]:
    """Start a process; it is killed at the latest at the end."""
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        bufsize=1,
        preexec_fn=_hear_interrupts,
    )
    one = Running(process)
    try:
        yield one
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(SECONDS)
        one.close()


@contextmanager
def running(cwd: Path, *words: str, **settings: str | None) -> Iterator[Running]:
    """Start a command of Belfry."""
    with started([*BELFRY, *words], cwd, environment(**settings)) as one:
        yield one


@contextmanager
def serving(cwd: Path, database: str, *words: str, **settings: str | None) -> Iterator[tuple[Running, str]]:
    """A server that is ready, and its address."""
    port = free_port()
    settings = {"database_url": database, "secret": SECRET, **settings}
    with running(cwd, "serve", "--port", str(port), *words, **settings) as server:
        server.wait_for("ready on")
        yield server, f"http://127.0.0.1:{port}"
