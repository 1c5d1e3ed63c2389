"""Segments: topics whose subscriptions the database keeps from traits."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import delete, put
from litestar.di import NamedDependency
from litestar.params import JSONBody

from belfry import access, managing
from belfry.database import Pool
from belfry.vocabulary import PathSegment, refusals, routes_at


class Segment(msgspec.Struct, forbid_unknown_fields=True):
    """Whom it holds: whose traits contain `{"plan": "pro"}`, which may be written `plan:pro,role:admin`."""

    filter: dict[str, Any] | str


@put("/{name:str}", summary="Define a segment", status_code=204, responses=refusals())
async def define(name: PathSegment, data: JSONBody[Segment], pool: NamedDependency[Pool]) -> None:
    """From now on the topic `segment:NAME` reaches whoever fits."""
    async with pool.connection() as connection:
        await managing.define_segment(connection, name, data.filter)


@delete("/{name:str}", summary="Drop a segment", responses=refusals())
async def drop(name: PathSegment, pool: NamedDependency[Pool]) -> None:
    """Nobody is in it anymore; what was published to it before stays in the inboxes."""
    async with pool.connection() as connection:
        await managing.drop_segment(connection, name)


routes = routes_at(
    "/v1/segments",
    [define, drop],
    guards=[access.manager],
    security=access.AS_MANAGER,
    tags=["segments"],
)
