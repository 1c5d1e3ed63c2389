"""API keys in the database, by name; what is stored is a hash."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from belfry import auth, errors

SCOPES = ("send", "manage")
"""What a key may do: send notifications; do all else."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What the database knows of a key."""

    name: str
    scopes: list[str]
    created_at: datetime
    revoked_at: datetime | None


async def create(connection: psycopg.AsyncConnection[Any], name: str, scopes: Sequence[str]) -> str:
    """A new key, told this once. Raises Conflict when the name is taken."""
    key = auth.make_key()
    cursor = await connection.execute(
        "INSERT INTO belfry.api_key (name, hash, scopes) VALUES (%s, %s, %s) ON CONFLICT (name) DO NOTHING RETURNING 1",
        (name, auth.hash_key(key), list(scopes)),
    )
    if await cursor.fetchone() is None:
        raise errors.Conflict(f"there is a key of the name {name!r} already, in use or revoked: choose another name")
    return key


async def ensure(connection: psycopg.AsyncConnection[Any], name: str, key: str) -> None:
    """Make sure that this key is known by this name and not revoked."""
    await connection.execute(
        "INSERT INTO belfry.api_key (name, hash, scopes) VALUES (%s, %s, %s)"
        " ON CONFLICT (name) DO UPDATE SET hash = excluded.hash, scopes = excluded.scopes, revoked_at = NULL",
        (name, auth.hash_key(key), list(SCOPES)),
    )


async def find(connection: psycopg.AsyncConnection[Any], key: str) -> ApiKey | None:
    """What is known of a key that somebody brings; None when it is unknown or revoked."""
    cursor = await connection.execute(
        "SELECT name, scopes, created_at, revoked_at FROM belfry.api_key WHERE hash = %s AND revoked_at IS NULL",
        (auth.hash_key(key),),
    )
    found = await cursor.fetchone()
    return ApiKey(*found) if found else None


async def listing(connection: psycopg.AsyncConnection[Any]) -> list[ApiKey]:
    """All keys, the newest last."""
    cursor = await connection.execute(
        "SELECT name, scopes, created_at, revoked_at FROM belfry.api_key ORDER BY created_at, name"
    )
    return [ApiKey(*found) for found in await cursor.fetchall()]


async def revoke(connection: psycopg.AsyncConnection[Any], name: str) -> None:
    """Refuse a key from now on. Raises NotFound; a revoked one stays as it is."""
    cursor = await connection.execute(
        "UPDATE belfry.api_key SET revoked_at = coalesce(revoked_at, now()) WHERE name = %s RETURNING 1", (name,)
    )
    if await cursor.fetchone() is None:
        raise errors.NotFound(f"there is no key of the name {name!r}: see `belfry key list`")
