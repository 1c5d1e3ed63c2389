"""Development mode: a Postgres, a secret and an API key of its own under `.belfry/`, and nothing to set.

While it runs, `.belfry/url` and `.belfry/address` tell the other commands in this directory where it is.
"""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from belfry import auth, keys, migrations
from belfry.commands import common
from belfry.config import Config

TOKEN_SECONDS = 24 * 3600
RECIPIENT = "demo"
KEY_NAME = "dev"


@asynccontextmanager
async def prepared(config: Config, address: str) -> AsyncGenerator[tuple[Config, str]]:
    """Everything that serving needs, made where it is missing: the configuration with it, and the API key."""
    directory = common.DEV_DIRECTORY
    directory.mkdir(mode=0o700, exist_ok=True)
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
            await keys.ensure(connection, KEY_NAME, key)
        for name, value in (("url", config.database_url or ""), ("address", address)):
            stack.callback(_forget, directory / name, value)
            _write(directory / name, value)
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


def _forget(path: Path, value: str) -> None:
    """Remove what told where this server was, unless it tells of another one by now."""
    if path.is_file() and path.read_text(encoding="utf-8").strip() == value:
        path.unlink(missing_ok=True)
