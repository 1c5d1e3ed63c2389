"""Broken on purpose, to see the inbox model go red: `python -m bench.inbox_model --broken FAULT`.

Faults of the schema are put into the run's own database; faults of a relay into its process, as `broken.py` does.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, LiteralString

from belfry import __main__ as command_line
from belfry import queries, replay, stream
from belfry.cursor import MAX_POSITION, Cursor

SCHEMA: Mapping[str, LiteralString] = {
    # Settled is whatever id was taken: "mark all read" is then a plain `id <=`, and reads what commits late.
    "plain-watermark": """
        CREATE OR REPLACE FUNCTION belfry.settle() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $$
            UPDATE belfry.settled SET through = greatest(through, belfry.last_position()) RETURNING through $$""",
}


def nothing() -> None:
    """The fault is in the schema."""


def slow_counts(count: Any = queries.badges) -> None:
    """No fault: 30 ms between a poll and the counting. A correct relay stays green with it."""

    async def badges(connection: Any, scopes: Any, cursor: Any) -> Any:
        if scopes:
            await asyncio.sleep(0.03)
        return await count(connection, scopes, cursor)

    queries.badges = badges


def counts_of_the_snapshot() -> None:
    """All that can be seen when the counting comes, not what the cursor has seen.

    With `slow_counts`, or so little commits in between that a short run may miss it.
    """
    count = queries.badges

    async def badges(connection: Any, scopes: Any, cursor: Any) -> Any:
        return await count(connection, scopes, Cursor(MAX_POSITION))

    slow_counts(badges)


def deaf_to_mutes() -> None:
    """What a recipient has muted is sent all the same."""

    def hears(self: Any, row: Any) -> bool:
        return True

    stream.Stream.hears = hears


def forget_what_is_taken_back() -> None:
    """Nobody is told what a late choice mutes after all."""
    judge = replay.Replay._judged_anew  # pyright: ignore[reportPrivateUsage]

    async def unmuted(self: Any, *arguments: Any) -> Any:
        return (await judge(self, *arguments))[0], []

    replay.Replay._judged_anew = unmuted  # pyright: ignore[reportPrivateUsage]


RELAY: Mapping[str, Callable[[], None]] = {
    "slow-counts": slow_counts,
    "counts-of-the-snapshot": counts_of_the_snapshot,
    "deaf-to-mutes": deaf_to_mutes,
    "forget-what-is-taken-back": forget_what_is_taken_back,
}
SHOWS: Mapping[str, str] = {
    "plain-watermark": "counts",
    "counts-of-the-snapshot": "client's counts",
    "deaf-to-mutes": "client's items",
    "forget-what-is-taken-back": "client's items",
}
"""Each fault, and the comparison in which it must show."""


def main(arguments: Sequence[str]) -> int:
    """Break it, then run the command line."""
    if not arguments or arguments[0] not in (*SCHEMA, *RELAY):
        print(f"usage: python -m bench.inbox_broken {{{','.join((*SCHEMA, *RELAY))}}} serve …", file=sys.stderr)
        return 2
    RELAY.get(arguments[0], nothing)()
    return command_line.main(list(arguments[1:]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
