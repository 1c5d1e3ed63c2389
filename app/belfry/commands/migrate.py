"""`belfry migrate`: the schema."""

from __future__ import annotations

import argparse
import asyncio

from belfry import carry, migrations
from belfry.commands import common

EXAMPLES = """\
  belfry migrate status              what is applied, and what is not
  belfry migrate up                  apply what is missing; safe to start on twenty hosts at once
  belfry migrate down                revert the newest, WITH THE DATA that only it holds
  belfry migrate sql > belfry.sql    what `up` would run, for `psql -f belfry.sql`
  belfry migrate carry mute_kinds    (in Belfry's own source) sql/functions/ into a new migration"""

NOTHING_MISSING = "nothing to do: the schema is up to date"

_ACTIONS = {
    "up": "apply what is missing",
    "down": "revert the newest, with the data that only it holds",
    "status": "show what is applied",
    "sql": "print what `up` would run, for psql",
    "carry": "write a new migration from what changed in sql/functions, sql/triggers and sql/grants.sql",
}


def _arguments(parser: argparse.ArgumentParser) -> None:
    actions = common.add_actions(parser, _ACTIONS, EXAMPLES)
    actions["down"].add_argument("--steps", metavar="N", type=_steps, default=1, help="how many, 1 by default")
    actions["carry"].add_argument("name", metavar="NAME", help="what it does, such as mute_kinds")
    for each in actions.values():
        common.add_settings(each, ["database_url", "direct_url"])


def _steps(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of migrations: 1 or more")
    return int(text)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.action == "carry":
        for path in carry.carry(arguments.name):
            common.say(str(path))
    else:
        asyncio.run(_act(arguments))
    return 0


async def _act(arguments: argparse.Namespace) -> None:
    url = common.load_client_config(arguments).listen_url
    async with common.connected(url, role="belfry_owner") as connection:
        match arguments.action:
            case "up":
                done = await migrations.up(connection)
                _report("applied", done, NOTHING_MISSING)
            case "down":
                _report("reverted", await migrations.down(connection, arguments.steps), "nothing to do")
            case "status":
                for each in await migrations.status(connection):
                    when = f"  {each.applied_at:%Y-%m-%d %H:%M} UTC" if each.applied_at else ""
                    common.say(f"{each.label:<24} {each.state}{when}")
            case _:
                _print(await migrations.sql(connection))


def _print(script: str) -> None:
    if script.strip():
        common.say(script.rstrip("\n"))
    else:
        common.note(NOTHING_MISSING)


def _report(verb: str, done: list[migrations.Migration], otherwise: str) -> None:
    for each in done:
        common.say(f"{verb} {each.label}")
    if not done:
        common.note(otherwise)


COMMAND = common.Command("migrate", "install, upgrade and revert the schema", EXAMPLES, _arguments, _run)
