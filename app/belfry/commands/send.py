"""`belfry send`: one notification, by SQL, as an application would."""

from __future__ import annotations

import argparse
import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

from belfry import errors, sending
from belfry.commands import common

USAGE = "belfry send [RECIPIENT] KIND [options]"
EXAMPLES = """\
  belfry send u1 comment.created --title 'Ann answered you' --action-url /posts/7#c3
  belfry send u1 export.ready --data '{"file": 12}' --dedupe-key export:12
  belfry send deploy.done --topic team:7 --severity success --title 'Version 2 is out'
  belfry send maintenance --broadcast --title 'Down at noon for five minutes' --expires-in 1d"""

_PLAIN = {
    "title": "the line in bold",
    "body": "the text below it",
    "action_url": "where a click leads",
    "tenant": "a label to filter by",
    "dedupe_key": "sent once: a second send with this key returns the first id",
    "group_key": "the newest with this key stands for all of them",
}
_JSON = {
    "data": ("{…}", "anything of yours, as a JSON object"),
    "actor": ("{…}", "who did it: a JSON object of id, name, avatar_url"),
    "actions": ("[…]", "buttons: a JSON array of objects with name, label, url, style"),
}


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = USAGE
    parser.add_argument(
        "words", metavar="[RECIPIENT] KIND", nargs="+", help="a user's id, and a kind such as comment.created"
    )
    audience = parser.add_argument_group("instead of RECIPIENT").add_mutually_exclusive_group()
    audience.add_argument("--topic", metavar="NAME", help="everybody who is subscribed to it")
    audience.add_argument("--broadcast", action="store_true", help="everybody")
    content = parser.add_argument_group("content")
    for name, text in _PLAIN.items():
        content.add_argument("--" + name.replace("_", "-"), metavar="TEXT", help=text)
    content.add_argument("--severity", choices=["info", "success", "warning", "error"], help="info by default")
    content.add_argument("--tag", metavar="TEXT", action="append", dest="tags", help="may be repeated")
    for name, (metavar, text) in _JSON.items():
        content.add_argument("--" + name, metavar=metavar, type=_json, help=text)
    content.add_argument("--expires-in", metavar="TIME", type=common.duration, help="not shown after 90s, 15m, 1h, 7d")
    common.add_settings(parser, ["database_url"])


def _run(arguments: argparse.Namespace) -> int:
    fields = _fields(arguments)
    for number in asyncio.run(_send(common.load_client_config(arguments).database_url, fields)):
        common.say(str(number))
    return 0


async def _send(url: str | None, fields: dict[str, Any]) -> list[int]:
    async with common.connected(url, pooled=True, role="belfry_sender") as connection:
        return await sending.send(connection, fields)


def _fields(arguments: argparse.Namespace) -> dict[str, Any]:
    """What was given, by the parameter names of `belfry.send`. Raises UsageError."""
    words: list[str] = arguments.words
    elsewhere = arguments.topic is not None or arguments.broadcast
    if len(words) != (1 if elsewhere else 2):
        _refuse(words, elsewhere=elsewhere)
    names = (*_PLAIN, *_JSON, "severity", "tags")
    fields = {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}
    if arguments.expires_in is not None:
        fields["expires_at"] = datetime.now(UTC) + timedelta(seconds=arguments.expires_in)
    fields["kind"] = words[-1]
    match arguments.topic, arguments.broadcast:
        case None, False:
            fields["recipient"] = words[0]
        case None, True:
            fields["broadcast"] = True
        case topic, _:
            fields["topic"] = topic
    return fields


def _refuse(words: list[str], *, elsewhere: bool) -> NoReturn:
    if elsewhere and len(words) == 2:
        raise errors.UsageError("give either a recipient, or --topic, or --broadcast: not two of them")
    raise errors.UsageError(f"expected {'KIND' if elsewhere else 'RECIPIENT KIND'}; see `belfry send --help`")


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"this is not JSON: {text[:60]}") from None


COMMAND = common.Command("send", "send one notification", EXAMPLES, _arguments, _run)
