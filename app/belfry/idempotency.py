"""The same request twice, one effect: what was answered to a key is kept with it, in the transaction that did it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from belfry import errors

Connection = psycopg.AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Request:
    """A request that may have been made before: whose it is, its key (None: it has none), and what it asks for."""

    api_key: str
    key: str | None
    body: bytes

    @property
    def digest(self) -> str:
        """What tells it from another request with the same key."""
        return hashlib.sha256(self.body).hexdigest()

    async def answered(self, connection: Connection) -> Any | None:
        """What was answered before; None: nothing, and the key is now this transaction's.

        Who asks with the same key at the same time waits here for that transaction's end; a rollback frees the key.
        Raises Conflict where the key came with another body.
        """
        if self.key is None:
            return None
        while True:
            claimed = await connection.execute(
                "INSERT INTO belfry.idempotency (api_key, key, digest) VALUES (%s, %s, %s)"
                " ON CONFLICT (api_key, key) DO NOTHING RETURNING true",
                (self.api_key, self.key, self.digest),
                prepare=True,
            )
            if await claimed.fetchone():
                return None
            known = await connection.execute(
                "SELECT digest, answer FROM belfry.idempotency WHERE api_key = %s AND key = %s",
                (self.api_key, self.key),
                prepare=True,
            )
            if found := await known.fetchone():  # else it was removed for its age in this very moment
                return self._same(*found)

    def _same(self, digest: str, answer: Any) -> Any:
        if digest != self.digest:
            raise errors.Conflict("this Idempotency-Key came with another body before: take a new key")
        return answer

    async def answer(self, connection: Connection, answer: Any) -> None:
        """Keep what is answered."""
        if self.key is not None:
            await connection.execute(
                "UPDATE belfry.idempotency SET answer = %s WHERE api_key = %s AND key = %s",
                (Jsonb(answer), self.api_key, self.key),
                prepare=True,
            )
