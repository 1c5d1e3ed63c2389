"""Development mode: a Postgres, a secret and an API key of its own under `.belfry/`, and nothing to set.

While it runs, `.belfry/url` and `.belfry/address` tell the other commands in this directory where it is. Where several
run in one directory, they tell of the youngest, and when that ends of the next.
"""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

from belfry import auth, errors, keys, migrations, queries
from belfry.commands import common
from belfry.config import Config

TOKEN_SECONDS = 24 * 3600
RECIPIENT = "demo"
KEY_NAME = "dev"
TOLD = ("url", "address")


@asynccontextmanager
async def prepared(config: Config, address: str) -> AsyncGenerator[tuple[Config, str]]:
    """Everything that serving needs, made where it is missing: the configuration with it, and the API key."""
    directory = common.DEV_DIRECTORY
    _make(directory)
    _require_ours(directory)
    if config.secret is None:
        config = config.replace(secret=kept(directory / "secret", "a secret", lambda: secrets.token_hex(32)))
    async with AsyncExitStack() as stack:
        if config.database_url is None:
            from belfry import embedded  # an extra: only who needs it must have it

            config = config.replace(database_url=await stack.enter_async_context(embedded.running(directory)))
        key = kept(directory / "api_key", "an API key", auth.make_key)
        async with common.connected(config.listen_url) as connection:
            applied = await migrations.up(connection)
            if applied:
                common.note(f"installed the schema: {', '.join(each.label for each in applied)}")
                if applied[0].version == 1:  # a tab may be open that knows the positions of a database that was removed
                    await queries.new_epoch(connection, "")
            await keys.ensure(connection, KEY_NAME, key)
        stack.enter_context(announced(directory, config.database_url or "", address))
        yield config, key


def lines(config: Config, address: str) -> list[str]:
    """The four lines of a newcomer's first minute; the last two work when they are pasted."""
    token = auth.mint(config, RECIPIENT, TOKEN_SECONDS)
    return [
        f"Belfry is at {address}/",
        f"A token for the recipient {RECIPIENT}, good for a day: {token}",
        f"curl -N -H 'Authorization: Bearer {token}' {address}/v1/stream",
        f"{_program()} send {RECIPIENT} hello.world --title 'Hello from the shell'",
    ]


def _program() -> str:
    """How this program is called from this directory."""
    started = Path(sys.argv[0])
    if started.name != "belfry":
        return shlex.join([sys.executable, "-m", "belfry"])
    found = shutil.which("belfry")
    if found and Path(found).resolve() == started.resolve():
        return "belfry"
    absolute = started.absolute()
    near = absolute.is_relative_to(Path.cwd())
    return shlex.quote(str(absolute.relative_to(Path.cwd()) if near else absolute))


def kept(path: Path, what: str, make: Callable[[], str]) -> str:
    """The value of a file, made once and said so."""
    if path.is_file() and (value := path.read_text(encoding="utf-8").strip()):
        return value
    value = make()
    _write(path, value)
    common.note(f"made {what} for development and keeps it in {path}")
    return value


def _write(path: Path, value: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    aside = path.with_name(f"{path.name}.{os.getpid()}")
    aside.unlink(missing_ok=True)
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(value + "\n")
    aside.replace(path)


def _make(directory: Path) -> None:
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
    except PermissionError as error:
        raise errors.EmbeddedFailed(
            f"This user may not write to {Path.cwd()}: start in a directory of your own, {directory} is made in it."
        ) from error


def _require_ours(directory: Path) -> None:
    """Refuse what another user has left, as `sudo make run` does: the first file that is read would be a fault."""
    for path in (directory, *(directory.iterdir() if os.access(directory, os.R_OK) else ())):
        if not os.access(path, os.R_OK | os.W_OK | (os.X_OK if path.is_dir() else 0)):
            raise errors.EmbeddedFailed(
                f"{path} belongs to another user: remove it all with `sudo rm -r {directory}`, or make it yours with "
                f"`sudo chown -R $(id -u):$(id -g) {directory}`."
            )


# --- where the server is ---------------------------------------------------------------------------------------


@contextmanager
def announced(directory: Path, *told: str) -> Generator[None]:
    """While inside, the files of TOLD have these values, unless a younger server's."""
    import fcntl  # not on Windows, where the other commands work

    mine = directory / f"server.{os.getpid()}"
    with _exclusively(directory):
        _write(mine, "\n".join(told))
        held = mine.open()
        fcntl.flock(held, fcntl.LOCK_EX)  # the system lets go of it, however we end
        _tell(directory)
    try:
        yield
    finally:
        with _exclusively(directory), held:
            mine.unlink(missing_ok=True)
            _tell(directory)


@contextmanager
def _exclusively(directory: Path) -> Generator[None]:
    """Of all servers in the directory only we, for a moment."""
    import fcntl

    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _tell(directory: Path) -> None:
    """Write where the youngest server is that runs, or forget where the last one was."""
    running = sorted(
        (path for path in directory.glob("server.*") if _runs(path)), key=lambda path: path.stat().st_mtime
    )
    values = running[-1].read_text(encoding="utf-8").splitlines() if running else []
    for name, value in zip(TOLD, values or [None] * len(TOLD), strict=True):
        if value is None:
            (directory / name).unlink(missing_ok=True)
        else:
            _write(directory / name, value)


def _runs(path: Path) -> bool:
    """Whether the server of that file runs; what a killed one has left is removed."""
    import fcntl

    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    path.unlink(missing_ok=True)
    return False
