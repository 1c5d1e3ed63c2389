"""`belfry erase`: a person is forgotten."""

from __future__ import annotations

import argparse
import asyncio
import sys

from belfry import errors, managing
from belfry.commands import common

EXAMPLES = """\
  belfry export u1 > u1.json      first, perhaps: everything that is stored about them
  belfry erase u1                 asks, and forgets the recipient u1 for ever
  belfry erase u1 --yes           does not ask"""


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipient", metavar="RECIPIENT", help="whom to forget: your user's id")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    common.add_settings(parser, ["database_url"])


def _run(arguments: argparse.Namespace) -> int:
    if not arguments.yes:
        _confirm(arguments.recipient)
    url = common.load_client_config(arguments).database_url
    rows = asyncio.run(_erase(url, arguments.recipient))
    common.say(
        f"{rows:,} rows of {arguments.recipient!r} erased"
        if rows
        else f"nothing was stored about {arguments.recipient!r}"
    )
    return 0


async def _erase(url: str | None, recipient: str) -> int:
    async with common.connected(url, pooled=True, role="belfry_sender") as connection:
        return await managing.erase(connection, recipient)


def _confirm(recipient: str) -> None:
    """Go on only when a person repeats the name. Raises UsageError, BelfryError."""
    if not sys.stdin.isatty():
        raise errors.UsageError("this cannot be undone: add --yes where nobody can be asked")
    sys.stderr.write(
        f"This erases everything that is stored about {recipient!r}, for ever. Type the name again to go on: "
    )
    sys.stderr.flush()
    if sys.stdin.readline().rstrip("\n") != recipient:
        raise errors.BelfryError("that was not the name: nothing is erased")


COMMAND = common.Command(
    "erase", "forget a recipient, and everything that is stored about them", EXAMPLES, _arguments, _run
)
