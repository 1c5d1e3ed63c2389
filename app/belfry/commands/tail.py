"""`belfry tail`: each new notification as one line, until Ctrl-C.

With --recipient it is that person's own stream, over HTTP from the relay, resumed by `Last-Event-ID` like any
browser's. Without, it reads the table, with the cursor and the proof of dead gaps that relays use, so that a row that
commits late is shown too; no relay is needed then.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from belfry import auth, errors
from belfry.commands import common, tail_stream, tail_table

EXAMPLES = """\
  belfry tail                          every notification, read from the database
  belfry tail --topic team:7           those of one topic
  belfry tail --recipient u1           what u1's browser gets, from the relay
  belfry tail --recipient u1 --json | jq .title"""

MAX_CHARACTERS = 160

_ID = re.compile(r'\{"id": ?(\d+)')


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--recipient", metavar="NAME", help="the stream of this recipient, from the relay")
    parser.add_argument("--topic", metavar="NAME", type=_topic, help="only what was published to this topic")
    parser.add_argument("--cursor", metavar="ID", help="with --recipient: begin after this cursor; 0 for all retained")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--url", metavar="URL", help="with --recipient: the relay's address, http://127.0.0.1:8080")
    common.add_settings(parser, ["database_url", "secret", "token_issuer", "token_audience", "host", "port"])


def _topic(text: str) -> str:
    if not auth.valid_name(text):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a topic: 1 to 255 characters without `/`")
    return text


def _run(arguments: argparse.Namespace) -> int:
    config = common.load_client_config(arguments)
    show = _show_json if arguments.json else _show_line
    try:
        if arguments.recipient is None:
            if arguments.cursor is not None or arguments.url is not None:
                raise errors.UsageError("--cursor and --url belong to a stream: give --recipient too")
            asyncio.run(tail_table.follow(config, arguments.topic, show))
        else:
            told = arguments.host is not None or arguments.port is not None
            address = common.relay_address(config, arguments.url, told=told)
            show = show if arguments.topic is None else _only(arguments.topic, show)
            tail_stream.follow(config, address, arguments.recipient, arguments.topic, arguments.cursor, show)
    except KeyboardInterrupt:
        return 0
    return 0


def _only(topic: str, show: Callable[[str], None]) -> Callable[[str], None]:
    """Without the direct notifications, which a stream that is narrowed to a topic carries beside it."""

    def show_some(text: str) -> None:
        notification = _read(text)
        if notification is not None and notification["topic"] == topic:
            show(text)

    return show_some


def _show_json(text: str) -> None:
    common.say(text)


def _show_line(text: str) -> None:
    notification = _read(text)
    if notification is not None:
        common.say(line(notification))


def _read(text: str) -> Any:
    """The notification, whole numbers as text: Postgres takes longer ones than Python. None, and a word, where it is
    nested deeper than Python reads.
    """
    try:
        return json.loads(text, parse_int=str)
    except RecursionError:
        found = _ID.match(text)
        common.note(f"Notification {found[1] if found else 'unknown'} is nested too deep to be shown here.")
        return None


def line(notification: Mapping[str, Any]) -> str:
    """A notification for a terminal: nothing in it can move the cursor or begin another line."""
    audience = notification["recipient"] if notification["topic"] is None else f"[{notification['topic']}]"
    severity = "" if notification["severity"] == "info" else f"({notification['severity']}) "
    text = " · ".join(part for part in (notification["title"], notification["body"]) if part)
    parts = [
        _clock(notification["created_at"]),
        str(notification["id"]),
        audience,
        notification["kind"],
        severity + text,
    ]
    return _harmless("  ".join(parts).rstrip())


def _clock(created_at: str) -> str:
    """The time of day here; a plain INSERT may have said `infinity`, or a year that Python has not."""
    try:
        return f"{datetime.fromisoformat(created_at).astimezone():%H:%M:%S}"
    except (ValueError, OverflowError):
        return "--:--:--"


def _harmless(text: str) -> str:
    text = "".join(letter if letter.isprintable() else " " for letter in text)
    return text if len(text) <= MAX_CHARACTERS else text[: MAX_CHARACTERS - 1] + "…"


COMMAND = common.Command("tail", "show each new notification as it comes", EXAMPLES, _arguments, _run)
