"""What the commands share: their shape, how they read settings, how they speak."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from belfry import database, errors
from belfry.config import SETTINGS, Config
from belfry.dotenv import environment

DEV_DIRECTORY = Path(".belfry")
"""Where `serve --dev` keeps its database, its secret and its API key, and tells where it is while it runs."""

NO_DATABASE = "There is no database: set BELFRY_DATABASE_URL, or run `belfry serve --dev` in this directory."
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


@dataclass(frozen=True, slots=True)
class Command:
    """One command: what it is called, what it takes, what it does. `run` returns the exit code."""

    name: str
    help: str
    examples: str
    arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def add_actions(
    parser: argparse.ArgumentParser, actions: dict[str, str], examples: str
) -> dict[str, argparse.ArgumentParser]:
    """Give a command actions, such as `key create`, each with its own lines of the examples."""
    group = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    parsers: dict[str, argparse.ArgumentParser] = {}
    for name, text in actions.items():
        own = [line for line in examples.splitlines() if line.strip().startswith(f"{parser.prog} {name}")]
        parsers[name] = group.add_parser(
            name, help=text, description=sentence(text), epilog="\n".join(["examples:", *own])
        )
    return parsers


def sentence(text: str) -> str:
    """A line of help as a sentence."""
    return f"{text[:1].upper()}{text[1:]}."


# --- speaking ----------------------------------------------------------------------------------------------


def say(line: str) -> None:
    """One line of result, on stdout."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def note(line: str) -> None:
    """One line beside the result, on stderr."""
    sys.stderr.write(f"belfry: {line}\n")
    sys.stderr.flush()


# --- settings ----------------------------------------------------------------------------------------------


def add_settings(parser: argparse.ArgumentParser, names: Iterable[str]) -> None:
    """Give a command the flags of these settings."""
    group = parser.add_argument_group(
        "settings", "each also as a variable, also in .env; a flag wins, but others on this machine can read it"
    )
    for setting in (SETTINGS[name] for name in names):
        text = f"{setting.help}; {setting.variable}, default {setting.default_text}".replace("%", "%%")
        if isinstance(setting.default, bool):
            group.add_argument(setting.flag, dest=setting.name, action="store_true", default=None, help=text)
        else:
            metavar = setting.name.partition("_per_")[0].rpartition("_")[2].upper()
            group.add_argument(setting.flag, dest=setting.name, metavar=metavar, help=text)


def load_config(arguments: argparse.Namespace, *, serving: bool = False) -> Config:
    """The settings by flags, environment and `.env`. Raises ConfigError."""
    flags = {name: value for name, value in vars(arguments).items() if name in SETTINGS}
    return Config.from_environ(environment(os.environ, Path.cwd()), serving=serving, **flags)


def load_client_config(arguments: argparse.Namespace) -> Config:
    """The same for a command that speaks to what is there: what is not set comes from a running `serve --dev`."""
    config = load_config(arguments)
    if config.database_url is None:
        config = config.replace(database_url=_left_by_dev("url"))
    if config.secret is None:
        config = config.replace(secret=_left_by_dev("secret"))
    return config


def relay_address(config: Config, given: str | None, *, told: bool) -> str:
    """Where the relay answers: what was given, where `serve --dev` listens, or what the settings say.

    `told` is whether flags name the host or the port, which then win over `serve --dev`.
    """
    host = "127.0.0.1" if config.host in ("0.0.0.0", "::") else config.host
    left = None if told else _left_by_dev("address")
    return (given or left or http_address(host, config.port)).rstrip("/")


def http_address(host: str, port: int) -> str:
    """The URL of a host and a port."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _left_by_dev(name: str) -> str | None:
    try:
        return (DEV_DIRECTORY / name).read_text(encoding="utf-8").strip() or None
    except PermissionError as error:
        raise errors.NotPermitted(
            f"The development server here belongs to another user: become them, or make {DEV_DIRECTORY}/ yours."
        ) from error
    except OSError:
        return None


# --- the database ------------------------------------------------------------------------------------------


@asynccontextmanager
async def connected(
    url: str | None, *, pooled: bool = False, role: str | None = None
) -> AsyncGenerator[psycopg.AsyncConnection[Any]]:
    """A connection for one command. What the database then refuses is raised as a BelfryError.

    `role` is what the command needs: who lacks it is told so.
    """
    if url is None:
        raise errors.DatabaseUrlMissing(NO_DATABASE)
    connection = await _connect(url, pooled=pooled)
    try:
        async with connection:
            yield connection
    except psycopg.Error as error:
        raise explained(error, role) from error


async def _connect(url: str, *, pooled: bool) -> psycopg.AsyncConnection[Any]:
    try:
        return await database.connect(url, application_name="belfry cli", pooled=pooled)
    except errors.DatabaseUnavailable as error:
        if url != _left_by_dev("url"):
            raise
        raise errors.DatabaseUnavailable(
            f"The development server that {DEV_DIRECTORY / 'url'} tells of is gone: start `belfry serve --dev` again."
        ) from error


def explained(error: psycopg.Error, role: str | None = None) -> errors.BelfryError:
    """What a refusal of the database means to who typed the command."""
    match error:
        case psycopg.errors.InsufficientPrivilege():
            return errors.NotPermitted(role and f"The database role lacks a right: this command needs {role}.")
        case psycopg.errors.UndefinedTable() | psycopg.errors.UndefinedFunction() | psycopg.errors.InvalidSchemaName():
            return errors.SchemaMissing()
        case psycopg.errors.ReadOnlySqlTransaction():
            return errors.InRecovery()
        case psycopg.OperationalError() if error.sqlstate is None or error.sqlstate.startswith(("08", "57P")):
            return errors.DatabaseUnavailable()
        case _:
            parts = (error.diag.message_primary, error.diag.message_detail, error.diag.message_hint)
            text = "; ".join(part for part in parts if part) or str(error)
            return errors.DatabaseError(" ".join(text.split()))


# --- values ------------------------------------------------------------------------------------------------


def duration(text: str) -> float:
    """`90`, `90s`, `15m`, `1h`, `7d` or `2w` in seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw]?)", text.strip())
    seconds = float(match.group(1)) * _UNITS[match.group(2)] if match else 0.0
    if not 1 <= seconds <= 100 * 365 * 86400:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration such as 90s, 15m, 1h or 7d")
    return seconds


def age(text: str) -> float:
    """`12h`, `90d` or `26w` in seconds: what is removed by it is gone, so nothing is guessed, nor is m for months."""
    if text.strip()[-1:] not in ("h", "d", "w"):
        raise argparse.ArgumentTypeError(f"{text!r} is no age such as 12h, 90d or 26w: name hours, days or weeks")
    return duration(text)
