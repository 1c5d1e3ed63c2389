"""`belfry token`: a token for one recipient, or a ticket."""

from __future__ import annotations

import argparse

from belfry import auth
from belfry.commands import common

EXAMPLES = """\
  belfry token u1                       a token for the recipient u1, good for an hour
  belfry token u1 --ttl 7d              good for a week
  belfry token u1 --topics team:7,news  that sees these topics only
  belfry token u1 --ticket --ttl 60s    a ticket for `?ticket=`, for an EventSource on another origin
  curl -N -H "Authorization: Bearer $(belfry token u1)" http://127.0.0.1:8080/v1/stream"""


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipient", metavar="RECIPIENT", help="whom the token speaks for: your user's id")
    parser.add_argument(
        "--ttl", metavar="TIME", type=common.duration, default=3600.0, help="90s, 15m, 1h (default), 7d"
    )
    parser.add_argument("--ticket", action="store_true", help="make a ticket: good in `?ticket=` and nowhere else")
    parser.add_argument("--topics", metavar="A,B", help="narrow it to these topics")
    parser.add_argument("--tenant", metavar="NAME", help="narrow it to this tenant")
    common.add_settings(parser, ["secret", "token_issuer", "token_audience"])


def _run(arguments: argparse.Namespace) -> int:
    topics = None if arguments.topics is None else [name.strip() for name in arguments.topics.split(",")]
    config = common.load_client_config(arguments)
    common.say(
        auth.mint(
            config, arguments.recipient, arguments.ttl, ticket=arguments.ticket, topics=topics, tenant=arguments.tenant
        )
    )
    return 0


COMMAND = common.Command("token", "print a token for a recipient", EXAMPLES, _arguments, _run)
