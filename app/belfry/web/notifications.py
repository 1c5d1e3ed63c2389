"""POST /v1/notifications: for backends that would rather not speak SQL."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, post
from litestar.di import NamedDependency
from litestar.params import Body

from belfry import auth, errors, sending
from belfry.database import Pool


class Outgoing(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One of `recipient`, `recipients`, `topic` and `broadcast`, then the fields of `belfry.send`."""

    kind: str
    recipient: str | None = None
    recipients: list[str] | None = None
    topic: str | None = None
    broadcast: bool = False
    title: str = ""
    body: str = ""
    data: dict[str, Any] = {}
    action_url: str | None = None
    actions: list[dict[str, Any]] = []
    actor: dict[str, Any] | None = None
    tags: list[str] = []
    severity: Literal["info", "success", "warning", "error"] = "info"
    tenant: str = ""
    dedupe_key: str | None = None
    group_key: str | None = None
    deliver_at: str | None = None
    expires_at: str | None = None


class Sent(msgspec.Struct):
    """The ids of what was sent."""

    ids: list[int]


@post("/v1/notifications", summary="Send a notification", tags=["notifications"], status_code=201)
async def send(
    request: Request[Any, Any, Any],
    data: Annotated[Outgoing, Body(title="The notification")],
    pool: NamedDependency[Pool],
) -> Sent:
    """Send, as `belfry.send`, `send_many`, `publish` or `broadcast` do, in one transaction."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise errors.Unauthorized(
            "there is no API key: send one as `Authorization: Bearer`; `belfry key create` makes one"
        )
    audience = [data.recipient is not None, data.recipients is not None, data.topic is not None, data.broadcast]
    if sum(audience) != 1:
        raise errors.Unprocessable("name exactly one of recipient, recipients, topic and broadcast")
    async with pool.connection() as connection, connection.transaction():
        if not await sending.may_send(connection, auth.hash_key(key.strip())):
            raise errors.Unauthorized("that API key is unknown or revoked; `belfry key create` makes one")
        return Sent(await sending.send(connection, msgspec.to_builtins(data)))
