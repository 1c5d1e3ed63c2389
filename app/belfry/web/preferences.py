"""What a recipient wants to hear of."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import get, put
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Meta

from belfry import access, errors, preferences
from belfry.auth import Credential
from belfry.database import Pool
from belfry.vocabulary import KindOrAll, refusals, routes_at

MAX_CHOICES = 1000


class Preference(msgspec.Struct):
    """How a kind stands: `required` cannot be muted; `chosen` by the recipient, else as it is for all."""

    kind: str
    label: str
    required: bool
    enabled: bool
    chosen: bool


class Preferences(msgspec.Struct):
    """All declared kinds, and what else the recipient has chosen."""

    preferences: list[Preference]


class Choice(msgspec.Struct, forbid_unknown_fields=True):
    """A kind (`*`: all that have no choice of their own), on or off; null: as it is for all."""

    kind: KindOrAll
    enabled: bool | None


Choices = Annotated[list[Choice], Meta(min_length=1, max_length=MAX_CHOICES)]


@get("", summary="List preferences", responses=refusals())
async def listing(me: NamedDependency[Credential], pool: NamedDependency[Pool]) -> Preferences:
    """What is on and what is muted."""
    async with pool.connection() as connection:
        return await _listing(connection, me)


@put("", summary="Choose", responses=refusals())
async def choose(
    data: JSONBody[Choice | Choices], me: NamedDependency[Credential], pool: NamedDependency[Pool]
) -> Preferences:
    """Mute kinds, or switch them on; only what is sent from now on is concerned."""
    if me.topics is not None or me.tenant is not None:
        raise errors.Forbidden("this token is narrowed, and a preference holds everywhere: use one that is not")
    choices = data if isinstance(data, list) else [data]
    async with pool.connection() as connection, connection.transaction():
        pairs = [(each.kind, each.enabled) for each in choices]
        await preferences.choose(connection, me.recipient, pairs, batch=isinstance(data, list))
        return await _listing(connection, me)


async def _listing(connection: preferences.Connection, me: Credential) -> Preferences:
    found = await preferences.listing(connection, me.recipient)
    return Preferences([Preference(p.kind, p.label, p.required, p.enabled, p.chosen) for p in found])


routes = routes_at(
    "/v1/preferences",
    [listing, choose],
    guards=[access.recipient],
    security=access.AS_RECIPIENT,
    tags=["preferences"],
)
