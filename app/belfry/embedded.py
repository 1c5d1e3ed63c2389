"""An embedded Postgres for development: the binaries of a Python package, started and stopped by us alone.

Whoever holds the lock file owns the server and stops it; others attach, and when the owner ends one of them goes on
with a server of its own at the same place. The server listens on a Unix socket in a directory that only its own user
may enter.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import fcntl
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psycopg

from belfry import embedded_home, errors
from belfry.embedded_home import Binaries, Home

log = logging.getLogger(__name__)

START_SECONDS = 60.0
STOP_SECONDS = 10.0
POLL_SECONDS = 0.03
INHERIT_SECONDS = 0.2
PR_SET_PDEATHSIG = 1
SOCKET_LOCK = ".s.PGSQL.5432.lock"
SETTINGS = (
    "port=5432",  # the name of the socket, and nothing else
    "listen_addresses=",
    "unix_socket_permissions=0700",
    "max_connections=100",
    "shared_buffers=64MB",
    "log_min_messages=warning",
    "search_path=public",  # not "$user": that is the schema `belfry`, and no place for what somebody tries in psql
)


@asynccontextmanager
async def running(directory: Path) -> AsyncGenerator[str]:
    """A server whose data lie in `directory`; yields its URL.

    Raises EmbeddedMissing where the package is not installed, EmbeddedFailed where the server does not start.
    """
    home = embedded_home.find(directory)
    with os.fdopen(home.open("owner.lock"), "a") as lock:
        owning = await _owned(home, lock.fileno())
        server = await _begun(home) if owning else None
        heir = None if owning else asyncio.create_task(_inherited(home, lock.fileno()))
        try:
            yield home.url
        finally:
            if heir is not None:
                heir.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    server = await heir
            if server is not None:
                await asyncio.shield(_stop(server, home))


async def _owned(home: Home, lock: int) -> bool:
    """Whether we own the server from now on; else its owner lives, and it takes connections."""
    async with _time_out(home):
        while True:
            if _locked(lock):
                return True
            if await _answers(home):
                return False
            await asyncio.sleep(POLL_SECONDS)


async def _inherited(home: Home, lock: int) -> _Server:
    """Wait until the owner has ended, and begin anew in its place."""
    while not _locked(lock):  # noqa: ASYNC110 - nobody tells of another process's lock
        await asyncio.sleep(INHERIT_SECONDS)
    embedded_home.own(home.sockets, home.account)  # its owner removes what lies elsewhere
    log.info("goes on with the embedded Postgres of a process that has ended", extra={"action": "embedded_inherited"})
    return await _begun(home)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


# --- start ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Server:
    """A server that we own."""

    pid: int
    alive: Callable[[], bool]


async def _begun(home: Home) -> _Server:
    return await _taken_over(home) or await _started(home)


async def _taken_over(home: Home) -> _Server | None:
    """The server that an owner left behind without a word, or None where it is gone or on its way out."""
    pid = _left_behind(home)
    if pid is None:
        return None
    server = _Server(pid, lambda: _left_behind(home) == pid)
    if not await _ready(home, server):
        return None
    log.warning("took over the embedded Postgres of a dead process", extra={"action": "embedded_taken_over"})
    return server


async def _started(home: Home) -> _Server:
    """A new server, on new data where there are none."""
    binaries = embedded_home.binaries(home)
    if home.data.is_dir():
        _disown_dead(home)
    else:
        await _initialise(home, binaries)
    async with _time_out(home):
        while True:
            if server := await _attempted(home, binaries):
                return server
            words = home.last_words()
            if "shared memory block" not in words:  # what a killed server's children hold until they notice
                raise errors.EmbeddedFailed(f"Postgres did not start: {words}")
            await asyncio.sleep(POLL_SECONDS)


async def _attempted(home: Home, binaries: Binaries) -> _Server | None:
    options = [part for setting in SETTINGS for part in ("-c", setting)]
    child = _spawn(home, binaries, ["postgres", "-D", str(home.data), "-k", str(home.sockets), *options])
    server = _Server(child.pid, lambda: child.poll() is None)
    try:
        return server if await _ready(home, server) else None
    except BaseException:  # told to stop, or out of time: nothing may be left behind
        await asyncio.shield(_stop(server, home))
        raise


async def _initialise(home: Home, binaries: Binaries) -> None:
    """Make the data directory, whole or not at all."""
    unfinished = home.base / "data.new"
    shutil.rmtree(unfinished, ignore_errors=True)
    command = ["initdb", "-D", str(unfinished), "-U", embedded_home.USER, "--auth=trust", "--encoding=UTF8"]
    command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if int(binaries.major) >= 17 else []
    child = _spawn(home, binaries, [*command, "--no-locale"])
    if await asyncio.to_thread(child.wait) != 0:
        raise errors.EmbeddedFailed(f"initdb failed: {home.last_words()}")
    unfinished.rename(home.data)


def _spawn(home: Home, binaries: Binaries, command: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start one of the binaries as the server's user; the kernel stops it when we die without a word."""
    account = home.account
    with os.fdopen(home.open(home.log.name), "ab") as output:
        return subprocess.Popen(
            [binaries.root / "bin" / command[0], *command[1:]],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=home.base,
            env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
            start_new_session=True,  # Ctrl-C is for us; we stop the server ourselves
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)  # to Postgres: a fast shutdown


