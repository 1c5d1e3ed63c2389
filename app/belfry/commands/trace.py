"""`belfry trace`: what became of a notification, and why did u1 not get it?"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator
from typing import Any

from belfry import errors, tracing
from belfry.commands import common

EXAMPLES = """\
  belfry trace 1042                   what was sent, to how many, and how many have seen and read it
  belfry trace 1042 --recipient u1    why u1 has it, or has it not
  belfry trace -3 --recipient u1      the same for one that is scheduled"""

_PLAIN = (
    "topic",
    "recipient",
    "tenant",
    "kind",
    "title",
    "created_at",
    "deliver_at",
    "expires_at",
    "revised_at",
    "ended_at",
)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", type=_number, help="the id that sending returned")
    parser.add_argument("--recipient", metavar="NAME", help="whom it should have reached")
    common.add_settings(parser, ["database_url"])


def _run(arguments: argparse.Namespace) -> int:
    return asyncio.run(_trace(arguments))


async def _trace(arguments: argparse.Namespace) -> int:
    async with common.connected(common.load_client_config(arguments).database_url, role="belfry_relay") as connection:
        content = await tracing.content(connection, arguments.id)
        if content:
            for line in _content(content.told, await tracing.reach(connection, arguments.id)):
                common.say(line)
        if arguments.recipient is not None:
            traced = await tracing.trace(connection, arguments.id, arguments.recipient)
            for line in _traced(arguments.recipient, traced):
                common.say(line)
        elif content is None:
            raise errors.NotFound(f"there is no notification {arguments.id}: add --recipient NAME to see why")
    return 0 if content else 1


def _content(content: dict[str, Any], reach: tuple[int, int, int, int]) -> Iterator[str]:
    yield f"notification {content['id']}"
    for name in _PLAIN:
        if content[name] not in (None, ""):
            yield _line(name, content[name])
    sent, seen, read, archived = reach
    yield _line("reach", f"sent to {sent}, seen by {seen}, read by {read}, archived by {archived}")


def _traced(recipient: str, traced: tracing.Trace) -> Iterator[str]:
    yield f"recipient {recipient}"
    if traced.audience is not None:
        until = "now" if traced.stay_until is None else traced.stay_until
        stay = "none" if traced.stay_since is None else f"from {traced.stay_since} to {until}"
        yield _line("first contact", traced.first_contact or "never: is the name right?")
        yield _line("subscribed", stay)
        yield _line("muted", _said(traced.muted))
        yield _line("seen, read", f"{_said(traced.seen)}, {_said(traced.read)}")
        yield _line("archived", _said(traced.archived))
        if traced.snoozed_until:
            yield _line("snoozed until", traced.snoozed_until)
        yield _line("relays", traced.relays or "none: streams show nothing new")
    yield _line("verdict", traced.verdict)


def _line(name: str, value: object) -> str:
    return f"  {name.replace('_', ' '):<14} {' '.join(str(value).split())}"


def _said(value: bool | None) -> str:
    return "yes" if value else "no"


def _number(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not an id, which is a whole number") from None
    if not -(2**63) < number < 2**63:
        raise argparse.ArgumentTypeError(f"{text!r} is not an id: it is too large")
    return number


COMMAND = common.Command("trace", "tell what became of a notification", EXAMPLES, _arguments, _run)
