"""`belfry key`: the API keys that senders use over HTTP."""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

import psycopg

from belfry import keys
from belfry.commands import common

EXAMPLES = """\
  belfry key create billing       print a new key; it is stored hashed and never shown again
  belfry key create admin --scope send,manage
  belfry key list
  belfry key revoke billing       the key is refused from now on"""

MAX_NAME_CHARACTERS = 255

_ACTIONS = {
    "create": "print a new key",
    "list": "show the keys, without the keys themselves",
    "revoke": "refuse a key from now on",
}


def _arguments(parser: argparse.ArgumentParser) -> None:
    actions = common.add_actions(parser, _ACTIONS, EXAMPLES)
    actions["create"].add_argument("name", metavar="NAME", type=_name, help="what will use it")
    actions["create"].add_argument(
        "--scope",
        "--scopes",
        dest="scopes",
        metavar="A,B",
        type=_scopes,
        default="send",
        help="what it may do: send (the default), manage, or both",
    )
    actions["revoke"].add_argument("name", metavar="NAME", help="as `belfry key list` shows it")
    for each in actions.values():
        common.add_settings(each, ["database_url"])


def _run(arguments: argparse.Namespace) -> int:
    return asyncio.run(_act(arguments))


async def _act(arguments: argparse.Namespace) -> int:
    role = "belfry_relay" if arguments.action == "list" else "belfry_owner"
    async with common.connected(common.load_client_config(arguments).listen_url, role=role) as connection:
        match arguments.action:
            case "create":
                common.say(await keys.create(connection, arguments.name, arguments.scopes))
            case "revoke":
                await keys.revoke(connection, arguments.name)
                common.note(f"the key {arguments.name!r} is revoked")
            case _:
                await _list(connection)
    return 0


async def _list(connection: psycopg.AsyncConnection[Any]) -> None:
    for key in await keys.listing(connection):
        state = f"revoked {key.revoked_at:%Y-%m-%d}" if key.revoked_at else "in use"
        common.say(f"{key.name:<24} {','.join(key.scopes):<12} {key.created_at:%Y-%m-%d}  {state}")


def _name(text: str) -> str:
    if not 1 <= len(text) <= MAX_NAME_CHARACTERS or not text.isprintable():
        raise argparse.ArgumentTypeError(
            f"{text[:40]!r} is not a name of 1 to {MAX_NAME_CHARACTERS} printable characters"
        )
    return text


def _scopes(text: str) -> list[str]:
    scopes = [scope.strip() for scope in text.split(",")]
    unknown = [scope for scope in scopes if scope not in keys.SCOPES]
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown scope {unknown[0]!r}: there is {', '.join(keys.SCOPES)}")
    return scopes


COMMAND = common.Command("key", "make, list and revoke API keys", EXAMPLES, _arguments, _run)
