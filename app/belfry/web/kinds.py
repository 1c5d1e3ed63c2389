"""What kinds of notifications there are, for the list of preferences."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import put
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Meta

from belfry import access, managing
from belfry.database import Pool
from belfry.vocabulary import PathKind, refusals, routes_at


class Declaration(msgspec.Struct, forbid_unknown_fields=True):
    """What a kind is called, whether it can be muted, and whether it is on for who has not chosen."""

    label: Annotated[str, Meta(max_length=255, examples=["Comments"])] = ""
    required: bool = False
    enabled: bool = True


@put("/{kind:str}", summary="Declare a kind", status_code=204, responses=refusals())
async def declare(kind: PathKind, data: JSONBody[Declaration], pool: NamedDependency[Pool]) -> None:
    """Only what is sent from now on is concerned."""
    async with pool.connection() as connection:
        await managing.declare_kind(connection, kind, data.label, required=data.required, enabled=data.enabled)


routes = routes_at(
    "/v1/kinds",
    [declare],
    guards=[access.manager],
    security=access.AS_MANAGER,
    tags=["kinds"],
)
