"""Who is subscribed to a topic."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import delete, get, put
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from belfry import access, managing
from belfry.database import Pool
from belfry.vocabulary import PathName, QueryName, refusals, routes_at

MAX_PAGE = 1000


class Subscription(msgspec.Struct):
    """A recipient, and the position since which they are subscribed."""

    recipient: str
    since: int


class Subscriptions(msgspec.Struct):
    """A page in the order of the names; `next` is the `after` of the next one, null: there is none."""

    subscriptions: list[Subscription]
    next: str | None


@get("", summary="List a topic's subscriptions", responses=refusals())
async def listing(
    topic: PathName,
    pool: NamedDependency[Pool],
    after: QueryName = None,
    limit: Annotated[int, QueryParameter(ge=1, le=MAX_PAGE)] = 100,
) -> Subscriptions:
    """Who gets what is published to the topic now."""
    async with pool.connection() as connection:
        found = await managing.subscribed(connection, topic, after or "", limit + 1)
    page = [Subscription(recipient, since) for recipient, since in found[:limit]]
    return Subscriptions(page, page[-1].recipient if len(found) > limit else None)


@put("/{recipient:str}", summary="Subscribe", status_code=204, responses=refusals())
async def subscribe(topic: PathName, recipient: PathName, pool: NamedDependency[Pool]) -> None:
    """A membership begins: what is published from now on is theirs, on open streams too."""
    async with pool.connection() as connection:
        await managing.subscribe(connection, recipient, topic)


@delete("/{recipient:str}", summary="Unsubscribe", responses=refusals())
async def unsubscribe(topic: PathName, recipient: PathName, pool: NamedDependency[Pool]) -> None:
    """A membership ends; what was published before stays in the inbox."""
    async with pool.connection() as connection:
        await managing.unsubscribe(connection, recipient, topic)


routes = routes_at(
    "/v1/topics/{topic:str}/subscriptions",
    [listing, subscribe, unsubscribe],
    guards=[access.manager],
    security=access.AS_MANAGER,
    tags=["topics"],
)
