"""A recipient's inbox: the list, the counts, and what becomes of its items."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency, Provide
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody, QueryParameter
from msgspec import UNSET, Meta, UnsetType

from belfry import access, errors, inbox
from belfry.auth import Credential
from belfry.cursor import MAX_POSITION
from belfry.database import Pool
from belfry.relay import Relay
from belfry.vocabulary import (
    PathPosition,
    Position,
    Positions,
    QueryNames,
    QueryPosition,
    QueryTenant,
    QueryTexts,
    State,
    Time,
    refusals,
    require_times,
    routes_at,
)

MAX_ITEMS = 100
Changing = Callable[[inbox.Connection, Credential], Awaitable[int]]


class Item(msgspec.Struct):
    """A notification as its recipient has it."""

    id: Position
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
    group_key: str | None
    group_count: int
    group_ids: list[int]
    seen: bool
    read: bool
    archived: bool
    snoozed_until: str | None


class Page(msgspec.Struct):
    """A page, newest first; with `cursor` the stream opened, nothing falls between and nothing comes twice."""

    items: list[Item]
    next: Annotated[int | None, Meta(description="The next page is `?before=` this; null: there is none.")]
    unread: int
    unseen: int
    cursor: Annotated[str, Meta(examples=["1042~3,8-9"])]
    recipient: Annotated[str, Meta(description="Whose it is: the cookie may be another than the page was opened with.")]


class Counts(msgspec.Struct):
    """The numbers beside a bell."""

    unread: int
    unseen: int
    total: int


class Changed(msgspec.Struct):
    """How many items changed, and the numbers after it."""

    changed: int
    unread: int
    unseen: int


class Some(msgspec.Struct, forbid_unknown_fields=True):
    """Some items; those of others, unknown and repeated ones do no harm."""

    ids: Positions


class SomeOrAll(msgspec.Struct, forbid_unknown_fields=True):
    """One of: some items, all up to one (null: up to now), all."""

    ids: Positions | UnsetType = UNSET
    through: Position | UnsetType | None = UNSET
    all: bool = False


class Until(msgspec.Struct, forbid_unknown_fields=True):
    """When it comes back."""

    until: Time


class SomeUntil(Some, forbid_unknown_fields=True):
    """Some items, and when they come back."""

    until: Time


def narrowed(request: Request[Any, Any, Any], topic: QueryNames = None, tenant: QueryTenant = None) -> Credential:
    """Who asks, as far as the query of any of these routes narrows them: what is shown, counted and changed."""
    return access.me(request).narrowed(topic, tenant)


@get(
    "",
    summary="List notifications",
    responses={200: ResponseSpec(Page, description="A page"), **refusals()},
)
async def page(
    me: NamedDependency[Credential],
    pool: NamedDependency[Pool],
    relay: NamedDependency[Relay],
    standing: Annotated[State, QueryParameter(name="state", description="all: neither archived nor snoozed")] = "all",
    before: QueryPosition = MAX_POSITION,
    limit: Annotated[int, QueryParameter(ge=1, le=MAX_ITEMS)] = 20,
    kind: QueryNames = None,
    tag: QueryTexts = None,
) -> Response[bytes]:
    """A page of one snapshot with its counts and its cursor."""
    tracker, epoch = relay.glance(), relay.epoch
    shown = inbox.Filter(standing, before, limit, kind, tag)
    async with pool.connection() as connection:
        found = await inbox.page(connection, me, shown, tracker)
    rest = {
        "next": found.next,
        "unread": found.counts.unread,
        "unseen": found.counts.unseen,
        "cursor": found.tracker.text(epoch),
        "recipient": me.recipient,
    }
    content = b'{"items":[%b],%b' % (b",".join(found.items), msgspec.json.encode(rest)[1:])
    return Response(content, media_type="application/json")


@get("/counts", summary="Count notifications", responses=refusals())
async def counts(me: NamedDependency[Credential], pool: NamedDependency[Pool]) -> Counts:
    """The exact numbers: unread and unseen, and all that is neither archived nor snoozed."""
    async with pool.connection() as connection:
        found = await inbox.counts(connection, me)
    return Counts(found.unread, found.unseen, found.total)


# --- changing ------------------------------------------------------------------------------------------------


async def _change(pool: Pool, me: Credential, changing: Changing, *, only: int | None = None) -> Changed:
    """Change, and count, in one transaction. Raises NotFound where `only` is not theirs."""
    async with pool.connection() as connection, connection.transaction():
        if only is not None and not await inbox.holds(connection, me, only):
            raise errors.NotFound(f"there is no notification {only} in this inbox")
        changed = await changing(connection, me)
        found = await inbox.counts(connection, me)
        return Changed(changed, found.unread, found.unseen)


def _for_some(verb: str, summary: str) -> HTTPRouteHandler:
    @post(f"/{verb}", summary=summary, status_code=200, responses=refusals(), operation_id=f"{verb}_some")
    async def mark(data: JSONBody[Some], me: NamedDependency[Credential], pool: NamedDependency[Pool]) -> Changed:
        return await _change(pool, me, lambda connection, who: inbox.mark(connection, who, verb, data.ids))

    return mark


def _for_some_or_all(verb: str, summary: str) -> HTTPRouteHandler:
    @post(f"/{verb}", summary=summary, status_code=200, responses=refusals(), operation_id=f"{verb}_some")
    async def mark(data: JSONBody[SomeOrAll], me: NamedDependency[Credential], pool: NamedDependency[Pool]) -> Changed:
        return await _change(pool, me, _marking(verb, data))

    return mark


def _marking(verb: str, data: SomeOrAll) -> Changing:
    """What a body asks for. Raises Unprocessable where that is not one thing."""
    if sum([data.ids is not UNSET, data.through is not UNSET, data.all]) != 1:
        raise errors.Unprocessable("Name exactly one of ids, through and all.", field="ids")
    if isinstance(data.ids, list):
        ids = data.ids
        return lambda connection, me: inbox.mark(connection, me, verb, ids)
    through = data.through if isinstance(data.through, int) else None
    return lambda connection, me: inbox.mark_all(connection, me, verb, through)


def _for_one(verb: str, summary: str) -> HTTPRouteHandler:
    @post(f"/{{id:int}}/{verb}", summary=summary, status_code=200, responses=refusals(404), operation_id=f"{verb}_one")
    async def mark(id: PathPosition, me: NamedDependency[Credential], pool: NamedDependency[Pool]) -> Changed:
        return await _change(pool, me, lambda connection, who: inbox.mark(connection, who, verb, [id]), only=id)

    return mark


@post("/snooze", summary="Put some aside until later", status_code=200, responses=refusals())
async def snooze_some(
    data: JSONBody[SomeUntil], me: NamedDependency[Credential], pool: NamedDependency[Pool]
) -> Changed:
    """They leave list and counts, and come back live."""
    require_times(data)
    return await _change(pool, me, lambda connection, who: inbox.snooze(connection, who, data.ids, data.until))


@post("/{id:int}/snooze", summary="Put one aside until later", status_code=200, responses=refusals(404))
async def snooze_one(
    id: PathPosition, data: JSONBody[Until], me: NamedDependency[Credential], pool: NamedDependency[Pool]
) -> Changed:
    """It leaves list and counts, and comes back live."""
    require_times(data)
    return await _change(pool, me, lambda connection, who: inbox.snooze(connection, who, [id], data.until), only=id)


SOME_OR_ALL = {"read": "Mark as read", "seen": "Mark as seen", "archive": "Archive"}
SOME = {"unread": "Mark as unread", "unarchive": "Bring back from the archive", "unsnooze": "Bring back at once"}

routes = routes_at(
    "/v1/inbox",
    [
        page,
        counts,
        *[_for_some_or_all(verb, f"{summary}: some, or all") for verb, summary in SOME_OR_ALL.items()],
        *[_for_some(verb, f"{summary}: some") for verb, summary in SOME.items()],
        snooze_some,
        *[_for_one(verb, f"{summary}: one") for verb, summary in (SOME_OR_ALL | SOME).items()],
        snooze_one,
    ],
    dependencies={"me": Provide(narrowed, sync_to_thread=False)},
    guards=[access.recipient],
    security=access.AS_RECIPIENT,
    tags=["inbox"],
)
