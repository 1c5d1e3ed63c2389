"""POST /v1/tickets: what an EventSource on another origin opens its stream with."""

from __future__ import annotations

import time

import msgspec
from litestar import post
from litestar.di import NamedDependency

from belfry import access, auth, errors
from belfry.auth import Credential
from belfry.config import Config
from belfry.vocabulary import refusals, routes_at


class Ticket(msgspec.Struct):
    """A ticket for `?ticket=`, and how many seconds it is good for."""

    ticket: str
    expires_in: int


@post("", summary="Get a ticket for the stream", status_code=201, responses=refusals(501))
async def make(me: NamedDependency[Credential], config: NamedDependency[Config]) -> Ticket:
    """A ticket that sees what the token sees and never outlives it, good for reconnects until it expires."""
    if not config.secret:
        raise errors.TicketsImpossible()
    seconds = int(min(config.ticket_seconds, me.expires_at - time.time()))
    if seconds < 1:
        raise errors.Unauthorized("The token has expired: get a new one.")
    text = auth.mint(config, me.recipient, seconds, ticket=True, topics=me.topics, tenant=me.tenant)
    return Ticket(text, seconds)


routes = routes_at(
    "/v1/tickets",
    [make],
    guards=[access.recipient],
    security=access.AS_RECIPIENT,
    tags=["stream"],
)
