"""What is known of a recipient: the traits that segments are made of, all of it to hand out, and nothing any more."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Response, delete, get, put
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody
from msgspec import Meta

from belfry import access, managing
from belfry.database import Pool
from belfry.vocabulary import Name, PathName, refusals, routes_at

Rows = list[dict[str, Any]]


class Recipient(msgspec.Struct, forbid_unknown_fields=True):
    """What a recipient is, such as `{"plan": "pro"}`; it replaces what was known."""

    traits: Annotated[dict[str, Any], Meta(examples=[{"plan": "pro"}])]


class Chosen(msgspec.Struct):
    """A preference, and whether it is the present one."""

    kind: Annotated[str, Meta(examples=["comment.created"])]
    enabled: bool
    current: bool


class Stay(msgspec.Struct):
    """A subscription: the positions of the changes that began and ended it; null: it lasts."""

    topic: Name
    since: int
    until: int | None


class Watermarks(msgspec.Struct):
    """The positions at and below which everything is read, seen, archived, unless a receipt says otherwise."""

    read: int
    seen: int
    archived: int


class Export(msgspec.Struct):
    """All that is stored of a recipient; what has no column of its own here stands as it is stored."""

    recipient: Annotated[Name, Meta(examples=["u1"])]
    exported_at: Annotated[str, Meta(examples=["2031-01-31T12:00:00.5+00:00"])]
    first_contact: Annotated[str | None, Meta(examples=["2030-11-05T08:30:00+00:00"])]
    traits: dict[str, Any] | None
    preferences: list[Chosen]
    subscriptions: list[Stay]
    notifications: Annotated[Rows, Meta(examples=[[{"id": 1042, "recipient": "u1", "kind": "comment.created"}]])]
    scheduled: Rows
    receipts: Annotated[Rows, Meta(examples=[[{"notification_id": 1042, "read_at": "2031-01-31T12:00:00+00:00"}]])]
    watermarks: Watermarks | None
    changes: Annotated[Rows, Meta(examples=[[{"id": 1043, "verb": "read", "ids": [1042]}]])]


@put("/{recipient:str}", summary="Set a recipient's traits", status_code=204, responses=refusals())
async def save(recipient: PathName, data: JSONBody[Recipient], pool: NamedDependency[Pool]) -> None:
    """Their segments follow at once, on open streams too."""
    async with pool.connection() as connection:
        await managing.set_traits(connection, recipient, data.traits)


@delete("/{recipient:str}", summary="Erase a recipient", responses=refusals())
async def erase(recipient: PathName, pool: NamedDependency[Pool]) -> None:
    """Forget them for ever: what was sent to them, what they did, subscriptions, preferences, traits.

    What is sent to them afterwards is a new beginning, so stop sending first.
    """
    async with pool.connection() as connection:
        await managing.erase(connection, recipient)


@get(
    "/{recipient:str}/export",
    summary="Export a recipient",
    responses={200: ResponseSpec(Export, description="All that is stored"), **refusals()},
)
async def export(recipient: PathName, pool: NamedDependency[Pool]) -> Response[bytes]:
    """Hand a person their data. What they got through topics is named by receipts (ids) and subscriptions (topics)."""
    async with pool.connection() as connection:
        found = await managing.export(connection, recipient)
    return Response(found.encode(), media_type="application/json")


routes = routes_at(
    "/v1/recipients",
    [save, erase, export],
    guards=[access.manager],
    security=access.AS_MANAGER,
    tags=["recipients"],
)
