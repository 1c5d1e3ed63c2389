"""`belfry prune`: old rows are removed by hand, or from a timer."""

from __future__ import annotations

import argparse
import asyncio
import time
from datetime import timedelta

from belfry import errors, pruning
from belfry.commands import common

EXAMPLES = """\
  belfry prune --older-than 90d              remove what is older, in small batches; nobody waits for it
  belfry prune --older-than 90d --dry-run    say how much that would be
  belfry prune                               what is older than BELFRY_RETENTION_DAYS, as a relay does by itself"""

TELL_SECONDS = 5.0


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--older-than", metavar="TIME", type=common.age, help="such as 12h, 90d or 26w")
    parser.add_argument("--dry-run", action="store_true", help="remove nothing, and say how much would go")
    common.add_settings(parser, ["database_url", "direct_url", "retention_days"])


def _run(arguments: argparse.Namespace) -> int:
    return asyncio.run(_prune(arguments))


async def _prune(arguments: argparse.Namespace) -> int:
    config = common.load_client_config(arguments)
    if arguments.older_than is not None:
        age = timedelta(seconds=arguments.older_than)
    elif config.retention_days is not None:
        age = timedelta(days=config.retention_days)
    else:
        raise errors.UsageError("how old? give --older-than 90d, or set BELFRY_RETENTION_DAYS")
    role = "belfry_monitor" if arguments.dry_run else "belfry_relay"
    async with common.connected(config.listen_url, role=role) as connection:
        if arguments.dry_run:
            common.say(f"{await pruning.prunable(connection, age):,} notifications would be removed")
        else:
            common.say(f"{await _remove(connection, age):,} rows removed")
    return 0


async def _remove(connection: pruning.Connection, age: timedelta) -> int:
    """Remove them, telling from time to time how far it is."""
    total, told_at = 0, time.monotonic()
    async with pruning.alone(connection) as is_alone:
        if not is_alone:
            raise errors.PruningBusy()
        async for removed in pruning.batches(connection, age):
            total += removed
            if time.monotonic() - told_at >= TELL_SECONDS:
                told_at = time.monotonic()
                common.note(f"{total:,} rows removed so far")
    return total


COMMAND = common.Command("prune", "remove old notifications", EXAMPLES, _arguments, _run)
