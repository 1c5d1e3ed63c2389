"""`belfry export`: a person is handed what is stored about them."""

from __future__ import annotations

import argparse
import asyncio

from belfry import managing
from belfry.commands import common

EXAMPLES = """\
  belfry export u1 > u1.json
  belfry export u1 | jq '.notifications | length'"""


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipient", metavar="RECIPIENT", help="whose data to print: your user's id")
    common.add_settings(parser, ["database_url"])


def _run(arguments: argparse.Namespace) -> int:
    common.say(asyncio.run(_export(common.load_client_config(arguments).database_url, arguments.recipient)))
    return 0


async def _export(url: str | None, recipient: str) -> str:
    async with common.connected(url, pooled=True, role="belfry_sender") as connection:
        return await managing.export(connection, recipient)


COMMAND = common.Command(
    "export", "print everything that is stored about a recipient, as JSON", EXAMPLES, _arguments, _run
)
