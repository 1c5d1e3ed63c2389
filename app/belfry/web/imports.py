"""POST /v1/import: what another service had, with its times and states."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Meta

from belfry import access, database, managing
from belfry.database import Pool
from belfry.vocabulary import Key, Kind, Name, Severity, Tenant, Time, refusals, require_times, routes_at

MAX_ITEMS = 1000


class Imported(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A notification that exists elsewhere: of a recipient or a topic, and, for a recipient, how it stands."""

    kind: Kind
    recipient: Name | None = None
    topic: Name | None = None
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
    created_at: Time | None = None
    expires_at: Time | None = None
    seen_at: Time | None = None
    read_at: Time | None = None
    archived_at: Time | None = None


class Ids(msgspec.Struct):
    """The ids, in the order of the items."""

    ids: list[int]


@post("", summary="Import notifications", status_code=201, responses=refusals(409, 413))
async def take_over(
    data: JSONBody[Annotated[list[Imported], Meta(min_length=1, max_length=MAX_ITEMS)]], pool: NamedDependency[Pool]
) -> Ids:
    """Silently: no frames, but the numbers beside the bells follow. All or none."""
    for index, each in enumerate(data):
        require_times(each, f"[{index}].")
    items = msgspec.to_builtins(data)
    return Ids(await database.transacted(pool, lambda connection: managing.import_items(connection, items)))


routes = routes_at(
    "/v1/import",
    [take_over],
    guards=[access.manager],
    security=access.AS_MANAGER,
    tags=["notifications"],
)
