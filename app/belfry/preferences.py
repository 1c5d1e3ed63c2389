"""What a recipient wants to hear of, by SQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg

from belfry import refusal

Connection = psycopg.AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Preference:
    """How a kind stands for one recipient; `chosen` by them, or as it is for all."""

    kind: str
    label: str
    required: bool
    enabled: bool
    chosen: bool


async def listing(connection: Connection, recipient: str) -> list[Preference]:
    """All declared kinds, and what else they have chosen."""
    cursor = await connection.execute(
        "SELECT kind, label, required, enabled, chosen FROM belfry.preferences(recipient => %s)",
        (recipient,),
        prepare=True,
    )
    return [Preference(*found) for found in await cursor.fetchall()]


_CHOOSE: LiteralString = """
    SELECT belfry.set_preference(recipient => %(recipient)s, kind => %(kind)s, enabled => %(enabled)s)
"""


async def choose(
    connection: Connection, recipient: str, choices: Sequence[tuple[str, bool | None]], *, batch: bool
) -> None:
    """Switch kinds on or off; None: back to how it is for all. Raises Unprocessable for a required kind."""
    for index, (kind, enabled) in enumerate(choices):
        given = {"recipient": recipient, "kind": kind, "enabled": enabled}
        with refusal.told(given, prefix=f"[{index}]." if batch else ""):
            await connection.execute(_CHOOSE, given, prepare=True)