async def _ready(home: Home, server: _Server) -> bool:
    """Wait until the server takes connections; False when it ends before that."""
    async with _time_out(home):
        while server.alive():
            if await _answers(home):
                return True
            await asyncio.sleep(POLL_SECONDS)
    return False


async def _answers(home: Home) -> bool:
    try:
        connection = await psycopg.AsyncConnection.connect(home.url, connect_timeout=5)
    except psycopg.OperationalError:
        return False
    await connection.close()
    return True


@asynccontextmanager
async def _time_out(home: Home) -> AsyncGenerator[None]:
    try:
        async with asyncio.timeout(START_SECONDS):
            yield
    except TimeoutError:
        raise errors.EmbeddedFailed(f"Postgres did not start in {START_SECONDS:.0f} s; see {home.log}") from None


def _left_behind(home: Home) -> int | None:
    """The pid of a server on these data that is not our child."""
    try:
        pid = int((home.data / "postmaster.pid").read_text().splitlines()[0])
        arguments = _arguments(pid)
    except (OSError, ValueError, IndexError, subprocess.CalledProcessError):
        return None
    # The pid of a stale file may be somebody else's by now, another Postgres' even: we would stop that in the end.
    return pid if os.fsencode(home.data) in arguments else None


def _disown_dead(home: Home) -> None:
    """Put our pid into a dead server's files: Postgres takes its parent's for stale, whoever has the old one by now.

    The rest stays: by the shared memory block named there Postgres finds a dead server's children that still run.
    """
    for path in (home.data / "postmaster.pid", home.sockets / SOCKET_LOCK):
        with contextlib.suppress(FileNotFoundError), _opened(path) as file:
            lines = file.read().splitlines()
            file.seek(0)
            file.truncate()
            file.write("".join(f"{line}\n" for line in (str(os.getpid()), *lines[1:])))


def _opened(path: Path) -> IO[str]:
    return os.fdopen(os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC), "r+")


def _arguments(pid: int) -> bytes:
    """The command line of a process; empty when it only waits to be buried."""
    if sys.platform == "linux":
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return subprocess.run(["ps", "-o", "args=", "-p", str(pid)], capture_output=True, check=True).stdout


# --- stop ----------------------------------------------------------------------------------------------------


async def _stop(server: _Server, home: Home) -> None:
    """A fast shutdown; after a while an immediate one, which the next start recovers from."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            if server.alive():
                os.kill(server.pid, number)
        for _ in range(int(STOP_SECONDS / POLL_SECONDS)):
            if not server.alive():
                break
            await asyncio.sleep(POLL_SECONDS)
    if home.sockets != home.base:
        shutil.rmtree(home.sockets, ignore_errors=True)
