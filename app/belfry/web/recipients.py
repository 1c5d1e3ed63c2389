"""What is known of a recipient: the traits that segments are made of."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import put
from litestar.di import NamedDependency
from litestar.params import JSONBody

from belfry import access, managing
from belfry.database import Pool
from belfry.vocabulary import PathName, refusals, routes_at


class Recipient(msgspec.Struct, forbid_unknown_fields=True):
    """What a recipient is, such as `{"plan": "pro"}`; it replaces what was known."""

    traits: dict[str, Any]


@put("/{recipient:str}", summary="Set a recipient's traits", status_code=204, responses=refusals())
async def save(recipient: PathName, data: JSONBody[Recipient], pool: NamedDependency[Pool]) -> None:
    """Their segments follow at once, on open streams too."""
    async with pool.connection() as connection:
        await managing.set_traits(connection, recipient, data.traits)


routes = routes_at(
    "/v1/recipients",
    [save],
    guards=[access.manager],
    security=access.AS_SENDER,
    tags=["recipients"],
)
