"""Notifications for backends that would rather not speak SQL: send, look at, revise, retract."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import Body, HeaderParameter, JSONBody
from msgspec import UNSET, Meta, UnsetType

from belfry import access, database, errors, managing, sending, tracing
from belfry.database import Pool
from belfry.idempotency import Request as Asked
from belfry.keys import ApiKey
from belfry.vocabulary import (
    Key,
    Kind,
    Name,
    PathNumber,
    QueryName,
    Severity,
    Tenant,
    Time,
    refusals,
    require_times,
    routes_at,
)

MAX_BATCH = 1000
AUDIENCES = ("recipient", "recipients", "topic", "broadcast")


class Content(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What may be changed of what was sent; what is left out, or null, stays as it is."""

    title: str | None = None
    body: str | None = None
    data: dict[str, Any] | None = None
    action_url: str | None = None
    actions: list[dict[str, Any]] | None = None
    actor: dict[str, Any] | None = None
    tags: list[str] | None = None
    severity: Severity | None = None
    expires_at: Time | None = None
    deliver_at: Annotated[Time | None, Meta(description="Of one that is scheduled: when it is sent instead.")] = None


class Outgoing(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One of `recipient`, `recipients`, `topic` and `broadcast`, then the fields of `belfry.send`."""

    kind: Kind
    recipient: Name | None = None
    recipients: list[Name] | None = None
    topic: Name | None = None
    broadcast: bool = False
    title: str = ""
    body: str = ""
    data: dict[str, Any] = {}
    action_url: str | None = None
    actions: list[dict[str, Any]] = []
    actor: dict[str, Any] | None = None
    tags: list[str] = []
    severity: Severity = "info"
    tenant: Tenant = ""
    dedupe_key: Key | None = None
    group_key: Key | None = None
    deliver_at: Time | None = None
    expires_at: Time | None = None


Batch = Annotated[list[Outgoing], Meta(min_length=1, max_length=MAX_BATCH)]


class Sent(msgspec.Struct):
    """The ids of what was sent, in order; one below zero is scheduled, and gets its id when it is delivered."""

    ids: list[int]


@post(
    "",
    summary="Send notifications",
    guards=[access.sender],
    security=access.AS_SENDER,
    status_code=201,
    responses=refusals(409, 413),
)
async def send(
    data: Annotated[Outgoing | Batch, Body(title="A notification, or up to 1,000")],
    pool: NamedDependency[Pool],
    api_key: NamedDependency[ApiKey],
    idempotency_key: Annotated[
        str | None,
        HeaderParameter(
            name="Idempotency-Key",
            pattern=r"^[\x21-\x7e]{1,255}$",
            description="Sent again with the same body, it gives the first answer and sends nothing",
        ),
    ] = None,
) -> Response[Sent]:
    """Send, as `belfry.send`, `send_many`, `publish` or `broadcast` do, in one transaction."""
    batch = data if isinstance(data, list) else [data]
    for index, each in enumerate(batch):
        _require_one_audience(each, _prefix(data, index))
        require_times(each, _prefix(data, index))
    asked = Asked(api_key.name, idempotency_key, msgspec.json.encode(data, order="deterministic"))

    async def work(connection: database.Connection) -> Response[Sent]:
        if (before := await asked.answered(connection)) is not None:
            return Response(msgspec.convert(before, Sent), headers={"Idempotent-Replayed": "true"})
        ids: list[int] = []
        for index, each in enumerate(batch):
            ids += await sending.send(connection, msgspec.to_builtins(each), prefix=_prefix(data, index))
        await asked.answer(connection, {"ids": ids})
        return Response(Sent(ids))

    return await database.transacted(pool, work)


def _prefix(data: Outgoing | list[Outgoing], index: int) -> str:
    return f"[{index}]." if isinstance(data, list) else ""


def _require_one_audience(each: Outgoing, prefix: str) -> None:
    named = [each.recipient is not None, each.recipients is not None, each.topic is not None, each.broadcast]
    if sum(named) != 1:
        raise errors.Unprocessable(
            "name exactly one of recipient, recipients, topic and broadcast", field=f"{prefix}recipient"
        )


class Reach(msgspec.Struct):
    """How many it was sent to, and how many of them have seen it, read it, archived it."""

    sent: int
    seen: int
    read: int
    archived: int


class Trace(msgspec.Struct):
    """Why the recipient that was asked for has it or not: positions, preference, state, and a verdict in a sentence."""

    audience: str | None
    sent_at: str | None
    ended_at: str | None
    expires_at: str | None
    first_contact: int | None
    stay_since: int | None
    stay_until: int | None
    muted: bool | None
    seen: bool | None
    read: bool | None
    archived: bool | None
    snoozed_until: str | None
    settled: bool | None
    relays: Annotated[int, Meta(description="How many are connected; without one streams show nothing new.")]
    verdict: str


class Notification(msgspec.Struct, kw_only=True):
    """What was sent, and what became of it."""

    id: int
    recipient: str | None
    topic: str | None
    tenant: str
    kind: str
    title: str
    body: str
    action_url: str | None
    actions: list[Any]
    data: dict[str, Any]
    actor: dict[str, Any] | None
    tags: list[str]
    severity: str
    created_at: str
    expires_at: str | None
    revised_at: str | None
    ended_at: str | None
    group_key: str | None
    dedupe_key: str | None
    deliver_at: str | None
    reach: Reach
    trace: Trace | UnsetType = UNSET


@get(
    "/{id:int}",
    summary="Look at a notification",
    guards=[access.manager],
    security=access.AS_MANAGER,
    responses={200: ResponseSpec(Notification, description="Request fulfilled, document follows"), **refusals(404)},
)
async def look(id: PathNumber, pool: NamedDependency[Pool], recipient: QueryName = None) -> Response[bytes]:
    """Its content, and how many have it, saw it, read it; with `recipient`: why that one has it or not."""
    async with pool.connection() as connection:
        content = await tracing.content(connection, id)
        traced = None if recipient is None else await tracing.trace(connection, id, recipient)
        if content is None:
            raise errors.NotFound(traced.verdict if traced else f"there is no notification {id}")
        rest: dict[str, Any] = {"reach": Reach(*await tracing.reach(connection, id))}
    if traced:
        rest["trace"] = traced
    return Response(content.json[:-1] + b"," + msgspec.json.encode(rest)[1:], media_type="application/json")


@patch(
    "/{id:int}",
    summary="Revise a notification",
    guards=[access.manager],
    security=access.AS_MANAGER,
    responses=refusals(404, 413),
)
async def revise(id: PathNumber, data: JSONBody[Content], pool: NamedDependency[Pool]) -> Sent:
    """Change what was sent, live everywhere, or what is scheduled and when; what is left out stays as it is."""
    require_times(data)
    async with pool.connection() as connection, connection.transaction():
        _require_found(await managing.revise(connection, id, msgspec.to_builtins(data)), id)
        if data.deliver_at is not None and not await managing.reschedule(connection, id, data.deliver_at):
            raise errors.Unprocessable("the notification has been sent: leave deliver_at out", field="deliver_at")
    return Sent([id])


@delete(
    "/{id:int}",
    summary="Retract a notification",
    guards=[access.manager],
    security=access.AS_MANAGER,
    responses=refusals(404),
)
async def retract(id: PathNumber, pool: NamedDependency[Pool]) -> None:
    """Withdraw what was sent, live everywhere; a scheduled one is cancelled."""
    async with pool.connection() as connection:
        _require_found(await managing.retract(connection, id), id)


def _require_found(found: bool, number: int) -> None:
    if not found:
        raise errors.NotFound(f"there is no notification {number}, or it has ended")


routes = routes_at(
    "/v1/notifications",
    [send, look, revise, retract],
    tags=["notifications"],
)
